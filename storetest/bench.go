package storetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/carevia/stripebooking/store"
)

// Bench measures what a service does most, each on a database of its own: call it
// from a benchmark with the Harness of the test, of which it needs Open alone.
//
//	new-booking           a paid event makes its booking
//	new-booking-parallel  the same, 32 callers at once
//	duplicate             the event comes again
//	hold-and-confirm      a booking is held with a seat, found by its session, and confirmed
//	update                a stored booking goes one version on
//	claim-seat            a new booking takes one seat of a slot of 50
//	read/…                of 500 bookings of one user, and 100 failed events: one by its id or
//	                      session, and the second page of a user's bookings and of the failed events
//
// A benchmark in which something else happened fails. There are no limits to keep:
// compare with another adapter, or with the same before a change.
func Bench(b *testing.B, h Harness) {
	b.Helper()
	if h.Open == nil {
		b.Fatal("storetest: the Harness needs Open")
	}
	for _, m := range writeBenchmarks() {
		b.Run(m.name, func(b *testing.B) { m.measure(b, h.Open(b)) })
	}
	b.Run("read", func(b *testing.B) {
		s := h.Open(b)
		fill(b, s)
		for _, m := range readBenchmarks() {
			b.Run(m.name, func(b *testing.B) { m.measure(b, s) })
		}
	})
}

// benchmark is one thing that is measured. Its function does what comes before
// and returns the operation, which says what went wrong.
type benchmark struct {
	name     string
	parallel bool
	prepare  func(ctx context.Context, s store.Store) (operation func(n int) error, err error)
}

func (m benchmark) measure(b *testing.B, s store.Store) {
	do, err := m.prepare(context.Background(), s)
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	if !m.parallel {
		for n := range b.N {
			if err := do(n); err != nil {
				b.Fatal(err)
			}
		}
		return
	}
	var last atomic.Int64
	procs := runtime.GOMAXPROCS(0)
	b.SetParallelism((callers + procs - 1) / procs)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := do(int(last.Add(1))); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// applied says what is wrong with the outcome of a Change that is new.
func applied(r store.Result, err error) error {
	if err == nil && (!r.Applied || r.Booking == nil) {
		err = errors.New("a new Change was not applied")
	}
	return err
}

// paidEvent is the Change of an event that makes a booking.
func paidEvent(n int) store.Change {
	c := paid(fmt.Sprintf("evt-%d", n), fmt.Sprintf("b-%d", n), fmt.Sprintf("pi-%d", n))
	c.Booking.SessionID = fmt.Sprintf("cs-%d", n)
	c.Payments[0].SessionID = c.Booking.SessionID
	c.Event = anEvent(c.Key)
	c.Event.BookingID, c.Event.ObjectID = c.Booking.ID, c.Booking.SessionID
	return c
}

func newBooking(ctx context.Context, s store.Store) (func(int) error, error) {
	return func(n int) error { return applied(s.Apply(ctx, paidEvent(n))) }, nil
}

func writeBenchmarks() []benchmark {
	return []benchmark{
		{name: "new-booking", prepare: newBooking},
		{name: "new-booking-parallel", parallel: true, prepare: newBooking},
		{name: "duplicate", prepare: func(ctx context.Context, s store.Store) (func(int) error, error) {
			return func(int) error {
				r, err := s.Apply(ctx, paidEvent(1))
				if err == nil && (r.Applied || r.Booking == nil) {
					err = errors.New("a duplicate was not a replay")
				}
				return err
			}, applied(s.Apply(ctx, paidEvent(1)))
		}},
		{name: "hold-and-confirm", prepare: func(ctx context.Context, s store.Store) (func(int) error, error) {
			return func(n int) error {
				c := paidEvent(n)
				held := *c.Booking
				held.State, held.PaymentIntentID, held.Paid, held.Due = store.StateHeld, "", 0, held.Total
				held.Claims = []store.SeatClaim{{Slot: c.Key, Capacity: 1, Count: 1}}
				hold := aChange("hold/"+c.Booking.ID, held)
				hold.Claim = held.Claims
				if err := applied(s.Apply(ctx, hold)); err != nil {
					return err
				}
				read, err := s.BookingBySession(ctx, held.SessionID)
				if err != nil {
					return err
				}
				confirmed := step(c.Key, read, func(b *store.Booking) {
					b.State, b.PaymentIntentID, b.Paid, b.Due = store.StateConfirmed, c.Booking.PaymentIntentID, b.Total, 0
				})
				confirmed.Payments, confirmed.Event = c.Payments, c.Event
				return applied(s.Apply(ctx, confirmed))
			}, nil
		}},
		{name: "update", prepare: func(ctx context.Context, s store.Store) (func(int) error, error) {
			first, err := s.Apply(ctx, paidEvent(0))
			if err := applied(first, err); err != nil {
				return nil, err
			}
			read := *first.Booking
			return func(n int) error {
				r, err := s.Apply(ctx, step(fmt.Sprintf("update-%d", n), read, nil))
				if err := applied(r, err); err != nil {
					return err
				}
				read = *r.Booking
				return nil
			}, nil
		}},
		{name: "claim-seat", prepare: func(ctx context.Context, s store.Store) (func(int) error, error) {
			const capacity = 50
			return func(n int) error {
				c := paidEvent(n)
				c.Claim = []store.SeatClaim{{Slot: fmt.Sprintf("slot-%d", n/capacity), Capacity: capacity, Count: 1}}
				r, err := s.Apply(ctx, c)
				if err := applied(r, err); err != nil {
					return err
				}
				if len(r.Booking.Seats) != 1 {
					return fmt.Errorf("%d seats instead of one", len(r.Booking.Seats))
				}
				return nil
			}, nil
		}},
	}
}

// What the reads find.
const (
	benchBookings = 500
	benchFailures = 100
)

func fill(b *testing.B, s store.Store) {
	ctx := context.Background()
	for n := range benchBookings {
		c := paidEvent(n)
		c.Booking.CreatedAt, c.Event.ReceivedAt = at(n), at(n)
		if err := applied(s.Apply(ctx, c)); err != nil {
			b.Fatal(err)
		}
	}
	for n := range benchFailures {
		row := anEvent(fmt.Sprintf("evt-failed-%d", n))
		row.ReceivedAt = at(n)
		if err := s.RecordFailure(ctx, *row, "no database", false); err != nil {
			b.Fatal(err)
		}
	}
}

func readBenchmarks() []benchmark {
	one := func(read func(ctx context.Context, s store.Store, n int) (store.Booking, error)) func(context.Context, store.Store) (func(int) error, error) {
		return func(ctx context.Context, s store.Store) (func(int) error, error) {
			return func(n int) error {
				n %= benchBookings
				b, err := read(ctx, s, n)
				if want := fmt.Sprintf("b-%d", n); err == nil && b.ID != want {
					err = fmt.Errorf("booking %q instead of %q", b.ID, want)
				}
				return err
			}, nil
		}
	}
	return []benchmark{
		{name: "booking", prepare: one(func(ctx context.Context, s store.Store, n int) (store.Booking, error) {
			return s.Booking(ctx, fmt.Sprintf("b-%d", n))
		})},
		{name: "booking-by-session", prepare: one(func(ctx context.Context, s store.Store, n int) (store.Booking, error) {
			return s.BookingBySession(ctx, fmt.Sprintf("cs-%d", n))
		})},
		{name: "bookings-by-user", prepare: func(ctx context.Context, s store.Store) (func(int) error, error) {
			_, next, err := s.BookingsByUser(ctx, someUser, store.Page{})
			return func(int) error {
				rows, _, err := s.BookingsByUser(ctx, someUser, store.Page{After: next})
				if want := fmt.Sprintf("b-%d", benchBookings-1-store.DefaultLimit); err == nil &&
					(len(rows) != store.DefaultLimit || rows[0].ID != want) {
					err = fmt.Errorf("%d bookings instead of %d from %s on", len(rows), store.DefaultLimit, want)
				}
				return err
			}, err
		}},
		{name: "events-by-state", prepare: func(ctx context.Context, s store.Store) (func(int) error, error) {
			failed := store.EventFilter{State: store.EventFailed}
			_, next, err := s.Events(ctx, failed, store.Page{})
			return func(int) error {
				rows, _, err := s.Events(ctx, failed, store.Page{After: next})
				if want := fmt.Sprintf("evt-failed-%d", benchFailures-1-store.DefaultLimit); err == nil &&
					(len(rows) != store.DefaultLimit || rows[0].ID != want) {
					err = fmt.Errorf("%d events instead of %d from %s on", len(rows), store.DefaultLimit, want)
				}
				return err
			}, err
		}},
	}
}
