package adaptertest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/sample"
	"github.com/carevia/stripebooking/store"
)

// EveryCall makes every kind of call, so that every statement is sent. Lists go on
// at a time, and end before it.
func EveryCall(t *testing.T, s store.Store, at time.Time) {
	t.Helper()
	ctx := context.Background()
	c := sample.Paid("a")
	c.Claim = []store.SeatClaim{{Slot: "mon", Capacity: 2, Count: 1}}
	res, err := s.Apply(ctx, c)
	require.NoError(t, err)
	_, err = s.Apply(ctx, c)
	require.NoError(t, err)
	release := sample.Next("release", *res.Booking)
	release.Release, release.Payments, release.Event = res.Booking.Seats, c.Payments, c.Event
	_, err = s.Apply(ctx, release)
	require.NoError(t, err)
	require.NoError(t, s.RecordFailure(ctx, *c.Event, "x", false))
	require.NoError(t, s.RecordHandled(ctx, "evt_a", []string{"h"}, false, sample.T0))
	require.NoError(t, s.RecordHandled(ctx, "evt_a", []string{"h"}, true, sample.T0))

	_, err = s.Booking(ctx, "bk_a")
	require.NoError(t, err)
	_, err = s.BookingBySession(ctx, "cs_none")
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = s.History(ctx, "bk_a")
	require.NoError(t, err)
	_, err = s.Payment(ctx, "pi_a")
	require.NoError(t, err)
	_, err = s.Event(ctx, "evt_a")
	require.NoError(t, err)
	for _, after := range []string{"", store.Cursor{At: at, ID: "m"}.String()} {
		p := store.Page{After: after}
		_, _, err = s.BookingsByUser(ctx, "user_1", p)
		require.NoError(t, err)
		_, _, err = s.PaymentsByBooking(ctx, "bk_a", p)
		require.NoError(t, err)
		_, _, err = s.PaymentsByUser(ctx, "user_1", p)
		require.NoError(t, err)
		for n := range 16 {
			var f store.EventFilter
			if n&1 != 0 {
				f.State = store.EventFailed // which is rare
			}
			if n&2 != 0 {
				f.Type = "checkout.session.completed"
			}
			if n&4 != 0 {
				f.From = sample.T0
			}
			if n&8 != 0 {
				f.To = at
			}
			_, _, err = s.Events(ctx, f, p)
			require.NoError(t, err)
		}
	}
}
