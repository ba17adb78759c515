package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/store"
)

// notes is the caller's own table.
func notes(t *testing.T, db *sql.DB) func() int {
	t.Helper()
	_, err := db.Exec("CREATE TABLE notes (booking_id TEXT NOT NULL)")
	require.NoError(t, err)
	return func() int {
		var n int
		require.NoError(t, db.QueryRow("SELECT COUNT(*) FROM notes").Scan(&n))
		return n
	}
}

func note(ctx context.Context, tx *sql.Tx, c store.Change) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO notes (booking_id) VALUES ($1)", c.Booking.ID)
	return err
}

func TestInTx(t *testing.T) {
	ctx := context.Background()
	errNo := errors.New("no")
	db := pgx.open(t, pgx.newDSN(t))
	noted := notes(t, db)
	var refuse bool
	var s store.Store
	var seen []store.Booking
	st := newStore(t, db, func(ctx context.Context, tx *sql.Tx, c store.Change) error {
		if err := note(ctx, tx, c); err != nil {
			return err
		}
		b, err := s.(interface {
			With(*sql.Tx) store.Store
		}).With(tx).Booking(ctx, c.Booking.ID)
		if err != nil {
			return err
		}
		seen = append(seen, b)
		if refuse {
			return errNo
		}
		return nil
	})
	s = st

	refuse = true
	res, err := s.Apply(ctx, paid("a"))
	require.ErrorIs(t, err, errNo)
	assert.True(t, store.IsTransient(err))
	assert.Equal(t, store.Result{}, res)
	assert.Equal(t, 0, noted())
	assert.Equal(t, 0, whole(t, db))
	assert.Len(t, seen, 1)
	assert.EqualValues(t, 1, seen[0].Version, "it sees what the Change wrote")

	refuse = false
	_, err = s.Apply(ctx, paid("a"))
	require.NoError(t, err)
	assert.Equal(t, 1, noted())

	_, err = s.Apply(ctx, paid("a"))
	require.NoError(t, err)
	again := paid("a")
	again.Key = "other"
	_, err = s.Apply(ctx, again)
	require.ErrorIs(t, err, store.ErrConflict)
	assert.Equal(t, 1, noted(), "neither for a replay nor for a conflict")
	assert.Len(t, seen, 2)
}

func TestWith(t *testing.T) {
	for _, c := range []struct {
		way
		level sql.IsolationLevel
	}{
		{pgx, sql.LevelDefault},
		{pgx, sql.LevelReadCommitted},
		{pgx, sql.LevelRepeatableRead},
		{pgx, sql.LevelSerializable},
		{way{"lib pq", "postgres", "", false}, sql.LevelDefault},
		{way{"lib pq", "postgres", "", false}, sql.LevelSerializable},
		{way{"PgBouncer, pgx", "pgx", "&default_query_exec_mode=exec", true}, sql.LevelDefault},
	} {
		t.Run(c.name+", "+c.level.String(), func(t *testing.T) {
			ctx := context.Background()
			db := c.open(t, c.newDSN(t))
			s := newStore(t, db, nil)
			noted := notes(t, db)

			// Rolled back: neither.
			tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: c.level})
			require.NoError(t, err)
			joined := s.With(tx)
			res, err := joined.Apply(ctx, paid("a"))
			require.NoError(t, err)
			assert.True(t, res.Applied)
			require.NoError(t, note(ctx, tx, paid("a")))
			_, err = joined.Booking(ctx, "bk_a")
			require.NoError(t, err, "its own reads see it")
			_, err = s.Booking(ctx, "bk_a")
			require.ErrorIs(t, err, store.ErrNotFound, "others don't yet")
			require.NoError(t, tx.Rollback())
			assert.Equal(t, 0, noted())
			assert.Equal(t, 0, whole(t, db))

			// Committed: both.
			tx, err = db.BeginTx(ctx, &sql.TxOptions{Isolation: c.level})
			require.NoError(t, err)
			joined = s.With(tx)
			require.NoError(t, note(ctx, tx, paid("a")))
			res, err = joined.Apply(ctx, paid("a"))
			require.NoError(t, err)
			assert.True(t, res.Applied)
			res, err = joined.Apply(ctx, paid("a"))
			require.NoError(t, err)
			assert.False(t, res.Applied, "a replay within the transaction")
			require.NoError(t, tx.Commit())
			assert.Equal(t, 1, noted())
			assert.Equal(t, 1, whole(t, db))

			// Losing, failing and the caller's own writes: only the last stay.
			tx, err = db.BeginTx(ctx, &sql.TxOptions{Isolation: c.level})
			require.NoError(t, err)
			joined = s.With(tx)
			require.NoError(t, note(ctx, tx, paid("b")))
			for conflict, loser := range losers() {
				res, err = joined.Apply(ctx, loser)
				require.ErrorIs(t, err, store.ErrConflict)
				assert.Equal(t, conflict, res.Conflict)
			}
			require.ErrorIs(t, joined.RecordHandled(ctx, "evt_none", []string{"h"}, true, t0), store.ErrNotFound)
			res, err = joined.Apply(ctx, paid("a"))
			require.NoError(t, err)
			assert.False(t, res.Applied)
			require.NoError(t, note(ctx, tx, paid("b")))
			_, err = joined.Apply(ctx, paid("c"))
			require.NoError(t, err)
			require.NoError(t, joined.RecordHandled(ctx, "evt_c", []string{"h"}, true, t0))
			require.NoError(t, tx.Commit())
			assert.Equal(t, 3, noted())
			assert.Equal(t, 2, whole(t, db))
		})
	}
}

// losers are Changes that lose against paid("a"), at different depths.
func losers() map[store.Conflict]store.Change {
	version := paid("x")
	version.Booking.ID, version.Payments[0].BookingID = "bk_a", "bk_a"
	intent := paid("y")
	intent.Payments[0].PaymentIntentID, intent.Booking.PaymentIntentID = "pi_a", "pi_a"
	return map[store.Conflict]store.Change{store.ConflictVersion: version, store.ConflictIntent: intent}
}

// InTx runs for a joined Change as well; what it wrote goes with the savepoint.
func TestWithRunsInTx(t *testing.T) {
	ctx := context.Background()
	errNo := errors.New("no")
	db := pgx.open(t, pgx.newDSN(t))
	noted := notes(t, db)
	refuse := true
	s := newStore(t, db, func(ctx context.Context, tx *sql.Tx, c store.Change) error {
		if err := note(ctx, tx, c); err != nil {
			return err
		}
		if refuse {
			return errNo
		}
		return nil
	})
	tx, err := db.BeginTx(ctx, nil)
	require.NoError(t, err)
	joined := s.With(tx)
	_, err = joined.Apply(ctx, paid("a"))
	require.ErrorIs(t, err, errNo)
	refuse = false
	_, err = joined.Apply(ctx, paid("b"))
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
	assert.Equal(t, 1, noted())
	assert.Equal(t, 1, whole(t, db))
}

// One joined store in many hands: the savepoints don't get mixed up.
func TestWithFromManyGoroutines(t *testing.T) {
	const n = 20
	ctx := context.Background()
	db := pgx.open(t, pgx.newDSN(t))
	s := newStore(t, db, nil)
	_, err := s.Apply(ctx, paid("a"))
	require.NoError(t, err)
	tx, err := db.BeginTx(ctx, nil)
	require.NoError(t, err)
	joined := s.With(tx)
	var wg sync.WaitGroup
	errs := make(chan error, 3*n)
	for i := range n {
		wg.Add(2)
		go func() {
			defer wg.Done()
			_, err := joined.Apply(ctx, paid(name("n", i)))
			errs <- err
		}()
		go func() {
			defer wg.Done()
			lost := paid(name("lost", i))
			lost.Payments[0].PaymentIntentID, lost.Booking.PaymentIntentID = "pi_a", "pi_a"
			if _, err := joined.Apply(ctx, lost); !errors.Is(err, store.ErrConflict) {
				errs <- fmt.Errorf("want a conflict, got %v", err)
			}
			list, _, err := joined.BookingsByUser(ctx, "user_1", store.Page{})
			for _, b := range list {
				if err == nil && b.PaymentIntentID == "pi_a" && b.ID != "bk_a" {
					err = errors.New("half a Change is visible")
				}
			}
			errs <- err
		}()
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	require.NoError(t, tx.Commit())
	assert.Equal(t, n+1, whole(t, db))
}

// An error that InTx brings from another call is no verdict on the Change: the
// same Change may well apply the next time.
func TestInTxErrorOfAnotherCall(t *testing.T) {
	ctx := context.Background()
	for _, other := range []error{store.ErrMismatch, store.ErrInvalid, store.ErrConflict, store.ErrNotFound} {
		db := pgx.open(t, pgx.newDSN(t))
		s := newStore(t, db, func(context.Context, *sql.Tx, store.Change) error {
			return fmt.Errorf("another call: %w", other)
		})
		_, err := s.Apply(ctx, paid("a"))
		require.ErrorContains(t, err, "another call")
		assert.NotErrorIs(t, err, other)
		assert.True(t, store.IsTransient(err))
		_, err = s.Booking(ctx, "bk_a")
		require.ErrorIs(t, err, store.ErrNotFound)
	}
}
