package soak

import (
	"context"
	"slices"

	"github.com/carevia/stripebooking/payment/stripetest"
	"github.com/carevia/stripebooking/store"
)

// compareSessions: of a booking's sessions one was paid or left alone until its time was over. The service ended all
// others, so that nobody could pay twice.
func (c *customer) compareSessions() {
	var left []stripetest.Session
	for _, ss := range c.sessions {
		switch {
		case ss.Status == "open":
			c.tally.wrong("%s: session %s is still open", c, ss.ID)
		case ss.Status == "complete", !c.expired[ss.ID].Before(ss.ExpiresAt):
			left = append(left, ss)
		}
	}
	// One that could not be ended may last until its time is over before there is another.
	slices.SortFunc(left, func(a, b stripetest.Session) int { return a.Created.Compare(b.Created) })
	for i := 1; i < len(left); i++ {
		if before := left[i-1]; before.Status == "complete" || left[i].Created.Before(c.expired[before.ID]) {
			c.tally.twice("%s: both session %s and session %s could be paid", c, before.ID, left[i].ID)
		}
	}
	if len(left) == 0 && len(c.sessions) > 0 {
		c.tally.lost("%s: none of %d sessions could be paid as long as was said", c, len(c.sessions))
	}
}

// paid is true for a session that a booking rests on.
func paid(ss stripetest.Session) bool { return ss.Status == "complete" && ss.PaymentStatus != "unpaid" }

// bookingOf is the booking that a session is for; none has no ID.
func (c *customer) bookingOf(ss stripetest.Session) store.Booking {
	for _, b := range c.bookings {
		if id := ss.Metadata["bookingId"]; id == b.ID || id == "" && ss.ID == b.SessionID {
			return b
		}
	}
	return store.Booking{}
}

// compareBookings: there is one booking for the session that was paid, or for all those that were not. At a plain site
// only a paid one makes it.
func (c *customer) compareBookings() {
	explained := map[string]bool{}
	var first *stripetest.Session
	for _, ss := range c.sessions {
		if !paid(ss) {
			continue
		}
		if first != nil {
			c.tally.twice("%s: session %s is paid besides %s", c, ss.ID, first.ID)
		}
		first = &ss
		b := c.bookingOf(ss)
		if b.ID == "" {
			c.tally.lost("%s: session %s is paid, and there is no booking", c, ss.ID)
			continue
		}
		explained[b.ID] = true
		c.comparePaid(ss, b)
	}
	switch {
	case first != nil || c.plain:
	case len(c.sessions) > 0:
		ss := c.sessions[0]
		if b := c.bookingOf(ss); b.ID == "" {
			c.tally.lost("%s: session %s was made for booking %s, which is not there", c, ss.ID, ss.Metadata["bookingId"])
		} else {
			explained[b.ID] = true
			c.compareUnpaid(b)
		}
	case c.gone && len(c.bookings) == 1: // nothing ends a hold that has no session: see package payment
		b := c.bookings[0]
		explained[b.ID] = true
		if b.State != store.StateHeld || b.Reason != "" || b.SessionID != "" || b.PaymentIntentID != "" {
			c.tally.wrong("%s: booking %s is %s %q, of session %q and intent %q, and was left without", c, b.ID, b.State, b.Reason, b.SessionID, b.PaymentIntentID)
		}
	}
	if c.booking != "" && !explained[c.booking] {
		c.tally.lost("%s: was told of booking %s, which is not there", c, c.booking)
	}
	for _, b := range c.bookings {
		if !explained[b.ID] {
			c.tally.twice("%s: no session explains booking %s (%s)", c, b.ID, b.State)
		}
		c.compareOrder(b)
	}
}

// dealOf is what was agreed when a session was made.
func (c *customer) dealOf(ss stripetest.Session) deal {
	if c.other != nil && ss.Metadata["paymentOption"] == string(c.other.option) {
		return *c.other
	}
	return c.deal
}

// comparePaid: the booking is confirmed, or conflicted because of another amount, and rests on this session's payment.
func (c *customer) comparePaid(ss stripetest.Session, b store.Booking) {
	d := c.dealOf(ss)
	total := d.total
	if c.plain { // such a site tells what is paid now
		total = map[store.Option]int64{store.OptionFull: d.now, store.OptionHalf: 2 * d.now}[d.option]
	}
	asked, state, reason := d.now, store.StateConfirmed, ""
	if c.charged != 0 {
		asked, state, reason = c.charged, store.StateConflicted, "amount_mismatch"
	}
	if ss.AmountSubtotal != asked || ss.Currency != d.currency {
		c.tally.amounts("%s: session %s asks for %d %s instead of %d %s", c, ss.ID, ss.AmountSubtotal, ss.Currency, asked, d.currency)
	}
	if b.Total != total || b.Paid != asked || b.Due != max(0, total-asked) || b.Currency != d.currency || b.Option != d.option {
		c.tally.amounts("%s: booking %s has %s, total %d, paid %d, due %d %s; it was %s, %d, %d %s", c, b.ID,
			b.Option, b.Total, b.Paid, b.Due, b.Currency, d.option, total, asked, d.currency)
	}
	if b.State != state || b.Reason != reason || b.SessionID != ss.ID || b.PaymentIntentID != ss.PaymentIntent || !b.HoldUntil.IsZero() {
		c.tally.wrong("%s: booking %s is %s %q, of session %s and intent %s; it was session %s, intent %s", c, b.ID,
			b.State, b.Reason, b.SessionID, b.PaymentIntentID, ss.ID, ss.PaymentIntent)
	}
	seats := 0
	for _, claim := range c.seats {
		seats += claim.Count
	}
	if len(b.Seats) != seats {
		c.tally.wrong("%s: booking %s has %d seats instead of %d", c, b.ID, len(b.Seats), seats)
	}
}

// compareUnpaid: the hold has ended, and nothing is kept or counted as paid.
func (c *customer) compareUnpaid(b store.Booking) {
	if b.State != store.StateExpired || b.Reason != "not_paid_in_time" && b.Reason != "payment_failed" {
		c.tally.wrong("%s: booking %s is %s %q, and nobody has paid", c, b.ID, b.State, b.Reason)
	}
	if !c.own(b.SessionID) || b.PaymentIntentID != "" && !c.own(b.PaymentIntentID) {
		c.tally.wrong("%s: booking %s names session %s and intent %s, which are none of its own", c, b.ID, b.SessionID, b.PaymentIntentID)
	}
	if len(b.Seats) > 0 {
		c.tally.wrong("%s: booking %s is not paid and keeps %d seats", c, b.ID, len(b.Seats))
	}
	if b.Paid != 0 || b.Total != c.deal.total || b.Due != b.Total || b.Currency != c.deal.currency {
		c.tally.amounts("%s: booking %s has total %d, paid %d, due %d %s; it was %d %s, and nobody has paid", c, b.ID,
			b.Total, b.Paid, b.Due, b.Currency, c.deal.total, c.deal.currency)
	}
}

// compareOrder: all else of a booking is as it was ordered.
func (c *customer) compareOrder(b store.Booking) {
	want := b
	want.UserID, want.ServiceID, want.ServiceName, want.Claims = c.user, "svc", "Elder care", c.seats
	want.Details, want.Livemode, want.Account = map[string]string{"city": "Dhaka"}, false, ""
	if c.plain {
		want.Details = nil
	}
	if wrong := differences(b, want); wrong != nil {
		c.tally.wrong("%s: booking %s: %q", c, b.ID, wrong)
	}
}

// compareHistory: there is one line for each version, each begins where the one before it ends and has its time and its
// cause, and the last says what the booking says.
func (c *customer) compareHistory(ctx context.Context, b store.Booking) error {
	lines, err := c.store.History(ctx, b.ID)
	if err != nil {
		return err
	}
	if len(lines) == 0 {
		c.tally.lost("%s: booking %s has no history", c, b.ID)
		return nil
	}
	slices.Reverse(lines) // the oldest first
	var from store.State
	for i, h := range lines {
		if h.Version != int64(i+1) || h.From != from || !c.caused(h.Cause) || !c.since(h.At) {
			c.tally.wrong("%s: line %d of the history of %s is %+v", c, i+1, b.ID, h)
		}
		from = h.To
		c.asked = c.asked || h.Cause.By != "webhook" && c.own(h.Cause.ID)
	}
	first, last := lines[0], lines[len(lines)-1]
	if last.Version != b.Version || last.To != b.State || last.Reason != b.Reason || !last.At.Equal(b.UpdatedAt) || !first.At.Equal(b.CreatedAt) {
		c.tally.wrong("%s: booking %s is %s %q at version %d, made at %v, changed at %v; its history begins with %+v and ends with %+v", c,
			b.ID, b.State, b.Reason, b.Version, b.CreatedAt, b.UpdatedAt, first, last)
	}
	return nil
}

// caused is true for what can move the customer's booking: an attempt to check out, or what it finds Stripe to say about
// a session; one that is confirmed; an event of Stripe's about one, or about its intent.
func (c *customer) caused(by store.Cause) bool {
	switch by.By {
	case "checkout":
		return by.ID == "first" || by.ID == "second" || c.own(by.ID)
	case "confirm":
		return c.own(by.ID)
	case "webhook":
		return c.own(c.events[by.ID].ObjectID)
	}
	return false
}
