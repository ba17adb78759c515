package sqltest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/sample"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/sqlstore"
)

// Notes makes a table of the caller's, and returns what counts its rows.
func Notes(t *testing.T, db *sql.DB) func() int {
	t.Helper()
	_, err := db.Exec("CREATE TABLE notes (booking_id TEXT NOT NULL)")
	require.NoError(t, err)
	return func() int {
		var n int
		require.NoError(t, db.QueryRow("SELECT COUNT(*) FROM notes").Scan(&n))
		return n
	}
}

// Note adds a row for a Change.
func Note(ctx context.Context, tx *sql.Tx, c store.Change) error {
	// The ids of these tests need no quoting, and databases differ in placeholders.
	_, err := tx.ExecContext(ctx, "INSERT INTO notes (booking_id) VALUES ('"+c.Booking.ID+"')")
	return err
}

// TestInTx: the caller's table changes with a Change that applies, and not else.
func TestInTx(t *testing.T, w Way) {
	ctx := context.Background()
	errNo := errors.New("no")
	db := w.New(t)
	noted := Notes(t, db)
	var refuse bool
	var s store.Store
	var seen []store.Booking
	st := w.Store(t, db, func(ctx context.Context, tx *sql.Tx, c store.Change) error {
		if err := Note(ctx, tx, c); err != nil {
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
	res, err := s.Apply(ctx, sample.Paid("a"))
	require.ErrorIs(t, err, errNo)
	assert.True(t, store.IsTransient(err))
	assert.Equal(t, store.Result{}, res)
	assert.Equal(t, 0, noted())
	assert.Equal(t, 0, Whole(t, db))
	assert.Len(t, seen, 1)
	assert.EqualValues(t, 1, seen[0].Version, "it sees what the Change wrote")

	refuse = false
	_, err = s.Apply(ctx, sample.Paid("a"))
	require.NoError(t, err)
	assert.Equal(t, 1, noted())

	_, err = s.Apply(ctx, sample.Paid("a"))
	require.NoError(t, err)
	again := sample.Paid("a")
	again.Key = "other"
	_, err = s.Apply(ctx, again)
	require.ErrorIs(t, err, store.ErrConflict)
	assert.Equal(t, 1, noted(), "neither for a replay nor for a conflict")
	assert.Len(t, seen, 2)
}

// TestWith: what a joined store writes comes and goes with the transaction of the
// caller, who may begin it at any level.
func TestWith(t *testing.T, w Way, level sql.IsolationLevel) {
	ctx := context.Background()
	db := w.New(t)
	s := w.Store(t, db, nil)
	noted := Notes(t, db)

	// Rolled back: neither.
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: level})
	require.NoError(t, err)
	joined := s.With(tx)
	res, err := joined.Apply(ctx, sample.Paid("a"))
	require.NoError(t, err)
	assert.True(t, res.Applied)
	require.NoError(t, Note(ctx, tx, sample.Paid("a")))
	_, err = joined.Booking(ctx, "bk_a")
	require.NoError(t, err, "its own reads see it")
	_, err = s.Booking(ctx, "bk_a")
	require.ErrorIs(t, err, store.ErrNotFound, "others don't yet")
	require.NoError(t, tx.Rollback())
	assert.Equal(t, 0, noted())
	assert.Equal(t, 0, Whole(t, db))

	// Committed: both.
	tx, err = db.BeginTx(ctx, &sql.TxOptions{Isolation: level})
	require.NoError(t, err)
	joined = s.With(tx)
	require.NoError(t, Note(ctx, tx, sample.Paid("a")))
	res, err = joined.Apply(ctx, sample.Paid("a"))
	require.NoError(t, err)
	assert.True(t, res.Applied)
	res, err = joined.Apply(ctx, sample.Paid("a"))
	require.NoError(t, err)
	assert.False(t, res.Applied, "a replay within the transaction")
	require.NoError(t, tx.Commit())
	assert.Equal(t, 1, noted())
	assert.Equal(t, 1, Whole(t, db))

	// Losing, failing and the caller's own writes: only the last stay.
	tx, err = db.BeginTx(ctx, &sql.TxOptions{Isolation: level})
	require.NoError(t, err)
	joined = s.With(tx)
	require.NoError(t, Note(ctx, tx, sample.Paid("b")))
	for conflict, loser := range sample.Losers() {
		res, err = joined.Apply(ctx, loser)
		require.ErrorIs(t, err, store.ErrConflict)
		assert.Equal(t, conflict, res.Conflict)
	}
	require.ErrorIs(t, joined.RecordHandled(ctx, "evt_none", []string{"h"}, true, sample.T0), store.ErrNotFound)
	res, err = joined.Apply(ctx, sample.Paid("a"))
	require.NoError(t, err)
	assert.False(t, res.Applied)
	require.NoError(t, Note(ctx, tx, sample.Paid("b")))
	_, err = joined.Apply(ctx, sample.Paid("c"))
	require.NoError(t, err)
	require.NoError(t, joined.RecordHandled(ctx, "evt_c", []string{"h"}, true, sample.T0))
	require.NoError(t, tx.Commit())
	assert.Equal(t, 3, noted())
	assert.Equal(t, 2, Whole(t, db))
}

// TestWithRunsInTx: InTx runs for a joined Change as well; what it wrote goes with the savepoint.
func TestWithRunsInTx(t *testing.T, w Way) {
	ctx := context.Background()
	errNo := errors.New("no")
	db := w.New(t)
	noted := Notes(t, db)
	refuse := true
	s := w.Store(t, db, func(ctx context.Context, tx *sql.Tx, c store.Change) error {
		if err := Note(ctx, tx, c); err != nil {
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
	_, err = joined.Apply(ctx, sample.Paid("a"))
	require.ErrorIs(t, err, errNo)
	refuse = false
	_, err = joined.Apply(ctx, sample.Paid("b"))
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
	assert.Equal(t, 1, noted())
	assert.Equal(t, 1, Whole(t, db))
}

// TestWithWithinInTx: InTx writes by a joined store of its own, also when its Change is a
// joined one.
func TestWithWithinInTx(t *testing.T, w Way) {
	ctx := context.Background()
	db := w.New(t)
	var s *sqlstore.Store
	s = w.Store(t, db, func(ctx context.Context, tx *sql.Tx, c store.Change) error {
		return s.With(tx).RecordHandled(ctx, c.Event.ID, []string{"mail"}, true, sample.T0)
	})
	_, err := s.Apply(ctx, sample.Paid("a"))
	require.NoError(t, err)
	tx, err := db.BeginTx(ctx, nil)
	require.NoError(t, err)
	_, err = s.With(tx).Apply(ctx, sample.Paid("b"))
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
	for _, id := range []string{"evt_a", "evt_b"} {
		e, err := s.Event(ctx, id)
		require.NoError(t, err)
		assert.Equal(t, []string{"mail"}, e.Handlers)
	}
	assert.Equal(t, 2, Whole(t, db))
}

// TestSeatFreedSince: a transaction of the caller's that does not see that a seat is
// free again can have it.
func TestSeatFreedSince(t *testing.T, w Way, level sql.IsolationLevel) {
	ctx := context.Background()
	db := w.New(t)
	s := w.Store(t, db, nil)
	first, err := s.Apply(ctx, sample.Seated("a"))
	require.NoError(t, err)
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: level})
	require.NoError(t, err)
	defer tx.Rollback()
	_, err = s.With(tx).Booking(ctx, "bk_a") // from here on it sees what is now
	require.NoError(t, err)
	release := sample.Next("release", *first.Booking)
	release.Release = first.Booking.Seats
	_, err = s.Apply(ctx, release)
	require.NoError(t, err)
	res, err := s.With(tx).Apply(ctx, sample.Seated("b"))
	require.NoError(t, err)
	require.Equal(t, first.Booking.Seats, res.Booking.Seats)
	require.NoError(t, tx.Commit())
}

// TestWithFromManyGoroutines: one joined store in many hands: the savepoints don't get mixed up.
func TestWithFromManyGoroutines(t *testing.T, w Way) {
	const n = 20
	ctx := context.Background()
	db := w.New(t)
	s := w.Store(t, db, nil)
	_, err := s.Apply(ctx, sample.Paid("a"))
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
			_, err := joined.Apply(ctx, sample.Paid(sample.Name("n", i)))
			errs <- err
		}()
		go func() {
			defer wg.Done()
			if _, err := joined.Apply(ctx, sample.WithIntent(sample.Name("lost", i), "a")); !errors.Is(err, store.ErrConflict) {
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
	assert.Equal(t, n+1, Whole(t, db))
}

// TestInTxErrorOfAnotherCall: an error that InTx brings from another call is no verdict on the Change: the
// same Change may well apply the next time.
func TestInTxErrorOfAnotherCall(t *testing.T, w Way) {
	ctx := context.Background()
	for _, other := range []error{store.ErrMismatch, store.ErrInvalid, store.ErrConflict, store.ErrNotFound} {
		db := w.New(t)
		s := w.Store(t, db, func(context.Context, *sql.Tx, store.Change) error {
			return fmt.Errorf("another call: %w", other)
		})
		_, err := s.Apply(ctx, sample.Paid("a"))
		require.ErrorContains(t, err, "another call")
		assert.NotErrorIs(t, err, other)
		assert.True(t, store.IsTransient(err))
		_, err = s.Booking(ctx, "bk_a")
		require.ErrorIs(t, err, store.ErrNotFound)
	}
}
