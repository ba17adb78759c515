// Package memory is a store.Store that lives in the process: for tests, for
// trying the library out, and as the plainest reading of the contract. It passes
// the whole of storetest.
//
// It forgets everything when the process ends, and a second process knows
// nothing of it. A service that takes money keeps its bookings in a database,
// with one of the other adapters.
//
// A mutex makes each Change one step. There is no transaction to join (G8): what
// a caller writes elsewhere is not undone with a Change, nor the other way round.
package memory

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/carevia/stripebooking/store"
)

// Store keeps everything in memory. The zero value is empty and ready for use by
// many goroutines. It must not be copied once used.
type Store struct {
	mu sync.RWMutex

	// The records by their unique keys.
	keys     map[string]applied
	bookings map[string]store.Booking
	history  map[string][]store.History // by booking, oldest first
	payments map[string]store.Payment   // by payment intent
	events   map[string]store.Event
	seats    map[store.Seat]string // who has it

	// The lists, newest first.
	bookingsByUser    index
	bookingsBySession index
	paymentsByBooking index
	paymentsByUser    index
	paymentsBySession index
	eventsByTime      index // all in the group ""
}

var _ store.Store = (*Store)(nil)

// applied is what a key remembers.
type applied struct {
	fingerprint string
	bookingID   string // empty for a Change without a booking
}

// Apply implements store.Store.
func (s *Store) Apply(ctx context.Context, c store.Change) (store.Result, error) {
	if err := c.Validate(); err != nil {
		return store.Result{}, failed("apply", err)
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return store.Result{}, failed("apply", err)
	}
	defer unlock()
	r, err := s.apply(c)
	if err != nil {
		return r, failed("apply", err)
	}
	return r, nil
}

// apply decides first and writes afterwards, so that a Change that is refused
// has written nothing.
func (s *Store) apply(c store.Change) (store.Result, error) {
	if was, ok := s.keys[c.Key]; ok {
		if was.fingerprint != "" && c.Fingerprint != "" && was.fingerprint != c.Fingerprint {
			return store.Result{}, store.ErrMismatch
		}
		return s.result(was.bookingID, c.Event), nil
	}

	var next store.Booking
	var claimed []store.Seat
	if c.Booking != nil {
		id := c.Booking.ID
		stored, exists := s.bookings[id] // Version 0 if it does not
		if stored.Version != c.Booking.Version {
			return s.conflict(store.ConflictVersion, id, c.Event)
		}
		for _, p := range c.Payments {
			if old, ok := s.payments[p.PaymentIntentID]; ok && old.BookingID != id {
				return s.conflict(store.ConflictIntent, old.BookingID, c.Event)
			}
		}
		if err := c.CheckSeats(stored.Seats); err != nil {
			return store.Result{}, err
		}
		var free bool
		if claimed, free = c.PickSeats(func(seat store.Seat) bool { return s.seats[seat] != "" }); !free {
			return s.conflict(store.ConflictSeats, id, c.Event)
		}
		next = c.Next()
		next.Seats = append(next.Seats, claimed...)
		if exists {
			next.CreatedAt = stored.CreatedAt
		}
	}

	// From here on nothing can fail.
	set(&s.keys, c.Key, applied{fingerprint: c.Fingerprint, bookingID: next.ID})
	if c.Booking != nil {
		for _, seat := range c.Release {
			delete(s.seats, seat)
		}
		for _, seat := range claimed {
			set(&s.seats, seat, next.ID)
		}
		s.putBooking(next)
		line := *c.History
		line.BookingID, line.Version, line.At = next.ID, next.Version, store.Time(line.At)
		set(&s.history, next.ID, append(s.history[next.ID], line))
		for _, p := range c.Payments {
			s.putPayment(p.Clone())
		}
	}
	if c.Event != nil {
		s.putEvent(store.MergeEvent(s.storedEvent(c.Event.ID), *c.Event))
	}
	r := s.result(next.ID, c.Event)
	r.Applied = true
	return r, nil
}

// result is what is stored now of a booking (empty: none) and an event.
func (s *Store) result(bookingID string, e *store.Event) store.Result {
	var r store.Result
	if b, ok := s.bookings[bookingID]; ok {
		b = b.Clone()
		r.Booking = &b
		for _, row := range s.paymentsByBooking.rows[bookingID] {
			r.Payments = append(r.Payments, s.payments[row.key].Clone())
		}
		slices.Reverse(r.Payments) // oldest first
	}
	if e != nil {
		if row, ok := s.events[e.ID]; ok {
			row = row.Clone()
			r.Event = &row
		}
	}
	return r
}

func (s *Store) conflict(over store.Conflict, bookingID string, e *store.Event) (store.Result, error) {
	r := s.result(bookingID, e)
	r.Conflict = over
	return r, fmt.Errorf("%w over the %s", store.ErrConflict, over)
}

// RecordFailure implements store.Store.
func (s *Store) RecordFailure(ctx context.Context, e store.Event, reason string, dead bool) error {
	const op = "record failure"
	if err := store.MergeFailure(nil, e, reason, dead).Validate(); err != nil {
		return failed(op, err)
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return failed(op, err)
	}
	defer unlock()
	s.putEvent(store.MergeFailure(s.storedEvent(e.ID), e, reason, dead))
	return nil
}

// RecordHandled implements store.Store.
func (s *Store) RecordHandled(ctx context.Context, eventID string, handlers []string, done bool, at time.Time) error {
	const op = "record handled"
	for _, h := range handlers {
		if err := store.CheckID("handler", h); err != nil {
			return failed(op, err)
		}
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return failed(op, err)
	}
	defer unlock()
	old, ok := s.events[eventID]
	if !ok {
		return failed(op, store.ErrNotFound)
	}
	e := store.MergeHandled(old, handlers, done)
	e.UpdatedAt = store.Time(at)
	s.putEvent(e)
	return nil
}

// Booking implements store.Store.
func (s *Store) Booking(ctx context.Context, id string) (store.Booking, error) {
	return get(ctx, s, "booking", func() (store.Booking, bool) {
		b, ok := s.bookings[id]
		return b.Clone(), ok
	})
}

// BookingBySession implements store.Store.
func (s *Store) BookingBySession(ctx context.Context, sessionID string) (store.Booking, error) {
	return get(ctx, s, "booking by session", func() (store.Booking, bool) {
		id, ok := s.bookingsBySession.newest(sessionID)
		if !ok {
			var intent string
			intent, ok = s.paymentsBySession.newest(sessionID)
			id = s.payments[intent].BookingID
		}
		return s.bookings[id].Clone(), ok
	})
}

// BookingsByUser implements store.Store.
func (s *Store) BookingsByUser(ctx context.Context, userID string, p store.Page) ([]store.Booking, string, error) {
	return list(ctx, s, "bookings by user", &s.bookingsByUser, userID, p, func(id string) (store.Booking, bool) {
		return s.bookings[id].Clone(), true
	})
}

// History implements store.Store.
func (s *Store) History(ctx context.Context, bookingID string) ([]store.History, error) {
	unlock, err := s.rlock(ctx)
	if err != nil {
		return nil, failed("history", err)
	}
	defer unlock()
	lines := slices.Clone(s.history[bookingID])
	slices.Reverse(lines)
	return lines, nil
}

// Payment implements store.Store.
func (s *Store) Payment(ctx context.Context, paymentIntentID string) (store.Payment, error) {
	return get(ctx, s, "payment", func() (store.Payment, bool) {
		p, ok := s.payments[paymentIntentID]
		return p.Clone(), ok
	})
}

// PaymentsByBooking implements store.Store.
func (s *Store) PaymentsByBooking(ctx context.Context, bookingID string, p store.Page) ([]store.Payment, string, error) {
	return list(ctx, s, "payments by booking", &s.paymentsByBooking, bookingID, p, s.payment)
}

// PaymentsByUser implements store.Store.
func (s *Store) PaymentsByUser(ctx context.Context, userID string, p store.Page) ([]store.Payment, string, error) {
	return list(ctx, s, "payments by user", &s.paymentsByUser, userID, p, s.payment)
}

func (s *Store) payment(intent string) (store.Payment, bool) { return s.payments[intent].Clone(), true }

// Event implements store.Store.
func (s *Store) Event(ctx context.Context, id string) (store.Event, error) {
	return get(ctx, s, "event", func() (store.Event, bool) {
		e, ok := s.events[id]
		return e.Clone(), ok
	})
}

// Events implements store.Store.
func (s *Store) Events(ctx context.Context, f store.EventFilter, p store.Page) ([]store.Event, string, error) {
	return list(ctx, s, "events", &s.eventsByTime, "", p, func(id string) (store.Event, bool) {
		e := s.events[id]
		if f.State != "" && e.State != f.State || f.Type != "" && e.Type != f.Type ||
			!f.From.IsZero() && e.ReceivedAt.Before(f.From) || !f.To.IsZero() && !e.ReceivedAt.Before(f.To) {
			return store.Event{}, false
		}
		return e.Clone(), true
	})
}

func (s *Store) putBooking(b store.Booking) {
	if old, ok := s.bookings[b.ID]; ok {
		row := rowOf(old.CreatedAt, old.ID, old.ID)
		s.bookingsByUser.drop(old.UserID, row)
		s.bookingsBySession.drop(old.SessionID, row)
	}
	set(&s.bookings, b.ID, b)
	row := rowOf(b.CreatedAt, b.ID, b.ID)
	s.bookingsByUser.put(b.UserID, row)
	s.bookingsBySession.put(b.SessionID, row)
}

func (s *Store) putPayment(p store.Payment) {
	if old, ok := s.payments[p.PaymentIntentID]; ok {
		p.CreatedAt = old.CreatedAt
		row := rowOf(old.CreatedAt, old.ID, old.PaymentIntentID)
		s.paymentsByBooking.drop(old.BookingID, row)
		s.paymentsByUser.drop(old.UserID, row)
		s.paymentsBySession.drop(old.SessionID, row)
	}
	set(&s.payments, p.PaymentIntentID, p)
	row := rowOf(p.CreatedAt, p.ID, p.PaymentIntentID)
	s.paymentsByBooking.put(p.BookingID, row)
	s.paymentsByUser.put(p.UserID, row)
	s.paymentsBySession.put(p.SessionID, row)
}

// putEvent relies on the merges to keep the ReceivedAt of a stored row.
func (s *Store) putEvent(e store.Event) {
	if _, ok := s.events[e.ID]; !ok {
		s.eventsByTime.insert("", rowOf(e.ReceivedAt, e.ID, e.ID))
	}
	set(&s.events, e.ID, e)
}

func (s *Store) storedEvent(id string) *store.Event {
	if e, ok := s.events[id]; ok {
		return &e
	}
	return nil
}

// lock waits for the lock and gives up if ctx ended meanwhile. Nobody holds the
// lock while waiting for anything else, so the wait is short.
func (s *Store) lock(ctx context.Context) (unlock func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	if err := ctx.Err(); err != nil {
		s.mu.Unlock()
		return nil, err
	}
	return s.mu.Unlock, nil
}

func (s *Store) rlock(ctx context.Context) (unlock func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	if err := ctx.Err(); err != nil {
		s.mu.RUnlock()
		return nil, err
	}
	return s.mu.RUnlock, nil
}

func get[T any](ctx context.Context, s *Store, op string, find func() (T, bool)) (T, error) {
	var zero T
	unlock, err := s.rlock(ctx)
	if err != nil {
		return zero, failed(op, err)
	}
	defer unlock()
	found, ok := find()
	if !ok {
		return zero, failed(op, store.ErrNotFound)
	}
	return found, nil
}

func list[T any](ctx context.Context, s *Store, op string, x *index, group string, p store.Page, find func(key string) (T, bool)) ([]T, string, error) {
	limit, after, err := p.Parse()
	if err != nil {
		return nil, "", failed(op, err)
	}
	unlock, err := s.rlock(ctx)
	if err != nil {
		return nil, "", failed(op, err)
	}
	defer unlock()
	var out []T
	var last row
	for _, r := range x.from(group, after) {
		found, ok := find(r.key)
		if !ok {
			continue
		}
		if len(out) == limit {
			return out, store.Cursor{At: last.at, ID: last.id}.String(), nil
		}
		out, last = append(out, found), r
	}
	return out, "", nil
}

// set writes to a map that may still be nil.
func set[K comparable, V any](m *map[K]V, k K, v V) {
	if *m == nil {
		*m = map[K]V{}
	}
	(*m)[k] = v
}

func failed(op string, err error) error { return fmt.Errorf("memory: %s: %w", op, err) }
