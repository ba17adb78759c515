package payment

import (
	"context"
	"fmt"
	"regexp"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/store"
)

// sessionID is the shape of a checkout session's id.
var sessionID = regexp.MustCompile(`^cs_(test|live)_[A-Za-z0-9]+$`)

// isSessionID reports whether id can be a session's. Nothing else is sent to
// Stripe, or put in a path.
func isSessionID(id string) bool { return len(id) <= store.MaxID && sessionID.MatchString(id) }

// Confirm settles a checkout session when its customer comes back from the pay
// page: the way without a webhook. It is for trying things out. Its risks:
//
//   - it is triggered by the client: who closes the browser after paying, or
//     loses the network, never gets here, and has paid for a booking that does
//     not exist;
//   - nobody repeats it: after a failed write Stripe does not try again, as it
//     does with events;
//   - delayed payments are not paid yet when the customer comes back.
//
// With a webhook in place it is safe to leave on, and merely quicker: both end in
// Settle, so whichever is first makes the booking and the other finds it.
//
// The checks, in this order, each with its own error: Stripe knows the session
// (ErrNoSession); its metadata is ours and sound (booking.ErrNotOurs,
// booking.ErrMetadata); its owner is userID (ErrNotOwner); it is complete and
// paid (ErrNotPaid); it was paid as quoted (ErrConflicted; the payment is recorded
// and the Settlement filled in even so). A session that was processed before is a
// success with OutcomeAlready and the booking. ErrStripe and the store's errors
// are for trying again.
func (s *Service) Confirm(ctx context.Context, sessionID, userID string) (Settlement, error) {
	t, err := s.confirm(ctx, sessionID, userID)
	if err != nil {
		return t, fmt.Errorf("payment: confirm: %w", err)
	}
	return t, nil
}

func (s *Service) confirm(ctx context.Context, sessionID, userID string) (Settlement, error) {
	f, o, err := s.ask(ctx, sessionID)
	if err != nil {
		return Settlement{}, err
	}
	if userID == "" || o.UserID != userID {
		return Settlement{}, ErrNotOwner
	}
	switch f.Standing() {
	case booking.Paid, booking.Free:
	default:
		return Settlement{}, &notPaid{statusOf(f.Standing())}
	}
	t, err := s.settle(ctx, f, Cause{By: "confirm", ID: sessionID, Key: "confirm/" + sessionID})
	if err != nil {
		return t, err
	}
	if t.Booking != nil && t.Booking.UserID != userID {
		return Settlement{}, ErrNotOwner // the session names a booking of somebody else's
	}
	if t.Booking != nil && t.Booking.State == store.StateConflicted {
		return t, ErrConflicted
	}
	return t, nil
}

// ask asks Stripe for a session and reads its order.
func (s *Service) ask(ctx context.Context, id string) (booking.Facts, booking.Order, error) {
	f, err := s.fetch(ctx, id)
	if err != nil {
		return f, booking.Order{}, err
	}
	o, err := s.decode(f)
	return f, o, err
}

// fetch asks Stripe for a session of this service.
func (s *Service) fetch(ctx context.Context, id string) (booking.Facts, error) {
	if mode, ok := modeOfSession(id); !ok || mode != s.cfg.Mode {
		return booking.Facts{}, ErrNoSession
	}
	ss, err := s.stripe.session(ctx, id)
	if err != nil {
		return booking.Facts{}, err
	}
	if s.foreign(ss.facts) != "" {
		return booking.Facts{}, ErrNoSession
	}
	return ss.facts, nil
}

func modeOfSession(id string) (Mode, bool) {
	m := sessionID.FindStringSubmatch(id)
	if m == nil || !isSessionID(id) {
		return "", false
	}
	return Mode(m[1]), true
}
