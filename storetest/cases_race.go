package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/store"
)

// raceCases are about G3: of many at once, one wins and the others know it.
func raceCases() []testCase {
	return []testCase{
		{
			name:   "race-key",
			reason: "32 deliveries of one event at once: one is applied and 31 are replays",
			run:    raceKey,
		},
		{
			name:   "race-key-ledger-only",
			reason: "32 deliveries at once of an event that changes no booking: one writes the ledger row",
			run:    raceKeyLedgerOnly,
		},
		{
			name:   "race-new-booking",
			reason: "32 events at once that all make the same booking: one makes it, and nothing of the others stays",
			run:    raceNewBooking,
		},
		{
			name:   "race-version",
			reason: "32 Changes at once that were planned from the same version: one is applied, and nothing of the others stays",
			run:    raceVersion,
		},
		{
			name:   "race-intent",
			reason: "32 bookings at once that claim one payment intent: one has it, and the others do not exist",
			run:    raceIntent,
		},
		{
			name:   "race-last-seat",
			reason: "32 bookings at once for the only seat: one has it",
			run:    func(e *env) { raceSeats(e, 1) },
		},
		{
			name:   "race-five-seats",
			reason: "32 bookings at once for five seats: exactly five have one, each another",
			run:    func(e *env) { raceSeats(e, 5) },
		},
		{
			name:   "race-count",
			reason: "100 workers that read, plan and apply on one booking count to exactly 100: no update is lost and none is made twice",
			run:    raceCount,
		},
		{
			name:   "race-failures",
			reason: "32 failed attempts at one event at once are all counted",
			run:    raceFailures,
		},
		{
			name:   "race-event",
			reason: "32 Changes at once that bring the same event under keys of their own share one ledger row, which counts them all",
			run:    raceEvent,
		},
	}
}

func raceKey(e *env) {
	got := race(callers, func(i int) (store.Result, error) {
		c := paid("evt-1", "b-1", "pi-1")
		c.Event = anEvent("evt-1")
		c.Event.Payload = []byte(fmt.Sprintf(`{"pending_webhooks":%d}`, i))
		c.Claim = []store.SeatClaim{{Slot: "room", Capacity: callers, Count: 1}}
		return e.Apply(e.ctx, c)
	})
	applied := 0
	for i, o := range got {
		require.NoError(e, o.err, "caller %d: the same key is a replay and never a conflict", i)
		require.NotNil(e, o.result.Booking, "caller %d", i)
		require.EqualValues(e, 1, o.result.Booking.Version, "caller %d", i)
		require.Len(e, o.result.Payments, 1, "caller %d", i)
		require.NotNil(e, o.result.Event, "caller %d", i)
		if o.result.Applied {
			applied++
		}
	}
	require.Equal(e, 1, applied, "callers that were told that they made the Change")
	require.Len(e, e.history("b-1"), 1)
	require.Equal(e, 1, e.event("evt-1").Attempts)
	e.claimable("room", callers, callers-1)
}

func raceKeyLedgerOnly(e *env) {
	got := race(callers, func(int) (store.Result, error) {
		return e.Apply(e.ctx, store.Change{Key: "evt-1", Event: anEvent("evt-1")})
	})
	applied := 0
	for i, o := range got {
		require.NoError(e, o.err, "caller %d", i)
		if o.result.Applied {
			applied++
		}
	}
	require.Equal(e, 1, applied, "callers that were told that they made the Change")
	require.Equal(e, 1, e.event("evt-1").Attempts)
}

func raceNewBooking(e *env) {
	change := func(i int) store.Change {
		c := paid(name("evt", i), "b-1", name("pi", i))
		c.Event = anEvent(c.Key)
		return c
	}
	got := race(callers, func(i int) (store.Result, error) { return e.Apply(e.ctx, change(i)) })
	oneWon(e, got, 1, change)
}

func raceVersion(e *env) {
	read := *e.apply(aChange("k-0", aBooking("b-1"))).Booking
	change := func(i int) store.Change {
		c := step(name("evt", i), read, func(b *store.Booking) { b.PaymentIntentID = name("pi", i) })
		c.Payments = []store.Payment{aPayment(*c.Booking, name("pi", i))}
		c.Event = anEvent(c.Key)
		return c
	}
	got := race(callers, func(i int) (store.Result, error) { return e.Apply(e.ctx, change(i)) })
	oneWon(e, got, 2, change)
}

// oneWon expects that exactly one of the Changes of booking b-1 is in.
func oneWon(e *env, got []outcome, version int64, change func(i int) store.Change) {
	won := e.winners(got)
	require.Len(e, won, 1, "callers that were told that they won")
	winner := change(won[0])
	b := e.booking("b-1")
	require.Equal(e, version, b.Version)
	require.Equal(e, winner.Booking.PaymentIntentID, b.PaymentIntentID, "the stored booking is the winner's")
	require.Len(e, e.history("b-1"), int(version))
	ps, _, err := e.PaymentsByBooking(e.ctx, "b-1", store.Page{})
	require.NoError(e, err)
	require.Equal(e, winner.Payments, ps, "only the winner's payment is stored")
	rows, _, err := e.Events(e.ctx, store.EventFilter{}, store.Page{})
	require.NoError(e, err)
	require.Len(e, rows, 1, "only the winner's ledger row is stored")
	require.Equal(e, winner.Event.ID, rows[0].ID)
	for i, o := range got {
		if i == won[0] {
			continue
		}
		require.Equal(e, store.ConflictVersion, o.result.Conflict, "caller %d", i)
		require.NotNil(e, o.result.Booking, "caller %d: what to plan from next", i)
		require.Equal(e, b, *o.result.Booking, "caller %d", i)
		require.Equal(e, ps, o.result.Payments, "caller %d", i)
	}
	// What lost can be planned anew under its key.
	loser := (won[0] + 1) % callers
	again := step(change(loser).Key, *got[loser].result.Booking, nil)
	again.Payments = change(loser).Payments
	e.apply(again)
}

func raceIntent(e *env) {
	change := func(i int) store.Change {
		c := paid(name("evt", i), name("b", i), "pi-1")
		c.Payments[0].ID = name("pay", i)
		c.Event = anEvent(c.Key)
		return c
	}
	got := race(callers, func(i int) (store.Result, error) { return e.Apply(e.ctx, change(i)) })
	won := e.winners(got)
	require.Len(e, won, 1, "callers that were told that they won")
	winner := change(won[0])
	require.Equal(e, winner.Payments[0], e.payment("pi-1"))
	bs, _, err := e.BookingsByUser(e.ctx, someUser, store.Page{})
	require.NoError(e, err)
	require.Len(e, bs, 1, "only the winner's booking is stored")
	require.Equal(e, winner.Booking.ID, bs[0].ID)
	rows, _, err := e.Events(e.ctx, store.EventFilter{}, store.Page{})
	require.NoError(e, err)
	require.Len(e, rows, 1, "only the winner's ledger row is stored")
	for i, o := range got {
		if i == won[0] {
			continue
		}
		require.Empty(e, e.history(name("b", i)), "caller %d", i)
		require.Equal(e, store.ConflictIntent, o.result.Conflict, "caller %d", i)
		require.NotNil(e, o.result.Booking, "caller %d: the booking that owns the intent", i)
		require.Equal(e, winner.Booking.ID, o.result.Booking.ID, "caller %d", i)
		require.Equal(e, winner.Payments, o.result.Payments, "caller %d", i)
	}
}

func raceSeats(e *env, capacity int) {
	change := func(i int) store.Change {
		c := claiming(name("k", i), name("b", i), store.SeatClaim{Slot: "room", Capacity: capacity, Count: 1})
		c.Event = anEvent(name("evt", i))
		return c
	}
	got := race(callers, func(i int) (store.Result, error) { return e.Apply(e.ctx, change(i)) })
	won := e.winners(got)
	require.Len(e, won, capacity, "a claim conflicts only when no seat is free")
	taken := map[int]bool{}
	for i, o := range got {
		if !slices.Contains(won, i) {
			require.Equal(e, store.ConflictSeats, o.result.Conflict, "caller %d", i)
			require.Nil(e, o.result.Booking, "caller %d: its own booking, which does not exist", i)
			require.Empty(e, e.history(name("b", i)), "caller %d", i)
			continue
		}
		require.Len(e, o.result.Booking.Seats, 1, "caller %d", i)
		n := o.result.Booking.Seats[0].Number
		require.False(e, taken[n], "seat %d is given twice", n)
		require.True(e, n >= 1 && n <= capacity, "seat %d of %d", n, capacity)
		taken[n] = true
		require.Equal(e, *o.result.Booking, e.booking(name("b", i)))
	}
	rows, _, err := e.Events(e.ctx, store.EventFilter{}, store.Page{})
	require.NoError(e, err)
	require.Len(e, rows, capacity, "only the winners' ledger rows are stored")
}

func raceCount(e *env) {
	const workers = 100
	first := *e.apply(aChange("k-0", aBooking("b-1"))).Booking
	problems := make([]error, workers)
	var done sync.WaitGroup
	for i := range workers {
		done.Add(1)
		go func() {
			defer done.Done()
			read := first
			for try := 0; ; try++ {
				r, err := e.Apply(e.ctx, step(name("k-worker", i), read, func(b *store.Booking) { b.Paid++ }))
				switch {
				case err == nil && r.Applied:
					return
				case !errors.Is(err, store.ErrConflict):
					problems[i] = fmt.Errorf("worker %d: applied %t, error %w", i, r.Applied, err)
					return
				case r.Booking == nil || r.Booking.Version <= read.Version:
					problems[i] = fmt.Errorf("worker %d: a conflict that brings no newer booking", i)
					return
				case try == 10*workers:
					problems[i] = fmt.Errorf("worker %d: lost %d times", i, try)
					return
				}
				read = *r.Booking
			}
		}()
	}
	done.Wait()
	require.NoError(e, errors.Join(problems...))
	b := e.booking("b-1")
	require.EqualValues(e, workers, b.Paid, "what the workers counted to")
	require.EqualValues(e, workers+1, b.Version)
	lines := e.history("b-1")
	require.Len(e, lines, workers+1)
	for i, line := range lines {
		require.EqualValues(e, workers+1-i, line.Version)
	}
}

func raceFailures(e *env) {
	got := race(callers, func(int) (store.Result, error) {
		return store.Result{}, e.RecordFailure(e.ctx, *anEvent("evt-1"), "no database", false)
	})
	for i, o := range got {
		require.NoError(e, o.err, "caller %d", i)
	}
	require.Equal(e, callers, e.event("evt-1").Attempts)
}

func raceEvent(e *env) {
	got := race(callers, func(i int) (store.Result, error) {
		return e.Apply(e.ctx, store.Change{Key: name("evt-1/replay", i), Event: anEvent("evt-1")})
	})
	require.Len(e, e.winners(got), callers, "Changes with keys of their own, and nothing to fight over, all apply")
	require.Equal(e, callers, e.event("evt-1").Attempts)
}
