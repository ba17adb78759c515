package booking

import (
	"time"

	"github.com/carevia/stripebooking/store"
)

// Facts is what Stripe says about one checkout session, or about a payment
// intent alone, in our own words. Amounts are in Stripe's minor unit of
// Currency. Package payment decodes Stripe's JSON into it.
type Facts struct {
	SessionID       string // empty when only the intent is known
	PaymentIntentID string // empty for free sessions and for those not paid yet

	Mode          string // the session's: "payment", "setup", "subscription"
	SessionStatus string // "open", "complete", "expired"; empty when only the intent is known
	PaymentStatus string // the session's: "paid", "unpaid", "no_payment_required"
	IntentStatus  string // the intent's, when only the intent is known: "succeeded", ...

	// FailureCode is Stripe's code of a failed attempt to pay, such as
	// "card_declined" or "insufficient_funds"; set only when the news is that
	// an attempt failed. UnknownFailure where it does not tell why.
	FailureCode string

	Currency string // three lower-case letters
	Amount   int64  // what is charged in all: amount_total, or amount_received of an intent
	Subtotal int64  // amount_subtotal: what the quote is compared with; of an intent alone its amount
	Tax      int64
	Shipping int64
	Discount int64

	PaymentMethod string // the type used when known, else the first allowed, else "card"
	MethodUsed    bool   // PaymentMethod is the one used
	Livemode      bool
	Account       string
	Metadata      map[string]string
	Created       time.Time
	ExpiresAt     time.Time // the session's; zero when only the intent is known
}

// UnknownFailure is Stripe's code for an attempt that failed for a reason that it
// does not tell, and stands for one that is not in the news at hand: the event of a
// session names its intent alone, and takes no code's place.
const UnknownFailure = "payment_intent_payment_attempt_failed"

// Standing is what Facts come down to.
type Standing string

// The standings.
const (
	Paid       Standing = "paid"       // the money is taken
	Free       Standing = "free"       // complete, and there was nothing to pay
	Processing Standing = "processing" // complete, the money is still on its way
	Open       Standing = "open"       // the customer can still pay
	Expired    Standing = "expired"    // the session ended without a payment
	Failed     Standing = "failed"     // an attempt to pay failed
	Foreign    Standing = "foreign"    // not a one-off payment: a subscription, a setup
)

// Standing sums the facts up. Paid needs mode=payment, status=complete and
// payment_status=paid, or an intent that succeeded; Free needs a complete
// session, since an open one can say no_payment_required too, and a total of 0.
// See https://docs.stripe.com/api/checkout/sessions/object
func (f Facts) Standing() Standing {
	if f.SessionStatus == "" {
		switch {
		case f.IntentStatus == "succeeded":
			return Paid
		case f.FailureCode != "":
			return Failed
		}
		return Processing
	}
	switch {
	case f.Mode != "payment":
		return Foreign
	case f.SessionStatus == "expired":
		return Expired
	case f.SessionStatus != "complete":
		return Open
	case f.PaymentStatus == "paid":
		return Paid
	case f.PaymentStatus == "no_payment_required" && f.Amount == 0:
		return Free
	case f.FailureCode != "":
		return Failed
	}
	return Processing
}

// Order is what was agreed before the customer paid: what the metadata of a
// session says, and what a booking is made from.
type Order struct {
	BookingID   string
	UserID      string
	ServiceID   string
	ServiceName string
	Option      store.Option
	Purpose     store.Purpose
	Total       int64 // the agreed price of the whole
	Now         int64 // the part of it that this session is to collect
	Currency    string
	Details     map[string]string

	// Version is the version of the held booking that the session was made
	// from; 0 when there was no hold.
	Version int64
}
