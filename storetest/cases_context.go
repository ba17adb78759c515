package storetest

import (
	"context"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/store"
)

// contextCases are about G6.
func contextCases() []testCase {
	return []testCase{
		{
			name:   "context-cancelled",
			reason: "a call whose context was cancelled writes nothing and says so",
			run: func(e *env) {
				ctx, cancel := context.WithCancel(e.ctx)
				cancel()
				contextOver(e, ctx, context.Canceled)
			},
		},
		{
			name:   "context-expired",
			reason: "a call that is past its deadline writes nothing and says so",
			run: func(e *env) {
				ctx, cancel := context.WithDeadline(e.ctx, time.Now().Add(-time.Second))
				defer cancel()
				contextOver(e, ctx, context.DeadlineExceeded)
			},
		},
		{
			name:   "context-ends-midway",
			reason: "wherever a call is stopped, its outcome is all or nothing, and the same Change again finds out which",
			run:    contextMidway,
		},
		{
			name:   "context-ends-after",
			reason: "a call that has returned is over: that its context ends then, as every request's does, undoes nothing",
			run:    contextAfter,
		},
		{
			name:   "context-ends-in-race",
			reason: "callers that give up while others are at work leave all or nothing behind, and no lock",
			run:    contextInRace,
		},
	}
}

func contextOver(e *env, ctx context.Context, want error) {
	c := paid("evt-1", "b-1", "pi-1")
	c.Event = anEvent("evt-1")
	c.Claim = []store.SeatClaim{{Slot: "room", Capacity: 1, Count: 1}}
	before := e.look(c)

	stopped := func(what string, err error) {
		e.Helper()
		require.ErrorIs(e, err, want, what)
		require.True(e, store.IsTransient(err), what)
	}
	all := func() {
		r, err := e.Apply(ctx, c)
		stopped("Apply", err)
		require.False(e, r.Applied)
		stopped("RecordFailure", e.RecordFailure(ctx, *c.Event, "x", true))
		stopped("RecordHandled", e.RecordHandled(ctx, "evt-1", []string{"mail"}, true, at(1)))
		_, err = e.Booking(ctx, "b-1")
		stopped("Booking", err)
		_, err = e.BookingBySession(ctx, "cs-1")
		stopped("BookingBySession", err)
		_, _, err = e.BookingsByUser(ctx, someUser, store.Page{})
		stopped("BookingsByUser", err)
		_, err = e.History(ctx, "b-1")
		stopped("History", err)
		_, err = e.Payment(ctx, "pi-1")
		stopped("Payment", err)
		_, _, err = e.PaymentsByBooking(ctx, "b-1", store.Page{})
		stopped("PaymentsByBooking", err)
		_, _, err = e.PaymentsByUser(ctx, someUser, store.Page{})
		stopped("PaymentsByUser", err)
		_, err = e.Event(ctx, "evt-1")
		stopped("Event", err)
		_, _, err = e.Events(ctx, store.EventFilter{}, store.Page{})
		stopped("Events", err)
	}
	all()
	equal(e, before, e.look(c), "nothing is written")

	first := e.apply(c) // the same Change, in time
	equal(e, 1, first.Event.Attempts)
	after := e.look(c)
	all() // and with something to find
	equal(e, after, e.look(c))
	e.replayed(c)
	e.claimable("room", 1, 0)
}

func contextMidway(e *env) {
	for n := range 16 {
		id := name("b", n)
		c := paid("evt-"+id, id, "pi-"+id)
		c.Booking.UserID, c.Payments[0].UserID = "user-"+id, "user-"+id
		c.Event = anEvent("evt-" + id)
		c.Claim = []store.SeatClaim{{Slot: "room", Capacity: 16, Count: 1}}

		r, err := e.Apply(newFuse(e.ctx, n), c)
		visible := maybe(e, func() (store.Booking, error) { return e.Booking(e.ctx, id) }) != nil
		switch {
		case err != nil:
			require.ErrorIs(e, err, context.Canceled, "stopped after %d looks at the context", n)
			require.False(e, r.Applied)
		default:
			require.True(e, r.Applied)
			require.True(e, visible)
		}
		v := e.look(c)
		equal(e, visible, v.Event != nil, "the ledger row is there if and only if the booking is")
		equal(e, visible, len(v.Payments) == 1, "the payment is there if and only if the booking is")
		equal(e, visible, len(v.History) == 1, "the history line is there if and only if the booking is")

		again, err := e.Apply(e.ctx, c)
		require.NoError(e, err)
		equal(e, !visible, again.Applied, "the same Change again finds out")
		equal(e, id, bookingID(again))
		require.NotNil(e, again.Event)
		require.EqualValues(e, 1, again.Booking.Version)
		length(e, again.Payments, 1)
		length(e, again.Booking.Seats, 1)
		equal(e, 1, again.Event.Attempts)

		before := e.event(c.Event.ID)
		err = e.RecordHandled(newFuse(e.ctx, n), c.Event.ID, []string{"mail"}, false, at(1))
		if err != nil {
			require.ErrorIs(e, err, context.Canceled)
		}
		if now := e.event(c.Event.ID); err == nil || len(now.Handlers) > 0 {
			before.Handlers, before.UpdatedAt = []string{"mail"}, at(1)
			equal(e, before, now)
		} else {
			equal(e, before, now)
		}
	}
	e.claimable("room", 16, 0)
}

func contextAfter(e *env) {
	call := func(do func(ctx context.Context) error) {
		e.Helper()
		ctx, cancel := context.WithCancel(e.ctx)
		defer cancel()
		require.NoError(e, do(ctx))
	}
	var read store.Booking
	for i := range 4 {
		c := paid("evt-0", "b-1", "pi-0")
		if i > 0 {
			c = step(name("evt", i), read, nil)
			c.Payments = []store.Payment{aPayment(*c.Booking, name("pi", i))}
		}
		c.Event = anEvent(name("evt", i))
		c.Claim = []store.SeatClaim{{Slot: "room", Capacity: 4, Count: 1}}
		call(func(ctx context.Context) error {
			r, err := e.Apply(ctx, c)
			if err == nil {
				require.True(e, r.Applied)
				read = *r.Booking
			}
			return err
		})
		v := e.look(c)
		require.NotNil(e, v.Booking, "the booking is there")
		equalBooking(e, read, *v.Booking)
		length(e, v.Payments, 1)
		length(e, v.History, i+1)
		require.NotNil(e, v.Event)
		call(func(ctx context.Context) error {
			return e.RecordHandled(ctx, c.Event.ID, []string{"mail"}, true, at(1))
		})
		equal(e, []string{"mail"}, e.event(c.Event.ID).Handlers)
		call(func(ctx context.Context) error {
			return e.RecordFailure(ctx, *anEvent(name("evt-failed", i)), "x", true)
		})
		equal(e, store.EventDead, e.event(name("evt-failed", i)).State)
	}
	e.claimable("room", 4, 0)
}

// contextInRace has each second caller cancelled by another, who has just come back
// and in a line would stand half of it before or behind.
func contextInRace(e *env) {
	change := func(i int) store.Change {
		c := paid(name("evt", i), name("b", i), name("pi", i))
		c.Event = anEvent(c.Key)
		c.Claim = []store.SeatClaim{{Slot: "room", Capacity: callers, Count: 1}}
		return c
	}
	victim := func(i int) bool { return i%2 == 1 }
	ctxs := make([]context.Context, callers)
	cancels := make([]context.CancelFunc, callers)
	for i := range callers {
		ctxs[i], cancels[i] = context.WithCancel(e.ctx)
		defer cancels[i]()
	}
	got := race(callers, func(i int) (store.Result, error) {
		r, err := e.Apply(ctxs[i], change(i))
		if !victim(i) {
			cancels[(i+callers/2+1)%callers]()
		}
		return r, err
	})
	for i, o := range got {
		if !victim(i) || o.err == nil {
			require.NoError(e, o.err, "caller %d, whom nobody cancelled", i)
			require.True(e, o.result.Applied, "caller %d", i)
		} else {
			require.ErrorIs(e, o.err, context.Canceled, "caller %d", i)
			require.False(e, o.result.Applied, "caller %d", i)
		}
		c := change(i)
		v := e.look(c)
		there := v.Booking != nil
		equal(e, there, len(v.Payments) == 1, "caller %d: the payment is there if and only if the booking is", i)
		equal(e, there, len(v.History) == 1, "caller %d: the history line is there if and only if the booking is", i)
		equal(e, there, v.Event != nil, "caller %d: the ledger row is there if and only if the booking is", i)
		require.True(e, there || o.err != nil, "caller %d: the booking is there", i)
		r, err := e.Apply(e.ctx, c)
		require.NoError(e, err, "caller %d: the same Change again", i)
		equal(e, !there, r.Applied, "caller %d: the same Change again finds out", i)
	}
	e.claimable("room", callers, 0)
}

// fuse is a context that is cancelled once it has been looked at a number of
// times: a way to stop a call at each of its steps in turn, without a clock.
type fuse struct {
	context.Context
	mu    sync.Mutex
	looks int
	done  chan struct{}
}

func newFuse(ctx context.Context, looks int) *fuse {
	return &fuse{Context: ctx, looks: looks, done: make(chan struct{})}
}

func (f *fuse) Done() <-chan struct{} {
	_ = f.look()
	return f.done
}

func (f *fuse) Err() error { return f.look() }

func (f *fuse) look() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looks--
	if f.looks == -1 {
		close(f.done)
	}
	if f.looks < 0 {
		return context.Canceled
	}
	return nil
}
