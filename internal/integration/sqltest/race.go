package sqltest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/sample"
	"github.com/carevia/stripebooking/store"
)

// TestDeadlockIsRunAgain: two Changes wait for each other, over rows of the caller's.
// The server ends one of them, the store runs that one again, and both are in.
func TestDeadlockIsRunAgain(t *testing.T, w Way) {
	ctx := context.Background()
	db := w.New(t)
	_, err := db.Exec("CREATE TABLE stock (id VARCHAR(9) PRIMARY KEY, sold INTEGER NOT NULL)")
	require.NoError(t, err)
	_, err = db.Exec("INSERT INTO stock VALUES ('a', 0), ('b', 0)")
	require.NoError(t, err)

	var mu sync.Mutex
	runs := map[string]int{}
	var both sync.WaitGroup // have their first row
	both.Add(2)
	s := w.Store(t, db, func(ctx context.Context, tx *sql.Tx, c store.Change) error {
		order := []string{"a", "b"}
		if c.Booking.ID == "bk_b" {
			order = []string{"b", "a"}
		}
		mu.Lock()
		runs[c.Booking.ID]++
		first := runs[c.Booking.ID] == 1
		mu.Unlock()
		for i, id := range order {
			if _, err := tx.ExecContext(ctx, "UPDATE stock SET sold = sold + 1 WHERE id = '"+id+"'"); err != nil {
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
			res, err := s.Apply(ctx, sample.Paid(id))
			if err == nil && !res.Applied {
				err = errors.New("not applied")
			}
			errs <- err
		}()
	}
	require.NoError(t, <-errs)
	require.NoError(t, <-errs)
	assert.Equal(t, 3, runs["bk_a"]+runs["bk_b"], "one of them twice")
	assert.Equal(t, 2, Whole(t, db))
	var sold int
	require.NoError(t, db.QueryRow("SELECT SUM(sold) FROM stock").Scan(&sold))
	assert.Equal(t, 4, sold)
}

// TestWaitsForARival: a Change that meets one that is not committed yet waits for it,
// and then is told what it would be told later. When the other is rolled back, it
// applies. blocked reports whether somebody waits for another; params is added to the
// data source name of the one who waits.
func TestWaitsForARival(t *testing.T, w Way, params string, blocked func(db *sql.DB) bool) {
	ctx := context.Background()
	same := func(c *store.Change) {}
	booking := func(c *store.Change) { c.Booking.ID, c.Payments[0].BookingID = "bk_rival", "bk_rival" }
	intent := func(c *store.Change) {
		c.Booking.PaymentIntentID, c.Payments[0].PaymentIntentID = "pi_rival", "pi_rival"
	}
	event := func(c *store.Change) { c.Event.ID = "evt_rival" }
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
			t.Run(fmt.Sprintf("%s, commit %v", c.name, commit), func(t *testing.T) {
				dsn := w.NewDSN(t)
				db := w.Open(t, dsn)
				s := w.Store(t, db, nil)
				rival, err := db.Begin()
				require.NoError(t, err)
				_, err = s.With(rival).Apply(ctx, sample.Paid("rival"))
				require.NoError(t, err)

				change := sample.Paid(c.id)
				c.meets(&change)
				waiting := w.Store(t, w.Open(t, dsn+params), nil)
				type outcome struct {
					res store.Result
					err error
				}
				done := make(chan outcome)
				go func() {
					res, err := waiting.Apply(ctx, change)
					done <- outcome{res, err}
				}()
				require.Eventually(t, func() bool { return blocked(db) }, time.Minute, time.Millisecond)
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
				assert.Equal(t, want, Counts(t, db)[0])
				assert.Equal(t, want, Counts(t, db)[4])
			})
		}
	}
}

// TestCancelledWithin: ctx ends in the middle of a Change; the call says so and nothing
// is written.
func TestCancelledWithin(t *testing.T, w Way) {
	ctx, end := context.WithCancel(context.Background())
	defer end()
	db := w.New(t)
	s := w.Store(t, db, func(context.Context, *sql.Tx, store.Change) error {
		end()
		return nil
	})
	_, err := s.Apply(ctx, sample.Paid("a"))
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, 0, Whole(t, db))
}

// TestWithCancelledBetween: ctx ends between two statements of a joined Change; the
// caller's transaction goes on without it.
func TestWithCancelledBetween(t *testing.T, w Way) {
	ctx, end := context.WithCancel(context.Background())
	defer end()
	db := w.New(t)
	s := w.Store(t, db, func(context.Context, *sql.Tx, store.Change) error {
		end()
		return nil
	})
	noted := Notes(t, db)
	tx, err := db.Begin()
	require.NoError(t, err)
	require.NoError(t, Note(context.Background(), tx, sample.Paid("mine")))
	_, err = s.With(tx).Apply(ctx, sample.Paid("a"))
	require.ErrorIs(t, err, context.Canceled)
	assert.NotContains(t, err.Error(), "must be rolled back")
	require.NoError(t, Note(context.Background(), tx, sample.Paid("mine")))
	require.NoError(t, tx.Commit())
	assert.Equal(t, 2, noted())
	assert.Equal(t, 0, Whole(t, db))
}

// TestWithCancelledInside: ctx ends while a statement of a joined Change waits; the
// driver closes the connection, so that nothing of the transaction is left.
func TestWithCancelledInside(t *testing.T, w Way) {
	db := w.New(t)
	s := w.Store(t, db, nil)
	noted := Notes(t, db)
	rival, err := db.Begin()
	require.NoError(t, err)
	// Its intent is that of the other, which comes after other rows.
	_, err = s.With(rival).Apply(context.Background(), sample.WithIntent("b", "a"))
	require.NoError(t, err)

	tx, err := db.Begin()
	require.NoError(t, err)
	require.NoError(t, Note(context.Background(), tx, sample.Paid("mine")))
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_, err = s.With(tx).Apply(ctx, sample.Paid("a"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.ErrorContains(t, err, "must be rolled back")
	require.Error(t, tx.Commit())
	require.NoError(t, rival.Commit())
	assert.Equal(t, 0, noted())
	assert.Equal(t, 1, Whole(t, db))
}

// TestEnd makes calls that wait: each stops with its ctx, and says so.
func TestEnd(t *testing.T, calls map[string]func(ctx context.Context) error) {
	for name, call := range calls {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		err := call(ctx)
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded, name)
		assert.True(t, store.IsTransient(err), name)
	}
}
