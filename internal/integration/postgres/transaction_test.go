package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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
	for _, w := range []way{pgx, {name: "lib pq", driver: "postgres"}} {
		var level string
		db := w.open(t, w.newDSN(t)+"&default_transaction_isolation=serializable")
		s := newStore(t, db, func(ctx context.Context, tx *sql.Tx, _ store.Change) error {
			return tx.QueryRowContext(ctx, "SHOW transaction_isolation").Scan(&level)
		})
		_, err := s.Apply(context.Background(), paid("a"))
		require.NoError(t, err)
		assert.Equal(t, "read committed", level)
	}
}

// Two Changes that wait for each other, over rows of the caller's: the server ends
// one of them, the store runs that one again, and both are in.
func TestDeadlockIsRunAgain(t *testing.T) {
	ctx := context.Background()
	for _, w := range []way{pgx, {name: "lib pq", driver: "postgres"}} {
		t.Run(w.name, func(t *testing.T) {
			dsn := w.newDSN(t)
			db := w.open(t, dsn)
			_, err := db.Exec("CREATE TABLE stock (id TEXT PRIMARY KEY, sold INTEGER NOT NULL)")
			require.NoError(t, err)
			_, err = db.Exec("INSERT INTO stock VALUES ('a', 0), ('b', 0)")
			require.NoError(t, err)

			var mu sync.Mutex
			runs := map[string]int{}
			var both sync.WaitGroup // have their first row
			both.Add(2)
			s := newStore(t, db, func(ctx context.Context, tx *sql.Tx, c store.Change) error {
				order := []string{"a", "b"}
				if c.Booking.ID == "bk_b" {
					order = []string{"b", "a"}
				}
				mu.Lock()
				runs[c.Booking.ID]++
				first := runs[c.Booking.ID] == 1
				mu.Unlock()
				for i, id := range order {
					if _, err := tx.ExecContext(ctx, "UPDATE stock SET sold = sold + 1 WHERE id = $1", id); err != nil {
						return err
					}
					if i == 0 && first {
						both.Done()
						both.Wait()
					}
				}
				return nil
			})
			errs := make(chan error, 2)
			for _, id := range []string{"a", "b"} {
				go func() {
					res, err := s.Apply(ctx, paid(id))
					if err == nil && !res.Applied {
						err = errors.New("not applied")
					}
					errs <- err
				}()
			}
			require.NoError(t, <-errs)
			require.NoError(t, <-errs)
			assert.Equal(t, 3, runs["bk_a"]+runs["bk_b"], "one of them twice")
			assert.Equal(t, 2, whole(t, db))
			var sold int
			require.NoError(t, db.QueryRow("SELECT SUM(sold) FROM stock").Scan(&sold))
			assert.Equal(t, 4, sold)
		})
	}
}

// A caller's transaction that is blind to what was committed since it began can't
// be told about it: the driver's error says that it must be run again as a whole.
// What the caller wrote before is still its own to keep.
func TestWithSerializationFailure(t *testing.T) {
	ctx := context.Background()
	for _, w := range []way{pgx, {name: "lib pq", driver: "postgres"}} {
		for _, level := range []sql.IsolationLevel{sql.LevelRepeatableRead, sql.LevelSerializable} {
			t.Run(w.name+", "+level.String(), func(t *testing.T) {
				db := w.open(t, w.newDSN(t))
				s := newStore(t, db, nil)
				noted := notes(t, db)
				run := func(rival bool) (res store.Result, err error) {
					tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: level})
					require.NoError(t, err)
					require.NoError(t, note(ctx, tx, paid("mine"))) // takes its snapshot
					if rival {
						_, err = s.Apply(ctx, paid("a"))
						require.NoError(t, err)
					}
					res, err = s.With(tx).Apply(ctx, paid("a"))
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
				assert.Equal(t, 1, whole(t, db))
			})
		}
	}
}

// A caller that waits for another's transaction stops with its ctx; the outcome is
// all or nothing, and the same call again finds out which.
func TestCancelledWhileWaiting(t *testing.T) {
	for _, w := range []way{pgx, {name: "pgx, simple", driver: "pgx", params: "&default_query_exec_mode=simple_protocol"}, {name: "lib pq", driver: "postgres"}} {
		t.Run(w.name, func(t *testing.T) {
			db := w.open(t, w.newDSN(t))
			s := newStore(t, db, nil)
			lock, err := db.Begin()
			require.NoError(t, err)
			_, err = s.With(lock).Apply(context.Background(), paid("a"))
			require.NoError(t, err)
			_, err = lock.Exec("LOCK TABLE stripebooking_events IN ACCESS EXCLUSIVE MODE")
			require.NoError(t, err)

			calls := map[string]func(ctx context.Context) error{
				"apply":          func(ctx context.Context) error { _, err := s.Apply(ctx, paid("a")); return err },
				"apply seats":    func(ctx context.Context) error { _, err := s.Apply(ctx, seated("a")); return err },
				"record failure": func(ctx context.Context) error { return s.RecordFailure(ctx, *paid("b").Event, "x", false) },
				"event":          func(ctx context.Context) error { _, err := s.Event(ctx, "evt_a"); return err },
			}
			for name, call := range calls {
				ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
				err := call(ctx)
				cancel()
				require.ErrorIs(t, err, context.DeadlineExceeded, name)
				assert.True(t, store.IsTransient(err), name)
			}
			require.NoError(t, lock.Rollback())

			// None of them is still on its way to win: each was told to stop.
			res, err := s.Apply(context.Background(), paid("a"))
			require.NoError(t, err)
			again, err := s.Apply(context.Background(), paid("a"))
			require.NoError(t, err)
			assert.False(t, again.Applied)
			res.Applied = false
			assert.Equal(t, res, again)
			n := counts(t, db)
			assert.Equal(t, []int{1, 1, 1, 1}, []int{n[0], n[1], n[3], n[4]}, "bookings, payments, history, keys")
		})
	}
}

func seated(id string) store.Change {
	c := paid(id)
	c.Claim = []store.SeatClaim{{Slot: "mon", Capacity: 1, Count: 1}}
	return c
}

// A Change that meets one that is not committed yet waits for it, and then is told
// what it would be told later, also where its snapshot is older than that commit.
// When the other is rolled back, it applies.
func TestWaitsForARival(t *testing.T) {
	ctx := context.Background()
	same := func(c *store.Change) {}
	booking := func(c *store.Change) { c.Booking.ID, c.Payments[0].BookingID = "bk_rival", "bk_rival" }
	intent := func(c *store.Change) {
		c.Booking.PaymentIntentID, c.Payments[0].PaymentIntentID = "pi_rival", "pi_rival"
	}
	event := func(c *store.Change) { c.Event.ID = "evt_rival" }
	for _, isolation := range []string{"read committed", "serializable"} {
		for _, c := range []struct {
			name     string
			id       string
			meets    func(*store.Change)
			conflict store.Conflict
			applies  bool
		}{
			{"key", "rival", same, "", false},
			{"booking", "a", booking, store.ConflictVersion, false},
			{"intent", "a", intent, store.ConflictIntent, false},
			{"event", "a", event, "", true},
		} {
			for _, commit := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s, %s, commit %v", isolation, c.name, commit), func(t *testing.T) {
					dsn := pgx.newDSN(t)
					db := pgx.open(t, dsn)
					s := newStore(t, db, nil)
					rival, err := db.Begin()
					require.NoError(t, err)
					_, err = s.With(rival).Apply(ctx, paid("rival"))
					require.NoError(t, err)

					change := paid(c.id)
					c.meets(&change)
					waiting := newStore(t, pgx.open(t, dsn+"&default_transaction_isolation="+url.PathEscape(isolation)), nil)
					type outcome struct {
						res store.Result
						err error
					}
					done := make(chan outcome)
					go func() {
						res, err := waiting.Apply(ctx, change)
						done <- outcome{res, err}
					}()
					require.Eventually(t, func() bool {
						var n int
						err := db.QueryRow("SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&n)
						return err == nil && n == 1
					}, time.Minute, time.Millisecond)
					want := 1
					if commit {
						require.NoError(t, rival.Commit())
					} else {
						require.NoError(t, rival.Rollback())
					}
					got := <-done
					switch {
					case !commit || c.applies:
						require.NoError(t, got.err)
						assert.True(t, got.res.Applied)
						if commit {
							want = 2
							assert.Equal(t, 2, got.res.Event.Attempts)
						}
					case c.conflict != "":
						require.ErrorIs(t, got.err, store.ErrConflict)
						assert.Equal(t, c.conflict, got.res.Conflict)
						assert.Equal(t, "bk_rival", got.res.Booking.ID)
					default:
						require.NoError(t, got.err)
						assert.False(t, got.res.Applied)
						assert.Equal(t, "bk_rival", got.res.Booking.ID)
					}
					assert.Equal(t, want, counts(t, db)[0])
					assert.Equal(t, want, counts(t, db)[4])
				})
			}
		}
	}
}

// A Migrate that waits for another process stops with its ctx, and can be called
// again.
func TestMigrateCancelledWhileWaiting(t *testing.T) {
	for _, w := range []way{pgx, {name: "lib pq", driver: "postgres"}} {
		t.Run(w.name, func(t *testing.T) {
			dsn := w.newDSN(t)
			other, err := w.open(t, dsn).Begin()
			require.NoError(t, err)
			_, err = other.Exec("CREATE TABLE stripebooking_migrations (version INTEGER PRIMARY KEY)")
			require.NoError(t, err)
			db := w.open(t, dsn)
			db.SetMaxOpenConns(1)
			s, err := sqlstore.New(sqlstore.Config{DB: db, Dialect: sqlstore.Postgres})
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
			defer cancel()
			require.ErrorIs(t, s.Migrate(ctx), context.DeadlineExceeded)
			require.NoError(t, other.Rollback())
			require.NoError(t, s.Migrate(context.Background()))
		})
	}
}

// ctx ends in the middle of a Change: the call says so and nothing is written.
func TestCancelledWithin(t *testing.T) {
	for _, w := range []way{pgx, {name: "lib pq", driver: "postgres"}} {
		t.Run(w.name, func(t *testing.T) {
			ctx, end := context.WithCancel(context.Background())
			defer end()
			db := w.open(t, w.newDSN(t))
			s := newStore(t, db, func(context.Context, *sql.Tx, store.Change) error {
				end()
				return nil
			})
			_, err := s.Apply(ctx, paid("a"))
			require.ErrorIs(t, err, context.Canceled)
			assert.Equal(t, 0, whole(t, db))
		})
	}
}

// ctx ends in the middle of a joined Change: between two statements the caller's
// transaction goes on without it; within one the drivers close the connection, so
// that nothing of the transaction is left.
func TestWithCancelled(t *testing.T) {
	for _, w := range []way{pgx, {name: "pgx, exec", driver: "pgx", params: "&default_query_exec_mode=exec"}, {name: "lib pq", driver: "postgres"}} {
		t.Run(w.name+", between", func(t *testing.T) {
			ctx, end := context.WithCancel(context.Background())
			defer end()
			db := w.open(t, w.newDSN(t))
			s := newStore(t, db, func(context.Context, *sql.Tx, store.Change) error {
				end()
				return nil
			})
			noted := notes(t, db)
			tx, err := db.Begin()
			require.NoError(t, err)
			require.NoError(t, note(context.Background(), tx, paid("mine")))
			_, err = s.With(tx).Apply(ctx, paid("a"))
			require.ErrorIs(t, err, context.Canceled)
			assert.NotContains(t, err.Error(), "must be rolled back")
			require.NoError(t, note(context.Background(), tx, paid("mine")))
			require.NoError(t, tx.Commit())
			assert.Equal(t, 2, noted())
			assert.Equal(t, 0, whole(t, db))
		})
		t.Run(w.name+", within", func(t *testing.T) {
			db := w.open(t, w.newDSN(t))
			s := newStore(t, db, nil)
			noted := notes(t, db)
			rival, err := db.Begin()
			require.NoError(t, err)
			last := paid("b") // has the intent of paid("a"), which comes after other rows
			last.Payments[0].PaymentIntentID, last.Booking.PaymentIntentID = "pi_a", "pi_a"
			_, err = s.With(rival).Apply(context.Background(), last)
			require.NoError(t, err)

			tx, err := db.Begin()
			require.NoError(t, err)
			require.NoError(t, note(context.Background(), tx, paid("mine")))
			ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
			defer cancel()
			_, err = s.With(tx).Apply(ctx, paid("a"))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			assert.ErrorContains(t, err, "must be rolled back")
			require.Error(t, tx.Commit())
			require.NoError(t, rival.Commit())
			assert.Equal(t, 0, noted())
			assert.Equal(t, 1, whole(t, db))
		})
	}
}

// An InTx that hides an error of its transaction does not get half of it in, nor
// its caller told that it is in.
func TestInTxHidesAnError(t *testing.T) {
	ctx := context.Background()
	for _, w := range []way{pgx, {name: "lib pq", driver: "postgres"}} {
		t.Run(w.name, func(t *testing.T) {
			db := w.open(t, w.newDSN(t))
			db.SetMaxOpenConns(1)
			hide := true
			s := newStore(t, db, func(ctx context.Context, tx *sql.Tx, _ store.Change) error {
				if hide {
					tx.ExecContext(ctx, "INSERT INTO no_such_table VALUES (1)")
				}
				return nil
			})
			_, err := s.Apply(ctx, paid("a"))
			require.Error(t, err)
			assert.True(t, store.IsTransient(err))
			assert.Equal(t, 0, whole(t, db))
			hide = false
			_, err = s.Apply(ctx, paid("a"))
			require.NoError(t, err, "the connection is sound")
			assert.Equal(t, 1, whole(t, db))
		})
	}
}

// A joined store in a transaction that the server has given up says so, every time.
func TestWithAbortedTransaction(t *testing.T) {
	ctx := context.Background()
	db := pgx.open(t, pgx.newDSN(t))
	s := newStore(t, db, nil)
	tx, err := db.Begin()
	require.NoError(t, err)
	_, err = tx.Exec("INSERT INTO no_such_table VALUES (1)")
	require.Error(t, err)
	for range 2 {
		_, err := s.With(tx).Apply(ctx, paid("a"))
		require.Equal(t, "25P02", state(err), "%v", err)
		assert.True(t, store.IsTransient(err))
	}
	require.Error(t, tx.Commit())
	assert.Equal(t, 0, whole(t, db))
}
