package storetest

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/store"
)

// changeCases are about G1: all of a Change or none of it.
func changeCases() []testCase {
	return []testCase{
		{
			name:   "change-whole",
			reason: "after Apply every record of the Change can be read, by every way there is",
			run:    changeWhole,
		},
		{
			name:   "change-stored-booking",
			reason: "a Change of a stored booking replaces it, counts its version on, adds a history line and keeps its creation time",
			run:    changeStored,
		},
		{
			name:   "change-readers",
			reason: "a reader never sees a part of a Change, such as a payment whose booking does not know of it",
			run:    changeReaders,
		},
		{
			name:   "nothing-left-version",
			reason: "a Change that lost the version leaves no ledger row, key, payment, seat or history line behind",
			run: func(e *env) {
				leavesNothing(e, store.ConflictVersion, func(c *store.Change) { c.Booking.Version-- })
			},
		},
		{
			name:   "nothing-left-new-booking",
			reason: "a Change for a new booking that exists already leaves nothing behind",
			run: func(e *env) {
				leavesNothing(e, store.ConflictVersion, func(c *store.Change) {
					c.Booking.Version, c.Booking.Seats, c.Release = 0, nil, nil
				})
			},
		},
		{
			name:   "nothing-left-intent",
			reason: "a Change that lost a payment intent leaves nothing behind, not even its other payments",
			run: func(e *env) {
				leavesNothing(e, store.ConflictIntent, func(c *store.Change) {
					c.Payments = append(c.Payments, aPayment(*c.Booking, "pi-other"))
				})
			},
		},
		{
			name:   "nothing-left-seats",
			reason: "a Change that found too few seats leaves nothing behind: the seats that it found are free, and those that it gave up are not",
			run: func(e *env) {
				leavesNothing(e, store.ConflictSeats, func(c *store.Change) {
					c.Claim = append(c.Claim, store.SeatClaim{Slot: "full", Capacity: 1, Count: 1})
				})
			},
		},
		{
			name:   "nothing-left-invalid",
			reason: "a Change that can't be stored is ErrInvalid on every adapter and leaves nothing behind",
			run:    invalidLeavesNothing,
		},
		{
			name:   "checks-in-order",
			reason: "when several things are wrong, all adapters name the same one: key, version, intents, seats",
			run:    checksInOrder,
		},
		{
			name:   "conflict-stays-lost",
			reason: "a Change that lost is over: no part of it takes effect later, and it loses again until it is planned anew",
			run:    conflictStaysLost,
		},
		{
			name:   "conflict-never-late",
			reason: "a Change that lost does not come true when what was in its way is gone: its caller has planned anew since",
			run:    conflictNeverLate,
		},
	}
}

func changeWhole(e *env) {
	c := paid("evt-1", "b-1", "pi-1")
	c.Booking.SessionID, c.Payments[0].SessionID = "cs-1", "cs-1"
	c.Booking.Claims = []store.SeatClaim{{Slot: "room", Capacity: 2, Count: 1}}
	c.Claim = c.Booking.Claims
	c.Event = anEvent("evt-1")
	before := e.look(c)
	equal(e, view{}, before, "a fresh database is empty")

	r := e.apply(c)
	want := c.Next()
	want.Seats = r.Booking.Seats
	length(e, want.Seats, 1, "the claimed seat is in the Result")
	equal(e, want, *r.Booking, "the Result has the booking as stored")
	equal(e, c.Payments, r.Payments, "the Result has the payments as stored")
	event := store.MergeEvent(nil, *c.Event)
	equal(e, &event, r.Event, "the Result has the ledger row as stored")

	line := *c.History
	line.BookingID, line.Version = "b-1", 1
	equal(e, view{
		Booking: &want, BySession: &want, ByUser: []store.Booking{want},
		History:  []store.History{line},
		Payments: c.Payments, OfBooking: c.Payments, OfUser: c.Payments,
		Event: &event, Events: []store.Event{event},
	}, e.look(c), "what can be read is what the Change says")
	e.claimable("room", 2, 1)
}

func changeStored(e *env) {
	first := paid("k-1", "b-1", "pi-1")
	read := *e.apply(first).Booking
	c := step("k-2", read, func(b *store.Booking) {
		b.State, b.Reason, b.SessionID = store.StateCancelled, "by_customer", "cs-2"
		b.CreatedAt = at(500) // not the caller's to change
	})
	c.History.Reason, c.History.Cause = "by_customer", store.Cause{By: "operator", ID: "Ada"}
	// What these two hold is not read.
	c.History.BookingID, c.History.Version = "b-other", 77
	r := e.apply(c)

	want := c.Next()
	want.CreatedAt = at(0)
	require.EqualValues(e, 2, want.Version)
	equal(e, want, *r.Booking)
	equal(e, want, e.booking("b-1"))
	equal(e, first.Payments, r.Payments, "payments that the Change does not name stay")

	line1, line2 := *first.History, *c.History
	line1.BookingID, line1.Version = "b-1", 1
	line2.BookingID, line2.Version = "b-1", 2
	equal(e, []store.History{line2, line1}, e.history("b-1"), "one line for each version, newest first")

	// A booking that must exist and does not.
	r = e.conflict(store.ConflictVersion, step("k-3", func() store.Booking {
		b := aBooking("b-none")
		b.Version = 1
		return b
	}(), nil))
	empty(e, r.Booking, "there is no booking in the way")
	empty(e, e.history("b-none"))
}

// changeReaders has one writer, whose nth Change adds the nth payment, event and
// history line to one booking, and readers that read two of these at a time: what
// is read second must be as new as what was read first.
func changeReaders(e *env) {
	const changes, readers = 25, 4
	intent := func(n int64) string { return name("pi", int(n)) }
	eventID := func(n int64) string { return name("evt", int(n)) }

	type reading struct {
		name string
		at   func(n int64) (int64, error) // the newest Change seen, at least n if n is visible
	}
	found := func(err error, n int64) (int64, error) {
		switch {
		case err == nil:
			return n, nil
		case isNotFound(err):
			return 0, nil
		}
		return 0, err
	}
	// result applies a Change that has no chance, once the booking is there.
	result := func(c store.Change) func(int64) (int64, error) {
		return func(int64) (int64, error) {
			if _, err := e.Booking(e.ctx, "b-1"); err != nil {
				return found(err, 0)
			}
			r, err := e.Apply(e.ctx, c)
			switch {
			case err != nil && !errors.Is(err, store.ErrConflict):
				return 0, err
			case r.Applied || r.Booking == nil:
				return 0, fmt.Errorf("applied %t, booking %v", r.Applied, r.Booking)
			case r.Booking.Version != int64(len(r.Payments)):
				return 0, fmt.Errorf("version %d of the booking with %d payments", r.Booking.Version, len(r.Payments))
			}
			return r.Booking.Version, nil
		}
	}
	readings := []reading{
		{"Booking", func(int64) (int64, error) {
			b, err := e.Booking(e.ctx, "b-1")
			if v, err := found(err, b.Version); err != nil || v == 0 {
				return v, err
			}
			return b.Version, nil
		}},
		{"History", func(int64) (int64, error) {
			lines, err := e.History(e.ctx, "b-1")
			return int64(len(lines)), err
		}},
		{"PaymentsByBooking", func(int64) (int64, error) {
			ps, _, err := e.PaymentsByBooking(e.ctx, "b-1", store.Page{})
			return int64(len(ps)), err
		}},
		{"Payment", func(n int64) (int64, error) {
			_, err := e.Payment(e.ctx, intent(n))
			return found(err, n)
		}},
		{"Event", func(n int64) (int64, error) {
			_, err := e.Event(e.ctx, eventID(n))
			return found(err, n)
		}},
		{"BookingsByUser", func(int64) (int64, error) {
			bs, _, err := e.BookingsByUser(e.ctx, someUser, store.Page{})
			if err != nil || len(bs) == 0 {
				return 0, err
			}
			return bs[0].Version, nil
		}},
		{"Events", func(int64) (int64, error) {
			es, _, err := e.Events(e.ctx, store.EventFilter{}, store.Page{})
			return int64(len(es)), err
		}},
		{"the Result of a replay", result(paid(eventID(1), "b-1", intent(1)))},
		{"the Result of a conflict", result(paid("evt-reader", "b-1", "pi-reader"))},
	}

	stop := make(chan struct{})
	problems := make(chan error, readers)
	var done sync.WaitGroup
	for i := range readers {
		done.Add(1)
		go func() {
			defer done.Done()
			next := int64(1) // the Change to look out for
			problems <- guard(func() error {
				for k := i; ; k++ {
					select {
					case <-stop:
						return nil
					default:
					}
					runtime.Gosched() // the writer has the right of way
					a, b := readings[k%len(readings)], readings[(k/len(readings)+i)%len(readings)]
					first, err := a.at(next)
					if err != nil {
						return fmt.Errorf("%s: %w", a.name, err)
					}
					if first < next {
						continue
					}
					second, err := b.at(first)
					if err != nil {
						return fmt.Errorf("%s: %w", b.name, err)
					}
					if second < first {
						return fmt.Errorf("%s shows Change %d, %s after it shows only %d", a.name, first, b.name, second)
					}
					if first > next {
						next = first
					} else if k%len(readings) == 0 {
						next++
					}
				}
			})
		}()
	}

	var read store.Booking
	var failed error
	for n := int64(1); n <= changes && failed == nil; n++ {
		var c store.Change
		if n == 1 {
			c = paid(eventID(n), "b-1", intent(n))
		} else {
			c = step(eventID(n), read, nil)
			c.Payments = []store.Payment{aPayment(*c.Booking, intent(n))}
		}
		c.Event = anEvent(eventID(n))
		r, err := e.Apply(e.ctx, c)
		if failed = applied(r, err); failed == nil {
			read = *r.Booking
		}
	}
	close(stop)
	done.Wait()
	close(problems)
	require.NoError(e, failed)
	for p := range problems {
		require.NoError(e, p, "a reader saw a part of a Change")
	}
	require.EqualValues(e, changes, e.booking("b-1").Version)
}

// leavesNothing spoils a good Change on a stored booking so that it loses, and
// expects the database to be as it was. Then the good Change must go through
// under the same key.
func leavesNothing(e *env, over store.Conflict, spoil func(c *store.Change)) {
	mine := *e.apply(claiming("k-mine-1", "b-mine", store.SeatClaim{Slot: "mine", Capacity: 1, Count: 1})).Booking
	mine = *e.apply(func() store.Change {
		c := step("k-mine-2", mine, func(b *store.Booking) { b.PaymentIntentID = "pi-mine" })
		c.Payments = []store.Payment{aPayment(*c.Booking, "pi-mine")}
		return c
	}()).Booking
	other := paid("k-other", "b-other", "pi-other")
	other.Claim = []store.SeatClaim{{Slot: "full", Capacity: 1, Count: 1}}
	e.apply(other)

	good := func() store.Change {
		c := step("evt-1", mine, func(b *store.Booking) {
			b.State, b.Reason, b.UserID, b.SessionID = store.StateConflicted, "changed", "user-2", "cs-2"
		})
		old := aPayment(*c.Booking, "pi-mine")
		old.Status = store.StatusRefunded
		c.Payments = []store.Payment{old, aPayment(*c.Booking, "pi-new")}
		c.Event = anEvent("evt-1")
		c.Release = mine.Seats
		c.Claim = []store.SeatClaim{{Slot: "free", Capacity: 2, Count: 2}}
		return c
	}
	bad := good()
	spoil(&bad)
	before := e.look(bad)
	r := e.conflict(over, bad)
	equal(e, before, e.look(bad), "a Change that lost changes nothing that a reader can see")
	require.NotNil(e, r.Booking, "the Result has the booking that is in the way")
	if over == store.ConflictIntent {
		equal(e, "b-other", r.Booking.ID, "over an intent, the booking that owns it")
		equal(e, other.Payments, r.Payments)
	} else {
		equalBooking(e, mine, *r.Booking, "else the Change's own")
		length(e, r.Payments, 1, "with its payments")
	}

	// The seat that it wanted to release is taken still; those that it wanted
	// to have are free; its key names nothing.
	_, err := e.Apply(e.ctx, claiming("k-thief", "b-thief", store.SeatClaim{Slot: "mine", Capacity: 1, Count: 1}))
	require.ErrorIs(e, err, store.ErrConflict, "a seat was released by a Change that lost")
	done := e.apply(good())
	length(e, done.Booking.Seats, 2, "the seats that the lost Change claimed are free")
	equal(e, 1, done.Event.Attempts, "a Change that lost is not counted as an attempt")
	require.EqualValues(e, 3, done.Booking.Version)
	e.claimable("mine", 1, 1)
	e.claimable("free", 2, 0)
}

func invalidLeavesNothing(e *env) {
	long := strings.Repeat("x", store.MaxID+1)
	valid := func() store.Change {
		c := paid("evt-1", "b-1", "pi-1")
		c.Event = anEvent("evt-1")
		c.Claim = []store.SeatClaim{{Slot: "room", Capacity: 1, Count: 1}}
		return c
	}
	before := e.look(valid())
	for _, bad := range []struct {
		what  string
		spoil func(c *store.Change)
	}{
		{"no key", func(c *store.Change) { c.Key = "" }},
		{"a key of 256 bytes", func(c *store.Change) { c.Key = long }},
		{"a key with NUL", func(c *store.Change) { c.Key = "evt\x00" }},
		{"a key that is not UTF-8", func(c *store.Change) { c.Key = "evt\xff" }},
		{"a fingerprint of 256 bytes", func(c *store.Change) { c.Fingerprint = long }},
		{"no booking id", func(c *store.Change) { c.Booking.ID, c.Payments = "", nil }},
		{"a booking id of 256 bytes", func(c *store.Change) { c.Booking.ID, c.Payments = long, nil }},
		{"no user", func(c *store.Change) { c.Booking.UserID = "" }},
		{"a session id that is not UTF-8", func(c *store.Change) { c.Booking.SessionID = "\xc3\x28" }},
		{"a service name with NUL", func(c *store.Change) { c.Booking.ServiceName = "a\x00b" }},
		{"no currency", func(c *store.Change) { c.Booking.Currency = "" }},
		{"no state", func(c *store.Change) { c.Booking.State, c.History.To = "", "" }},
		{"no option", func(c *store.Change) { c.Booking.Option = "" }},
		{"a negative version", func(c *store.Change) { c.Booking.Version = -1 }},
		{"no creation time", func(c *store.Change) { c.Booking.CreatedAt = time.Time{} }},
		{"no update time", func(c *store.Change) { c.Booking.UpdatedAt = time.Time{} }},
		{"details with an empty key", func(c *store.Change) { c.Booking.Details = map[string]string{"": "x"} }},
		{"details that are not UTF-8", func(c *store.Change) { c.Booking.Details = map[string]string{"x": "\xff"} }},
		{"no history line", func(c *store.Change) { c.History = nil }},
		{"a history line to another state", func(c *store.Change) { c.History.To = store.StateHeld }},
		{"a history line without a cause", func(c *store.Change) { c.History.Cause.By = "" }},
		{"payments without a booking", func(c *store.Change) { c.Booking, c.History, c.Claim = nil, nil, nil }},
		{"history without a booking", func(c *store.Change) { c.Booking, c.Payments, c.Claim = nil, nil, nil }},
		{"a claim without a booking", func(c *store.Change) { c.Booking, c.Payments, c.History = nil, nil, nil }},
		{"a payment of another booking", func(c *store.Change) { c.Payments[0].BookingID = "b-2" }},
		{"a payment without an intent", func(c *store.Change) { c.Payments[0].PaymentIntentID = "" }},
		{"a payment without an id", func(c *store.Change) { c.Payments[0].ID = "" }},
		{"a payment without a time", func(c *store.Change) { c.Payments[0].CreatedAt = time.Time{} }},
		{"a payment with metadata with NUL", func(c *store.Change) { c.Payments[0].Metadata = map[string]string{"a\x00": ""} }},
		{"a refund without an id", func(c *store.Change) { c.Payments[0].Refunds = []store.Refund{{Amount: 1}} }},
		{"one intent twice", func(c *store.Change) { c.Payments = append(c.Payments, c.Payments[0]) }},
		{"a new booking that names an intent without its payment", func(c *store.Change) { c.Payments = nil }},
		{"a new booking that has seats", func(c *store.Change) { c.Booking.Seats = []store.Seat{{Slot: "room", Number: 1}} }},
		{"a claim of no seats", func(c *store.Change) { c.Claim[0].Count = 0 }},
		{"a claim of more seats than there are", func(c *store.Change) { c.Claim[0].Count = 2 }},
		{"a claim on a slot without a name", func(c *store.Change) { c.Claim[0].Slot = "" }},
		{"two claims on one slot", func(c *store.Change) { c.Claim = append(c.Claim, c.Claim[0]) }},
		{"a release of a seat that it has not", func(c *store.Change) { c.Release = []store.Seat{{Slot: "room", Number: 1}} }},
		{"an event without a type", func(c *store.Change) { c.Event.Type = "" }},
		{"an event without a time", func(c *store.Change) { c.Event.ReceivedAt = time.Time{} }},
		{"an event that failed", func(c *store.Change) { c.Event.State = store.EventFailed }},
		{"an event that is dead", func(c *store.Change) { c.Event.State = store.EventDead }},
	} {
		c := valid()
		bad.spoil(&c)
		r, err := e.Apply(e.ctx, c)
		require.ErrorIs(e, err, store.ErrInvalid, bad.what)
		require.False(e, r.Applied, bad.what)
	}
	equal(e, before, e.look(valid()), "a Change that is invalid changes nothing")

	e.apply(valid()) // under the same key

	failure := *anEvent("evt-2")
	failure.ID = long
	require.ErrorIs(e, e.RecordFailure(e.ctx, failure, "x", false), store.ErrInvalid, "RecordFailure with a long id")
	failure = *anEvent("evt-2")
	failure.Type = ""
	require.ErrorIs(e, e.RecordFailure(e.ctx, failure, "x", false), store.ErrInvalid, "RecordFailure without a type")
	for _, reason := range []string{"a\x00b", "a\xffb"} {
		require.ErrorIs(e, e.RecordFailure(e.ctx, *anEvent("evt-2"), reason, false), store.ErrInvalid, "RecordFailure for a reason that is no text")
	}
	empty(e, maybe(e, func() (store.Event, error) { return e.Event(e.ctx, "evt-2") }))
	require.ErrorIs(e, e.RecordHandled(e.ctx, "evt-1", []string{"mail", ""}, false, at(1)), store.ErrInvalid, "a handler without a name")
	require.ErrorIs(e, e.RecordHandled(e.ctx, "evt-1", []string{"mail", long}, true, at(1)), store.ErrInvalid, "a handler with a long name")
	empty(e, e.event("evt-1").Handlers)
}

func checksInOrder(e *env) {
	e.apply(paid("k-other", "b-other", "pi-other"))
	e.apply(claiming("k-full", "b-full", store.SeatClaim{Slot: "full", Capacity: 1, Count: 1}))
	mine := paid("k-mine", "b-mine", "pi-mine")
	mine.Fingerprint = "one"
	read := *e.apply(mine).Booking

	// all is wrong with this one
	c := step("k-mine", read, func(b *store.Booking) { b.Version = 7 })
	c.Fingerprint = "another"
	c.Payments = []store.Payment{aPayment(*c.Booking, "pi-other")}
	c.Claim = []store.SeatClaim{{Slot: "full", Capacity: 1, Count: 1}}

	_, err := e.Apply(e.ctx, c)
	require.ErrorIs(e, err, store.ErrMismatch, "the key comes first")
	c.Fingerprint = ""
	equal(e, &read, e.replayed(c).Booking)

	c.Key = "k-new"
	equal(e, "b-mine", bookingID(e.conflict(store.ConflictVersion, c)))

	c.Booking.Version = read.Version
	equal(e, "b-other", bookingID(e.conflict(store.ConflictIntent, c)))

	c.Payments = nil
	equal(e, "b-mine", bookingID(e.conflict(store.ConflictSeats, c)))

	c.Claim = nil
	e.apply(c)
}

func conflictStaysLost(e *env) {
	e.apply(paid("k-1", "b-1", "pi-1"))
	late := paid("evt-2", "b-1", "pi-2")
	late.Event = anEvent("evt-2")
	for range 3 {
		e.conflict(store.ConflictVersion, late)
	}
	b := e.booking("b-1")
	require.EqualValues(e, 1, b.Version)
	equal(e, "pi-1", b.PaymentIntentID)

	// Planned anew from what the Result says, under the same key, it applies.
	r := e.conflict(store.ConflictVersion, late)
	equal(e, "b-1", bookingID(r), "the booking in the way, to plan from")
	again := step("evt-2", *r.Booking, nil)
	again.Payments, again.Event = late.Payments, late.Event
	done := e.apply(again)
	length(e, done.Payments, 2)
	e.replayed(late) // which now is what the key names
}

func conflictNeverLate(e *env) {
	one := store.SeatClaim{Slot: "room", Capacity: 1, Count: 1}
	owner := *e.apply(claiming("k-owner", "b-owner", one)).Booking
	read := *e.apply(paid("k-1", "b-1", "pi-1")).Booking

	noSeat := claiming("evt-seat", "b-seat", one)
	next := read // as it will be
	next.Version++
	tooSoon := step("evt-soon", next, nil)
	tooSoon.Payments = []store.Payment{aPayment(*tooSoon.Booking, "pi-soon")}
	made := aBooking("b-made") // as it will be
	made.Version = 1
	unmade := step("evt-unmade", made, nil)
	for _, c := range []*store.Change{&noSeat, &tooSoon, &unmade} {
		c.Event = anEvent(c.Key)
	}
	e.conflict(store.ConflictSeats, noSeat)
	e.conflict(store.ConflictVersion, tooSoon)
	e.conflict(store.ConflictVersion, unmade)

	// What was in their way goes.
	freed := step("k-free", owner, nil)
	freed.Release = owner.Seats
	e.apply(freed)
	e.apply(step("k-2", read, nil))
	e.apply(aChange("k-made", aBooking("b-made")))

	empty(e, e.look(noSeat).Booking, "the booking that found no seat is there, though a seat was free only later")
	require.EqualValues(e, 2, e.booking("b-1").Version, "a Change of version 2 that came before it")
	require.EqualValues(e, 1, e.booking("b-made").Version, "a Change of a booking that came before it")
	v := e.look(tooSoon)
	empty(e, v.Payments)
	empty(e, v.Events, "no ledger row of a Change that lost")
	e.claimable("room", 1, 1)
}
