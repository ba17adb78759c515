package booking

import (
	"slices"

	"github.com/carevia/stripebooking/store"
)

// CanMove reports whether a booking may go from one state to another:
//
//	held       → confirmed   paid as agreed
//	           → expired     not paid in time
//	           → cancelled   called off before it was paid
//	           → conflicted  paid, but not as agreed
//	expired    → confirmed   paid late, and what was booked is still free
//	           → conflicted  paid late, and it is not
//	confirmed  → cancelled   called off
//	           → refunded    the money went back
//	cancelled  → conflicted  paid after all
//	conflicted → confirmed   settled in the customer's favour
//	           → refunded    settled by giving the money back
//
// Nothing follows refunded. To stay in a state is no move, and neither is the
// start: a new booking is held, or confirmed or conflicted when there was no
// hold.
func CanMove(from, to store.State) bool {
	return slices.Contains(moves(from), to)
}

// moves is the edge table of the states.
func moves(from store.State) []store.State {
	switch from {
	case store.StateHeld:
		return []store.State{store.StateConfirmed, store.StateExpired, store.StateCancelled, store.StateConflicted}
	case store.StateExpired:
		return []store.State{store.StateConfirmed, store.StateConflicted}
	case store.StateConfirmed:
		return []store.State{store.StateCancelled, store.StateRefunded}
	case store.StateCancelled:
		return []store.State{store.StateConflicted}
	case store.StateConflicted:
		return []store.State{store.StateConfirmed, store.StateRefunded}
	}
	return nil
}
