package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/sample"
	"github.com/carevia/stripebooking/store"
)

// world is a corner of a database that one run has to itself: all its ids carry
// its number.
type world struct{ n int64 }

var worlds atomic.Int64

func newWorld() world {
	return world{worlds.Add(1)}
}

func (w world) id(kind, name string) string { return fmt.Sprintf("%s_%d_%s", kind, w.n, name) }

// names are all that may be in a world.
var names = []string{"a", "b", "c"}

// paid is sample.Paid in the world.
func (w world) paid(name string) store.Change {
	c := sample.Paid(fmt.Sprintf("%d_%s", w.n, name))
	c.Booking.UserID, c.Payments[0].UserID = w.id("user", ""), w.id("user", "")
	c.Event.Type, c.Event.State = w.id("type", ""), store.EventApplied
	return c
}

// slotCapacity is of the slot that seated claims in.
const slotCapacity = 3

func (w world) seated(name string, seats int) store.Change {
	c := w.paid(name)
	c.Claim = []store.SeatClaim{{Slot: w.id("slot", "x"), Capacity: slotCapacity, Count: seats}}
	return c
}

func (w world) event(name, bookingID string) *store.Event {
	e := w.paid(name).Event
	e.BookingID = bookingID
	return e
}

// snapshot is everything that can be read of the world, as text. Which seats a
// booking has of those of a slot is the adapter's to say, and not in it.
func (w world) snapshot(tb tb, s store.Store) string {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var seen struct {
		Bookings       []store.Booking
		ByID           map[string]store.Booking
		BySession      map[string]store.Booking
		Payments       []store.Payment
		ByIntent       map[string]store.Payment
		OfBooking      map[string][]store.Payment
		History        map[string][]store.History
		Events         []store.Event
		EventByID      map[string]store.Event
		SeatsByBooking map[string][]string
	}
	seen.ByID, seen.BySession = map[string]store.Booking{}, map[string]store.Booking{}
	seen.ByIntent, seen.OfBooking = map[string]store.Payment{}, map[string][]store.Payment{}
	seen.History, seen.EventByID = map[string][]store.History{}, map[string]store.Event{}
	seen.SeatsByBooking = map[string][]string{}

	var err error
	seen.Bookings, _, err = s.BookingsByUser(ctx, w.id("user", ""), store.Page{})
	require.NoError(tb, err)
	for i := range seen.Bookings {
		b := &seen.Bookings[i]
		for _, seat := range b.Seats {
			seen.SeatsByBooking[b.ID] = append(seen.SeatsByBooking[b.ID], seat.Slot)
		}
		slices.Sort(seen.SeatsByBooking[b.ID])
		b.Seats = nil
	}
	seen.Payments, _, err = s.PaymentsByUser(ctx, w.id("user", ""), store.Page{})
	require.NoError(tb, err)
	seen.Events, _, err = s.Events(ctx, store.EventFilter{Type: w.id("type", "")}, store.Page{})
	require.NoError(tb, err)
	for _, name := range names {
		b, err := s.Booking(ctx, w.id("bk", name))
		keep(tb, seen.ByID, name, withoutSeats(b), err)
		b, err = s.BookingBySession(ctx, w.id("cs", name))
		keep(tb, seen.BySession, name, withoutSeats(b), err)
		p, err := s.Payment(ctx, w.id("pi", name))
		keep(tb, seen.ByIntent, name, p, err)
		list, _, err := s.PaymentsByBooking(ctx, w.id("bk", name), store.Page{})
		require.NoError(tb, err)
		seen.OfBooking[name] = list
		seen.History[name], err = s.History(ctx, w.id("bk", name))
		require.NoError(tb, err)
		e, err := s.Event(ctx, w.id("evt", name))
		keep(tb, seen.EventByID, name, e, err)
	}
	raw, err := json.MarshalIndent(seen, "", " ")
	require.NoError(tb, err)
	return string(raw)
}

func withoutSeats(b store.Booking) store.Booking {
	b.Seats = nil
	return b
}

func keep[R any](tb tb, in map[string]R, name string, rec R, err error) {
	tb.Helper()
	if errors.Is(err, store.ErrNotFound) {
		return
	}
	require.NoError(tb, err)
	in[name] = rec
}

// seatsAreNeitherLostNorSpare takes what must be left of the slot: all of that is
// free, and no more.
func (w world) seatsAreNeitherLostNorSpare(tb tb, s store.Store) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	bookings, _, err := s.BookingsByUser(ctx, w.id("user", ""), store.Page{})
	require.NoError(tb, err)
	taken := map[int]bool{}
	for _, b := range bookings {
		for _, seat := range b.Seats {
			if seat.Slot == w.id("slot", "x") {
				require.False(tb, taken[seat.Number], "two bookings have one seat")
				taken[seat.Number] = true
			}
		}
	}
	if left := slotCapacity - len(taken); left > 0 {
		_, err := s.Apply(ctx, w.seated("rest", left))
		require.NoError(tb, err, "seats that nobody has can't be claimed")
	}
	_, err = s.Apply(ctx, w.seated("more", 1))
	require.ErrorIs(tb, err, store.ErrConflict, "a seat too many")
}
