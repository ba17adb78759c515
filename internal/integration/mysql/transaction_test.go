package mysql

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/sample"
	"github.com/carevia/stripebooking/internal/integration/sqltest"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/sqlstore"
)

// number is the server's, of an error.
func number(err error) uint16 {
	var e *mysql.MySQLError
	if errors.As(err, &e) {
		return e.Number
	}
	return 0
}

// Whatever the default is, a transaction of the store's sees what others have
// committed meanwhile, and leaves the connection's default alone.
func TestIsolation(t *testing.T) {
	ctx := context.Background()
	dsn := serializable.NewDSN(t)
	db, other := serializable.Open(t, dsn), serializable.Open(t, dsn)
	db.SetMaxOpenConns(1)
	noted := sqltest.Notes(t, other)
	s := serializable.Store(t, db, func(ctx context.Context, tx *sql.Tx, c store.Change) error {
		for want := range 2 {
			var n int
			if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM notes").Scan(&n); err != nil {
				return err
			}
			assert.Equal(t, want, n)
			if _, err := other.Exec("INSERT INTO notes VALUES ('x')"); err != nil {
				return err
			}
		}
		return nil
	})
	_, err := s.Apply(ctx, sample.Paid("a"))
	require.NoError(t, err)
	assert.Equal(t, 2, noted())
	_, err = serializable.Unmigrated(t, sqlstore.Config{DB: db}).Apply(ctx, sample.Paid("b"))
	require.NoError(t, err)
	var name, level string
	require.NoError(t, db.QueryRow("SHOW VARIABLES WHERE Variable_name IN ('tx_isolation', 'transaction_isolation')").Scan(&name, &level))
	assert.Equal(t, "SERIALIZABLE", level)
}

func TestDeadlockIsRunAgain(t *testing.T) { sqltest.TestDeadlockIsRunAgain(t, prepared) }
func TestCancelledWithin(t *testing.T)    { sqltest.TestCancelledWithin(t, prepared) }

// Also where the one that waits would have a snapshot older than the other's commit.
func TestWaitsForARival(t *testing.T) {
	for _, c := range []struct {
		sqltest.Way
		level string
	}{{prepared, "READ-COMMITTED"}, {foundRows, "REPEATABLE-READ"}, {prepared, "SERIALIZABLE"}} {
		t.Run(c.Name+", "+c.level, func(t *testing.T) { sqltest.TestWaitsForARival(t, c.Way, isolation(t, c.level), blocked) })
	}
}

// A caller's transaction whose snapshot is older than the winner is told of the winner
// all the same, as READ COMMITTED would be.
func TestWithOldSnapshot(t *testing.T) {
	ctx := context.Background()
	for _, level := range []sql.IsolationLevel{sql.LevelReadCommitted, sql.LevelRepeatableRead, sql.LevelSerializable} {
		t.Run(level.String(), func(t *testing.T) {
			db := prepared.New(t)
			s := prepared.Store(t, db, nil)
			tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: level})
			require.NoError(t, err)
			defer tx.Rollback()
			var n int
			// Of one row that is not there, so that SERIALIZABLE locks nothing else.
			require.NoError(t, tx.QueryRow("SELECT COUNT(*) FROM stripebooking_migrations WHERE version = 99").Scan(&n))

			won := sample.Paid("a")
			won.Event.Handlers = []string{"mail"}
			won.Claim = []store.SeatClaim{{Slot: "mon", Capacity: 2, Count: 1}}
			first, err := s.Apply(ctx, won)
			require.NoError(t, err)

			joined := s.With(tx)
			require.NoError(t, joined.RecordHandled(ctx, "evt_a", []string{"sms"}, true, sample.T0), "it is there")
			first.Event.Handlers = []string{"mail", "sms"}
			replay, err := joined.Apply(ctx, won)
			require.NoError(t, err)
			first.Applied = false
			assert.Equal(t, first, replay)

			for conflict, loser := range sample.Losers() {
				res, err := joined.Apply(ctx, loser)
				require.ErrorIs(t, err, store.ErrConflict)
				assert.Equal(t, conflict, res.Conflict)
				assert.Equal(t, first.Booking, res.Booking)
				assert.Equal(t, first.Payments, res.Payments)
			}
			seat := sample.Paid("s")
			seat.Claim = []store.SeatClaim{{Slot: "mon", Capacity: 1, Count: 1}}
			res, err := joined.Apply(ctx, seat)
			require.ErrorIs(t, err, store.ErrConflict)
			assert.Equal(t, store.ConflictSeats, res.Conflict)

			event := sample.Paid("b")
			event.Event.ID = "evt_a"
			res, err = joined.Apply(ctx, event)
			require.NoError(t, err)
			assert.Equal(t, 2, res.Event.Attempts)
			assert.Equal(t, []string{"mail", "sms"}, res.Event.Handlers)

			later := sample.Next("later", *first.Booking)
			later.Payments, later.Release = won.Payments, first.Booking.Seats
			res, err = joined.Apply(ctx, later)
			require.NoError(t, err)
			assert.EqualValues(t, 2, res.Booking.Version)
			require.NoError(t, tx.Commit())

			b, err := s.Booking(ctx, "bk_a")
			require.NoError(t, err)
			assert.Equal(t, *res.Booking, b)
			assert.Equal(t, [5]int{2, 2, 1, 3, 3}, sqltest.Counts(t, db))
		})
	}
}

// With innodb_snapshot_isolation, which newer MariaDB has by default, the server ends
// such a transaction, and the joined store says so from then on.
func TestWithSnapshotIsolation(t *testing.T) {
	onlyMariaDB(t)
	ctx := context.Background()
	db := prepared.Open(t, prepared.NewDSN(t)+"&innodb_snapshot_isolation=1")
	s := prepared.Store(t, db, nil)
	noted := sqltest.Notes(t, db)
	tx, err := db.Begin()
	require.NoError(t, err)
	require.NoError(t, sqltest.Note(ctx, tx, sample.Paid("mine")))
	_, err = s.With(tx).Booking(ctx, "bk_a") // takes the snapshot
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = s.Apply(ctx, sample.Paid("a"))
	require.NoError(t, err)

	_, err = s.With(tx).Apply(ctx, sample.Paid("a"))
	require.ErrorContains(t, err, "must be rolled back")
	assert.ErrorContains(t, err, "1020") // record has changed since last read
	assertOver(t, db, s, tx)
	assert.Equal(t, 0, noted())
	assert.Equal(t, 1, sqltest.Whole(t, db))
}

// assertOver fails unless whatever a joined store is asked to write is refused, since
// the server would take it as a transaction of its own.
func assertOver(t *testing.T, db *sql.DB, s *sqlstore.Store, tx *sql.Tx) {
	t.Helper()
	ctx := context.Background()
	before := sqltest.Counts(t, db)
	joined := s.With(tx)
	for range 2 {
		_, err := joined.Apply(ctx, sample.Paid("over"))
		require.ErrorContains(t, err, "the transaction is over")
		assert.True(t, store.IsTransient(err))
		require.ErrorContains(t, joined.RecordFailure(ctx, *sample.Paid("over").Event, "x", false), "the transaction is over")
		require.ErrorContains(t, joined.RecordHandled(ctx, "evt_over", []string{"h"}, true, sample.T0), "the transaction is over")
	}
	require.NoError(t, tx.Commit(), "which the server does not mind")
	assert.Equal(t, before, sqltest.Counts(t, db))
}

// A deadlock undoes the caller's transaction as a whole. The joined store must not go
// on in what the server takes for none.
func TestWithDeadlock(t *testing.T) {
	ctx := context.Background()
	db := prepared.New(t)
	s := prepared.Store(t, db, nil)
	noted := sqltest.Notes(t, db)
	mine, theirs := begin(t, db), begin(t, db)
	// The smaller transaction is the victim.
	for range 50 {
		require.NoError(t, sqltest.Note(ctx, theirs, sample.Paid("theirs")))
	}
	require.NoError(t, sqltest.Note(ctx, mine, sample.Paid("mine")))
	_, err := s.With(mine).Apply(ctx, sample.Paid("a"))
	require.NoError(t, err)
	_, err = s.With(theirs).Apply(ctx, sample.Paid("b"))
	require.NoError(t, err)
	answer := make(chan error)
	go func() {
		_, err := s.With(theirs).Apply(ctx, sample.WithIntent("c", "a"))
		answer <- err
	}()
	require.Eventually(t, func() bool { return blocked(db) }, time.Minute, time.Millisecond)
	_, err = s.With(mine).Apply(ctx, sample.WithIntent("d", "b"))
	require.ErrorContains(t, err, "must be rolled back")
	assert.ErrorContains(t, err, "1213")
	assert.True(t, store.IsTransient(err))
	assert.NotErrorIs(t, err, store.ErrConflict)
	require.NoError(t, <-answer, "the intent is free")
	assertOver(t, db, s, mine)
	require.NoError(t, theirs.Commit())
	assert.Equal(t, 50, noted())
	assert.Equal(t, 2, sqltest.Whole(t, db))
}

func begin(t *testing.T, db *sql.DB) *sql.Tx {
	t.Helper()
	tx, err := db.Begin()
	require.NoError(t, err)
	t.Cleanup(func() { tx.Rollback() })
	return tx
}

// Who has waited for a lock as long as the server lets it is neither a replay nor has
// a conflict, and the transaction of the caller's is still its own. So it is with the
// store's own transactions, which try again.
func TestLockWaitTimeout(t *testing.T) {
	const timeout = 1205
	ctx := context.Background()
	dsn := prepared.NewDSN(t)
	db := prepared.Open(t, dsn)
	s := prepared.Store(t, db, nil)
	noted := sqltest.Notes(t, db)
	rival := begin(t, db)
	_, err := s.With(rival).Apply(ctx, sample.WithIntent("rival", "a"))
	require.NoError(t, err)

	hasty := prepared.Open(t, dsn+"&innodb_lock_wait_timeout=1")
	for name, c := range map[string]store.Change{"the statement": sample.Paid("a"), "the transaction": sample.Seated("a")} {
		ctx, cancel := context.WithTimeout(ctx, 2500*time.Millisecond) // the second time is cut short
		_, err = prepared.Unmigrated(t, sqlstore.Config{DB: hasty}).Apply(ctx, c)
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded, name)
		assert.NotErrorIs(t, err, store.ErrConflict, name)
	}

	tx := begin(t, hasty)
	joined := prepared.Unmigrated(t, sqlstore.Config{DB: hasty}).With(tx)
	require.NoError(t, sqltest.Note(ctx, tx, sample.Paid("mine")))
	_, err = joined.Apply(ctx, sample.Paid("a"))
	require.EqualValues(t, timeout, number(err), "%v", err)
	assert.True(t, store.IsTransient(err))
	assert.NotContains(t, err.Error(), "must be rolled back")
	_, err = joined.Apply(ctx, sample.Paid("b"))
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
	assert.Equal(t, 1, noted())
	assert.Equal(t, 1, sqltest.Whole(t, db))
	require.NoError(t, rival.Commit())
	_, err = s.Apply(ctx, sample.Paid("a"))
	require.ErrorIs(t, err, store.ErrConflict)
	assert.Equal(t, 2, sqltest.Whole(t, db))
}

// The server ends the one statement in its middle. Half of it must not be committed by
// whoever is given the connection next.
func TestStatementIsStopped(t *testing.T) {
	onlyMariaDB(t)
	ctx := context.Background()
	dsn := prepared.NewDSN(t)
	db := prepared.Open(t, dsn)
	s := prepared.Store(t, db, nil)
	rival := begin(t, db)
	_, err := s.With(rival).Apply(ctx, sample.WithIntent("rival", "a"))
	require.NoError(t, err)

	hasty := prepared.Open(t, dsn+"&max_statement_time=0.2")
	hasty.SetMaxOpenConns(1)
	_, err = prepared.Unmigrated(t, sqlstore.Config{DB: hasty}).Apply(ctx, sample.Paid("a"))
	require.EqualValues(t, 1969, number(err), "%v", err)
	assert.True(t, store.IsTransient(err))
	assert.Equal(t, []string{"0"}, sqltest.Column(t, hasty, "SELECT @@in_transaction"))
	require.NoError(t, begin(t, hasty).Commit())
	require.NoError(t, rival.Rollback())
	assert.Equal(t, 0, sqltest.Whole(t, db))
	_, err = s.Apply(ctx, sample.Paid("a"))
	require.NoError(t, err)
}

// Only the key that decides may do nothing when it is taken: what another index of
// somebody's own refuses, or what does not fit, is an error, and nothing is written.
func TestOnlyTheKeyDoesNothing(t *testing.T) {
	ctx := context.Background()
	for _, w := range []sqltest.Way{prepared, foundRows} {
		for name, c := range map[string]struct {
			index string
			make  func() store.Change
		}{
			"changes": {"changes ADD UNIQUE INDEX own (fingerprint)", func() store.Change { return sample.Paid("b") }},
			"history": {"history ADD UNIQUE INDEX own (cause_by)", func() store.Change { return sample.Paid("b") }},
			"payments": {"payments ADD UNIQUE INDEX own (booking_id)", func() store.Change {
				c := sample.Paid("b")
				c.Payments = append(c.Payments, sample.Paid("c").Payments...)
				c.Payments[1].BookingID = c.Booking.ID
				return c
			}},
			"events": {"events ADD UNIQUE INDEX own (type)", func() store.Change { return sample.Paid("b") }},
			"too long": {"changes COMMENT 'as it was'", func() store.Change {
				c := sample.Paid("b")
				c.History.From = store.State(strings.Repeat("x", 300))
				return c
			}},
		} {
			t.Run(w.Name+", "+name, func(t *testing.T) {
				db := w.New(t)
				statement := w.Store(t, db, nil)
				transaction := w.Store(t, db, func(context.Context, *sql.Tx, store.Change) error { return nil })
				_, err := statement.Apply(ctx, sample.Paid("a"))
				require.NoError(t, err)
				_, err = db.Exec("ALTER TABLE stripebooking_" + c.index)
				require.NoError(t, err)
				for _, s := range []*sqlstore.Store{statement, transaction} {
					res, err := s.Apply(ctx, c.make())
					require.Error(t, err)
					assert.Equal(t, store.Result{}, res)
					assert.True(t, store.IsTransient(err))
					assert.NotErrorIs(t, err, store.ErrConflict)
					assert.Equal(t, 1, sqltest.Whole(t, db))
				}
			})
		}
	}
}

// The server quotes what is there twice; the store's error does not.
func TestErrorsTellNoValue(t *testing.T) {
	ctx := context.Background()
	db := prepared.New(t)
	_, err := db.Exec("CREATE TABLE visitors (email VARCHAR(50), UNIQUE INDEX own (email))")
	require.NoError(t, err)
	s := prepared.Store(t, db, func(ctx context.Context, tx *sql.Tx, _ store.Change) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO visitors VALUES ('ada@example.com')")
		return err
	})
	_, err = s.Apply(ctx, sample.Paid("a"))
	require.NoError(t, err)
	_, err = s.Apply(ctx, sample.Paid("b"))
	require.EqualValues(t, 1062, number(err), "%v", err)
	assert.Regexp(t, "1062, which quotes a value, for key '.*own'$", err.Error())
	assert.NotContains(t, err.Error(), "ada")
	assert.Equal(t, 1, sqltest.Whole(t, db))
}

// A caller that waits for another's transaction stops with its ctx; the outcome is
// all or nothing, and the same call again finds out which. The server is not told: a
// statement that it has got goes on waiting.
func TestCancelledWhileWaiting(t *testing.T) {
	for _, w := range []sqltest.Way{prepared, interpolated} {
		t.Run(w.Name, func(t *testing.T) {
			db := w.New(t)
			s := w.Store(t, db, nil)
			lock := begin(t, db)
			_, err := s.With(lock).Apply(context.Background(), sample.Paid("a"))
			require.NoError(t, err)

			sqltest.TestEnd(t, map[string]func(ctx context.Context) error{
				"apply":          func(ctx context.Context) error { _, err := s.Apply(ctx, sample.Paid("a")); return err },
				"apply seats":    func(ctx context.Context) error { _, err := s.Apply(ctx, sample.Seated("a")); return err },
				"record failure": func(ctx context.Context) error { return s.RecordFailure(ctx, *sample.Paid("a").Event, "x", false) },
			})
			require.NoError(t, lock.Rollback())

			_, err = s.Apply(context.Background(), sample.Paid("a"))
			require.NoError(t, err)
			again, err := s.Apply(context.Background(), sample.Paid("a"))
			require.NoError(t, err)
			assert.False(t, again.Applied)
			assert.Equal(t, 1, sqltest.Whole(t, db))
		})
	}
}

// ctx ends in the middle of a joined Change: between two statements the caller's
// transaction goes on without it; within one the driver closes the connection, so
// that nothing of the transaction is left.
func TestWithCancelled(t *testing.T) {
	t.Run("between", func(t *testing.T) { sqltest.TestWithCancelledBetween(t, prepared) })
	t.Run("within", func(t *testing.T) { sqltest.TestWithCancelledInside(t, prepared) })
}

// A Migrate that waits for another process stops with its ctx, and can be called
// again.
func TestMigrateCancelledWhileWaiting(t *testing.T) {
	dsn := prepared.NewDSN(t)
	other, err := prepared.Open(t, dsn).Conn(context.Background())
	require.NoError(t, err)
	lock := "CONCAT('stripebooking ', SHA1(CONCAT(DATABASE(), ' stripebooking_')))"
	_, err = other.ExecContext(context.Background(), "DO GET_LOCK("+lock+", 0)")
	require.NoError(t, err)
	db := prepared.Open(t, dsn)
	db.SetMaxOpenConns(1)
	s := prepared.Unmigrated(t, sqlstore.Config{DB: db})
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, s.Migrate(ctx), context.DeadlineExceeded)
	_, err = other.ExecContext(context.Background(), "DO RELEASE_LOCK("+lock+")")
	require.NoError(t, err)
	require.NoError(t, s.Migrate(context.Background()))
}

// An InTx that hides an error of its transaction gets the whole Change in or, when
// the server has ended the transaction, is told; never a part.
func TestInTxHidesAnError(t *testing.T) {
	ctx := context.Background()
	db := prepared.New(t)
	noted := sqltest.Notes(t, db)
	_, err := db.Exec("CREATE TABLE stock (id INTEGER PRIMARY KEY, sold INTEGER NOT NULL)")
	require.NoError(t, err)
	_, err = db.Exec("INSERT INTO stock VALUES (1, 0), (2, 0)")
	require.NoError(t, err)

	s := prepared.Store(t, db, func(ctx context.Context, tx *sql.Tx, _ store.Change) error {
		tx.ExecContext(ctx, "INSERT INTO no_such_table VALUES (1)")
		return nil
	})
	res, err := s.Apply(ctx, sample.Paid("a"))
	require.NoError(t, err)
	assert.True(t, res.Applied)
	assert.Equal(t, 1, sqltest.Whole(t, db))

	rival := begin(t, db)
	for range 50 { // so that it is not the victim
		require.NoError(t, sqltest.Note(ctx, rival, sample.Paid("theirs")))
	}
	_, err = rival.Exec("UPDATE stock SET sold = 1 WHERE id = 2")
	require.NoError(t, err)
	answer := make(chan error)
	s = prepared.Store(t, db, func(ctx context.Context, tx *sql.Tx, c store.Change) error {
		if _, err := tx.ExecContext(ctx, "UPDATE stock SET sold = 1 WHERE id = 1"); err != nil {
			return err
		}
		go func() {
			_, err := rival.Exec("UPDATE stock SET sold = 1 WHERE id = 1")
			answer <- err
		}()
		require.Eventually(t, func() bool { return blocked(db) }, time.Minute, time.Millisecond)
		_, err := tx.ExecContext(ctx, "UPDATE stock SET sold = 1 WHERE id = 2")
		assert.EqualValues(t, 1213, number(err))
		return nil
	})
	_, err = s.Apply(ctx, sample.Paid("b"))
	require.ErrorContains(t, err, "the transaction is over")
	require.NoError(t, <-answer)
	require.NoError(t, rival.Commit())
	assert.Equal(t, 50, noted())
	assert.Equal(t, 1, sqltest.Whole(t, db))
}

// The worst case for the server's locks: whoever has the key gives it back, since the
// Change loses over something else, to all who wait for it at once. Each of them is
// told of the conflict, and no deadlock comes out.
func TestManyLosersOfOneKey(t *testing.T) {
	const n = 32
	ctx := context.Background()
	for _, w := range []sqltest.Way{prepared, interpolated} {
		for name, hook := range map[string]sqltest.InTx{
			"the statement":   nil,
			"the transaction": func(context.Context, *sql.Tx, store.Change) error { return nil },
		} {
			t.Run(w.Name+", "+name, func(t *testing.T) {
				db := w.New(t)
				s := w.Store(t, db, hook)
				_, err := s.Apply(ctx, sample.Paid("a"))
				require.NoError(t, err)
				for round := range 3 {
					errs := make(chan error, n)
					for range n {
						go func() {
							_, err := s.Apply(ctx, sample.WithIntent(sample.Name("b", round), "a"))
							errs <- err
						}()
					}
					for range n {
						require.ErrorIs(t, <-errs, store.ErrConflict)
					}
				}
				assert.Equal(t, 1, sqltest.Whole(t, db))
			})
		}
	}
}
