package booking

import (
	"fmt"
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
	OutcomeHeld       Outcome = "held"       // the booking waits for its payment
	OutcomeConfirmed  Outcome = "confirmed"  // the booking becomes confirmed, or its balance is paid
	OutcomeAlready    Outcome = "already"    // all that matters was known before
	OutcomeOverpaid   Outcome = "overpaid"   // a payment that nobody asked for is recorded
	OutcomeConflicted Outcome = "conflicted" // paid, but not as agreed
	OutcomePending    Outcome = "pending"    // not paid yet
	OutcomeExpired    Outcome = "expired"    // the session ended unpaid
	OutcomeFailed     Outcome = "failed"     // an attempt to pay failed
	OutcomeIgnored    Outcome = "ignored"    // not for us
)

// The reasons that a booking, or a plan, can carry.
const (
	ReasonAmount        = "amount_mismatch"   // another amount was paid than agreed
	ReasonCurrency      = "currency_mismatch" // another currency was paid than agreed
	ReasonOwner         = "owner_mismatch"    // the session names another user than the booking
	ReasonSeats         = "seats_gone"        // paid after the hold's end, and the seats are taken
	ReasonCancelled     = "cancelled"         // paid after it was cancelled
	ReasonOverpaid      = "overpaid"          // paid more than once
	ReasonNotPaid       = "not_paid_in_time"  // the session expired
	ReasonPaymentFailed = "payment_failed"    // a delayed payment failed after the session was complete
	ReasonNotPayment    = "not_a_one_off_payment"
)

// Plan is a Change and what it comes to. The caller adds the Change's Key,
// Fingerprint and Event, and the event's id to the metadata of its payments. A
// Change without a Booking leaves nothing to write but
// a ledger row, if there is one.
type Plan struct {
	Change  store.Change
	Outcome Outcome
	Reason  string
}

// Settle plans what follows from what Stripe says. It is the one rule behind the
// webhook, confirm, reconcile and replay: whatever the order in which facts come
// in, and however often, following its plans leads to the same booking.
//
// o is what f's metadata says; for a stored booking the stored terms count, not
// o's. seatsGone says that the Claim of the plan before found too few seats.
//
// The error is a move that the state machine does not have, which is a bug here.
func Settle(st Stored, o Order, f Facts, cause store.Cause, now time.Time, seatsGone bool) (Plan, error) {
	switch standing := f.Standing(); standing {
	case Foreign:
		return Plan{Outcome: OutcomeIgnored, Reason: ReasonNotPayment}, nil
	case Open:
		return Plan{Outcome: OutcomePending}, nil
	case Expired:
		return settleExpired(st, o, f, cause, now)
	case Processing, Failed:
		return settleUnpaid(st, o, f, cause, now)
	default:
		return settlePaid(st, o, f, cause, now, seatsGone)
	}
}

// settleExpired ends the hold of the booking whose session expired. A session
// that was replaced by a newer one says nothing about the booking.
func settleExpired(st Stored, o Order, f Facts, cause store.Cause, now time.Time) (Plan, error) {
	if st.Booking == nil || st.Booking.State != store.StateHeld || !current(st.Booking, o, f) {
		return Plan{Outcome: OutcomeExpired}, nil
	}
	return expire(st, f, ReasonNotPaid, nil, cause, now, OutcomeExpired)
}

// settleUnpaid notes a payment that is on its way or failed. Without a booking
// there is nothing to note it on: the ledger row is all.
func settleUnpaid(st Stored, o Order, f Facts, cause store.Cause, now time.Time) (Plan, error) {
	outcome := OutcomePending
	if f.Standing() == Failed {
		outcome = OutcomeFailed
	}
	if st.Booking == nil {
		return Plan{Outcome: outcome, Reason: f.FailureCode}, nil
	}
	var payments []store.Payment
	if f.PaymentIntentID != "" {
		old := st.payment(f.PaymentIntentID)
		if old != nil && !old.CapturedAt.IsZero() {
			return Plan{Outcome: OutcomeAlready}, nil // late news: the money has come since
		}
		p := paymentOf(*st.Booking, o, f, old, now)
		if old == nil || old.Status != p.Status || old.FailureCode != p.FailureCode || old.SessionID != p.SessionID {
			payments = []store.Payment{p}
		}
	}
	// A complete session can't be tried again, so its failure ends the hold.
	if outcome == OutcomeFailed && f.SessionStatus == "complete" &&
		st.Booking.State == store.StateHeld && current(st.Booking, o, f) {
		return expire(st, f, ReasonPaymentFailed, payments, cause, now, outcome)
	}
	if payments == nil {
		return Plan{Outcome: outcome, Reason: f.FailureCode}, nil
	}
	b := st.Booking.Clone()
	if b.State == store.StateHeld || b.PaymentIntentID == "" {
		b.PaymentIntentID = f.PaymentIntentID
	}
	return plan(st, b, payments, cause, now, outcome, f.FailureCode)
}

func expire(st Stored, f Facts, reason string, payments []store.Payment, cause store.Cause, now time.Time, outcome Outcome) (Plan, error) {
	b := st.Booking.Clone()
	b.State, b.Reason = store.StateExpired, reason
	if f.SessionID != "" {
		b.SessionID = f.SessionID
	}
	if len(payments) > 0 {
		b.PaymentIntentID = f.PaymentIntentID
	}
	p, err := plan(st, b, payments, cause, now, outcome, reason)
	p.Change.Release = b.Seats
	return p, err
}

// settlePaid records the money, always, and confirms the booking if it is as
// agreed.
func settlePaid(st Stored, o Order, f Facts, cause store.Cause, now time.Time, seatsGone bool) (Plan, error) {
	var b store.Booking
	if st.Booking == nil {
		b = newBooking(o, f.Livemode, f.Account, now)
	} else {
		b = st.Booking.Clone()
	}
	var payments []store.Payment
	if f.PaymentIntentID != "" {
		old := st.payment(f.PaymentIntentID)
		if old != nil && !old.CapturedAt.IsZero() {
			return enrich(st, o, f, old, cause, now)
		}
		payments = []store.Payment{paymentOf(b, o, f, old, now)}
	} else if st.Booking != nil && b.State != store.StateHeld && b.State != store.StateExpired {
		return Plan{Outcome: OutcomeAlready, Reason: b.Reason}, nil // nothing was paid, and nothing waits
	}

	wrong := mismatch(st, o, f)
	if f.Currency == b.Currency {
		b.Paid += f.Subtotal
		b.Due = max(0, b.Total-b.Paid)
	}
	// What is paid as agreed needs its seats, which a hold that ended gave up.
	var claim []store.SeatClaim
	if wrong == "" && len(b.Seats) == 0 {
		claim = b.Claims
	}
	outcome := OutcomeConfirmed
	switch b.State {
	case "", store.StateHeld, store.StateExpired:
		b.State, b.Reason = store.StateConfirmed, ""
		if claim != nil && seatsGone {
			wrong = ReasonSeats
		}
		if wrong != "" {
			b.State, b.Reason, outcome = store.StateConflicted, wrong, OutcomeConflicted
		}
		b.HoldUntil = time.Time{}
		if f.SessionID != "" {
			b.SessionID = f.SessionID
		}
		b.PaymentIntentID = f.PaymentIntentID
	case store.StateCancelled:
		b.State, b.Reason, outcome = store.StateConflicted, ReasonCancelled, OutcomeConflicted
		b.PaymentIntentID = f.PaymentIntentID
	case store.StateConfirmed:
		if o.Purpose != store.PurposeBalance || wrong != "" {
			b.Reason, outcome = ReasonOverpaid, OutcomeOverpaid
		}
	case store.StateConflicted:
		outcome = OutcomeOverpaid
		// As agreed after all: it ends where it would have, had this payment been
		// the first. Any other conflict is for a person to settle.
		if wrong == "" && (b.Reason == ReasonAmount || b.Reason == ReasonCurrency) && (claim == nil || !seatsGone) {
			b.State, b.Reason = store.StateConfirmed, ReasonOverpaid
			if b.Paid == b.Total && st.onlyBalance() {
				b.Reason, outcome = "", OutcomeConfirmed // the balance was the first
			}
			b.PaymentIntentID = f.PaymentIntentID
			if f.SessionID != "" {
				b.SessionID = f.SessionID
			}
		}
	default:
		b.Reason, outcome = ReasonOverpaid, OutcomeOverpaid
	}
	// A booking that has payments names one of them, and its session once known.
	if len(payments) > 0 {
		if b.PaymentIntentID == "" {
			b.PaymentIntentID = f.PaymentIntentID
		}
		if b.SessionID == "" {
			b.SessionID = payments[0].SessionID
		}
	}
	if b.PaymentIntentID == "" && st.Booking != nil {
		b.PaymentIntentID = st.Booking.PaymentIntentID
	}
	p, err := plan(st, b, payments, cause, now, outcome, b.Reason)
	if b.State == store.StateConfirmed && (st.Booking == nil || st.Booking.State != store.StateConfirmed) {
		p.Change.Claim = claim
	}
	return p, err
}

// enrich adds what the news knows and the stored payment does not: an intent's
// event can come first, and the session's brings the session's id and the parts
// of the amount; the answer to confirm can bring the payment method that was used.
// Nothing that is stored is replaced by less.
func enrich(st Stored, o Order, f Facts, old *store.Payment, cause store.Cause, now time.Time) (Plan, error) {
	better := old.SessionID == "" && f.SessionID != "" || f.MethodUsed && old.PaymentMethod != f.PaymentMethod
	if !better {
		return Plan{Outcome: OutcomeAlready, Reason: st.Booking.Reason}, nil
	}
	b := st.Booking.Clone()
	if b.SessionID == "" {
		b.SessionID = f.SessionID
	}
	p := paymentOf(b, o, f, old, now)
	return plan(st, b, []store.Payment{p}, cause, now, OutcomeAlready, b.Reason)
}

// mismatch says in which way the payment is not as agreed; empty: in none.
func mismatch(st Stored, o Order, f Facts) string {
	agreed, currency := o.Now, o.Currency
	if b := st.Booking; b != nil {
		if o.UserID != b.UserID {
			return ReasonOwner
		}
		agreed, currency = QuoteOf(*b).Now, b.Currency
		if o.Purpose == store.PurposeBalance {
			agreed = b.Due
		}
	}
	switch {
	case f.Currency != currency:
		return ReasonCurrency
	case f.Subtotal != agreed:
		return ReasonAmount
	}
	return ""
}

// current reports whether f is about the session that the booking waits for. Its
// id may not be stored yet; then the version that the session was made from
// tells it from one that was replaced.
func current(b *store.Booking, o Order, f Facts) bool {
	if b.SessionID != "" {
		return b.SessionID == f.SessionID
	}
	return o.Version == b.Version
}

func (st Stored) payment(intentID string) *store.Payment {
	for i := range st.Payments {
		if st.Payments[i].PaymentIntentID == intentID {
			return &st.Payments[i]
		}
	}
	return nil
}

// onlyBalance reports whether all that was paid so far is a balance.
func (st Stored) onlyBalance() bool {
	for _, p := range st.Payments {
		if !p.CapturedAt.IsZero() && p.Purpose != store.PurposeBalance {
			return false
		}
	}
	return true
}

func newBooking(o Order, livemode bool, account string, now time.Time) store.Booking {
	return store.Booking{
		ID: o.BookingID, UserID: o.UserID, ServiceID: o.ServiceID, ServiceName: o.ServiceName,
		Option: o.Option, Total: o.Total, Due: o.Total, Currency: o.Currency, Details: o.Details,
		Livemode: livemode, Account: account, CreatedAt: now, UpdatedAt: now,
	}
}

// paymentOf is the payment that f speaks of, over what is stored of it: facts
// are added, and none is taken back.
func paymentOf(b store.Booking, o Order, f Facts, old *store.Payment, now time.Time) store.Payment {
	p := store.Payment{
		ID: DeriveID("pay", f.PaymentIntentID), BookingID: b.ID, UserID: b.UserID,
		PaymentIntentID: f.PaymentIntentID, Purpose: o.Purpose,
		Metadata: map[string]string{"serviceName": b.ServiceName, "paymentOption": string(b.Option)},
		Livemode: f.Livemode, Account: f.Account, CreatedAt: now,
	}
	if old != nil {
		p = old.Clone()
	}
	if p.Metadata == nil {
		p.Metadata = map[string]string{}
	}
	// The session knows the parts of the amount; the intent only their sum.
	if f.SessionID != "" || p.SessionID == "" {
		p.Amount, p.Subtotal, p.Currency = f.Amount, f.Subtotal, f.Currency
		p.Tax, p.Shipping, p.Discount = f.Tax, f.Shipping, f.Discount
	}
	if old == nil || f.MethodUsed {
		p.PaymentMethod = f.PaymentMethod
	}
	if f.SessionID != "" {
		p.SessionID = f.SessionID
		p.Metadata["sessionId"] = f.SessionID
	}
	switch f.Standing() {
	case Paid:
		if p.CapturedAt.IsZero() {
			p.CapturedAt = now
		}
	case Failed:
		// Of the two that tell of one attempt, the intent's own news knows why.
		if p.FailureCode == "" || f.FailureCode != UnknownFailure || f.SessionStatus == "" {
			p.FailureCode = f.FailureCode
		}
	}
	p.Status = PaymentStatus(p)
	p.UpdatedAt = now
	return p
}

// plan is the Change that makes b of what is stored.
func plan(st Stored, b store.Booking, payments []store.Payment, cause store.Cause, now time.Time, outcome Outcome, reason string) (Plan, error) {
	var from store.State
	if st.Booking != nil {
		from = st.Booking.State
		if from != b.State && !CanMove(from, b.State) {
			return Plan{}, fmt.Errorf("booking: no move from %s to %s", from, b.State)
		}
	}
	b.UpdatedAt = now
	return Plan{
		Change: store.Change{
			Booking:  &b,
			Payments: payments,
			History:  &store.History{From: from, To: b.State, Reason: b.Reason, Cause: cause, At: now},
		},
		Outcome: outcome,
		Reason:  reason,
	}, nil
}
