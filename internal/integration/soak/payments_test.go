package soak

import (
	"strings"

	"github.com/carevia/stripebooking/payment/stripetest"
	"github.com/carevia/stripebooking/store"
)

// comparePayments: each is of an intent of the customer's, and each intent that was paid, or tried for a held booking,
// has one.
func (c *customer) comparePayments() {
	intents := map[string]stripetest.Session{}
	for _, ss := range c.sessions {
		if ss.PaymentIntent != "" && (paid(ss) || !c.plain) {
			intents[ss.PaymentIntent] = ss
		}
	}
	for _, p := range c.payments {
		ss, left := intents[p.PaymentIntentID]
		if !left {
			c.tally.twice("%s: no session explains the payment of %s", c, p.PaymentIntentID)
			continue
		}
		delete(intents, p.PaymentIntentID)
		c.comparePayment(ss, p)
	}
	for intent, ss := range intents {
		if paid(ss) {
			c.tally.lost("%s: session %s is paid, and there is no payment of %s", c, ss.ID, intent)
		} else {
			c.tally.wrong("%s: nothing is kept of the failed payment of %s", c, intent)
		}
	}
}

// comparePayment: it is of so much as the session says, captured if that was paid, and all else is of the session and
// its booking.
func (c *customer) comparePayment(ss stripetest.Session, p store.Payment) {
	d, purpose := c.dealOf(ss), store.PurposeFull
	if d.option == store.OptionHalf {
		purpose = store.PurposeDeposit
	}
	if p.Amount != ss.AmountTotal || p.Subtotal != ss.AmountSubtotal || p.Currency != ss.Currency || p.Purpose != purpose ||
		p.Tax != c.tax || p.Shipping != c.shipping || p.Discount != c.discount {
		c.tally.amounts("%s: payment of %s has %s, %d (%d + %d + %d - %d) %s; session %s has %d (%d) %s", c, p.PaymentIntentID,
			p.Purpose, p.Amount, p.Subtotal, p.Tax, p.Shipping, p.Discount, p.Currency, ss.ID, ss.AmountTotal, ss.AmountSubtotal, ss.Currency)
	}

	want := p
	want.BookingID, want.UserID, want.SessionID = c.bookingOf(ss).ID, c.user, ss.ID
	want.Status, want.FailureCode, want.PaymentMethod = store.StatusSucceeded, c.failure, "card"
	want.Refunds, want.Refunded, want.Dispute, want.Livemode, want.Account = nil, 0, "", false, ""
	if !paid(ss) {
		want.Status = store.StatusFailed
		if p.SessionID == "" { // an intent's event does not tell it
			want.SessionID = ""
		}
	} else if p.FailureCode == "" { // the news of a failure may come too late to be kept
		want.FailureCode = ""
	}
	if c.byBank && strings.Contains(string(ss.JSON), `"`+p.PaymentMethod+`"`) { // only confirm gets to know it
		want.PaymentMethod = p.PaymentMethod
	}
	want.Metadata = map[string]string{"serviceName": "Elder care", "paymentOption": string(d.option)}
	if want.SessionID != "" {
		want.Metadata["sessionId"] = want.SessionID
	}
	switch id := p.Metadata["webhookEventId"]; {
	case c.caused(store.Cause{By: "webhook", ID: id}):
		want.Metadata["webhookEventId"] = id
	case !c.asked: // else confirm may have been first
		want.Metadata["webhookEventId"] = "one of Stripe's"
	}
	if wrong := differences(p, want); wrong != nil {
		c.tally.wrong("%s: payment of %s: %q", c, p.PaymentIntentID, wrong)
	}
	if paid(ss) == p.CapturedAt.IsZero() || paid(ss) && !c.since(p.CapturedAt) || !c.since(p.CreatedAt, p.UpdatedAt) {
		c.tally.wrong("%s: payment of %s is %s, created at %v, captured at %v, updated at %v", c, p.PaymentIntentID, p.Status,
			p.CreatedAt, p.CapturedAt, p.UpdatedAt)
	}
}
