package store

import "time"

// State is where a booking stands. Which state may follow which is decided by
// package booking; a store keeps what it is given.
type State string

// The states of a booking.
const (
	StateHeld       State = "held"       // waits for its payment and keeps its seats
	StateConfirmed  State = "confirmed"  // paid as agreed, or free
	StateExpired    State = "expired"    // not paid in time; its seats are free again
	StateCancelled  State = "cancelled"  // called off
	StateConflicted State = "conflicted" // paid, but not as agreed; see Booking.Reason
	StateRefunded   State = "refunded"   // the money went back
)

// Option is how much of the total is paid at checkout.
type Option string

// The payment options.
const (
	OptionFull Option = "full" // everything
	OptionHalf Option = "half" // half now as a deposit, the balance later
)

// Booking is what a customer booked. Amounts are in Stripe's minor unit of
// Currency.
type Booking struct {
	ID          string
	UserID      string
	ServiceID   string
	ServiceName string
	Option      Option

	Total    int64  // the agreed price
	Paid     int64  // paid towards Total: before tax and shipping, discounts not taken off
	Due      int64  // what is still to be paid of Total
	Currency string // three lower-case letters

	State  State
	Reason string // why it is in this state, where that is not plain: "overpaid", "amount_mismatch", ...

	// Version counts the Changes applied to this booking, from 1. In a Change
	// it is the version that the booking was read at; 0 says it must not exist.
	Version int64

	// PaymentIntentID is the intent of the payment that the booking rests on,
	// or of its latest attempt while it waits. It is empty exactly as long as
	// the booking has no Payment, so a new booking that has one brings it along.
	PaymentIntentID string
	SessionID       string // the latest checkout session

	Details map[string]string // the caller's own metadata

	Claims []SeatClaim // the seats that it needs
	Seats  []Seat      // the seats that it has

	HoldUntil time.Time // end of the hold; zero without one
	Livemode  bool
	Account   string // the connected account; empty for the platform's own
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Seat is one place in a slot.
type Seat struct {
	Slot   string
	Number int // from 1 to the capacity of the claim that took it
}

// SeatClaim asks for Count free seats, of those numbered 1 to Capacity, of a
// slot. The adapter picks which.
type SeatClaim struct {
	Slot     string
	Capacity int
	Count    int
}

// Status is where a payment stands. It is derived by package booking from facts
// that only accumulate.
type Status string

// The statuses of a payment.
const (
	StatusProcessing        Status = "processing"
	StatusSucceeded         Status = "succeeded"
	StatusFailed            Status = "failed"
	StatusPartiallyRefunded Status = "partially_refunded"
	StatusRefunded          Status = "refunded"
	StatusDisputed          Status = "disputed"
)

// Purpose says which part of a booking's total a payment is for.
type Purpose string

// The purposes of a payment.
const (
	PurposeFull    Purpose = "full"
	PurposeDeposit Purpose = "deposit"
	PurposeBalance Purpose = "balance"
)

// Payment is one payment intent of Stripe's. Amounts are in Stripe's minor unit
// of Currency.
type Payment struct {
	ID              string // one for each payment intent; orders lists within a millisecond
	BookingID       string
	UserID          string
	PaymentIntentID string
	SessionID       string

	Amount   int64 // what the customer is charged in all: Subtotal + Tax + Shipping - Discount
	Subtotal int64 // the part that is compared with the quote
	Tax      int64
	Shipping int64
	Discount int64
	Currency string

	Status        Status
	CapturedAt    time.Time // when Stripe had taken the money, as far as we know; zero: not yet
	FailureCode   string    // Stripe's code of the latest failed attempt
	PaymentMethod string    // the type used when known, else the first allowed, else "card"
	Purpose       Purpose

	Refunds  []Refund // by id, oldest first
	Refunded int64    // sum of the refunds that succeeded
	Dispute  string   // Stripe's status of the latest dispute; empty without one

	Metadata  map[string]string
	Livemode  bool
	Account   string
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Refund is one refund of a payment.
type Refund struct {
	ID     string
	Amount int64
	Status string // Stripe's
}

// EventState is where the processing of an event stands.
type EventState string

// The states of a ledger row.
const (
	EventApplied EventState = "applied" // the Change is in; handlers of the user's are still to run
	EventDone    EventState = "done"    // nothing is left to do
	EventIgnored EventState = "ignored" // not for us; see Event.Reason
	EventFailed  EventState = "failed"  // the latest attempt failed; another is expected
	EventDead    EventState = "dead"    // failed for good, until somebody replays it
)

// Event is the ledger's row for one event of Stripe's.
type Event struct {
	ID         string
	Type       string // "checkout.session.completed", ...
	ObjectID   string // the id of the object that the event is about
	Account    string // the connected account; empty for the platform's own
	Livemode   bool
	APIVersion string
	Created    time.Time // Stripe's time, in whole seconds: not an order
	ReceivedAt time.Time // the first delivery; lists are ordered by it

	State    EventState
	Reason   string
	Attempts int      // how often it was processed: failures, and Changes that applied
	Handlers []string // the user's handlers that succeeded, sorted

	BookingID string
	Payload   []byte // the raw event; may be pruned
	UpdatedAt time.Time
}

// Cause says what brought a Change about.
type Cause struct {
	By string // "webhook", "confirm", "checkout", "reconcile", "replay", "operator"
	ID string // the event's id, the session's id, the operator's name
}

// History is one line of a booking's history. There is exactly one for each
// version of it.
type History struct {
	BookingID string
	Version   int64
	From      State // empty at version 1
	To        State
	Reason    string
	Cause     Cause
	At        time.Time
}

// Time is t as stores keep it: in UTC, without what is below a millisecond and
// without a monotonic reading. The zero Time stays zero.
func Time(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Millisecond)
}
