package storetest

import (
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/store"
)

// reopenCases are about other handles on the database, which stand for other
// processes, earlier, later and at the same time.
func reopenCases() []testCase {
	return []testCase{
		{
			name:   "reopen-keeps",
			reason: "all that was stored is there for the next process: records, keys, intents, versions and seats",
			run:    reopenKeeps,
		},
		{
			name:   "reopen-no-cache",
			reason: "two processes on one database see each other's writes at once",
			run:    reopenNoCache,
		},
		{
			name:   "reopen-race",
			reason: "one winner also among callers in different processes: the lock is a key of the database",
			run:    reopenRace,
		},
	}
}

func (e *env) reopened() *env {
	e.Helper()
	other := *e
	other.Store = e.hooks.reopen(e.Store)
	return &other
}

func reopenKeeps(e *env) {
	c := fullChange(1)
	c.Claim = c.Booking.Claims
	e.apply(c)
	e.apply(paid("evt-other", "b-other", "pi-other"))
	failure := *anEvent("evt-failed")
	require.NoError(e, e.RecordFailure(e.ctx, failure, "no database", true))
	want := e.look(c)

	e = e.reopened()
	equal(e, want, e.look(c))
	equal(e, want.Booking, e.replayed(c).Booking, "keys are kept")
	c.Fingerprint = "another"
	_, err := e.Apply(e.ctx, c)
	require.ErrorIs(e, err, store.ErrMismatch, "fingerprints are kept")
	e.conflict(store.ConflictVersion, paid("k-1", "b-full", "pi-1"))
	e.conflict(store.ConflictIntent, paid("k-1", "b-1", "pi-other"))
	e.conflict(store.ConflictSeats, claiming("k-1", "b-1", store.SeatClaim{Slot: "pool", Capacity: 8, Count: 7}))
	require.NoError(e, e.RecordFailure(e.ctx, failure, "no database", true))
	equal(e, 2, e.event("evt-failed").Attempts)
	next := step("k-2", *want.Booking, nil)
	next.Release = want.Booking.Seats
	require.EqualValues(e, 2, e.apply(next).Booking.Version)

	e = e.reopened()
	length(e, e.history("b-full"), 2)
	e.claimable("pool", 8, 8)
}

func reopenNoCache(e *env) {
	handles := []*env{e, e.reopened()}
	var read store.Booking
	for i := range 6 {
		writer, reader := handles[i%2], handles[1-i%2]
		c := paid(name("evt", i), "b-1", name("pi", i))
		if i > 0 {
			c = step(name("evt", i), read, nil)
			c.Payments = []store.Payment{aPayment(*c.Booking, name("pi", i))}
		}
		c.Event = anEvent(name("evt", i))
		c.Event.State = store.EventApplied
		empty(e, reader.look(c).Event)
		writer.apply(c)
		require.NoError(e, reader.RecordHandled(e.ctx, c.Event.ID, []string{"mail"}, true, at(1)))
		equal(e, []string{"mail"}, writer.event(c.Event.ID).Handlers)
		equal(e, writer.look(c), reader.look(c))
		require.EqualValues(e, i+1, reader.booking("b-1").Version)
		r := reader.replayed(c)
		length(e, r.Payments, i+1)
		read = *r.Booking
	}
}

func reopenRace(e *env) {
	handles := []*env{e, e.reopened()}
	read := *e.apply(aChange("k-0", aBooking("b-0"))).Booking
	contest := func(what string, wins int, change func(i int) store.Change) {
		e.Helper()
		got := race(callers, func(i int) (store.Result, error) { return handles[i%2].Apply(e.ctx, change(i)) })
		length(e, e.winners(got), wins, what)
	}
	contest("one new booking", 1, func(i int) store.Change { return paid(name("k-new", i), "b-1", name("pi-new", i)) })
	contest("one version", 1, func(i int) store.Change { return step(name("k-version", i), read, nil) })
	contest("one intent", 1, func(i int) store.Change { return paid(name("k-intent", i), name("b-intent", i), "pi-1") })
	contest("three seats", 3, func(i int) store.Change {
		return claiming(name("k-seat", i), name("b-seat", i), store.SeatClaim{Slot: "room", Capacity: 3, Count: 1})
	})
	got := race(callers, func(i int) (store.Result, error) {
		c := paid("evt-1", "b-key", "pi-key")
		c.Event = anEvent("evt-1")
		return handles[i%2].Apply(e.ctx, c)
	})
	e.replays(got)
	equal(e, 1, e.event("evt-1").Attempts)
}
