package booking

import (
	"time"

	"github.com/carevia/stripebooking/store"
)

// Stored is what the store knows of a booking: nothing (Booking is nil), or the
// booking with all its payments.
type Stored struct {
	Booking  *store.Booking
	Payments []store.Payment
}

// Outcome says in a word what a plan comes to.
type Outcome string

// The outcomes.
const (
	OutcomeConfirmed  Outcome = "confirmed"  // the booking becomes confirmed
	OutcomeAlready    Outcome = "already"    // all of it was known before
	OutcomeRecorded   Outcome = "recorded"   // something is noted; the booking stays in its state
	OutcomeOverpaid   Outcome = "overpaid"   // a second payment is recorded
	OutcomeConflicted Outcome = "conflicted" // paid, but not as agreed
	OutcomePending    Outcome = "pending"    // nothing to do yet: not paid
	OutcomeExpired    Outcome = "expired"    // the hold ends
	OutcomeFailed     Outcome = "failed"     // an attempt to pay failed
	OutcomeIgnored    Outcome = "ignored"    // not for us
)

// Plan is a Change and what it comes to. When it has no Booking there is nothing
// to write but a ledger row, if there is one.
type Plan struct {
	Change  store.Change
	Outcome Outcome
	Reason  string
}

// Settle plans what follows from what Stripe says: the one rule behind the
// webhook, confirm, reconcile and replay. seatsGone says that the claim of the
// plan before found too few seats.
func Settle(st Stored, o Order, f Facts, cause store.Cause, now time.Time, seatsGone bool) (Plan, error) {
	panic("not written yet")
}
