package soak

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/carevia/stripebooking/payment/stripetest"
	"github.com/carevia/stripebooking/store"
)

// hooked is what the sites' endpoint gets.
var hooked = []string{
	"checkout.session.completed", "checkout.session.async_payment_succeeded", "checkout.session.async_payment_failed",
	"checkout.session.expired", "payment_intent.succeeded", "payment_intent.payment_failed", "payment_intent.canceled",
}

// tally counts the differences between what happened at Stripe and what is stored.
type tally struct {
	mu                                sync.Mutex
	missing, duplicate, amount, state int
	first                             []string // in words
}

func (t *tally) lost(format string, args ...any)  { t.add(&t.missing, "missing", format, args...) }
func (t *tally) twice(format string, args ...any) { t.add(&t.duplicate, "duplicate", format, args...) }
func (t *tally) amounts(format string, args ...any) {
	t.add(&t.amount, "wrong amount", format, args...)
}
func (t *tally) wrong(format string, args ...any) { t.add(&t.state, "wrong state", format, args...) }

func (t *tally) add(n *int, what, format string, args ...any) {
	const told = 12
	t.mu.Lock()
	defer t.mu.Unlock()
	if *n++; len(t.first) < told {
		t.first = append(t.first, what+": "+fmt.Sprintf(format, args...))
	}
}

func (t *tally) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return fmt.Sprintf("missing=%d duplicate=%d wrong amount=%d wrong state=%d", t.missing, t.duplicate, t.amount, t.state)
}

// compare looks at everything that is stored of a leg, when all of it has ended.
func (l *leg) compare(ctx context.Context, customers []*customer) error {
	sessions := map[string][]stripetest.Session{} // by customer
	for _, ss := range l.stripe.Sessions() {
		sessions[ss.Metadata["userId"]] = append(sessions[ss.Metadata["userId"]], ss)
	}
	events := l.stripe.Events()
	expired := map[string]time.Time{} // when, by session
	for _, e := range events {
		if e.Type == "checkout.session.expired" {
			expired[e.ObjectID] = e.Created
		}
	}
	var mu sync.Mutex
	var errs []error
	taken := map[store.Seat]string{}
	wanters, seats := map[string][]*customer{}, map[string]int{} // of a slot, and how many of its are taken
	for _, c := range customers {
		for _, claim := range c.seats {
			wanters[claim.Slot] = append(wanters[claim.Slot], c)
		}
	}
	l.each(customers, func(c *customer) {
		c.compareSessions(sessions[c.user], expired)
		bookings, payments, err := c.compare(ctx, sessions[c.user])
		mu.Lock()
		defer mu.Unlock()
		errs = append(errs, err)
		for _, p := range payments {
			l.known.intents[p.PaymentIntentID] = true
		}
		for _, b := range bookings {
			l.known.bookings[b.ID] = true
			for _, seat := range b.Seats {
				if seat.Number < 1 || seat.Number > capacity || taken[seat] != "" {
					l.tally.wrong("booking %s has seat %d of %s, which has %d; %q has it too", b.ID, seat.Number, seat.Slot, capacity, taken[seat])
				}
				taken[seat] = b.ID
				seats[seat.Slot]++
			}
		}
	})
	for slot, who := range wanters {
		errs = append(errs, l.compareSeats(ctx, slot, who, seats[slot]))
	}
	return errors.Join(append(errs, l.compareEvents(ctx, events))...)
}

// compareSessions: of a booking's sessions one was paid or left alone until its time was over. The service ended all
// others, so that nobody could pay twice.
func (c *customer) compareSessions(sessions []stripetest.Session, expired map[string]time.Time) {
	var left []string
	for _, ss := range sessions {
		switch {
		case ss.Status == "open":
			c.tally.wrong("%s: session %s is still open", c, ss.ID)
		case ss.Status == "complete", !expired[ss.ID].Before(ss.ExpiresAt):
			left = append(left, ss.ID)
		}
	}
	switch {
	case len(left) > 1:
		c.tally.twice("%s: all of the sessions %v could be paid", c, left)
	case len(left) == 0 && len(sessions) > 0:
		c.tally.lost("%s: none of %d sessions could be paid as long as was said", c, len(sessions))
	}
}

// compare looks at one customer's bookings and payments, given the sessions that are theirs.
func (c *customer) compare(ctx context.Context, sessions []stripetest.Session) ([]store.Booking, []store.Payment, error) {
	bookings, err := all(func(p store.Page) ([]store.Booking, string, error) { return c.store.BookingsByUser(ctx, c.user, p) })
	if err != nil {
		return nil, nil, err
	}
	payments, err := all(func(p store.Page) ([]store.Payment, string, error) { return c.store.PaymentsByUser(ctx, c.user, p) })
	if err != nil {
		return nil, nil, err
	}

	// A booking has a session that was paid for it, or only such as were not. At a plain site the first one makes it.
	explained := map[string]bool{}
	var paid, unpaid []stripetest.Session
	for _, ss := range sessions {
		if ss.Status == "complete" && ss.PaymentStatus != "unpaid" {
			paid = append(paid, ss)
		} else {
			unpaid = append(unpaid, ss)
		}
	}
	for i, ss := range paid {
		if i > 0 {
			c.tally.twice("%s: session %s is paid besides %s", c, ss.ID, paid[0].ID)
		}
		at := slices.IndexFunc(bookings, func(b store.Booking) bool {
			if id := ss.Metadata["bookingId"]; id != "" {
				return b.ID == id
			}
			return b.SessionID == ss.ID || ss.PaymentIntent != "" && b.PaymentIntentID == ss.PaymentIntent
		})
		if at < 0 {
			c.tally.lost("%s: session %s is paid, and there is no booking", c, ss.ID)
			continue
		}
		explained[bookings[at].ID] = true
		c.comparePaid(ss, bookings[at], payments)
	}
	if len(paid) == 0 && !c.plain && len(sessions) > 0 {
		id := sessions[0].Metadata["bookingId"]
		at := slices.IndexFunc(bookings, func(b store.Booking) bool { return b.ID == id })
		if at < 0 {
			c.tally.lost("%s: session %s was made for booking %s, which is not there", c, sessions[0].ID, id)
		} else {
			explained[id] = true
			c.compareUnpaid(bookings[at])
		}
	}
	for _, b := range bookings {
		if !explained[b.ID] {
			c.tally.twice("%s: no session explains booking %s (%s)", c, b.ID, b.State)
		}
		if err := c.compareHistory(ctx, b); err != nil {
			return nil, nil, err
		}
	}
	c.comparePayments(paid, unpaid, payments)
	return bookings, payments, nil
}

// comparePaid: the booking is confirmed, or conflicted because of another amount, and rests on this session's payment.
func (c *customer) comparePaid(ss stripetest.Session, b store.Booking, payments []store.Payment) {
	d := c.deal
	if c.other != nil && ss.Metadata["paymentOption"] == string(c.other.option) {
		d = *c.other
	}
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
	if ss.PaymentIntent == "" {
		return
	}
	at := slices.IndexFunc(payments, func(p store.Payment) bool { return p.PaymentIntentID == ss.PaymentIntent && !p.CapturedAt.IsZero() })
	if at < 0 {
		c.tally.lost("%s: session %s is paid, and booking %s has no payment of %s", c, ss.ID, b.ID, ss.PaymentIntent)
		return
	}
	p, purpose := payments[at], store.PurposeFull
	if d.option == store.OptionHalf {
		purpose = store.PurposeDeposit
	}
	if p.Amount != ss.AmountTotal || p.Subtotal != ss.AmountSubtotal || p.Currency != ss.Currency || p.Purpose != purpose ||
		p.Tax != c.tax || p.Shipping != c.shipping || p.Discount != c.discount {
		c.tally.amounts("%s: payment of %s has %s, %d (%d + %d + %d - %d) %s; session %s has %d (%d) %s", c, p.PaymentIntentID,
			p.Purpose, p.Amount, p.Subtotal, p.Tax, p.Shipping, p.Discount, p.Currency, ss.ID, ss.AmountTotal, ss.AmountSubtotal, ss.Currency)
	}
	if p.Status != store.StatusSucceeded || p.SessionID != ss.ID || p.BookingID != b.ID {
		c.tally.wrong("%s: payment of %s is %s, of session %s and booking %s", c, p.PaymentIntentID, p.Status, p.SessionID, p.BookingID)
	}
}

// compareUnpaid: the hold has ended, and nothing is kept or counted as paid.
func (c *customer) compareUnpaid(b store.Booking) {
	if b.State != store.StateExpired || b.Reason != "not_paid_in_time" && b.Reason != "payment_failed" {
		c.tally.wrong("%s: booking %s is %s %q, and nobody has paid", c, b.ID, b.State, b.Reason)
	}
	if len(b.Seats) > 0 {
		c.tally.wrong("%s: booking %s is not paid and keeps %d seats", c, b.ID, len(b.Seats))
	}
	if b.Paid != 0 {
		c.tally.amounts("%s: booking %s has %d paid, and nobody has", c, b.ID, b.Paid)
	}
}

// comparePayments: each is of an intent of the customer's, captured if that was paid, and each intent that was tried for
// a held booking has one.
func (c *customer) comparePayments(paid, unpaid []stripetest.Session, payments []store.Payment) {
	captured := map[string]bool{}
	for _, ss := range append(slices.Clone(paid), unpaid...) {
		if ss.PaymentIntent != "" && (!c.plain || ss.PaymentStatus == "paid") {
			captured[ss.PaymentIntent] = ss.PaymentStatus == "paid"
		}
	}
	seen := map[string]bool{}
	for _, p := range payments {
		was, known := captured[p.PaymentIntentID]
		switch {
		case !known || seen[p.PaymentIntentID]:
			c.tally.twice("%s: no session explains the payment of %s", c, p.PaymentIntentID)
		case was == p.CapturedAt.IsZero(), !was && p.Status != store.StatusFailed:
			c.tally.wrong("%s: payment of %s is %s, captured at %v", c, p.PaymentIntentID, p.Status, p.CapturedAt)
		}
		seen[p.PaymentIntentID] = true
	}
	for intent, was := range captured {
		if !was && !seen[intent] {
			c.tally.wrong("%s: nothing is kept of the failed payment of %s", c, intent)
		}
	}
}

// compareHistory: there is one line for each version, and each begins where the one before it ends.
func (c *customer) compareHistory(ctx context.Context, b store.Booking) error {
	lines, err := c.store.History(ctx, b.ID)
	if err != nil {
		return err
	}
	var from store.State
	for i := range lines {
		h := lines[len(lines)-1-i] // newest first
		if h.Version != int64(i+1) || h.From != from || h.Cause.By == "" {
			c.tally.wrong("%s: line %d of the history of %s is version %d, %s to %s by %q", c, i+1, b.ID, h.Version, h.From, h.To, h.Cause.By)
		}
		from = h.To
	}
	if int64(len(lines)) != b.Version || from != b.State {
		c.tally.wrong("%s: booking %s is %s at version %d; its history has %d lines and ends with %s", c, b.ID, b.State, b.Version, len(lines), from)
	}
	return nil
}

// compareEvents: every event of an endpoint's has arrived, and is done, or ignored where it is not for a booking.
func (l *leg) compareEvents(ctx context.Context, events []stripetest.Event) error {
	foreign := map[string]bool{} // objects that say nothing to the service
	for _, ss := range l.stripe.Sessions() {
		if ss.Metadata["userId"] == "" {
			foreign[ss.ID], foreign[ss.PaymentIntent] = true, true
		}
	}
	for _, e := range events {
		if !slices.Contains(hooked, e.Type) {
			continue
		}
		l.known.events[e.ID] = true
		if !strings.Contains(string(e.Payload), `"pending_webhooks": 0`) {
			l.tally.lost("event %s (%s) has not arrived", e.ID, e.Type)
		}
		row, err := l.store.Event(ctx, e.ID)
		if errors.Is(err, store.ErrNotFound) {
			l.tally.lost("event %s (%s) is not in the ledger", e.ID, e.Type)
			continue
		}
		if err != nil {
			return err
		}
		want := store.EventDone
		if e.Type == "payment_intent.canceled" || foreign[e.ObjectID] {
			want = store.EventIgnored
		}
		if row.State != want {
			l.tally.wrong("event %s (%s) is %s %q", e.ID, e.Type, row.State, row.Reason)
		}
		if want == store.EventDone && e.Type == handled {
			if _, ok := l.handled.Load(e.ID); !ok {
				l.tally.lost("event %s (%s) was not handled", e.ID, e.Type)
			}
			if !slices.Equal(row.Handlers, []string{handled}) {
				l.tally.wrong("event %s (%s) was handled by %q", e.ID, e.Type, row.Handlers)
			}
		}
	}
	for _, state := range []store.EventState{store.EventApplied, store.EventFailed, store.EventDead} {
		rows, _, err := l.store.Events(ctx, store.EventFilter{State: state}, store.Page{Limit: 10})
		if err != nil {
			return err
		}
		for _, e := range rows {
			l.tally.wrong("event %s (%s) of the ledger is %s %q", e.ID, e.Type, e.State, e.Reason)
		}
	}
	return nil
}

// all is every page of a list.
func all[R any](page func(store.Page) ([]R, string, error)) (rows []R, err error) {
	for p := (store.Page{Limit: store.MaxLimit}); ; {
		some, next, err := page(p)
		rows = append(rows, some...)
		if err != nil || next == "" {
			return rows, err
		}
		p.After = next
	}
}

func (t *tally) any() bool { return t.missing+t.duplicate+t.amount+t.state > 0 }
