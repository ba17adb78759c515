package payment

import "errors"

// The errors of this package, besides those of packages booking (ErrNotOurs,
// ErrMetadata) and store.
var (
	// ErrNotEvent: the JSON is not one of Stripe's events.
	ErrNotEvent = errors.New("payment: not an event")
	// ErrNoSession: Stripe knows no such checkout session.
	ErrNoSession = errors.New("payment: no such checkout session")
	// ErrNotOwner: the session or booking belongs to another user.
	ErrNotOwner = errors.New("payment: it belongs to another user")
	// ErrNotPaid: the session is not complete, or not paid yet.
	ErrNotPaid = errors.New("payment: not completed")
	// ErrConflicted: paid, but not as agreed. The payment is recorded.
	ErrConflicted = errors.New("payment: paid, but not as agreed")
	// ErrInvalid: a request has fields that can't be; the text names them all.
	ErrInvalid = errors.New("payment: invalid request")
	// ErrAttemptReused: the attempt was used for another checkout.
	ErrAttemptReused = errors.New("payment: the attempt was used for another checkout")
	// ErrSoldOut: not enough seats are free.
	ErrSoldOut = errors.New("payment: not enough seats are free")
	// ErrSettled: the booking waits for no payment.
	ErrSettled = errors.New("payment: the booking waits for no payment")
	// ErrHoldEnded: the booking was not paid in time and has given its seats
	// back. A new attempt makes a new booking.
	ErrHoldEnded = errors.New("payment: the hold has ended; start a new attempt")
	// ErrStripe: Stripe can't be reached, or has trouble of its own. Trying
	// again later can help.
	ErrStripe = errors.New("payment: Stripe can't be reached")
	// ErrRefused: Stripe refused a call: a key without the permission, or a
	// parameter that it does not take. The text has Stripe's code for it.
	ErrRefused = errors.New("payment: Stripe refused the request")
)

// notPaid is ErrNotPaid with where the session stands.
type notPaid struct{ status VerifyStatus }

func (e *notPaid) Error() string { return ErrNotPaid.Error() }
func (e *notPaid) Unwrap() error { return ErrNotPaid }
