package memory_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/memory"
	"github.com/carevia/stripebooking/storetest"
)

var harness = storetest.Harness{
	Open:   func(testing.TB) store.Store { return new(memory.Store) },
	Reopen: func(_ testing.TB, s store.Store) store.Store { return s },
}

func TestConformance(t *testing.T) { storetest.Run(t, harness) }

func BenchmarkStore(b *testing.B) { storetest.Bench(b, harness) }

// Seats other than those that the booking was read with are a mistake of the
// caller's, which this store finds: stored, they could be another booking's.
func TestSeatsNotAsRead(t *testing.T) {
	s, ctx := new(memory.Store), context.Background()
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	change := func(key string, b store.Booking) store.Change {
		return store.Change{Key: key, Booking: &b, History: &store.History{To: b.State, Cause: store.Cause{By: "operator"}, At: now}}
	}
	b := store.Booking{ID: "b", UserID: "u", Option: store.OptionFull, Currency: "eur", State: store.StateConfirmed, CreatedAt: now, UpdatedAt: now}
	c := change("1", b)
	c.Claim = []store.SeatClaim{{Slot: "room", Capacity: 3, Count: 2}}
	r, err := s.Apply(ctx, c)
	require.NoError(t, err)

	for name, seats := range map[string][]store.Seat{
		"none":    nil,
		"fewer":   r.Booking.Seats[:1],
		"another": {r.Booking.Seats[0], {Slot: "room", Number: 3}},
		"twice":   {r.Booking.Seats[0], r.Booking.Seats[0]},
		"more":    append(r.Booking.Clone().Seats, store.Seat{Slot: "room", Number: 3}),
	} {
		b := r.Booking.Clone()
		b.Seats = seats
		_, err := s.Apply(ctx, change("2", b))
		require.ErrorIs(t, err, store.ErrInvalid, name)
	}
	b = r.Booking.Clone()
	b.Seats[0], b.Seats[1] = b.Seats[1], b.Seats[0] // any order
	_, err = s.Apply(ctx, change("2", b))
	require.NoError(t, err)
}
