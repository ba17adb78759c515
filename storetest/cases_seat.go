package storetest

import (
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/store"
)

// seatCases are about seats outside races.
func seatCases() []testCase {
	return []testCase{
		{
			name:   "seats-picked",
			reason: "the adapter picks free seats numbered 1 to the capacity, as many as asked for, no seat twice",
			run:    seatsPicked,
		},
		{
			name:   "seats-all-or-none",
			reason: "a claim of more seats than are free takes none, on no slot of the Change",
			run:    seatsAllOrNone,
		},
		{
			name:   "seats-released",
			reason: "released seats are another's to take, again and again, and the seats that were kept are not",
			run:    seatsReleased,
		},
		{
			name:   "seats-freed-once",
			reason: "a release that comes again, or late, frees nothing: the seat is another booking's by then",
			run:    seatsFreedOnce,
		},
		{
			name:   "seats-reclaimed",
			reason: "a Change may release its seats and claim on the same slot: the released ones count as free",
			run:    seatsReclaimed,
		},
		{
			name:   "seats-kept",
			reason: "a Change that is not about seats keeps them, on whatever it does to the booking",
			run:    seatsKept,
		},
		{
			name:   "seats-capacity",
			reason: "a capacity that changes from claim to claim counts for that claim alone",
			run:    seatsCapacity,
		},
		{
			name:   "seats-read",
			reason: "a Change that was not made from the booking's seats is invalid: seats that are made up may be another's",
			run:    seatsRead,
		},
	}
}

func seatsPicked(e *env) {
	taken := map[store.Seat]bool{}
	for i, count := range []int{2, 1, 3} {
		id := name("b", i)
		b := e.apply(claiming("k-"+id, id,
			store.SeatClaim{Slot: "room", Capacity: 6, Count: count},
			store.SeatClaim{Slot: "pool", Capacity: 3, Count: 1})).Booking
		equal(e, b.Seats, e.booking(id).Seats)
		length(e, b.Seats, count+1)
		in := map[string]int{}
		for _, s := range b.Seats {
			require.False(e, taken[s], "seat %v is given twice", s)
			taken[s] = true
			in[s.Slot]++
			require.GreaterOrEqual(e, s.Number, 1)
			require.LessOrEqual(e, s.Number, map[string]int{"room": 6, "pool": 3}[s.Slot])
		}
		equal(e, map[string]int{"room": count, "pool": 1}, in)
		length(e, b.Claims, 2, "what it needs is kept beside what it has")
	}
	length(e, taken, 9)
	e.claimable("room", 6, 0)
	e.claimable("pool", 3, 0)
}

func seatsAllOrNone(e *env) {
	e.apply(claiming("k-1", "b-1", store.SeatClaim{Slot: "room", Capacity: 3, Count: 2}))
	for _, claims := range [][]store.SeatClaim{
		{{Slot: "room", Capacity: 3, Count: 2}},
		{{Slot: "room", Capacity: 3, Count: 3}},
		{{Slot: "pool", Capacity: 2, Count: 2}, {Slot: "room", Capacity: 3, Count: 2}},
		{{Slot: "room", Capacity: 3, Count: 2}, {Slot: "pool", Capacity: 2, Count: 2}},
	} {
		r := e.conflict(store.ConflictSeats, claiming("k-2", "b-2", claims...))
		empty(e, r.Booking)
	}
	e.claimable("room", 3, 1)
	e.claimable("pool", 2, 2)
}

func seatsReleased(e *env) {
	one := []store.SeatClaim{{Slot: "room", Capacity: 1, Count: 1}}
	owner := *e.apply(claiming("k-0", "b-0", one...)).Booking
	seat := owner.Seats
	for i := 1; i <= 4; i++ { // the seat wanders from booking to booking
		id := name("b", i)
		e.conflict(store.ConflictSeats, claiming("k-"+id, id, one...))
		c := step("k-free-"+id, owner, func(b *store.Booking) { b.State = store.StateExpired })
		c.Release = seat
		freed := e.apply(c).Booking
		empty(e, freed.Seats)
		empty(e, e.booking(owner.ID).Seats)
		owner = *e.apply(claiming("k-"+id, id, one...)).Booking
		equal(e, seat, owner.Seats)
		// The one that lost it can go on without it, and can't have it back.
		back := step("k-back-"+id, *freed, nil)
		back.Claim = one
		e.conflict(store.ConflictSeats, back)
		back.Claim = nil
		empty(e, e.apply(back).Booking.Seats)
	}

	// Some of several.
	b := *e.apply(claiming("k-many", "b-many", store.SeatClaim{Slot: "hall", Capacity: 3, Count: 3})).Booking
	c := step("k-some", b, nil)
	c.Release = b.Seats[1:2]
	r := e.apply(c)
	equal(e, sorted([]store.Seat{b.Seats[0], b.Seats[2]}), sorted(r.Booking.Seats))
	equal(e, b.Seats[1:2], e.apply(claiming("k-next", "b-next", store.SeatClaim{Slot: "hall", Capacity: 3, Count: 1})).Booking.Seats)
	e.claimable("hall", 3, 0)
}

func seatsFreedOnce(e *env) {
	one := store.SeatClaim{Slot: "room", Capacity: 1, Count: 1}
	owner := *e.apply(claiming("k-1", "b-1", one)).Booking
	free := func(key string, read store.Booking) store.Change {
		c := step(key, read, func(b *store.Booking) { b.Seats = owner.Seats })
		c.Release = owner.Seats
		return c
	}
	freed := *e.apply(free("k-free", owner)).Booking
	next := *e.apply(claiming("k-2", "b-2", one)).Booking
	equal(e, owner.Seats, next.Seats)

	kept := func(after string) {
		e.Helper()
		equal(e, next, e.booking("b-2"), "after %s the seat is its new owner's", after)
		_, err := e.Apply(e.ctx, claiming("k-thief", "b-thief", one))
		require.ErrorIs(e, err, store.ErrConflict, "after %s the seat is taken", after)
	}
	e.replayed(free("k-free", owner))
	kept("the same release again")
	e.conflict(store.ConflictVersion, free("k-late", owner))
	kept("a release planned from the version before")
	_, err := e.Apply(e.ctx, free("k-made-up", freed))
	require.ErrorIs(e, err, store.ErrInvalid, "a release of a seat that the booking has no more")
	kept("a release of a seat that the booking has no more")
}

func seatsReclaimed(e *env) {
	b := *e.apply(claiming("k-1", "b-1", store.SeatClaim{Slot: "room", Capacity: 2, Count: 2})).Booking
	c := step("k-2", b, nil)
	c.Release = b.Seats
	c.Claim = []store.SeatClaim{{Slot: "room", Capacity: 2, Count: 1}, {Slot: "hall", Capacity: 5, Count: 2}}
	r := e.apply(c)
	in := map[string]int{}
	for _, s := range r.Booking.Seats {
		in[s.Slot]++
	}
	equal(e, map[string]int{"room": 1, "hall": 2}, in)
	equal(e, *r.Booking, e.booking("b-1"))
	e.claimable("room", 2, 1)
	e.claimable("hall", 5, 3)
}

func seatsKept(e *env) {
	b := *e.apply(claiming("k-1", "b-1", store.SeatClaim{Slot: "room", Capacity: 4, Count: 2})).Booking
	seats := sorted(b.Seats)
	for i, state := range []store.State{store.StateCancelled, store.StateConflicted, store.StateRefunded} {
		c := step(name("k-state", i), b, func(b *store.Booking) { b.State, b.Claims = state, nil })
		b = *e.apply(c).Booking
		equal(e, seats, sorted(b.Seats))
	}
	// One more beside those it has.
	c := step("k-more", b, nil)
	c.Claim = []store.SeatClaim{{Slot: "room", Capacity: 4, Count: 1}}
	b = *e.apply(c).Booking
	length(e, b.Seats, 3)
	for _, s := range seats {
		require.Contains(e, b.Seats, s)
	}
	equal(e, b, e.booking("b-1"))
	e.claimable("room", 4, 1)
}

func seatsCapacity(e *env) {
	claim := func(id string, capacity, count int) store.Change {
		return claiming("k-"+id, id, store.SeatClaim{Slot: "room", Capacity: capacity, Count: count})
	}
	high := e.apply(claim("b-1", 10, 8)).Booking
	// Now the room has 5 seats only; those that are numbered 6 and up do not
	// count, neither as free nor as taken.
	free := 5
	for _, s := range high.Seats {
		if s.Number <= 5 {
			free--
		}
	}
	if free > 0 {
		b := e.apply(claim("b-2", 5, free)).Booking
		for _, s := range b.Seats {
			require.LessOrEqual(e, s.Number, 5)
			require.NotContains(e, high.Seats, s)
		}
	}
	e.conflict(store.ConflictSeats, claim("b-3", 5, 1))
	// And it is enlarged.
	b := e.apply(claim("b-4", 12, 12-8-free)).Booking
	for _, s := range b.Seats {
		require.NotContains(e, high.Seats, s)
		require.LessOrEqual(e, s.Number, 12)
	}
	e.conflict(store.ConflictSeats, claim("b-5", 12, 1))
}

func seatsRead(e *env) {
	claim := store.SeatClaim{Slot: "room", Capacity: 4, Count: 1}
	b := *e.apply(claiming("k-1", "b-1", claim)).Booking
	other := e.apply(claiming("k-2", "b-2", claim)).Booking.Seats
	for what, seats := range map[string][]store.Seat{
		"none": nil, "another's": other, "one more": append(sorted(b.Seats), other...),
	} {
		c := step("k-3", b, func(b *store.Booking) { b.Seats = seats })
		_, err := e.Apply(e.ctx, c)
		require.ErrorIs(e, err, store.ErrInvalid, what)
		equal(e, b, e.booking("b-1"), what)
	}
	steal := step("k-3", b, func(b *store.Booking) { b.Seats = other })
	steal.Release = other
	_, err := e.Apply(e.ctx, steal)
	require.ErrorIs(e, err, store.ErrInvalid)
	e.apply(step("k-3", b, nil)) // under the same key
	e.claimable("room", 4, 2)
}
