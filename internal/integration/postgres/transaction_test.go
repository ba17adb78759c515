package postgres

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/sample"
	"github.com/carevia/stripebooking/internal/integration/sqltest"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/sqlstore"
)

func state(err error) string {
	var e interface{ SQLState() string }
	if errors.As(err, &e) {
		return e.SQLState()
	}
	return ""
}

// Whatever the default is, a transaction of the store's is READ COMMITTED.
func TestIsolation(t *testing.T) {
	for _, w := range []sqltest.Way{pgx, libpq} {
		var level string
		db := w.Open(t, w.NewDSN(t)+"&default_transaction_isolation=serializable")
		s := w.Store(t, db, func(ctx context.Context, tx *sql.Tx, _ store.Change) error {
			return tx.QueryRowContext(ctx, "SHOW transaction_isolation").Scan(&level)
		})
		_, err := s.Apply(context.Background(), sample.Paid("a"))
		require.NoError(t, err)
		assert.Equal(t, "read committed", level)
	}
}

func TestDeadlockIsRunAgain(t *testing.T) {
	for _, w := range []sqltest.Way{pgx, libpq} {
		t.Run(w.Name, func(t *testing.T) { sqltest.TestDeadlockIsRunAgain(t, w) })
	}
}

// A caller's transaction that is blind to what was committed since it began can't
// be told about it: the driver's error says that it must be run again as a whole.
// What the caller wrote before is still its own to keep.
func TestWithSerializationFailure(t *testing.T) {
	ctx := context.Background()
	for _, w := range []sqltest.Way{pgx, libpq} {
		for _, level := range []sql.IsolationLevel{sql.LevelRepeatableRead, sql.LevelSerializable} {
			t.Run(w.Name+", "+level.String(), func(t *testing.T) {
				db := w.New(t)
				s := w.Store(t, db, nil)
				noted := sqltest.Notes(t, db)
				run := func(rival bool) (res store.Result, err error) {
					tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: level})
					require.NoError(t, err)
					require.NoError(t, sqltest.Note(ctx, tx, sample.Paid("mine"))) // takes its snapshot
					if rival {
						_, err = s.Apply(ctx, sample.Paid("a"))
						require.NoError(t, err)
					}
					res, err = s.With(tx).Apply(ctx, sample.Paid("a"))
					require.NoError(t, tx.Commit())
					return res, err
				}
				_, err := run(true)
				require.Equal(t, "40001", state(err), "%v", err)
				assert.True(t, store.IsTransient(err))
				assert.NotErrorIs(t, err, store.ErrConflict)
				assert.NotContains(t, err.Error(), "must be rolled back")

				res, err := run(false)
				require.NoError(t, err)
				assert.False(t, res.Applied, "run again, it sees the other's")
				assert.Equal(t, 2, noted())
				assert.Equal(t, 1, sqltest.Whole(t, db))
			})
		}
	}
}

// A caller that waits for another's transaction stops with its ctx; the outcome is
// all or nothing, and the same call again finds out which.
func TestCancelledWhileWaiting(t *testing.T) {
	for _, w := range []sqltest.Way{pgx, direct("pgx, simple", "pgx", "&default_query_exec_mode=simple_protocol"), libpq} {
		t.Run(w.Name, func(t *testing.T) {
			db := w.New(t)
			s := w.Store(t, db, nil)
			lock, err := db.Begin()
			require.NoError(t, err)
			_, err = s.With(lock).Apply(context.Background(), sample.Paid("a"))
			require.NoError(t, err)
			_, err = lock.Exec("LOCK TABLE stripebooking_events IN ACCESS EXCLUSIVE MODE")
			require.NoError(t, err)

			sqltest.TestEnd(t, map[string]func(ctx context.Context) error{
				"apply":          func(ctx context.Context) error { _, err := s.Apply(ctx, sample.Paid("a")); return err },
				"apply seats":    func(ctx context.Context) error { _, err := s.Apply(ctx, sample.Seated("a")); return err },
				"record failure": func(ctx context.Context) error { return s.RecordFailure(ctx, *sample.Paid("b").Event, "x", false) },
				"event":          func(ctx context.Context) error { _, err := s.Event(ctx, "evt_a"); return err },
			})
			require.NoError(t, lock.Rollback())

			// None of them is still on its way to win: each was told to stop.
			res, err := s.Apply(context.Background(), sample.Paid("a"))
			require.NoError(t, err)
			again, err := s.Apply(context.Background(), sample.Paid("a"))
			require.NoError(t, err)
			assert.False(t, again.Applied)
			res.Applied = false
			assert.Equal(t, res, again)
			n := sqltest.Counts(t, db)
			assert.Equal(t, []int{1, 1, 1, 1}, []int{n[0], n[1], n[3], n[4]}, "bookings, payments, history, keys")
		})
	}
}

// Also where the one that waits has a snapshot older than the other's commit.
func TestWaitsForARival(t *testing.T) {
	for _, isolation := range []string{"read committed", "serializable"} {
		t.Run(isolation, func(t *testing.T) {
			sqltest.TestWaitsForARival(t, pgx, "&default_transaction_isolation="+url.PathEscape(isolation), blocked)
		})
	}
}

// blocked reports whether somebody waits for a lock in the database.
func blocked(db *sql.DB) (waits bool) {
	err := db.QueryRow("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')").Scan(&waits)
	return err == nil && waits
}

// A Migrate that waits for another process stops with its ctx, and can be called
// again.
func TestMigrateCancelledWhileWaiting(t *testing.T) {
	for _, w := range []sqltest.Way{pgx, libpq} {
		t.Run(w.Name, func(t *testing.T) {
			dsn := w.NewDSN(t)
			other, err := w.Open(t, dsn).Begin()
			require.NoError(t, err)
			_, err = other.Exec("CREATE TABLE stripebooking_migrations (version INTEGER PRIMARY KEY)")
			require.NoError(t, err)
			db := w.Open(t, dsn)
			db.SetMaxOpenConns(1)
			s := w.Unmigrated(t, sqlstore.Config{DB: db})
			ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
			defer cancel()
			require.ErrorIs(t, s.Migrate(ctx), context.DeadlineExceeded)
			require.NoError(t, other.Rollback())
			require.NoError(t, s.Migrate(context.Background()))
		})
	}
}

func TestCancelledWithin(t *testing.T) {
	for _, w := range []sqltest.Way{pgx, libpq} {
		t.Run(w.Name, func(t *testing.T) { sqltest.TestCancelledWithin(t, w) })
	}
}

// ctx ends in the middle of a joined Change: between two statements the caller's
// transaction goes on without it; within one the drivers close the connection, so
// that nothing of the transaction is left.
func TestWithCancelled(t *testing.T) {
	for _, w := range []sqltest.Way{pgx, ways[1], libpq} {
		t.Run(w.Name+", between", func(t *testing.T) { sqltest.TestWithCancelledBetween(t, w) })
		t.Run(w.Name+", within", func(t *testing.T) { sqltest.TestWithCancelledInside(t, w) })
	}
}

// An InTx that hides an error of its transaction does not get half of it in, nor
// its caller told that it is in.
func TestInTxHidesAnError(t *testing.T) {
	ctx := context.Background()
	for _, w := range []sqltest.Way{pgx, libpq} {
		t.Run(w.Name, func(t *testing.T) {
			db := w.New(t)
			db.SetMaxOpenConns(1)
			hide := true
			s := w.Store(t, db, func(ctx context.Context, tx *sql.Tx, _ store.Change) error {
				if hide {
					tx.ExecContext(ctx, "INSERT INTO no_such_table VALUES (1)")
				}
				return nil
			})
			_, err := s.Apply(ctx, sample.Paid("a"))
			require.Error(t, err)
			assert.True(t, store.IsTransient(err))
			assert.Equal(t, 0, sqltest.Whole(t, db))
			hide = false
			_, err = s.Apply(ctx, sample.Paid("a"))
			require.NoError(t, err, "the connection is sound")
			assert.Equal(t, 1, sqltest.Whole(t, db))
		})
	}
}

// A joined store in a transaction that the server has given up says so, every time.
func TestWithAbortedTransaction(t *testing.T) {
	ctx := context.Background()
	db := pgx.New(t)
	s := pgx.Store(t, db, nil)
	tx, err := db.Begin()
	require.NoError(t, err)
	_, err = tx.Exec("INSERT INTO no_such_table VALUES (1)")
	require.Error(t, err)
	for range 2 {
		_, err := s.With(tx).Apply(ctx, sample.Paid("a"))
		require.Equal(t, "25P02", state(err), "%v", err)
		assert.True(t, store.IsTransient(err))
	}
	require.Error(t, tx.Commit())
	assert.Equal(t, 0, sqltest.Whole(t, db))
}
