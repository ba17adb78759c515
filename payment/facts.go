package payment

import (
	"context"
	"errors"
	"fmt"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/store"
)

// The types of events that settle.
const (
	completed       = "checkout.session.completed"
	asyncSucceeded  = "checkout.session.async_payment_succeeded"
	asyncFailed     = "checkout.session.async_payment_failed"
	expired         = "checkout.session.expired"
	intentSucceeded = "payment_intent.succeeded"
	intentFailed    = "payment_intent.payment_failed"
)

// EventSink takes events that were found by other ways than a delivery, already
// known to be Stripe's. webhook.Handler implements it.
type EventSink interface {
	ProcessEvent(ctx context.Context, raw []byte) error
}

// Settles reports whether FactsOf knows events of this type.
func Settles(eventType string) bool {
	switch eventType {
	case completed, asyncSucceeded, asyncFailed, expired, intentSucceeded, intentFailed:
		return true
	}
	return false
}

// FactsOf returns what an event says.
//
// A session's event says it all. An intent's is asked for, in this order: its own
// metadata, which is enough when Checkout wrote it and the amount is the one that
// was agreed; the store, where a payment that is known already needs nothing more; and Stripe,
// for the session that the intent was made by. That session is there also when
// the intent's event comes first; should Stripe show it as still open at that
// instant, the intent's success counts. Metadata of any codec is enough while
// Stripe is away, if the amount is right.
//
// Errors: booking.ErrNotOurs when an intent has neither metadata of ours nor a
// session that has; booking.ErrMetadata when the object can't be read; ErrStripe
// and the store's are for trying again later.
func (s *Service) FactsOf(ctx context.Context, e Event) (booking.Facts, error) {
	f, err := s.factsOf(ctx, e)
	if err != nil {
		return booking.Facts{}, fmt.Errorf("payment: facts: %w", err)
	}
	return f, nil
}

func (s *Service) factsOf(ctx context.Context, e Event) (booking.Facts, error) {
	switch e.Type {
	case completed, asyncSucceeded, asyncFailed, expired:
		ss, err := decodeSession(e.Object, e.Type)
		if err != nil {
			return booking.Facts{}, fmt.Errorf("%w: %w", booking.ErrMetadata, err)
		}
		return from(e, ss.facts), nil
	case intentSucceeded, intentFailed:
		f, err := decodeIntent(e.Object)
		if err != nil {
			return booking.Facts{}, fmt.Errorf("%w: %w", booking.ErrMetadata, err)
		}
		// The type is the news; the status is what was when it was written.
		if e.Type == intentSucceeded {
			f.IntentStatus, f.FailureCode = "succeeded", ""
		} else if f.FailureCode == "" {
			f.FailureCode = booking.UnknownFailure
			if f.IntentStatus == "succeeded" {
				f.IntentStatus = "requires_payment_method"
			}
		}
		return s.factsOfIntent(ctx, from(e, f))
	}
	return booking.Facts{}, booking.ErrNotOurs
}

// from fills in what the event knows and its object does not.
func from(e Event, f booking.Facts) booking.Facts {
	f.Account, f.Livemode = e.Account, e.Livemode
	return f
}

func (s *Service) factsOfIntent(ctx context.Context, f booking.Facts) (booking.Facts, error) {
	if s.foreign(f) != "" {
		return f, nil // Settle ignores it; there is nothing to ask
	}
	o, own := s.decode(f)
	ours := !errors.Is(own, booking.ErrNotOurs)
	if own == nil && f.Standing() != booking.Paid {
		return f, nil
	}
	agreed := own == nil && o.Now == f.Amount && o.Currency == f.Currency
	if agreed && marked(f) {
		return f, nil // a session of Checkout's is for o.Now and nothing else
	}

	// Known already: Settle finds the booking by the intent.
	p, err := s.cfg.Store.Payment(ctx, f.PaymentIntentID)
	switch {
	case err == nil && (!p.CapturedAt.IsZero() || f.Standing() != booking.Paid):
		return f, nil
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return f, err
	}

	// Tax, a discount or a conversion can explain another amount, and hide in the
	// right one: the session knows. While Stripe is away, the right amount has to
	// do: the customer has paid what was agreed.
	sessions, err := s.stripe.sessionsOf(ctx, f.PaymentIntentID)
	switch {
	case err == nil:
	case agreed && errors.Is(err, ErrStripe) && ctx.Err() == nil:
		return f, nil
	default:
		return f, err
	}
	for _, ss := range sessions {
		g := ss.facts
		switch _, err := s.decode(g); {
		case err != nil && own == nil:
			g.Metadata = f.Metadata
		case errors.Is(err, booking.ErrNotOurs):
			if !ours {
				continue
			}
			g.Metadata = f.Metadata
		}
		return merge(g, f), nil
	}
	if !ours {
		return f, booking.ErrNotOurs
	}
	return f, nil
}

// merge is what the session g says, with the news of its intent f.
func merge(g, f booking.Facts) booking.Facts {
	g.PaymentIntentID, g.Account, g.Livemode = f.PaymentIntentID, f.Account, f.Livemode
	if f.MethodUsed || !g.MethodUsed {
		g.PaymentMethod, g.MethodUsed = f.PaymentMethod, f.MethodUsed
	}
	if f.Standing() == booking.Paid {
		g.SessionStatus, g.PaymentStatus, g.FailureCode = "complete", "paid", ""
		return g
	}
	// A failed attempt ends nothing: the customer may try again.
	g.SessionStatus, g.PaymentStatus = "", ""
	g.IntentStatus, g.FailureCode = f.IntentStatus, f.FailureCode
	return g
}
