package faults

import (
	"context"

	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/sample"
	"github.com/carevia/stripebooking/store"
)

// step is one call of a store that writes.
type step func(ctx context.Context, s store.Store) (store.Result, error)

// operation is what meets the faults.
type operation struct {
	name    string
	prepare func(tb tb, w world, s store.Store)
	// make plans the step from what is stored.
	make func(tb tb, w world, s store.Store) step
	// applies: the step is an Apply, so that the same again is a replay.
	applies bool
	rivals  []rival
}

// rival is who overtakes an operation. Of the two exactly one can apply.
type rival struct {
	name string
	make func(tb tb, w world, s store.Store) step
}

func apply(c store.Change) step {
	return func(ctx context.Context, s store.Store) (store.Result, error) { return s.Apply(ctx, c) }
}

// operations are all that a store can write.
func operations() []operation {
	nothing := func(tb, world, store.Store) {}
	confirm := func(_ tb, w world, _ store.Store) step { return apply(w.paid("a")) }
	seated := func(_ tb, w world, _ store.Store) step { return apply(w.seated("a", 2)) }
	withSeats := func(tb tb, w world, s store.Store) { apply(w.seated("a", 2)).must(tb, s) }
	confirmed := func(tb tb, w world, s store.Store) { apply(w.paid("a")).must(tb, s) }
	fail := func(_ tb, w world, _ store.Store) step {
		return func(ctx context.Context, s store.Store) (store.Result, error) {
			return store.Result{}, s.RecordFailure(ctx, *w.event("a", ""), "timeout", false)
		}
	}
	handled := func(handler string) func(tb, world, store.Store) step {
		return func(_ tb, w world, _ store.Store) step {
			return func(ctx context.Context, s store.Store) (store.Result, error) {
				return store.Result{}, s.RecordHandled(ctx, w.id("evt", "a"), []string{handler}, true, sample.T0)
			}
		}
	}
	return []operation{
		{
			name: "new booking", applies: true, prepare: nothing, make: confirm,
			rivals: []rival{
				{"the same", confirm},
				{"another event for the booking", func(_ tb, w world, _ store.Store) step {
					c := w.paid("a")
					c.Key, c.Event = w.id("evt", "b"), w.event("b", c.Booking.ID)
					return apply(c)
				}},
				{"another booking for the intent", func(_ tb, w world, _ store.Store) step {
					c := w.paid("b")
					c.Booking.PaymentIntentID = w.id("pi", "a")
					c.Payments[0].PaymentIntentID = w.id("pi", "a")
					return apply(c)
				}},
			},
		},
		{
			name: "new booking with seats", applies: true, prepare: nothing, make: seated,
			rivals: []rival{
				{"the same", seated},
				{"another booking for the seats", func(_ tb, w world, _ store.Store) step { return apply(w.seated("b", 2)) }},
			},
		},
		{
			name: "next version", applies: true, prepare: withSeats, make: balance("b"),
			rivals: []rival{
				{"the same", balance("b")},
				{"another change of the version", balance("c")},
			},
		},
		{
			name: "event that failed before", applies: true, prepare: func(tb tb, w world, s store.Store) { fail(tb, w, s).must(tb, s) }, make: confirm,
			rivals: []rival{{"the same", confirm}},
		},
		{
			name: "event without a booking", applies: true, prepare: nothing,
			make: func(_ tb, w world, _ store.Store) step {
				return apply(store.Change{Key: w.id("evt", "a"), Event: w.event("a", "")})
			},
			rivals: []rival{{"the same", func(_ tb, w world, _ store.Store) step {
				return apply(store.Change{Key: w.id("evt", "a"), Event: w.event("a", "")})
			}}},
		},
		{
			name: "failure", prepare: nothing, make: fail,
			rivals: []rival{{"the same", fail}},
		},
		{
			name: "another failure", prepare: func(tb tb, w world, s store.Store) { fail(tb, w, s).must(tb, s) }, make: fail,
			rivals: []rival{{"the same", fail}},
		},
		{
			name: "handled", prepare: confirmed, make: handled("mail"),
			rivals: []rival{{"another handler", handled("sms")}},
		},
	}
}

// balance plans a Change of the stored booking "a": another payment, one seat
// fewer in the one slot and one in another.
func balance(name string) func(tb, world, store.Store) step {
	return func(tb tb, w world, s store.Store) step {
		b, err := s.Booking(context.Background(), w.id("bk", "a"))
		require.NoError(tb, err)
		c := w.paid(name)
		p := c.Payments[0]
		p.BookingID, p.Purpose = b.ID, store.PurposeBalance
		from := b.State
		b.Paid += p.Subtotal
		return apply(store.Change{
			Key: c.Key, Booking: &b, Payments: []store.Payment{p}, Event: w.event(name, b.ID),
			History: &store.History{From: from, To: b.State, Cause: store.Cause{By: "webhook", ID: c.Key}, At: sample.T0},
			Release: b.Seats[:1], Claim: []store.SeatClaim{{Slot: w.id("slot", "y"), Capacity: 2, Count: 1}},
		})
	}
}
