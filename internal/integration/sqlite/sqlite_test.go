package sqlite

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/sample"
	"github.com/carevia/stripebooking/internal/integration/sqlitetest"
	"github.com/carevia/stripebooking/internal/integration/sqltest"
	"github.com/carevia/stripebooking/store"
)

// What is stored comes back as it was, and the replay of a Change says so.
func TestSQLiteRoundTrip(t *testing.T) {
	ctx := context.Background()
	s := sqlitetest.New(t)
	c := sample.Paid("a")
	c.Booking.HoldUntil = sample.T0
	c.Booking.Claims = []store.SeatClaim{{Slot: "mon 9:00", Capacity: 3, Count: 2}}
	c.Claim = c.Booking.Claims
	c.Payments[0].Refunds = []store.Refund{{ID: "re_1", Amount: 100, Status: "succeeded"}}
	c.Payments[0].Metadata = map[string]string{"k": "বাংলা \u2028 \"x\""}

	first, err := s.Apply(ctx, c)
	require.NoError(t, err)
	want := c.Next()
	want.Seats = []store.Seat{{Slot: "mon 9:00", Number: 1}, {Slot: "mon 9:00", Number: 2}}
	event := store.MergeEvent(nil, *c.Event)
	assert.Equal(t, store.Result{Applied: true, Booking: &want, Payments: c.Payments, Event: &event}, first)

	again, err := s.Apply(ctx, c)
	require.NoError(t, err)
	first.Applied = false
	assert.Equal(t, first, again)

	b, err := s.Booking(ctx, "bk_a")
	require.NoError(t, err)
	assert.Equal(t, want, b)
	p, err := s.Payment(ctx, "pi_a")
	require.NoError(t, err)
	assert.Equal(t, c.Payments[0], p)
	h, err := s.History(ctx, "bk_a")
	require.NoError(t, err)
	assert.Equal(t, []store.History{{BookingID: "bk_a", Version: 1, To: "confirmed", Cause: c.History.Cause, At: sample.T0}}, h)
}

// Each unique key of the schema makes a second Change lose, with the word for
// it, and leaves nothing of the loser behind.
func TestSQLiteConflicts(t *testing.T) {
	ctx := context.Background()
	db := sqlitetest.OpenDB(t, sqlitetest.DSN(sqlitetest.File(t)))
	s := sqlitetest.Store(t, db, nil)
	first := sample.Seated("a")
	_, err := s.Apply(ctx, first)
	require.NoError(t, err)
	before := sqltest.Counts(t, db)

	sameVersion := sample.Paid("b")
	sameVersion.Booking.ID, sameVersion.Payments[0].BookingID = "bk_a", "bk_a"
	ahead := sample.Paid("c")
	ahead.Booking.ID, ahead.Payments[0].BookingID, ahead.Booking.Version = "bk_a", "bk_a", 7
	missing := sample.Paid("d")
	missing.Booking.Version = 1
	intent := sample.WithIntent("e", "a")
	seat := sample.Paid("f")
	seat.Claim = first.Claim

	for _, c := range []struct {
		name     string
		change   store.Change
		conflict store.Conflict
		booking  string
	}{
		{"the booking exists", sameVersion, store.ConflictVersion, "bk_a"},
		{"a version that was never reached", ahead, store.ConflictVersion, "bk_a"},
		{"no such booking", missing, store.ConflictVersion, ""},
		{"another booking's intent", intent, store.ConflictIntent, "bk_a"},
		{"the last seat is taken", seat, store.ConflictSeats, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, err := s.Apply(ctx, c.change)
			require.ErrorIs(t, err, store.ErrConflict)
			assert.False(t, res.Applied)
			assert.Equal(t, c.conflict, res.Conflict)
			assert.Nil(t, res.Event)
			if c.booking == "" {
				assert.Nil(t, res.Booking)
			} else if assert.NotNil(t, res.Booking) {
				assert.Equal(t, c.booking, res.Booking.ID)
				assert.Len(t, res.Payments, 1)
			}
			assert.Equal(t, before, sqltest.Counts(t, db))
		})
	}
}

// 32 callers count on one booking, half of them through another pool, whose
// transactions begin without a lock.
func TestSQLiteCounter(t *testing.T) {
	const workers = 32
	ctx := context.Background()
	file := sqlitetest.File(t)
	s := sqlitetest.Store(t, sqlitetest.OpenDB(t, sqlitetest.DSN(file)), nil)
	other := sqlitetest.Store(t, sqlitetest.OpenDB(t, deferred(sqlitetest.DSN(file))), nil)
	_, err := s.Apply(ctx, sample.Paid("a"))
	require.NoError(t, err)

	count := func(w int) error {
		s := s
		if w%2 == 1 {
			s = other
		}
		b, err := s.Booking(ctx, "bk_a")
		for err == nil {
			c := sample.Next(sample.Name("count", w), b)
			c.Booking.Due++
			var res store.Result
			res, err = s.Apply(ctx, c)
			if err == nil {
				return nil
			}
			if errors.Is(err, store.ErrConflict) {
				b, err = *res.Booking, nil
			}
		}
		return err
	}
	errs := make(chan error, workers)
	for w := range workers {
		go func() { errs <- count(w) }()
	}
	for range workers {
		require.NoError(t, <-errs)
	}
	b, err := s.Booking(ctx, "bk_a")
	require.NoError(t, err)
	assert.EqualValues(t, workers, b.Due)
	assert.EqualValues(t, workers+1, b.Version)
	h, err := s.History(ctx, "bk_a")
	require.NoError(t, err)
	assert.Len(t, h, workers+1)
}

// Readers beside a writer see a booking and its payments fit together, in every
// single read.
func TestSQLiteReadersSeeWholeChanges(t *testing.T) {
	const changes = 60
	ctx := context.Background()
	db := sqlitetest.OpenDB(t, sqlitetest.DSN(sqlitetest.File(t)))
	s := sqlitetest.Store(t, db, nil)
	first := sample.Paid("a")
	_, err := s.Apply(ctx, first)
	require.NoError(t, err)

	done := make(chan struct{})
	var wg sync.WaitGroup
	errs := make(chan error, 4)
	for range cap(errs) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				select {
				case <-done:
					return
				default:
				}
				// A replay reads the booking and its payments: version n has n of them.
				res, err := s.Apply(ctx, first)
				if err == nil && int(res.Booking.Version) != len(res.Payments) {
					err = fmt.Errorf("version %d with %d payments", res.Booking.Version, len(res.Payments))
				}
				if err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	b, err := s.Booking(ctx, "bk_a")
	require.NoError(t, err)
	for n := range changes {
		c := sample.Next(sample.Name("more", n), b)
		p := first.Payments[0]
		p.ID, p.PaymentIntentID = sample.Name("pay_", n), sample.Name("pi_", n)
		c.Payments = []store.Payment{p}
		res, err := s.Apply(ctx, c)
		require.NoError(t, err)
		b = *res.Booking
	}
	close(done)
	wg.Wait()
	select {
	case err := <-errs:
		t.Fatal(err)
	default:
	}
}
