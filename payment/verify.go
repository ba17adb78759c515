package payment

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/store"
)

// VerifyStatus is where the payment of a checkout session stands.
type VerifyStatus string

// The statuses.
const (
	Processed      VerifyStatus = "processed"       // the booking is made
	Pending        VerifyStatus = "pending"         // paid, and the webhook is not here yet
	Processing     VerifyStatus = "processing"      // complete, and the money is not there: a bank takes days, a voucher is still to be paid
	Unpaid         VerifyStatus = "unpaid"          // not complete, or the payment failed
	Expired        VerifyStatus = "expired"         // the session or the hold ended unpaid
	NeedsAttention VerifyStatus = "needs_attention" // paid, but not as agreed: somebody must look
)

// Verification is what Verify found.
type Verification struct {
	Status  VerifyStatus
	Booking *store.Booking // nil when there is none yet
	Payment *store.Payment // that of the session, else the one the booking rests on; nil when there is none
}

// Inspection is a Verification with what support wants to know.
type Inspection struct {
	Verification
	// StatusText is the Status, but "pending_webhook" for Pending.
	StatusText string
	// ProcessedBy is what made the booking what it is: "webhook", "confirm",
	// "replay", ...; empty when nothing did yet.
	ProcessedBy string
}

// Waiting starts at firstWait between two looks at the store, and doubles up to
// lastWait.
const (
	firstWait = 100 * time.Millisecond
	lastWait  = time.Second
)

// Verify tells the customer of a session where its payment stands. It only reads.
// The store is asked first, and Stripe when that has no answer: once for a session
// that turns out to be paid, and at most every two seconds while it is not.
//
// With wait it goes on looking, in the store, for as long as the status is Pending
// and at most for that time, so that a page needs one call and not ten.
//
// Errors: ErrNoSession; booking.ErrNotOurs and booking.ErrMetadata; ErrNotOwner
// when the session is not userID's; ErrStripe and the store's for trying again.
func (s *Service) Verify(ctx context.Context, sessionID, userID string, wait time.Duration) (Verification, error) {
	v, err := s.verify(ctx, sessionID, wait, func(owner string) bool { return userID != "" && owner == userID })
	if err != nil {
		return Verification{}, fmt.Errorf("payment: verify: %w", err)
	}
	return v, nil
}

// Inspect is Verify for support: without a check of the owner and without
// waiting, and it tells who processed the session.
func (s *Service) Inspect(ctx context.Context, sessionID string) (Inspection, error) {
	v, err := s.verify(ctx, sessionID, 0, func(string) bool { return true })
	if err != nil {
		return Inspection{}, fmt.Errorf("payment: inspect: %w", err)
	}
	i := Inspection{Verification: v, StatusText: string(v.Status)}
	if v.Status == Pending {
		i.StatusText = "pending_webhook"
	}
	if v.Booking == nil || v.Status != Processed && v.Status != NeedsAttention {
		return i, nil
	}
	lines, err := s.cfg.Store.History(ctx, v.Booking.ID)
	if err != nil {
		return Inspection{}, fmt.Errorf("payment: inspect: %w", err)
	}
	for _, h := range lines { // newest first
		if h.From != h.To && (h.To == store.StateConfirmed || h.To == store.StateConflicted && i.ProcessedBy == "") {
			i.ProcessedBy = h.Cause.By
			if h.To == store.StateConfirmed {
				break
			}
		}
	}
	return i, nil
}

func (s *Service) verify(ctx context.Context, id string, wait time.Duration, owns func(userID string) bool) (Verification, error) {
	if mode, ok := modeOfSession(id); !ok || mode != s.cfg.Mode {
		return Verification{}, ErrNoSession
	}
	pause := firstWait
	for {
		v, err := s.look(ctx, id, owns)
		if err != nil || v.Status != Pending || wait <= 0 {
			return v, err
		}
		pause = min(pause, wait)
		select {
		case <-ctx.Done():
			return v, nil // the latest answer is an answer
		case <-s.after(pause):
		}
		wait -= pause
		pause = min(2*pause, lastWait)
	}
}

// look is one look.
func (s *Service) look(ctx context.Context, id string, owns func(userID string) bool) (Verification, error) {
	b, err := s.bookingOf(ctx, id)
	if err != nil {
		return Verification{}, err
	}
	if b != nil && !owns(b.UserID) {
		return Verification{}, ErrNotOwner
	}
	// One that has ended may have been paid since, with the news on its way.
	if b != nil && b.State != store.StateHeld && b.State != store.StateExpired {
		return s.verdict(ctx, *b, id, "")
	}

	f, err := s.seen.facts(ctx, id, func() (booking.Facts, error) { return s.fetch(ctx, id) })
	if err != nil {
		return Verification{}, err
	}
	o, err := s.decode(f)
	if err != nil {
		return Verification{}, err
	}
	if !owns(o.UserID) {
		return Verification{}, ErrNotOwner
	}
	// The store may know the payment, or the booking, by another name than the
	// session's: an intent's event that came first does not tell it.
	if f.PaymentIntentID != "" {
		p, err := s.cfg.Store.Payment(ctx, f.PaymentIntentID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return Verification{}, err
		}
		if err == nil && !p.CapturedAt.IsZero() {
			paid, err := s.cfg.Store.Booking(ctx, p.BookingID)
			if err != nil {
				return Verification{}, err
			}
			if !owns(paid.UserID) {
				return Verification{}, ErrNotOwner
			}
			return s.verdict(ctx, paid, id, f.PaymentIntentID)
		}
	}
	if b == nil {
		known, err := s.cfg.Store.Booking(ctx, o.BookingID)
		switch {
		case err == nil && owns(known.UserID):
			b = &known
		case err != nil && !errors.Is(err, store.ErrNotFound):
			return Verification{}, err
		}
	}
	standing := f.Standing()
	if standing == booking.Free && b != nil && b.State != store.StateHeld {
		return s.verdict(ctx, *b, id, "")
	}
	return Verification{Status: statusOf(standing), Booking: b}, nil
}

// statusOf is the status of a session of which the store knows nothing.
func statusOf(standing booking.Standing) VerifyStatus {
	switch standing {
	case booking.Paid, booking.Free:
		return Pending
	case booking.Expired:
		return Expired
	case booking.Processing:
		return Processing
	}
	return Unpaid
}

// bookingOf is the booking that the store has for a session; nil for none.
func (s *Service) bookingOf(ctx context.Context, sessionID string) (*store.Booking, error) {
	b, err := s.cfg.Store.BookingBySession(ctx, sessionID)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &b, nil
}

// verdict is what a booking that waits no more says about one of its sessions.
func (s *Service) verdict(ctx context.Context, b store.Booking, sessionID, intentID string) (Verification, error) {
	v := Verification{Status: Processed, Booking: &b}
	if b.PaymentIntentID != "" {
		st, err := s.stored(ctx, b.ID)
		if err != nil {
			return Verification{}, err
		}
		for i := range st.Payments {
			p := &st.Payments[i]
			exact := p.SessionID == sessionID || p.PaymentIntentID == intentID
			if exact || v.Payment == nil && p.PaymentIntentID == b.PaymentIntentID {
				v.Payment = p
			}
			if exact {
				break
			}
		}
	}
	switch {
	case b.State == store.StateConflicted:
		v.Status = NeedsAttention
	case b.State == store.StateExpired, b.State == store.StateCancelled && (v.Payment == nil || v.Payment.CapturedAt.IsZero()):
		v.Status = Expired
	}
	return v, nil
}

// cache remembers what Stripe said about sessions, so that a page that polls
// does not make every poll a call. Nothing is decided by it but when to ask
// again.
type cache struct {
	now func() time.Time

	mu      sync.Mutex
	entries map[string]*entry
}

type entry struct {
	turn  chan struct{} // holds one token: who has it may ask
	known bool
	facts booking.Facts
	err   error // ErrNoSession, or nil
	at    time.Time
}

// askAgain is how old an answer that can still change may be, and maxSeen how
// many sessions are remembered.
const (
	askAgain = 2 * time.Second
	maxSeen  = 1024
)

func newCache(now func() time.Time) *cache { return &cache{now: now, entries: map[string]*entry{}} }

// facts returns what is known of a session, from ask where that is nothing or
// too old. Callers that come meanwhile wait for the same answer.
func (c *cache) facts(ctx context.Context, id string, ask func() (booking.Facts, error)) (booking.Facts, error) {
	e := c.entry(id)
	select {
	case <-e.turn:
	case <-ctx.Done():
		return booking.Facts{}, ctx.Err()
	}
	defer func() { e.turn <- struct{}{} }()
	if e.known && (e.err == nil && final(e.facts) || c.now().Sub(e.at) < askAgain) {
		return e.facts, e.err
	}
	f, err := ask()
	if err != nil && !errors.Is(err, ErrNoSession) {
		return booking.Facts{}, err
	}
	e.known, e.facts, e.err, e.at = true, f, err, c.now()
	return f, err
}

func (c *cache) entry(id string) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[id]; e != nil {
		return e
	}
	for old := range c.entries { // any will do: who still needs it asks once more
		if len(c.entries) < maxSeen {
			break
		}
		delete(c.entries, old)
	}
	e := &entry{turn: make(chan struct{}, 1)}
	e.turn <- struct{}{}
	c.entries[id] = e
	return e
}

// final reports whether a session can't change any more.
func final(f booking.Facts) bool {
	switch f.Standing() {
	case booking.Paid, booking.Free, booking.Expired, booking.Foreign:
		return true
	}
	return false
}
