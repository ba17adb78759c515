package booking

import (
	"fmt"
	"time"

	"github.com/carevia/stripebooking/store"
)

// Hold plans a booking that waits for its payment until holdUntil and keeps the
// claimed seats meanwhile.
func Hold(o Order, q Quote, claims []store.SeatClaim, holdUntil time.Time, livemode bool, account string, cause store.Cause, now time.Time) (Plan, error) {
	b := newBooking(o, livemode, account, now)
	b.State, b.Claims = store.StateHeld, claims
	setTerms(&b, q, holdUntil)
	p, err := plan(Stored{}, b, nil, cause, now, OutcomeHeld, "")
	p.Change.Claim = claims
	return p, err
}

// Attach plans that a held booking waits for this checkout session. There is
// nothing to write when it does already.
func Attach(st Stored, sessionID string, cause store.Cause, now time.Time) (Plan, error) {
	if err := mustBeHeld(st); err != nil {
		return Plan{}, err
	}
	if st.Booking.SessionID == sessionID {
		return Plan{Outcome: OutcomeHeld}, nil
	}
	b := st.Booking.Clone()
	b.SessionID = sessionID
	return plan(st, b, nil, cause, now, OutcomeHeld, "")
}

// Renew plans a new version of a held booking, with these terms and without a
// session: the next session is made from it.
func Renew(st Stored, q Quote, holdUntil time.Time, cause store.Cause, now time.Time) (Plan, error) {
	if err := mustBeHeld(st); err != nil {
		return Plan{}, err
	}
	b := st.Booking.Clone()
	b.SessionID = ""
	setTerms(&b, q, holdUntil)
	return plan(st, b, nil, cause, now, OutcomeHeld, "")
}

// OrderOf is what the metadata of a session says that is made from a held
// booking at its present version.
func OrderOf(b store.Booking) Order {
	q := QuoteOf(b)
	o := Order{
		BookingID: b.ID, UserID: b.UserID, ServiceID: b.ServiceID, ServiceName: b.ServiceName,
		Option: b.Option, Purpose: store.PurposeFull, Total: b.Total, Now: q.Now, Currency: b.Currency,
		Details: b.Details, Version: b.Version,
	}
	if b.Option == store.OptionHalf {
		o.Purpose = store.PurposeDeposit
	}
	return o
}

func setTerms(b *store.Booking, q Quote, holdUntil time.Time) {
	b.Option, b.Total, b.Due, b.Currency = q.Option, q.Total, q.Total-b.Paid, q.Currency
	b.HoldUntil = holdUntil
}

func mustBeHeld(st Stored) error {
	if st.Booking == nil || st.Booking.State != store.StateHeld {
		return fmt.Errorf("booking: there is no held booking")
	}
	return nil
}
