package booking

import "github.com/carevia/stripebooking/store"

// PaymentStatus derives a payment's status from the facts that p has gathered:
// CapturedAt, FailureCode, Refunded against Amount, and Dispute. Facts only
// accumulate, so the status does not depend on the order in which they came:
// once the money was taken, a failed attempt that is heard of late changes
// nothing, and money that went back was taken before, whether we know when or
// not. The first of these that holds decides:
//
//	disputed            the customer's bank asks about the payment, or took it back
//	refunded            all of Amount went back
//	partially_refunded  a part of it did
//	succeeded           the money was taken
//	failed              an attempt to pay failed
//	processing          nothing is known yet
//
// A dispute counts from the bank's first question (warning_needs_response) on,
// since somebody should answer, and still when it is lost, since the money is
// gone. It is over when it was won or when the question led to nothing
// (warning_closed): then the rest decides. Any other of Stripe's statuses, those
// that are yet to come included, counts.
// See https://docs.stripe.com/api/disputes/object#dispute_object-status
func PaymentStatus(p store.Payment) store.Status {
	switch {
	case p.Dispute != "" && p.Dispute != "won" && p.Dispute != "warning_closed":
		return store.StatusDisputed
	case p.Refunded > 0 && p.Refunded >= p.Amount:
		return store.StatusRefunded
	case p.Refunded > 0:
		return store.StatusPartiallyRefunded
	case !p.CapturedAt.IsZero() || p.Dispute != "":
		return store.StatusSucceeded
	case p.FailureCode != "":
		return store.StatusFailed
	}
	return store.StatusProcessing
}
