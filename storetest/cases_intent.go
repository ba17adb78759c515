package storetest

import (
	"fmt"

	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/store"
)

// intentCases are about G4: one payment intent, one payment, one booking.
func intentCases() []testCase {
	return []testCase{
		{
			name:   "payments-two",
			reason: "a booking may have several payments, a deposit and a balance",
			run:    paymentsTwo,
		},
		{
			name:   "payments-replaced",
			reason: "news of a payment replaces it, but for its creation time, and leaves the booking's other payments alone",
			run:    paymentsReplaced,
		},
		{
			name:   "payments-many",
			reason: "a Result has all payments of the booking, however many: no page's limit applies",
			run:    paymentsMany,
		},
		{
			name:   "intent-owner",
			reason: "a payment intent belongs to one booking for ever, whatever the key, the event or the states, and the loser learns whose it is",
			run:    intentOwner,
		},
		{
			name:   "free-bookings",
			reason: "bookings without a payment coexist: a missing intent or session is not a value that must be unique",
			run:    freeBookings,
		},
		{
			name:   "conflict-brings-booking",
			reason: "a Change that lost brings the stored booking with all its payments, so that the next plan needs no read",
			run:    conflictBringsBooking,
		},
	}
}

func paymentsTwo(e *env) {
	c := paid("evt-1", "b-1", "pi-z")
	c.Payments[0].Purpose, c.Booking.Option = store.PurposeDeposit, store.OptionHalf
	first := e.apply(c)

	next := step("evt-2", *first.Booking, nil)
	balance := aPayment(*next.Booking, "pi-a")
	balance.Purpose = store.PurposeBalance
	next.Payments = []store.Payment{balance}
	r := e.apply(next)
	want := []store.Payment{c.Payments[0], balance}
	equal(e, want, r.Payments, "the Result has all payments, oldest first")
	equal(e, want[0], e.payment("pi-z"))
	equal(e, want[1], e.payment("pi-a"))
	ps, _, err := e.PaymentsByBooking(e.ctx, "b-1", store.Page{})
	require.NoError(e, err)
	equal(e, []store.Payment{want[1], want[0]}, ps, "the list is newest first")

	// Two at once, in a new booking.
	both := paid("evt-3", "b-2", "pi-3")
	both.Payments = append(both.Payments, aPayment(*both.Booking, "pi-4"))
	length(e, e.apply(both).Payments, 2)
}

func paymentsMany(e *env) {
	const changes, each = 3, 167 // more than the largest page
	var want []store.Payment
	read := *e.apply(aChange("k-0", aBooking("b-1"))).Booking
	for i := range changes {
		c := step(name("evt", i), read, nil)
		for j := range each {
			c.Payments = append(c.Payments, aPayment(*c.Booking, fmt.Sprintf("pi-%d-%03d", i, j)))
		}
		want = append(want, c.Payments...)
		r := e.apply(c)
		length(e, r.Payments, len(want))
		read = *r.Booking
	}
	equal(e, want, e.replayed(step("evt-000", read, nil)).Payments, "of a replay, oldest first")
	equal(e, want, e.conflict(store.ConflictVersion, aChange("evt-late", aBooking("b-1"))).Payments, "of a conflict, oldest first")
}

func paymentsReplaced(e *env) {
	c := paid("evt-1", "b-1", "pi-1")
	c.Payments = append(c.Payments, aPayment(*c.Booking, "pi-2"))
	read := *e.apply(c).Booking

	next := step("evt-2", read, nil)
	p := c.Payments[0]
	p.ID, p.UserID, p.SessionID = "pay-other", "user-2", "cs-9"
	p.Amount, p.Status, p.FailureCode, p.Refunded = 1, store.StatusRefunded, "declined", 1
	p.Refunds = []store.Refund{{ID: "re-1", Amount: 1, Status: "succeeded"}}
	p.Metadata = map[string]string{"webhookEventId": "evt-2"}
	p.CreatedAt, p.UpdatedAt = at(100), at(100)
	next.Payments = []store.Payment{p}
	r := e.apply(next)

	p.CreatedAt = at(0)
	equal(e, p, e.payment("pi-1"), "replaced, all but its creation time")
	equal(e, c.Payments[1], e.payment("pi-2"), "not named, so not touched")
	require.ElementsMatch(e, []store.Payment{p, c.Payments[1]}, r.Payments)
	ps, _, err := e.PaymentsByBooking(e.ctx, "b-1", store.Page{})
	require.NoError(e, err)
	length(e, ps, 2, "one row for each intent")
	ps, _, err = e.PaymentsByUser(e.ctx, "user-2", store.Page{})
	require.NoError(e, err)
	equal(e, []store.Payment{p}, ps)
	ps, _, err = e.PaymentsByUser(e.ctx, someUser, store.Page{})
	require.NoError(e, err)
	equal(e, c.Payments[1:], ps)
	b, err := e.BookingBySession(e.ctx, "cs-9")
	require.NoError(e, err)
	equal(e, "b-1", b.ID)
}

func intentOwner(e *env) {
	owner := e.apply(paid("evt-1", "b-1", "pi-1"))
	mine := *e.apply(paid("evt-2", "b-2", "pi-2")).Booking

	wants := func(key string) store.Change {
		c := step(key, mine, nil)
		c.Payments = []store.Payment{aPayment(*c.Booking, "pi-1")}
		return c
	}
	for _, c := range []store.Change{paid("evt-3", "b-3", "pi-1"), wants("evt-4"), wants("confirm/cs-1")} {
		r := e.conflict(store.ConflictIntent, c)
		equal(e, owner.Booking, r.Booking, "the booking that owns the intent")
		equal(e, owner.Payments, r.Payments)
	}

	// Also when the owner rests on another payment since, and all is refunded.
	c := step("evt-5", *owner.Booking, func(b *store.Booking) {
		b.State, b.PaymentIntentID = store.StateRefunded, "pi-5"
	})
	p := owner.Payments[0]
	p.Status, p.Refunded = store.StatusRefunded, p.Amount
	c.Payments = []store.Payment{p, aPayment(*c.Booking, "pi-5")}
	owner = e.apply(c)
	for _, c := range []store.Change{paid("evt-6", "b-3", "pi-1"), wants("evt-7")} {
		r := e.conflict(store.ConflictIntent, c)
		equal(e, owner.Booking, r.Booking)
		equal(e, owner.Payments, r.Payments)
	}
	equal(e, "b-1", e.payment("pi-1").BookingID)
	empty(e, maybe(e, func() (store.Booking, error) { return e.Booking(e.ctx, "b-3") }))
	equal(e, mine, e.booking("b-2"))
}

func freeBookings(e *env) {
	const n = 12
	for i := range n {
		c := aChange(name("k", i), aBooking(name("b", i)))
		r := e.apply(c)
		empty(e, r.Payments)
		empty(e, r.Booking.PaymentIntentID)
		empty(e, r.Booking.SessionID)
	}
	// A second version of one, still without an intent.
	e.apply(step("k-next", e.booking("b-000"), nil))

	bs, _, err := e.BookingsByUser(e.ctx, someUser, store.Page{})
	require.NoError(e, err)
	length(e, bs, n)
	ps, _, err := e.PaymentsByUser(e.ctx, someUser, store.Page{})
	require.NoError(e, err)
	empty(e, ps, "a free booking has no payment row")

	// Nothing is found under the empty name that they share.
	_, err = e.BookingBySession(e.ctx, "")
	require.ErrorIs(e, err, store.ErrNotFound, "bookings without a session are not found by an empty one")
	_, err = e.Payment(e.ctx, "")
	require.ErrorIs(e, err, store.ErrNotFound)
}

func conflictBringsBooking(e *env) {
	first := e.apply(paid("evt-1", "b-1", "pi-1"))
	next := step("evt-2", *first.Booking, nil)
	next.Payments = []store.Payment{aPayment(*next.Booking, "pi-0")}
	next.Claim = []store.SeatClaim{{Slot: "room", Capacity: 9, Count: 3}}
	now := e.apply(next)
	want := []store.Payment{first.Payments[0], next.Payments[0]}

	for _, late := range []store.Change{
		paid("evt-3", "b-1", "pi-3"),       // planned against nothing
		step("evt-4", *first.Booking, nil), // planned against version 1
		func() store.Change { // planned against a version that never was
			c := step("evt-5", *now.Booking, nil)
			c.Booking.Version = 9
			return c
		}(),
	} {
		r := e.conflict(store.ConflictVersion, late)
		require.NotNil(e, r.Booking)
		equalBooking(e, *now.Booking, *r.Booking)
		equal(e, want, r.Payments, "all of them, oldest first")
	}
	// And the ledger row of its event, when there is one.
	late := aChange("evt-6", aBooking("b-1"))
	late.Event = anEvent("evt-6")
	empty(e, e.conflict(store.ConflictVersion, late).Event)
	require.NoError(e, e.RecordFailure(e.ctx, *late.Event, "lost a race", false))
	r := e.conflict(store.ConflictVersion, late)
	row := e.event("evt-6")
	equal(e, &row, r.Event, "the stored ledger row")
	e.apply(step("evt-7", *r.Booking, nil)) // planned without a read
}
