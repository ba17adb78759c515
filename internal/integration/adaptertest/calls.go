package adaptertest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/sample"
	"github.com/carevia/stripebooking/store"
)

// EveryCall makes every call, in every way that reads differently, so that every
// statement is sent. Lists go on at a time, and end before it.
func EveryCall(t *testing.T, s store.Store, at time.Time) {
	t.Helper()
	ctx := context.Background()
	c := sample.Several("a", "mon", "tue")
	res, err := s.Apply(ctx, c)
	require.NoError(t, err)
	for _, again := range []store.Change{c, sample.Paid("b"), sample.Paid("c")} {
		_, err = s.Apply(ctx, again)
		require.NoError(t, err)
	}
	release := sample.Next("release", *res.Booking)
	release.Release, release.Payments, release.Event = res.Booking.Seats, c.Payments, c.Event
	_, err = s.Apply(ctx, release)
	require.NoError(t, err)
	late := sample.Next("late", *res.Booking) // there is a newer version
	for _, loser := range []store.Change{late, sample.WithIntent("d", "a")} {
		_, err = s.Apply(ctx, loser)
		require.ErrorIs(t, err, store.ErrConflict)
	}
	for _, id := range []string{"a", "f"} { // which is there, and is new
		require.NoError(t, s.RecordFailure(ctx, *sample.Paid(id).Event, "x", false))
	}
	for _, done := range []bool{false, true} {
		require.NoError(t, s.RecordHandled(ctx, "evt_a", []string{"h"}, done, sample.T0))
	}

	_, err = s.Booking(ctx, "bk_a")
	require.NoError(t, err)
	_, err = s.BookingBySession(ctx, "cs_a")
	require.NoError(t, err)
	_, err = s.BookingBySession(ctx, "cs_none")
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = s.History(ctx, "bk_a")
	require.NoError(t, err)
	_, err = s.Payment(ctx, "pi_a_2")
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

// All goes through the pages of a list, of so many each.
func All[R any](t testing.TB, limit int, list func(p store.Page) (page []R, next string, err error)) []R {
	t.Helper()
	all, err := Pages(limit, list)
	require.NoError(t, err)
	return all
}

// Pages is All outside of a test's own goroutine.
func Pages[R any](limit int, list func(p store.Page) (page []R, next string, err error)) (all []R, err error) {
	for p := (store.Page{Limit: limit}); ; {
		page, next, err := list(p)
		all = append(all, page...)
		if err != nil || next == "" {
			return all, err
		}
		p.After = next
	}
}
