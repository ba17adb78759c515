package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

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
			name:   "race-key-plans",
			reason: "32 deliveries of one event at once, each planned with a booking of its own: one is applied, and nothing of the other plans stays",
			run:    raceKeyPlans,
		},
		{
			name:   "race-key-fingerprints",
			reason: "32 callers at once use one key for two commands: one is applied, those of the same command get a replay, and the others ErrMismatch",
			run:    raceKeyFingerprints,
		},
		{
			name:   "race-strangers",
			reason: "32 Changes at once that want nothing of each other are all applied: a busy database is no conflict",
			run:    raceStrangers,
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
			run:    func(e *env) { raceIntent(e, false) },
		},
		{
			name:   "race-intent-stored",
			reason: "32 stored bookings at once that claim one payment intent: one has it, and the others are as they were",
			run:    func(e *env) { raceIntent(e, true) },
		},
		{
			name:   "race-two-intents",
			reason: "32 bookings at once that bring the same two payment intents, in one order and the other: one has both, and no deadlock shows",
			run:    raceTwoIntents,
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
			name:   "race-seat-pairs",
			reason: "32 bookings at once for two of five seats: two have theirs, and nobody gave up for another that gave up as well",
			run:    raceSeatPairs,
		},
		{
			name:   "race-two-slots",
			reason: "32 bookings at once that claim seats of two slots, in one order and the other: all have theirs for which there is room, and no deadlock shows",
			run:    raceTwoSlots,
		},
		{
			name:   "race-release",
			reason: "a seat that 16 Changes at once release, while 16 bookings claim it, is freed once and taken once",
			run:    raceRelease,
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
		{
			name:   "race-event-news",
			reason: "deliveries of one event that fail, succeed and note their handlers, all at once: done is done, and every attempt and handler is there",
			run:    raceEventNews,
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
	e.replays(got)
	for i, o := range got {
		require.NotNil(e, o.result.Booking, "caller %d", i)
		require.EqualValues(e, 1, o.result.Booking.Version, "caller %d", i)
		length(e, o.result.Payments, 1, "caller %d", i)
		require.NotNil(e, o.result.Event, "caller %d", i)
	}
	length(e, e.history("b-1"), 1)
	equal(e, 1, e.event("evt-1").Attempts)
	e.claimable("room", callers, callers-1)
}

func raceKeyLedgerOnly(e *env) {
	got := race(callers, func(int) (store.Result, error) {
		return e.Apply(e.ctx, store.Change{Key: "evt-1", Event: anEvent("evt-1")})
	})
	e.replays(got)
	equal(e, 1, e.event("evt-1").Attempts)
}

func raceKeyPlans(e *env) {
	for _, seats := range []bool{false, true} {
		key := fmt.Sprintf("evt-%t", seats)
		change := func(i int) store.Change {
			id := name(key, i)
			c := paid(key, id, id)
			c.Booking.UserID = key
			c.Event = anEvent(key)
			if seats {
				c.Claim = []store.SeatClaim{{Slot: "room", Capacity: callers, Count: 1}}
			}
			return c
		}
		got := race(callers, func(i int) (store.Result, error) { return e.Apply(e.ctx, change(i)) })
		won := e.replays(got)
		want := e.booking(change(won).Booking.ID)
		for i, o := range got {
			equal(e, &want, o.result.Booking, "caller %d: the booking of the Change that has the key", i)
			equal(e, change(won).Payments, o.result.Payments, "caller %d", i)
			require.NotNil(e, o.result.Event, "caller %d", i)
			if i != won {
				v := e.look(change(i))
				empty(e, v.Booking, "the booking of caller %d, who lost", i)
				empty(e, v.Payments, "the payment of caller %d, who lost", i)
				empty(e, v.History, "the history of caller %d, who lost", i)
			}
		}
		bs, _, err := e.BookingsByUser(e.ctx, key, store.Page{})
		require.NoError(e, err)
		equal(e, []store.Booking{want}, bs)
		equal(e, 1, e.event(key).Attempts)
	}
	e.claimable("room", callers, callers-1)
}

func raceKeyFingerprints(e *env) {
	got := race(callers, func(i int) (store.Result, error) {
		c := paid("k-1", "b-1", "pi-1")
		c.Fingerprint = name("command", i%2)
		return e.Apply(e.ctx, c)
	})
	won := slices.IndexFunc(got, func(o outcome) bool { return o.result.Applied })
	require.NotEqual(e, -1, won, "nobody was told that it made the Change")
	for i, o := range got {
		if i%2 != won%2 {
			require.ErrorIs(e, o.err, store.ErrMismatch, "caller %d, with the other command", i)
		} else {
			require.NoError(e, o.err, "caller %d, with the same command", i)
		}
		equal(e, i == won, o.result.Applied, "caller %d: Applied", i)
	}
}

func raceStrangers(e *env) {
	for _, seats := range []bool{false, true} {
		change := func(i int) store.Change {
			id := fmt.Sprintf("%t-%d", seats, i)
			c := paid("evt-"+id, "b-"+id, "pi-"+id)
			c.Event = anEvent(c.Key)
			if seats {
				c.Claim = []store.SeatClaim{{Slot: "room-" + id, Capacity: 1, Count: 1}}
			}
			return c
		}
		got := race(callers, func(i int) (store.Result, error) { return e.Apply(e.ctx, change(i)) })
		length(e, e.winners(got), callers, "new bookings")
		got = race(callers, func(i int) (store.Result, error) {
			return e.Apply(e.ctx, step("next-"+change(i).Key, *got[i].result.Booking, nil))
		})
		length(e, e.winners(got), callers, "stored bookings")
	}
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
	length(e, won, 1, "callers that were told that they won")
	winner := change(won[0])
	b := e.booking("b-1")
	equal(e, version, b.Version)
	equal(e, winner.Booking.PaymentIntentID, b.PaymentIntentID, "the stored booking is the winner's")
	length(e, e.history("b-1"), int(version))
	ps, _, err := e.PaymentsByBooking(e.ctx, "b-1", store.Page{})
	require.NoError(e, err)
	equal(e, winner.Payments, ps, "only the winner's payment is stored")
	rows, _, err := e.Events(e.ctx, store.EventFilter{}, store.Page{})
	require.NoError(e, err)
	length(e, rows, 1, "only the winner's ledger row is stored")
	equal(e, winner.Event.ID, rows[0].ID)
	for i, o := range got {
		if i == won[0] {
			continue
		}
		equal(e, store.ConflictVersion, o.result.Conflict, "caller %d", i)
		require.NotNil(e, o.result.Booking, "caller %d: what to plan from next", i)
		equal(e, b, *o.result.Booking, "caller %d", i)
		equal(e, ps, o.result.Payments, "caller %d", i)
	}
	// What lost can be planned anew under its key.
	loser := (won[0] + 1) % callers
	again := step(change(loser).Key, *got[loser].result.Booking, nil)
	again.Payments = change(loser).Payments
	e.apply(again)
}

func raceIntent(e *env, stored bool) {
	reads := make([]*store.Booking, callers)
	change := func(i int) store.Change {
		c := paid(name("evt", i), name("b", i), "pi-1")
		if stored {
			c.Booking.Version = reads[i].Version
		}
		c.Payments[0].ID = name("pay", i)
		c.Event = anEvent(c.Key)
		return c
	}
	if stored {
		for i := range callers {
			reads[i] = e.apply(aChange(name("k", i), aBooking(name("b", i)))).Booking
		}
	}
	got := race(callers, func(i int) (store.Result, error) { return e.Apply(e.ctx, change(i)) })
	won := e.winners(got)
	length(e, won, 1, "callers that were told that they won")
	winner := change(won[0])
	equal(e, winner.Payments[0], e.payment("pi-1"))
	rows, _, err := e.Events(e.ctx, store.EventFilter{}, store.Page{})
	require.NoError(e, err)
	length(e, rows, 1, "only the winner's ledger row is stored")
	for i, o := range got {
		if i == won[0] {
			continue
		}
		id := name("b", i)
		equal(e, reads[i], maybe(e, func() (store.Booking, error) { return e.Booking(e.ctx, id) }), "the booking of caller %d, who lost", i)
		equal(e, stored, len(e.history(id)) == 1, "the history of caller %d, who lost", i)
		equal(e, store.ConflictIntent, o.result.Conflict, "caller %d", i)
		require.NotNil(e, o.result.Booking, "caller %d: the booking that owns the intent", i)
		equal(e, winner.Booking.ID, o.result.Booking.ID, "caller %d", i)
		equal(e, winner.Payments, o.result.Payments, "caller %d", i)
	}
}

func raceTwoIntents(e *env) {
	change := func(i int) store.Change {
		c := paid(name("evt", i), name("b", i), "pi-1")
		c.Payments = append(c.Payments, aPayment(*c.Booking, "pi-2"))
		if i%2 == 1 {
			slices.Reverse(c.Payments)
		}
		return c
	}
	got := race(callers, func(i int) (store.Result, error) { return e.Apply(e.ctx, change(i)) })
	won := e.winners(got)
	length(e, won, 1, "callers that were told that they won")
	for _, intent := range []string{"pi-1", "pi-2"} {
		equal(e, name("b", won[0]), e.payment(intent).BookingID, intent)
	}
	for i, o := range got {
		if i != won[0] {
			equal(e, store.ConflictIntent, o.result.Conflict, "caller %d", i)
			empty(e, e.history(name("b", i)), "the history of caller %d, who lost", i)
		}
	}
}

func raceSeatPairs(e *env) {
	got := race(callers, func(i int) (store.Result, error) {
		return e.Apply(e.ctx, claiming(name("k", i), name("b", i), store.SeatClaim{Slot: "room", Capacity: 5, Count: 2}))
	})
	length(e, e.winners(got), 2, "a claim conflicts only when too few seats are free")
	e.claimable("room", 5, 1)
}

func raceTwoSlots(e *env) {
	const room = 20
	got := race(callers, func(i int) (store.Result, error) {
		claims := []store.SeatClaim{{Slot: "hall", Capacity: room, Count: 1}, {Slot: "pool", Capacity: room, Count: 1}}
		if i%2 == 1 {
			slices.Reverse(claims)
		}
		return e.Apply(e.ctx, claiming(name("k", i), name("b", i), claims...))
	})
	length(e, e.winners(got), room, "a claim conflicts only when too few seats are free")
	e.claimable("hall", room, 0)
	e.claimable("pool", room, 0)
}

func raceRelease(e *env) {
	one := store.SeatClaim{Slot: "room", Capacity: 1, Count: 1}
	owner := *e.apply(claiming("k-owner", "b-owner", one)).Booking
	var releasing atomic.Int32
	releasing.Store(callers / 2)
	got := race(callers, func(i int) (store.Result, error) {
		if i%2 == 0 {
			defer releasing.Add(-1)
			c := step(name("k", i), owner, nil)
			c.Release = owner.Seats
			return e.Apply(e.ctx, c)
		}
		for { // until the last release is over, and once more
			last := releasing.Load() == 0
			r, err := e.Apply(e.ctx, claiming(name("k", i), name("b", i), one))
			if last || !errors.Is(err, store.ErrConflict) {
				return r, err
			}
		}
	})
	var winners [2]int // releases, claims
	for _, i := range e.winners(got) {
		winners[i%2]++
	}
	equal(e, [2]int{1, 1}, winners, "how many of the releases, and of the claims, were applied")
	empty(e, e.booking("b-owner").Seats)
	for i, o := range got {
		if i%2 == 1 && o.err == nil {
			equal(e, owner.Seats, e.booking(name("b", i)).Seats)
		}
	}
	e.claimable("room", 1, 0)
}

func raceSeats(e *env, capacity int) {
	change := func(i int) store.Change {
		c := claiming(name("k", i), name("b", i), store.SeatClaim{Slot: "room", Capacity: capacity, Count: 1})
		c.Event = anEvent(name("evt", i))
		return c
	}
	got := race(callers, func(i int) (store.Result, error) { return e.Apply(e.ctx, change(i)) })
	won := e.winners(got)
	length(e, won, capacity, "a claim conflicts only when no seat is free")
	taken := map[int]bool{}
	for i, o := range got {
		if !slices.Contains(won, i) {
			equal(e, store.ConflictSeats, o.result.Conflict, "caller %d", i)
			empty(e, o.result.Booking, "caller %d: its own booking, which does not exist", i)
			empty(e, e.history(name("b", i)), "caller %d", i)
			continue
		}
		length(e, o.result.Booking.Seats, 1, "caller %d", i)
		n := o.result.Booking.Seats[0].Number
		require.False(e, taken[n], "seat %d is given twice", n)
		require.True(e, n >= 1 && n <= capacity, "seat %d of %d", n, capacity)
		taken[n] = true
		equal(e, *o.result.Booking, e.booking(name("b", i)))
	}
	rows, _, err := e.Events(e.ctx, store.EventFilter{}, store.Page{})
	require.NoError(e, err)
	length(e, rows, capacity, "only the winners' ledger rows are stored")
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
			problems[i] = guard(func() error {
				for try := 0; ; try++ {
					r, err := e.Apply(e.ctx, step(name("k-worker", i), read, func(b *store.Booking) { b.Paid++ }))
					switch {
					case err == nil && r.Applied:
						return nil
					case !errors.Is(err, store.ErrConflict):
						return fmt.Errorf("worker %d: applied %t, error %w", i, r.Applied, err)
					case r.Booking == nil || r.Booking.Version <= read.Version:
						return fmt.Errorf("worker %d: a conflict that brings no newer booking", i)
					case try == 10*workers:
						return fmt.Errorf("worker %d: lost %d times", i, try)
					}
					read = *r.Booking
				}
			})
		}()
	}
	done.Wait()
	require.NoError(e, errors.Join(problems...))
	b := e.booking("b-1")
	require.EqualValues(e, workers, b.Paid, "what the workers counted to")
	require.EqualValues(e, workers+1, b.Version)
	lines := e.history("b-1")
	length(e, lines, workers+1)
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
	equal(e, callers, e.event("evt-1").Attempts)
}

func raceEvent(e *env) {
	got := race(callers, func(i int) (store.Result, error) {
		return e.Apply(e.ctx, store.Change{Key: name("evt-1/replay", i), Event: anEvent("evt-1")})
	})
	length(e, e.winners(got), callers, "Changes with keys of their own, and nothing to fight over, all apply")
	equal(e, callers, e.event("evt-1").Attempts)
}

func raceEventNews(e *env) {
	require.NoError(e, e.RecordFailure(e.ctx, *anEvent("evt-1"), "no database", false))
	want := e.event("evt-1")
	change := func() store.Change {
		c := paid("evt-1", "b-1", "pi-1")
		c.Event = anEvent("evt-1")
		return c
	}
	for i := range callers {
		switch i % 3 {
		case 0:
			want = store.MergeFailure(&want, *anEvent("evt-1"), "no database", i%2 == 0)
		case 1:
			want = store.MergeHandled(want, []string{name("handler", i)}, false)
		}
	}
	want = store.MergeEvent(&want, *change().Event)
	got := race(callers, func(i int) (store.Result, error) {
		switch i % 3 {
		case 0:
			return store.Result{}, e.RecordFailure(e.ctx, *anEvent("evt-1"), "no database", i%2 == 0)
		case 1:
			return store.Result{}, e.RecordHandled(e.ctx, "evt-1", []string{name("handler", i)}, false, at(0))
		}
		return e.Apply(e.ctx, change())
	})
	e.replays(got)
	equal(e, want, e.event("evt-1"))
	require.EqualValues(e, 1, e.booking("b-1").Version)
}
