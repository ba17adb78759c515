package storetest

import (
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/store"
)

// joinCases are about G8, for stores whose Harness has Join.
func joinCases() []testCase {
	return []testCase{
		{
			name:   "join-commit",
			reason: "what was applied in the caller's transaction is seen there at once, and everywhere after the commit",
			join:   true,
			run:    joinCommit,
		},
		{
			name:   "join-rollback",
			reason: "when the caller's transaction is rolled back nothing is left of the Changes in it, not even their keys",
			join:   true,
			run:    joinRollback,
		},
		{
			name:   "join-conflict",
			reason: "a Change that lost in the caller's transaction leaves nothing behind, also if the caller commits",
			join:   true,
			run:    joinConflict,
		},
	}
}

// joined returns e on a store that works in a transaction of the caller's.
func (e *env) joined() (joined *env, commit, rollback func() error) {
	e.Helper()
	other := *e
	other.Store, commit, rollback = e.hooks.join(e.Store)
	return &other, commit, rollback
}

func joinCommit(e *env) {
	read := *e.apply(paid("k-0", "b-0", "pi-0")).Booking
	tx, commit, _ := e.joined()
	c := paid("evt-1", "b-1", "pi-1")
	c.Event = anEvent("evt-1")
	c.Claim = []store.SeatClaim{{Slot: "room", Capacity: 1, Count: 1}}
	r := tx.apply(c)
	want := tx.look(c)
	equal(e, r.Booking, want.Booking, "the transaction sees its own writes")
	equal(e, r.Booking, tx.replayed(c).Booking)
	tx.apply(step("k-2", read, nil)) // another one in the same transaction
	require.NoError(e, tx.RecordHandled(e.ctx, "evt-1", []string{"mail"}, true, at(1)))
	require.NoError(e, tx.RecordFailure(e.ctx, *anEvent("evt-3"), "x", false))
	want = tx.look(c)
	require.NoError(e, commit())

	equal(e, want, e.look(c))
	equal(e, r.Booking, e.replayed(c).Booking)
	require.EqualValues(e, 2, e.booking("b-0").Version)
	e.claimable("room", 1, 0)
}

func joinRollback(e *env) {
	read := *e.apply(paid("k-0", "b-0", "pi-0")).Booking
	c := paid("evt-1", "b-1", "pi-1")
	c.Event = anEvent("evt-1")
	c.Claim = []store.SeatClaim{{Slot: "room", Capacity: 1, Count: 1}}
	before := e.look(c)

	tx, _, rollback := e.joined()
	require.True(e, tx.apply(c).Applied)
	tx.apply(step("k-2", read, nil))
	require.NoError(e, tx.RecordFailure(e.ctx, *anEvent("evt-3"), "x", false))
	require.NoError(e, rollback())

	equal(e, before, e.look(c))
	require.EqualValues(e, 1, e.booking("b-0").Version)
	equal(e, 1, e.apply(c).Event.Attempts, "the same Change applies now, as the first")
	e.claimable("room", 1, 0)
}

func joinConflict(e *env) {
	e.apply(paid("k-0", "b-0", "pi-0"))
	c := paid("evt-1", "b-1", "pi-1")
	c.Payments = append(c.Payments, aPayment(*c.Booking, "pi-0"))
	c.Event = anEvent("evt-1")
	c.Claim = []store.SeatClaim{{Slot: "room", Capacity: 1, Count: 1}}
	before := e.look(c)

	tx, commit, rollback := e.joined()
	tx.conflict(store.ConflictIntent, c)
	if commit() != nil { // a database may refuse to go on after an error
		_ = rollback()
	}
	equal(e, before, e.look(c))
	c.Payments = c.Payments[:1]
	equal(e, 1, e.apply(c).Event.Attempts)
}
