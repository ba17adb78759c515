package payment

import (
	"context"
	"errors"
	"fmt"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/store"
)

// Cause is what brings facts to Settle.
type Cause struct {
	By string // "webhook", "confirm", "checkout", "reconcile", "replay", "operator"
	ID string // the event's id, the session's id, the operator's name

	// Key is the idempotency key of what is written. Empty: the Event's id, else
	// By and the session's or intent's id, and the standing of the facts unless
	// they say paid.
	Key string

	// Event is the ledger row to write in the same Change, with the State that
	// it gets when that applies (applied or done); nil without an event. Facts
	// that are ignored make it ignored. Its BookingID and Reason are filled in.
	Event *store.Event
}

// Settlement is what Settle found or made.
type Settlement struct {
	Outcome booking.Outcome
	Reason  string         // why, where the outcome does not say
	Applied bool           // this call wrote it
	Booking *store.Booking // as stored now; nil when there is none
	Payment *store.Payment // of the facts' payment intent; nil when there is none
	Event   *store.Event   // the ledger row as stored; nil without an event
}

// The reasons why facts are ignored, besides booking.ReasonNotPayment.
const (
	ReasonNotOurs  = "not_ours"       // no codec finds its keys in the metadata
	ReasonLivemode = "other_livemode" // from Stripe's other world
	ReasonAccount  = "other_account"  // of another connected account
)

// maxPlans is how often a plan is made again after it lost a race. Each loss
// means that somebody else won, and the planners converge: two or three are
// usual, and this many never.
const maxPlans = 50

// Settle is the one way in: the webhook, Confirm, a reconciler and a replay all
// end here. It takes what Stripe says and makes it so, in one Change: booking,
// payment, seats, history and the event's ledger row. It may run for the same
// facts any number of times, at the same time, in any number of processes; there
// will be one booking, and every payment that Stripe took is recorded.
//
// Errors: booking.ErrMetadata is permanent, the facts are ours but broken, and
// nothing is written; the others are for trying again later (store.IsTransient).
// Facts that are not ours, or of another livemode or account, are an outcome and
// no error: OutcomeIgnored.
func (s *Service) Settle(ctx context.Context, f booking.Facts, c Cause) (Settlement, error) {
	t, err := s.settle(ctx, f, c)
	if err != nil {
		return t, fmt.Errorf("payment: settle: %w", err)
	}
	return t, nil
}

func (s *Service) settle(ctx context.Context, f booking.Facts, c Cause) (Settlement, error) {
	if reason := s.foreign(f); reason != "" {
		if f.Standing() == booking.Paid {
			s.cfg.Logger.ErrorContext(ctx, "payment: a paid session is not for this service", "reason", reason,
				"session", f.SessionID, "payment_intent", f.PaymentIntentID, "cause", c.By, "id", c.ID)
		}
		return s.ignore(ctx, f, c, reason)
	}
	if f.Standing() == booking.Foreign {
		return s.ignore(ctx, f, c, booking.ReasonNotPayment) // whatever its metadata says
	}
	o, st, read, err := s.orderOf(ctx, f)
	if errors.Is(err, booking.ErrNotOurs) {
		return s.ignore(ctx, f, c, ReasonNotOurs)
	}
	if err != nil {
		return Settlement{}, err
	}
	if err := checkMoney(f); err != nil {
		return Settlement{}, fmt.Errorf("%w: %w", booking.ErrMetadata, err)
	}
	// Under the plain codec there is no hold: what will be written is a new
	// booking as a rule, so it is written without looking. A conflict brings
	// what is there instead.
	if !read && marked(f) {
		if st, err = s.stored(ctx, o.BookingID); err != nil {
			return Settlement{}, err
		}
	}
	return s.apply(ctx, st, o, f, c)
}

// maxAmount is the largest amount that is settled, in minor units: a thousand times
// what Stripe takes, and far below where sums would overflow.
const maxAmount = 1e15

// checkMoney refuses what no payment can be. An unknown currency is none of it: what
// came in is recorded as it came.
func checkMoney(f booking.Facts) error {
	for _, amount := range []int64{f.Amount, f.Subtotal, f.Tax, f.Shipping, f.Discount} {
		if amount < 0 || amount > maxAmount {
			return errors.New("an amount is negative or beyond all bounds")
		}
		if amount > 0 && f.Currency == "" {
			return errors.New("an amount is in no currency")
		}
	}
	if f.Currency != "" && store.CheckID("currency", f.Currency) != nil {
		return errors.New("its currency is none")
	}
	return nil
}

// apply plans and applies until a plan wins.
func (s *Service) apply(ctx context.Context, st booking.Stored, o booking.Order, f booking.Facts, c Cause) (Settlement, error) {
	cause := store.Cause{By: c.By, ID: c.ID}
	seatsGone := false
	for range maxPlans {
		if err := ctx.Err(); err != nil {
			return Settlement{}, err
		}
		p, err := booking.Settle(st, o, f, cause, s.cfg.Now(), seatsGone)
		if err != nil {
			return Settlement{}, err
		}
		done := Settlement{Outcome: p.Outcome, Reason: p.Reason, Booking: st.Booking, Payment: paymentIn(st.Payments, f.PaymentIntentID)}
		change := p.Change
		change.Key = keyOf(f, c)
		if c.Event != nil {
			for _, p := range change.Payments {
				if p.Metadata["webhookEventId"] == "" {
					p.Metadata["webhookEventId"] = c.Event.ID
				}
			}
			e := *c.Event
			e.Reason = p.Reason
			if change.Booking != nil {
				e.BookingID = change.Booking.ID
			} else if st.Booking != nil {
				e.BookingID = st.Booking.ID
			}
			change.Event = &e
		}
		if change.Booking == nil && change.Event == nil {
			return done, nil
		}
		r, err := s.cfg.Store.Apply(ctx, change)
		switch {
		case err == nil:
			return s.applied(ctx, done, r, f)
		case !errors.Is(err, store.ErrConflict):
			return Settlement{}, err
		case r.Conflict == store.ConflictSeats:
			seatsGone = true
		default:
			st, seatsGone = booking.Stored{Booking: r.Booking, Payments: r.Payments}, false
		}
	}
	return Settlement{}, fmt.Errorf("%d plans lost a race: %w", maxPlans, store.ErrConflict)
}

// applied completes what a plan promised with what the store has.
func (s *Service) applied(ctx context.Context, t Settlement, r store.Result, f booking.Facts) (Settlement, error) {
	t.Applied, t.Event = r.Applied, r.Event
	payments := r.Payments
	if r.Booking != nil {
		t.Booking = r.Booking
	} else if !r.Applied && t.Booking == nil && r.Event != nil && r.Event.BookingID != "" {
		// A replay of a key that wrote a ledger row only.
		st, err := s.stored(ctx, r.Event.BookingID)
		if err != nil {
			return Settlement{}, err
		}
		t.Booking, payments = st.Booking, st.Payments
	}
	if p := paymentIn(payments, f.PaymentIntentID); p != nil {
		t.Payment = p
	}
	if !r.Applied {
		t.Outcome, t.Reason = booking.OutcomeAlready, ""
		if t.Booking != nil {
			t.Reason = t.Booking.Reason
		}
	}
	return t, nil
}

// ignore keeps the ledger row of what is not for us.
func (s *Service) ignore(ctx context.Context, f booking.Facts, c Cause, reason string) (Settlement, error) {
	t := Settlement{Outcome: booking.OutcomeIgnored, Reason: reason}
	if c.Event == nil {
		return t, nil
	}
	e := *c.Event
	e.State, e.Reason = store.EventIgnored, reason
	r, err := s.cfg.Store.Apply(ctx, store.Change{Key: keyOf(f, c), Event: &e})
	if err != nil {
		return Settlement{}, err
	}
	t.Applied, t.Event = r.Applied, r.Event
	return t, nil
}

// foreign says why facts are not for this service; empty: they may be.
func (s *Service) foreign(f booking.Facts) string {
	switch {
	case f.Livemode != s.livemode():
		return ReasonLivemode
	case f.Account != s.cfg.Account:
		return ReasonAccount
	}
	return ""
}

// orderOf reads the order from the metadata. Where that tells nothing, a payment
// that is stored does: news of an intent whose metadata is bare, or was lost,
// still finds its booking. read says that st is what the store has.
func (s *Service) orderOf(ctx context.Context, f booking.Facts) (o booking.Order, st booking.Stored, read bool, err error) {
	o, err = s.decode(f)
	if err == nil || f.PaymentIntentID == "" || f.SessionID != "" {
		return o, st, false, err
	}
	p, perr := s.cfg.Store.Payment(ctx, f.PaymentIntentID)
	if errors.Is(perr, store.ErrNotFound) {
		return o, st, false, err
	}
	if perr != nil {
		return o, st, false, perr
	}
	if st, err = s.stored(ctx, p.BookingID); err != nil {
		return o, st, false, err
	}
	if st.Booking == nil {
		return o, st, false, booking.ErrNotOurs // not possible: a payment has a booking
	}
	o = booking.OrderOf(*st.Booking)
	o.Purpose = p.Purpose
	return o, st, true, nil
}

// decode reads the order with the first codec that knows the metadata.
func (s *Service) decode(f booking.Facts) (booking.Order, error) {
	for _, codec := range s.cfg.Codecs {
		o, err := codec.Decode(f)
		if !errors.Is(err, booking.ErrNotOurs) {
			return o, err
		}
	}
	return booking.Order{}, booking.ErrNotOurs
}

// marked reports whether the metadata was written by Checkout.
func marked(f booking.Facts) bool {
	_, err := booking.Marked{}.Decode(f)
	return err == nil
}

// stored reads a booking with all its payments; nothing if there is none.
func (s *Service) stored(ctx context.Context, bookingID string) (booking.Stored, error) {
	b, err := s.cfg.Store.Booking(ctx, bookingID)
	if errors.Is(err, store.ErrNotFound) {
		return booking.Stored{}, nil
	}
	if err != nil {
		return booking.Stored{}, err
	}
	st := booking.Stored{Booking: &b}
	if b.PaymentIntentID == "" {
		return st, nil // it has no payments
	}
	page := store.Page{Limit: store.MaxLimit}
	for {
		rows, next, err := s.cfg.Store.PaymentsByBooking(ctx, bookingID, page)
		if err != nil {
			return booking.Stored{}, err
		}
		st.Payments = append(st.Payments, rows...)
		if next == "" {
			return st, nil
		}
		page.After = next
	}
}

func paymentIn(payments []store.Payment, intentID string) *store.Payment {
	for i := range payments {
		if intentID != "" && payments[i].PaymentIntentID == intentID {
			p := payments[i].Clone()
			return &p
		}
	}
	return nil
}

// keyOf is the idempotency key of a Change. A call that settled "not paid yet"
// must not use up the key of the one that will settle "paid".
func keyOf(f booking.Facts, c Cause) string {
	switch {
	case c.Key != "":
		return c.Key
	case c.Event != nil:
		return c.Event.ID
	}
	id := f.SessionID
	if id == "" {
		id = f.PaymentIntentID
	}
	key := c.By + "/" + id
	if standing := f.Standing(); standing != booking.Paid && standing != booking.Free {
		key += "/" + string(standing)
	}
	return key
}
