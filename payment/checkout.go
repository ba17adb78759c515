package payment

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/store"
)

// CheckoutRequest is what a customer wants to book and pay for.
type CheckoutRequest struct {
	// Attempt is the caller's name for this attempt, unique for the user: 1 to
	// 255 bytes, such as a random id that the order form carries. The same
	// attempt again, at the same time or later, is the same checkout.
	Attempt string

	// BookingID is of a held booking that is to be paid after all, in a new
	// attempt. ServiceID, ServiceName, Details and Seats are then the booking's:
	// leave them empty, or the same. Empty: a new booking, whose id follows from
	// UserID and Attempt.
	BookingID string

	UserID      string
	ServiceID   string
	ServiceName string // what the pay page says is bought

	// Quote is the price, as booking.NewQuote made it on the server: no amount
	// from a client belongs here.
	Quote booking.Quote

	Details       map[string]string // kept with the booking, and in Stripe's metadata
	Seats         []store.SeatClaim // taken now, kept while the booking is held
	CustomerEmail string            // filled in on the pay page; may be empty
}

// Checkout is where a checkout stands.
type Checkout struct {
	BookingID string
	SessionID string
	// URL is where to send the customer. It is empty when there is nothing left
	// to pay: see Booking's state.
	URL       string
	ExpiresAt time.Time // of the session
	Booking   store.Booking
}

const (
	minLife = 30 * time.Minute // the shortest life that Stripe gives a session
	slack   = 10 * time.Second // for the call to arrive, and clocks that differ
	ahead   = time.Minute      // how far our clock may be before Stripe's

	// tidyTime is how long a customer waits for what need not be found now.
	tidyTime = 2 * time.Second

	// sessionsBefore widens the search for a booking's sessions, since the
	// booking's creation is on our clock and theirs on Stripe's.
	sessionsBefore = 10 * time.Minute

	maxSteps = 50
)

// Checkout holds a booking, with its seats, and makes the checkout session that
// it is paid with.
//
// The booking is stored first, and everything that Stripe is told derives from
// it, the idempotency key included. So a double click, a retry after a time-out
// and a crash between any two steps lead to one booking and one session. When
// Stripe has answered 5xx, which it would repeat for the same key, the sessions
// of the booking are listed first; if there is none, a new version of the booking
// gives a new key. That is done too when the hold has less than Stripe's 30
// minutes left, by our clock or by Stripe's.
//
// A booking has at most one open session that anybody was given. (A crash may leave
// another, which the next call ends, or its own end.) A new attempt at it (BookingID) gets
// the open one if the quote is equal, else that is expired and a new one made. A
// session that turns out to be complete is settled: URL is then empty.
//
// Errors: ErrInvalid names everything that is wrong with the request;
// booking.ErrMetadata says which of Stripe's limits it breaks; ErrAttemptReused;
// ErrSoldOut; for a BookingID store.ErrNotFound, ErrNotOwner and ErrSettled;
// ErrHoldEnded when the booking was not paid in time; ErrRefused when Stripe does
// not take the request, and the hold has ended with that, unless it was the key
// that was refused; ErrStripe and the
// store's errors are for trying again with the same attempt.
//
// A checkout for the balance of a half payment is not made here yet. One that is
// made elsewhere, with Marked metadata of purpose "balance", is settled.
func (s *Service) Checkout(ctx context.Context, r CheckoutRequest) (Checkout, error) {
	c, err := s.checkout(ctx, r)
	if err != nil {
		return Checkout{}, fmt.Errorf("payment: checkout: %w", err)
	}
	return c, nil
}

func (s *Service) checkout(ctx context.Context, r CheckoutRequest) (Checkout, error) {
	if err := s.validate(r); err != nil {
		return Checkout{}, err
	}
	b, err := s.hold(ctx, r)
	if err != nil {
		return Checkout{}, err
	}
	w := &till{s: s, r: r, cause: store.Cause{By: "checkout", ID: r.Attempt}}
	return w.run(ctx, b)
}

func (s *Service) validate(r CheckoutRequest) error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	id := func(name, value string, required bool) {
		if (required || value != "") && store.CheckID(name, value) != nil {
			bad("%s must have 1 to %d bytes of UTF-8 without NUL", name, store.MaxID)
		}
	}
	if s.cfg.SuccessURL == "" {
		bad("the service was made without a SuccessURL")
	}
	id("Attempt", r.Attempt, true)
	id("UserID", r.UserID, true)
	id("BookingID", r.BookingID, false)
	id("ServiceID", r.ServiceID, false)
	if r.BookingID == "" && strings.TrimSpace(r.ServiceName) == "" {
		bad("ServiceName is empty, and the pay page has to say what is bought")
	}
	if err := r.Quote.Validate(); err != nil {
		bad("Quote: %w", err)
	}
	if r.CustomerEmail != "" && (len(r.CustomerEmail) > 512 || !strings.Contains(r.CustomerEmail, "@")) {
		bad("CustomerEmail is not an e-mail address")
	}
	slots := map[string]bool{}
	for _, seat := range r.Seats {
		id("a seat's Slot", seat.Slot, true)
		if seat.Count < 1 || seat.Capacity < seat.Count {
			bad("a claim of %d seats of %d", seat.Count, seat.Capacity)
		}
		if slots[seat.Slot] {
			bad("two claims on one slot")
		}
		slots[seat.Slot] = true
	}
	if len(errs) > 0 {
		return fmt.Errorf("%w: %w", ErrInvalid, errors.Join(errs...))
	}
	return nil
}

// hold returns the booking of the attempt, stored now or before.
func (s *Service) hold(ctx context.Context, r CheckoutRequest) (store.Booking, error) {
	change := store.Change{
		Key:         "checkout/" + hash(r.UserID, r.Attempt),
		Fingerprint: fingerprint(r),
	}
	var known store.Booking
	if r.BookingID == "" {
		now := s.cfg.Now()
		b := store.Booking{
			ID:     booking.DeriveID("bk", "attempt", string(s.cfg.Mode), s.cfg.Account, r.UserID, r.Attempt),
			UserID: r.UserID, ServiceID: r.ServiceID, ServiceName: r.ServiceName, Option: r.Quote.Option,
			Total: r.Quote.Total, Currency: r.Quote.Currency, Details: r.Details, Version: 1,
		}
		o := booking.OrderOf(b)
		if _, err := s.cfg.Codecs[0].Encode(o); err != nil {
			return b, err
		}
		o.Version = 0
		p, err := booking.Hold(o, r.Quote, r.Seats, s.holdUntil(), s.livemode(), s.cfg.Account, store.Cause{By: "checkout", ID: r.Attempt}, now)
		if err != nil {
			return b, err
		}
		change.Booking, change.History, change.Claim = p.Change.Booking, p.Change.History, p.Change.Claim
	} else {
		b, err := s.cfg.Store.Booking(ctx, r.BookingID)
		if err != nil {
			return b, err
		}
		switch {
		case b.UserID != r.UserID || b.Livemode != s.livemode() || b.Account != s.cfg.Account:
			return b, ErrNotOwner
		case !sameThing(b, r):
			return b, fmt.Errorf("%w: service, details or seats are not those of the booking", ErrInvalid)
		}
		known = b
	}
	res, err := s.cfg.Store.Apply(ctx, change)
	switch {
	case errors.Is(err, store.ErrMismatch):
		return known, ErrAttemptReused
	case errors.Is(err, store.ErrConflict) && res.Conflict == store.ConflictSeats:
		return known, ErrSoldOut
	case err != nil:
		return known, err
	case res.Booking != nil:
		return *res.Booking, nil
	}
	return known, nil
}

// till takes one checkout from a stored booking to a session.
type till struct {
	s     *Service
	r     CheckoutRequest
	cause store.Cause

	listed bool // Stripe's list was gone through, and nobody else is at the booking
	fresh  bool // a new version was made since the key or the hold was of no use any more, once
}

// run does the next step until the booking has its session, or needs none.
func (w *till) run(ctx context.Context, b store.Booking) (Checkout, error) {
	pause := firstWait
	for range maxSteps {
		if err := ctx.Err(); err != nil {
			return Checkout{}, err
		}
		switch b.State {
		case store.StateHeld:
		case store.StateExpired:
			return Checkout{}, ErrHoldEnded
		case store.StateCancelled:
			return Checkout{}, ErrSettled
		default:
			return Checkout{BookingID: b.ID, SessionID: b.SessionID, Booking: b}, nil
		}

		var next *store.Booking
		var done *Checkout
		var err error
		if b.SessionID != "" {
			next, done, err = w.resume(ctx, b)
		} else {
			next, done, err = w.open(ctx, b)
		}
		switch {
		case errors.Is(err, errBusy):
			// The same call is on its way from somewhere else.
			select {
			case <-ctx.Done():
				return Checkout{}, ctx.Err()
			case <-w.s.after(pause):
			}
			pause = min(2*pause, lastWait)
			if b, err = w.s.cfg.Store.Booking(ctx, b.ID); err != nil {
				return Checkout{}, err
			}
		case err != nil:
			return Checkout{}, err
		case done != nil:
			return *done, nil
		default:
			b = *next
		}
	}
	return Checkout{}, fmt.Errorf("%d steps led nowhere: %w", maxSteps, store.ErrConflict)
}

// errBusy: another call with the same idempotency key is under way at Stripe.
var errBusy = errors.New("payment: the same call is under way")

// resume goes on from a booking that has a session.
func (w *till) resume(ctx context.Context, b store.Booking) (*store.Booking, *Checkout, error) {
	ss, err := w.s.stripe.session(ctx, b.SessionID)
	if errors.Is(err, ErrNoSession) {
		// Another account's key, or a stand-in that was restarted: nobody can
		// pay it any more.
		next, err := w.renew(ctx, b, booking.QuoteOf(b))
		return next, nil, err
	}
	if err != nil {
		return nil, nil, err
	}
	switch ss.facts.SessionStatus {
	case "open":
		if booking.QuoteOf(b) == w.r.Quote {
			// Who made one of an older version may have come too late to attach it, and
			// failed to end it. Nobody was given that one, so the customer need not wait
			// until it is found.
			if o, err := w.s.decode(ss.facts); err == nil && o.Version > 1 && !w.listed {
				ctx, cancel := context.WithTimeout(ctx, tidyTime)
				defer cancel()
				if next, _, err := w.list(ctx, b); err == nil && next != nil {
					return next, nil, nil
				}
			}
			return nil, finished(b, ss), nil
		}
		// The booking lets go of the session before it is expired: else the news
		// of its end would end the hold. The terms stay until then, so that a
		// payment that is quicker finds what it was made for.
		next, err := w.renewUntil(ctx, b, booking.QuoteOf(b), b.HoldUntil)
		w.listed = false
		return next, nil, err
	case "complete":
		next, err := w.settle(ctx, b, ss)
		if err == nil && next.State == store.StateHeld && next.SessionID == b.SessionID {
			// A delayed payment: the customer has done all there is to do.
			return nil, &Checkout{BookingID: b.ID, SessionID: ss.facts.SessionID, ExpiresAt: ss.facts.ExpiresAt, Booking: *next}, nil
		}
		return next, nil, err
	}
	next, err := w.settle(ctx, b, ss)
	return next, nil, err
}

// open gives a booking without a session one.
func (w *till) open(ctx context.Context, b store.Booking) (*store.Booking, *Checkout, error) {
	stale := booking.QuoteOf(b) != w.r.Quote || b.HoldUntil.Sub(w.s.cfg.Now()) < minLife+slack
	// Version 1 has no other session than the one that its key gives. Before any
	// other is made, those that exist are looked at.
	if !w.listed && (stale || b.Version > 1) {
		next, used, err := w.list(ctx, b)
		if err != nil || next != nil {
			return next, nil, err
		}
		w.listed = true
		stale = stale || used
	}
	if stale {
		next, err := w.renew(ctx, b, w.r.Quote)
		return next, nil, err
	}
	p, err := w.s.params(b, w.r.CustomerEmail)
	if err != nil {
		return nil, nil, err
	}
	ss, err := w.s.stripe.createSession(ctx, p, fmt.Sprintf("%s/%d", b.ID, b.Version))
	if err != nil {
		next, err := w.refused(ctx, b, err)
		return next, nil, err
	}
	next, err := w.attach(ctx, b, ss)
	if err != nil {
		return nil, nil, err
	}
	if next.State == store.StateHeld && next.SessionID == ss.facts.SessionID && !ss.replayed {
		return nil, finished(*next, ss), nil
	}
	if next.SessionID != ss.facts.SessionID {
		// The booking has moved on to another version meanwhile, and so this
		// session is one too many.
		if err := w.end(ctx, *next, ss); err != nil {
			return nil, nil, err
		}
	}
	return next, nil, nil
}

// refused decides what follows when Stripe did not make the session.
func (w *till) refused(ctx context.Context, b store.Booking, err error) (*store.Booking, error) {
	var se *stripeError
	if !errors.As(err, &se) {
		return nil, err // no answer: the same key will find out
	}
	// Stripe repeats a stored 5xx for this key, and refuses it for other parameters
	// (those of a deployment before, say). A session may exist.
	unclear := se.status >= 500 || se.typ == "idempotency_error"
	switch {
	case se.status == 409:
		return nil, errBusy
	case !w.fresh && (unclear || se.param == "expires_at"): // by Stripe's clock the hold has too little left
		w.fresh = true
		next, _, lerr := w.list(ctx, b)
		if lerr != nil || next != nil {
			return next, lerr
		}
		w.listed = true
		return w.renew(ctx, b, w.r.Quote)
	case unclear || se.status == 429:
		return nil, err
	case se.status == http.StatusUnauthorized || se.status == http.StatusForbidden:
		return nil, err // it is the key that was refused, and keys get mended
	case errors.Is(se.kind, ErrRefused):
		// There is no session, and there will be none: give the seats back.
		if _, serr := w.s.apply(ctx, booking.Stored{Booking: &b}, booking.OrderOf(b),
			booking.Facts{Mode: "payment", SessionStatus: "expired", Livemode: b.Livemode, Account: b.Account},
			Cause{By: w.cause.By, ID: w.cause.ID, Key: fmt.Sprintf("refused/%s/%d", b.ID, b.Version)}); serr != nil {
			err = errors.Join(err, serr)
		}
	}
	return nil, err
}

// list goes through the sessions that Stripe has for the booking: settles those
// that are complete, adopts the open one of this version and expires those of
// older ones, but for the one that the booking has. next is nil when the booking
// stays as it is; used says that a session was made from this version and is over.
func (w *till) list(ctx context.Context, b store.Booking) (next *store.Booking, used bool, err error) {
	sessions, err := w.s.stripe.sessionsSince(ctx, b.CreatedAt.Add(-sessionsBefore), func(ss session) bool {
		return ss.reference == b.ID && w.s.foreign(ss.facts) == ""
	})
	if err != nil {
		return nil, false, err
	}
	read := b.Version
	for _, ss := range sessions {
		o, err := w.s.decode(ss.facts)
		if err != nil || o.BookingID != b.ID {
			continue
		}
		mine := o.Version == read
		switch ss.facts.SessionStatus {
		case "complete":
			t, err := w.settle(ctx, b, ss)
			if err != nil || t.State != store.StateHeld {
				return t, false, err
			}
			b = *t
			if ss.facts.Standing() == booking.Processing {
				next, err := w.attach(ctx, b, ss) // it may yet be paid
				return next, false, err
			}
			used = used || mine
		case "open":
			if mine {
				// Also at another quote: it can be let go of once it is attached.
				next, err := w.attach(ctx, b, ss)
				return next, false, err
			}
			if o.Version < read && ss.facts.SessionID != b.SessionID {
				if err := w.end(ctx, b, ss); err != nil {
					return nil, false, err
				}
			} // else the booking has moved on since it was read: that is found below
		default:
			used = used || mine
		}
	}
	// What was settled or ended may have moved the booking.
	now, err := w.s.cfg.Store.Booking(ctx, b.ID)
	if err != nil {
		return nil, false, err
	}
	if now.Version != read {
		return &now, false, nil
	}
	return nil, used, nil
}

// end expires a session that nobody is to pay, or settles it when somebody has.
func (w *till) end(ctx context.Context, b store.Booking, ss session) error {
	_, err := w.s.stripe.expire(ctx, ss.facts.SessionID)
	var se *stripeError
	if err == nil || !errors.As(err, &se) || se.status != 400 {
		return err
	}
	// It is not open any more.
	ss, err = w.s.stripe.session(ctx, ss.facts.SessionID)
	if err != nil {
		return err
	}
	if ss.facts.SessionStatus == "open" {
		return se // it was refused for another reason, and can still be paid
	}
	if ss.facts.SessionStatus == "complete" {
		t, err := w.settle(ctx, b, ss)
		if err == nil && t.State == store.StateHeld && ss.facts.Standing() == booking.Processing {
			_, err = w.attach(ctx, *t, ss) // it may yet be paid: no other session meanwhile
		}
		return err
	}
	return nil
}

// settle makes the news of a session so, and returns the booking as it is then.
func (w *till) settle(ctx context.Context, b store.Booking, ss session) (*store.Booking, error) {
	t, err := w.s.settle(ctx, ss.facts, Cause{By: w.cause.By, ID: ss.facts.SessionID})
	if err != nil {
		return nil, err
	}
	if t.Outcome == booking.OutcomeIgnored {
		return nil, fmt.Errorf("the booking's session is not its own: %s", t.Reason)
	}
	if t.Booking == nil {
		return nil, store.ErrNotFound
	}
	return t.Booking, nil
}

// attach stores that the booking waits for this session. A booking that has
// moved on is returned as it is.
func (w *till) attach(ctx context.Context, b store.Booking, ss session) (*store.Booking, error) {
	p, err := booking.Attach(booking.Stored{Booking: &b}, ss.facts.SessionID, w.cause, w.s.cfg.Now())
	if err != nil {
		return nil, err
	}
	return w.write(ctx, b, p, fmt.Sprintf("session/%s/%d", ss.facts.SessionID, b.Version))
}

// renew gives the booking a new version, and so the next session a new key.
func (w *till) renew(ctx context.Context, b store.Booking, q booking.Quote) (*store.Booking, error) {
	return w.renewUntil(ctx, b, q, w.s.holdUntil())
}

func (w *till) renewUntil(ctx context.Context, b store.Booking, q booking.Quote, until time.Time) (*store.Booking, error) {
	p, err := booking.Renew(booking.Stored{Booking: &b}, q, until, w.cause, w.s.cfg.Now())
	if err != nil {
		return nil, err
	}
	return w.write(ctx, b, p, fmt.Sprintf("renew/%s/%d", b.ID, b.Version))
}

// write applies a plan, and returns what is stored whoever won.
func (w *till) write(ctx context.Context, b store.Booking, p booking.Plan, key string) (*store.Booking, error) {
	if p.Change.Booking == nil {
		return &b, nil
	}
	p.Change.Key = key
	r, err := w.s.cfg.Store.Apply(ctx, p.Change)
	if err != nil && !errors.Is(err, store.ErrConflict) {
		return nil, err
	}
	if r.Booking == nil {
		return nil, err
	}
	if !r.Applied {
		w.listed = false // others are at it: look before the next session
	}
	return r.Booking, nil
}

func finished(b store.Booking, ss session) *Checkout {
	return &Checkout{BookingID: b.ID, SessionID: ss.facts.SessionID, URL: ss.url, ExpiresAt: ss.facts.ExpiresAt, Booking: b}
}

// holdUntil is the end of a hold that begins now, in the whole seconds that
// Stripe's expires_at has.
func (s *Service) holdUntil() time.Time {
	return s.cfg.Now().Add(min(s.cfg.Hold, MaxHold-ahead)).Truncate(time.Second)
}

// params is the session of a held booking at its version. Everything but the
// e-mail address comes from what is stored and from the config.
func (s *Service) params(b store.Booking, email string) (sessionParams, error) {
	o := booking.OrderOf(b)
	metadata, err := s.cfg.Codecs[0].Encode(o)
	if err != nil {
		return sessionParams{}, err
	}
	product := b.ServiceName
	if b.Option == store.OptionHalf {
		product += " (50% advance)"
	}
	return sessionParams{
		reference: b.ID, currency: o.Currency, amount: o.Now, product: product, email: email,
		successURL: withSession(s.cfg.SuccessURL), cancelURL: s.cfg.CancelURL,
		expiresAt: b.HoldUntil, metadata: metadata,
	}, nil
}

// withSession adds the placeholder that Stripe replaces by the session's id. It
// must not be escaped.
// See https://docs.stripe.com/payments/checkout/custom-success-page
func withSession(address string) string {
	const placeholder = "{CHECKOUT_SESSION_ID}"
	if strings.Contains(address, placeholder) {
		return address
	}
	address, fragment, _ := strings.Cut(address, "#")
	sep := "?"
	if u, err := url.Parse(address); err == nil && (u.RawQuery != "" || u.ForceQuery) {
		sep = "&"
		if u.ForceQuery || strings.HasSuffix(address, "&") {
			sep = ""
		}
	}
	address += sep + "session_id=" + placeholder
	if fragment != "" {
		address += "#" + fragment
	}
	return address
}

// sameThing reports whether a request for a stored booking asks for what was
// booked. What it leaves empty is not asked for.
func sameThing(b store.Booking, r CheckoutRequest) bool {
	if r.ServiceID != "" && r.ServiceID != b.ServiceID || r.ServiceName != "" && r.ServiceName != b.ServiceName {
		return false
	}
	if len(r.Details) > 0 && hash(r.Details) != hash(b.Details) {
		return false
	}
	return len(r.Seats) == 0 || hash(r.Seats) == hash(b.Claims)
}

// fingerprint is a hash of everything that a request asks for.
func fingerprint(r CheckoutRequest) string {
	return hash("checkout", r.BookingID, r.UserID, r.ServiceID, r.ServiceName, r.Quote, r.Details, r.Seats, r.CustomerEmail)
}

// hash is one of its arguments in order; maps and empty lists have one form.
func hash(parts ...any) string {
	h := sha256.New()
	enc := json.NewEncoder(h)
	for _, p := range parts {
		switch v := p.(type) {
		case map[string]string:
			if len(v) == 0 {
				p = nil
			}
		case []store.SeatClaim:
			if len(v) == 0 {
				p = nil
			}
		}
		_ = enc.Encode(p) // a hash takes everything, and these types encode
	}
	return hex.EncodeToString(h.Sum(nil))
}
