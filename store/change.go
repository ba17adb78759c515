package store

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxID is the longest an id, key, slot or name may be, in bytes.
const MaxID = 255

// CheckID returns an error that wraps ErrInvalid unless id is valid UTF-8 of 1 to
// MaxID bytes without NUL. The error names what, never the value.
func CheckID(what, id string) error {
	switch {
	case id == "":
		return fmt.Errorf("%w: %s is empty", ErrInvalid, what)
	case len(id) > MaxID:
		return fmt.Errorf("%w: %s has %d bytes, at most %d are allowed", ErrInvalid, what, len(id), MaxID)
	case !utf8.ValidString(id) || strings.ContainsRune(id, 0):
		return fmt.Errorf("%w: %s is not valid UTF-8 without NUL", ErrInvalid, what)
	}
	return nil
}

func checkOptional(what, id string) error {
	if id == "" {
		return nil
	}
	return CheckID(what, id)
}

func checkText(what, s string) error {
	if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
		return fmt.Errorf("%w: %s is not valid UTF-8 without NUL", ErrInvalid, what)
	}
	return nil
}

// Validate returns an error that wraps ErrInvalid for a Change that no store may
// apply. Every adapter's Apply starts with it.
func (c Change) Validate() error {
	checks := []error{CheckID("key", c.Key), checkOptional("fingerprint", c.Fingerprint)}
	if b := c.Booking; b != nil {
		checks = append(checks, b.validate())
		if c.History == nil {
			checks = append(checks, fmt.Errorf("%w: a booking without a history line", ErrInvalid))
		} else {
			checks = append(checks,
				checkText("history reason", c.History.Reason),
				CheckID("cause", c.History.Cause.By),
				checkOptional("cause id", c.History.Cause.ID))
			if c.History.To != b.State {
				checks = append(checks, fmt.Errorf("%w: the history line leads to another state than the booking's", ErrInvalid))
			}
		}
		checks = append(checks, c.validateSeats())
		if pi := b.PaymentIntentID; b.Version == 0 && pi != "" && !slices.ContainsFunc(c.Payments, func(p Payment) bool { return p.PaymentIntentID == pi }) {
			checks = append(checks, fmt.Errorf("%w: a new booking names a payment intent without its payment", ErrInvalid))
		}
	} else if len(c.Payments) > 0 || len(c.Claim) > 0 || len(c.Release) > 0 || c.History != nil {
		checks = append(checks, fmt.Errorf("%w: payments, seats or history without a booking", ErrInvalid))
	}
	seen := map[string]bool{}
	for _, p := range c.Payments {
		checks = append(checks, p.validate())
		if c.Booking != nil && p.BookingID != c.Booking.ID {
			checks = append(checks, fmt.Errorf("%w: a payment of another booking", ErrInvalid))
		}
		if seen[p.PaymentIntentID] {
			checks = append(checks, fmt.Errorf("%w: one payment intent twice", ErrInvalid))
		}
		seen[p.PaymentIntentID] = true
	}
	if c.Event != nil {
		checks = append(checks, c.Event.Validate())
		switch c.Event.State {
		case EventApplied, EventDone, EventIgnored:
		default:
			checks = append(checks, fmt.Errorf("%w: event state %q in a Change", ErrInvalid, c.Event.State))
		}
	}
	return first(checks)
}

func (c Change) validateSeats() error {
	has := map[Seat]bool{}
	for _, s := range c.Booking.Seats {
		if has[s] {
			return fmt.Errorf("%w: one seat twice", ErrInvalid)
		}
		has[s] = true
	}
	for _, s := range c.Release {
		if !has[s] {
			return fmt.Errorf("%w: release of a seat that the booking does not have, or twice", ErrInvalid)
		}
		delete(has, s)
	}
	slots := map[string]bool{}
	for _, s := range c.Claim {
		if err := s.validate(); err != nil {
			return err
		}
		if slots[s.Slot] {
			return fmt.Errorf("%w: two claims on one slot", ErrInvalid)
		}
		slots[s.Slot] = true
	}
	return nil
}

func (s SeatClaim) validate() error {
	if err := CheckID("slot", s.Slot); err != nil {
		return err
	}
	if s.Capacity < 1 || s.Count < 1 || s.Count > s.Capacity {
		return fmt.Errorf("%w: a claim of %d seats of %d", ErrInvalid, s.Count, s.Capacity)
	}
	return nil
}

func (b Booking) validate() error {
	checks := []error{
		CheckID("booking id", b.ID), CheckID("user id", b.UserID), checkOptional("service id", b.ServiceID),
		checkText("service name", b.ServiceName), checkText("reason", b.Reason),
		CheckID("option", string(b.Option)), CheckID("state", string(b.State)), CheckID("currency", b.Currency),
		checkOptional("payment intent id", b.PaymentIntentID), checkOptional("session id", b.SessionID),
		checkOptional("account", b.Account), checkMap("details", b.Details),
	}
	if b.Version < 0 {
		checks = append(checks, fmt.Errorf("%w: version %d", ErrInvalid, b.Version))
	}
	if b.Version == 0 && len(b.Seats) > 0 {
		checks = append(checks, fmt.Errorf("%w: a new booking has no seats yet; claim them", ErrInvalid))
	}
	if b.CreatedAt.IsZero() || b.UpdatedAt.IsZero() {
		checks = append(checks, fmt.Errorf("%w: booking without a time", ErrInvalid))
	}
	for _, s := range b.Claims {
		checks = append(checks, s.validate())
	}
	for _, s := range b.Seats {
		checks = append(checks, CheckID("slot", s.Slot))
	}
	return first(checks)
}

func (p Payment) validate() error {
	checks := []error{
		CheckID("payment id", p.ID), CheckID("booking id", p.BookingID), CheckID("user id", p.UserID),
		CheckID("payment intent id", p.PaymentIntentID), checkOptional("session id", p.SessionID),
		CheckID("currency", p.Currency), CheckID("status", string(p.Status)), CheckID("purpose", string(p.Purpose)),
		checkOptional("failure code", p.FailureCode), checkOptional("payment method", p.PaymentMethod),
		checkOptional("dispute", p.Dispute), checkOptional("account", p.Account), checkMap("metadata", p.Metadata),
	}
	for _, r := range p.Refunds {
		checks = append(checks, CheckID("refund id", r.ID), checkText("refund status", r.Status))
	}
	if p.CreatedAt.IsZero() || p.UpdatedAt.IsZero() {
		checks = append(checks, fmt.Errorf("%w: payment without a time", ErrInvalid))
	}
	return first(checks)
}

// Validate returns an error that wraps ErrInvalid for an event that no store may
// keep. Every adapter's RecordFailure starts with it.
func (e Event) Validate() error {
	checks := []error{
		CheckID("event id", e.ID), CheckID("event type", e.Type), checkOptional("object id", e.ObjectID),
		checkOptional("account", e.Account), checkOptional("API version", e.APIVersion),
		checkOptional("booking id", e.BookingID), checkText("reason", e.Reason),
	}
	for _, h := range e.Handlers {
		checks = append(checks, CheckID("handler", h))
	}
	if e.ReceivedAt.IsZero() || e.UpdatedAt.IsZero() {
		checks = append(checks, fmt.Errorf("%w: event without a time", ErrInvalid))
	}
	return first(checks)
}

func checkMap(what string, m map[string]string) error {
	for k, v := range m {
		if err := first([]error{CheckID(what+" key", k), checkText(what+" value", v)}); err != nil {
			return err
		}
	}
	return nil
}

func first(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// CheckSeats returns an error that wraps ErrInvalid unless the Change was made
// from the seats that are stored, in any order. An adapter asks it after the
// version was found right: seats that somebody made up could be another's.
func (c Change) CheckSeats(stored []Seat) error {
	left := map[Seat]bool{}
	for _, s := range stored {
		left[s] = true
	}
	for _, s := range c.Booking.Seats {
		if !left[s] {
			return fmt.Errorf("%w: the booking's seats are not those that it was read with", ErrInvalid)
		}
		delete(left, s)
	}
	if len(left) > 0 {
		return fmt.Errorf("%w: seats of the booking are missing", ErrInvalid)
	}
	return nil
}

// PickSeats chooses the lowest free seats for each claim, for adapters that hold a
// lock meanwhile; not ok if too few are free. Seats that the Change releases are
// free, whatever taken says.
func (c Change) PickSeats(taken func(Seat) bool) (picked []Seat, ok bool) {
	for _, claim := range c.Claim {
		left := claim.Count
		for n := 1; n <= claim.Capacity && left > 0; n++ {
			seat := Seat{Slot: claim.Slot, Number: n}
			if !taken(seat) || slices.Contains(c.Release, seat) {
				picked = append(picked, seat)
				left--
			}
		}
		if left > 0 {
			return nil, false
		}
	}
	return picked, true
}

// Next is the booking as Apply stores it, all but the seats that Claim takes and
// the CreatedAt of a stored one: one version on, without the released seats, its
// times as stores keep them. It shares nothing with c.
func (c Change) Next() Booking {
	b := c.Booking.Clone()
	b.Version++
	gone := map[Seat]bool{}
	for _, s := range c.Release {
		gone[s] = true
	}
	var kept []Seat
	for _, s := range b.Seats {
		if !gone[s] {
			kept = append(kept, s)
		}
	}
	b.Seats = kept
	return b
}
