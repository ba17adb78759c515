package storetest

import (
	"errors"

	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/store"
)

func isNotFound(err error) bool { return errors.Is(err, store.ErrNotFound) }

// keyCases are about G2: a key names one successful outcome.
func keyCases() []testCase {
	return []testCase{
		{
			name:   "key-replay",
			reason: "the same Change again writes nothing, and returns what is stored now, not what was stored then",
			run:    keyReplay,
		},
		{
			name:   "key-compares-nothing",
			reason: "two deliveries of one event differ in bytes, times and plan; the second is a replay all the same",
			run:    keyComparesNothing,
		},
		{
			name:   "key-fingerprint",
			reason: "a key that is used for another command is noticed, and only when both name their command",
			run:    keyFingerprint,
		},
		{
			name:   "key-ledger-only",
			reason: "an event that changes no booking is kept, once",
			run:    keyLedgerOnly,
		},
		{
			name:   "key-not-burnt",
			reason: "a Change that conflicts or is invalid does not use its key up, or the event could never be processed",
			run:    keyNotBurnt,
		},
	}
}

func keyReplay(e *env) {
	c := paid("evt-1", "b-1", "pi-1")
	c.Event = anEvent("evt-1")
	c.Claim = []store.SeatClaim{{Slot: "room", Capacity: 3, Count: 1}}
	first := e.apply(c)

	before := e.look(c)
	r := e.replayed(c)
	equal(e, first.Booking, r.Booking)
	equal(e, first.Payments, r.Payments)
	equal(e, first.Event, r.Event)
	equal(e, before, e.look(c), "a replay writes nothing")

	next := step("k-2", *first.Booking, func(b *store.Booking) { b.State = store.StateRefunded })
	p := c.Payments[0]
	p.Status = store.StatusRefunded
	next.Payments = []store.Payment{p, aPayment(*next.Booking, "pi-2")}
	now := e.apply(next)
	require.NoError(e, e.RecordHandled(e.ctx, "evt-1", []string{"mail"}, true, at(9)))

	before = e.look(next)
	r = e.replayed(c)
	equal(e, now.Booking, r.Booking, "the booking as it is now")
	equal(e, now.Payments, r.Payments, "all its payments as they are now")
	equal(e, []string{"mail"}, r.Event.Handlers, "the ledger row as it is now")
	equal(e, before, e.look(next), "a replay writes nothing")
	e.claimable("room", 3, 2)
}

func keyComparesNothing(e *env) {
	c := paid("evt-1", "b-1", "pi-1")
	c.Event = anEvent("evt-1")
	first := e.apply(c)
	e.apply(paid("evt-2", "b-2", "pi-2"))

	other := paid("evt-1", "b-1", "pi-9") // another plan for the same booking
	other.Booking.UserID, other.Booking.Total, other.Payments[0].UserID = "user-9", 1, "user-9"
	other.Booking.CreatedAt, other.Booking.UpdatedAt = at(60), at(60)
	other.Event = anEvent("evt-1")
	other.Event.Payload, other.Event.ReceivedAt = []byte(`{"pending_webhooks":0}`), at(60)
	other.Event.State, other.Event.Reason = store.EventIgnored, "other"
	r := e.replayed(other)
	equal(e, first.Booking, r.Booking)
	equal(e, first.Event, r.Event)
	equal(e, *first.Event, e.event("evt-1"))
	empty(e, maybe(e, func() (store.Payment, error) { return e.Payment(e.ctx, "pi-9") }))

	// Even for another booking: the key's own is the answer.
	elsewhere := paid("evt-1", "b-2", "pi-2")
	r = e.replayed(elsewhere)
	equal(e, first.Booking, r.Booking, "the booking of the Change that first had the key")
	empty(e, r.Event, "a Change without an event has none in its Result")

	r = e.replayed(store.Change{Key: "evt-1", Event: anEvent("evt-1")})
	equal(e, first.Booking, r.Booking)
	require.EqualValues(e, 1, e.booking("b-2").Version)
}

func keyFingerprint(e *env) {
	for _, tt := range []struct {
		name, first, second string
		mismatch            bool
	}{
		{"none", "", "", false},
		{"only-stored", "hash-1", "", false},
		{"only-new", "", "hash-2", false},
		{"same", "hash-1", "hash-1", false},
		{"differ", "hash-1", "hash-2", true},
		{"case", "hash", "HASH", true},
	} {
		what := "fingerprints: " + tt.name
		c := paid("k-"+tt.name, "b-"+tt.name, "pi-"+tt.name)
		c.Fingerprint = tt.first
		first := e.apply(c)
		again := step(c.Key, *first.Booking, nil)
		again.Fingerprint = tt.second
		again.Event = anEvent("evt-" + tt.name)
		before := e.look(again)
		if tt.mismatch {
			r, err := e.Apply(e.ctx, again)
			require.ErrorIs(e, err, store.ErrMismatch, what)
			require.NotErrorIs(e, err, store.ErrConflict, what)
			require.False(e, r.Applied, what)
		} else {
			r := e.replayed(again)
			equal(e, first.Booking, r.Booking, what)
		}
		equal(e, before, e.look(again), what)
	}
	// A replay with a fingerprint does not give one to a key without.
	third := paid("k-only-new", "b-only-new", "pi-only-new")
	third.Fingerprint = "hash-3"
	e.replayed(third)
}

func keyLedgerOnly(e *env) {
	c := store.Change{Key: "evt-1", Event: anEvent("evt-1")}
	c.Event.State, c.Event.Reason, c.Event.BookingID = store.EventIgnored, "no handler", "b-elsewhere"
	r := e.apply(c)
	want := store.MergeEvent(nil, *c.Event)
	empty(e, r.Booking, "a Change without a booking has none in its Result")
	empty(e, r.Payments)
	equal(e, &want, r.Event)
	equal(e, want, e.event("evt-1"))

	r = e.replayed(c)
	empty(e, r.Booking)
	equal(e, &want, r.Event)
	equal(e, want, e.event("evt-1"), "a replay counts no attempt")

	// The key is used, for a booking too.
	withBooking := paid("evt-1", "b-1", "pi-1")
	r = e.replayed(withBooking)
	empty(e, r.Booking, "the Change that first had the key had no booking")
	empty(e, maybe(e, func() (store.Booking, error) { return e.Booking(e.ctx, "b-1") }))

	// And a key alone.
	e.apply(store.Change{Key: "k-alone"})
	r = e.replayed(store.Change{Key: "k-alone"})
	equal(e, store.Result{}, r)
}

func keyNotBurnt(e *env) {
	e.apply(paid("k-1", "b-1", "pi-1"))
	e.apply(claiming("k-2", "b-2", store.SeatClaim{Slot: "full", Capacity: 1, Count: 1}))

	e.conflict(store.ConflictVersion, paid("evt-version", "b-1", "pi-9"))
	e.conflict(store.ConflictIntent, paid("evt-intent", "b-9", "pi-1"))
	e.conflict(store.ConflictSeats, claiming("evt-seats", "b-9", store.SeatClaim{Slot: "full", Capacity: 1, Count: 1}))
	invalid := paid("evt-invalid", "b-9", "pi-9")
	invalid.History = nil
	_, err := e.Apply(e.ctx, invalid)
	require.ErrorIs(e, err, store.ErrInvalid)

	for i, key := range []string{"evt-version", "evt-intent", "evt-seats", "evt-invalid"} {
		r := e.apply(paid(key, name("b-then", i), name("pi-then", i)))
		equal(e, name("b-then", i), r.Booking.ID)
	}
}
