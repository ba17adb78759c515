// Package boltstore keeps bookings in a bbolt file: a worked example of an adapter
// for another kind of database. docs/adapters.md tells how one is written.
//
// bbolt is a file of sorted keys that one process opens at a time, with one write
// transaction at a time. Elsewhere a race is decided by inserting a unique key,
// since what was read may be old when the write comes. Here nobody writes between
// the two, so the transaction is the lock, and looking first is right. It is the
// database's lock, not the adapter's: writers that know nothing of this package
// stand in the same line.
package boltstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/carevia/stripebooking/store"
)

// Store keeps the records in a bbolt file. It implements [store.Store].
type Store struct {
	db *bolt.DB
	tx *bolt.Tx // the caller's, in a joined store
}

// New returns a store in an open file, beside what else is in it.
func New(db *bolt.DB) (*Store, error) {
	if db.NoSync {
		return nil, errors.New("boltstore: with NoSync a crash may undo a confirmed booking")
	}
	return &Store{db: db}, db.Update(func(tx *bolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucket)
		return err
	})
}

// With returns a store that works within the caller's transaction, for one
// goroutine at a time. After an error that is none of package store's, roll back.
func (s *Store) With(tx *bolt.Tx) store.Store { return &Store{db: s.db, tx: tx} }

// named is what a Change's key names.
type named struct{ Fingerprint, BookingID string }

// Apply makes a Change visible whole, or not at all.
func (s *Store) Apply(ctx context.Context, c store.Change) (store.Result, error) {
	return run(ctx, s, "apply", true, func(t *table) (store.Result, error) { return t.apply(c) })
}

// apply decides first and writes afterwards, so that a Change that lost has written
// nothing, in a joined transaction either.
func (t *table) apply(c store.Change) (r store.Result, err error) {
	if err := c.Validate(); err != nil {
		return r, err
	}
	if was := get[named](t, key("change", c.Key)); was != nil {
		if was.Fingerprint != "" && c.Fingerprint != "" && was.Fingerprint != c.Fingerprint {
			return r, store.ErrMismatch
		}
		return t.result(was.BookingID, c.Event), nil
	}
	var id string
	if c.Booking != nil {
		id = c.Booking.ID
		if r, err = t.applyBooking(c); err != nil {
			return r, err
		}
	}
	t.put(key("change", c.Key), named{c.Fingerprint, id})
	if c.Event != nil {
		save(t, store.MergeEvent(get[store.Event](t, key("event", c.Event.ID)), *c.Event), keysOfEvent)
	}
	r = t.result(id, c.Event)
	r.Applied = true
	return r, nil
}

func (t *table) applyBooking(c store.Change) (store.Result, error) {
	next := c.Next()
	stored := get[store.Booking](t, key("booking", next.ID))
	if stored == nil {
		stored = &store.Booking{CreatedAt: next.CreatedAt} // at version 0
	}
	if stored.Version != c.Booking.Version {
		return t.lost(store.ConflictVersion, next.ID, c.Event)
	}
	for _, p := range c.Payments {
		if old := get[store.Payment](t, key("payment", p.PaymentIntentID)); old != nil && old.BookingID != next.ID {
			return t.lost(store.ConflictIntent, old.BookingID, c.Event)
		}
	}
	if err := c.CheckSeats(stored.Seats); err != nil {
		return store.Result{}, err
	}
	claimed, ok := c.PickSeats(func(seat store.Seat) bool { return get[string](t, seatKey(seat)) != nil })
	if !ok {
		return t.lost(store.ConflictSeats, next.ID, c.Event)
	}

	for _, seat := range c.Release {
		t.remove(seatKey(seat))
	}
	for _, seat := range claimed {
		t.put(seatKey(seat), next.ID)
	}
	next.Seats, next.CreatedAt = append(next.Seats, claimed...), stored.CreatedAt
	save(t, next, keysOfBooking)
	line := *c.History
	line.BookingID, line.Version, line.At = next.ID, next.Version, store.Time(line.At)
	save(t, line, keysOfLine)
	for _, p := range c.Payments {
		p = p.Clone()
		if old := get[store.Payment](t, key("payment", p.PaymentIntentID)); old != nil {
			p.CreatedAt = old.CreatedAt
		}
		save(t, p, keysOfPayment)
	}
	return store.Result{}, nil
}

// lost is what a Change is told that lost, over something of this booking's.
func (t *table) lost(over store.Conflict, bookingID string, e *store.Event) (store.Result, error) {
	r := t.result(bookingID, e)
	r.Conflict = over
	return r, fmt.Errorf("%w over the %s", store.ErrConflict, over)
}

// result is what is stored of a booking and an event.
func (t *table) result(bookingID string, e *store.Event) (r store.Result) {
	r.Booking = get[store.Booking](t, key("booking", bookingID))
	r.Payments, _ = rows[store.Payment](t, key("payments by booking", bookingID), window{})
	slices.Reverse(r.Payments) // oldest first
	if e != nil {
		r.Event = get[store.Event](t, key("event", e.ID))
	}
	return r
}

// RecordFailure keeps a failed attempt at an event.
func (s *Store) RecordFailure(ctx context.Context, e store.Event, reason string, dead bool) error {
	_, err := run(ctx, s, "record failure", true, func(t *table) (any, error) {
		return nil, t.saveEvent(store.MergeFailure(get[store.Event](t, key("event", e.ID)), e, reason, dead))
	})
	return err
}

// RecordHandled notes that the user's handlers have succeeded.
func (s *Store) RecordHandled(ctx context.Context, eventID string, handlers []string, done bool, at time.Time) error {
	_, err := run(ctx, s, "record handled", true, func(t *table) (any, error) {
		old := get[store.Event](t, key("event", eventID))
		if old == nil {
			return nil, store.ErrNotFound
		}
		row := store.MergeHandled(*old, handlers, done)
		row.UpdatedAt = store.Time(at)
		return nil, t.saveEvent(row)
	})
	return err
}

// saveEvent validates first: a handler's name may be wrong, or a reason.
func (t *table) saveEvent(row store.Event) error {
	if err := row.Validate(); err != nil {
		return err
	}
	save(t, row, keysOfEvent)
	return nil
}

// Booking returns one booking.
func (s *Store) Booking(ctx context.Context, id string) (store.Booking, error) {
	return one[store.Booking](ctx, s, "booking", key("booking", id))
}

// Payment returns the payment of a payment intent.
func (s *Store) Payment(ctx context.Context, paymentIntentID string) (store.Payment, error) {
	return one[store.Payment](ctx, s, "payment", key("payment", paymentIntentID))
}

// Event returns one ledger row.
func (s *Store) Event(ctx context.Context, id string) (store.Event, error) {
	return one[store.Event](ctx, s, "event", key("event", id))
}

// BookingBySession returns a session's own booking, else that of its payment.
func (s *Store) BookingBySession(ctx context.Context, sessionID string) (store.Booking, error) {
	return run(ctx, s, "booking by session", false, func(t *table) (b store.Booking, err error) {
		if sessionID == "" { // which is where those are that have none
			return b, store.ErrNotFound
		}
		if own, _ := rows[store.Booking](t, key("bookings by session", sessionID), window{limit: 1}); len(own) > 0 {
			return own[0], nil
		}
		if paid, _ := rows[store.Payment](t, key("payments by session", sessionID), window{limit: 1}); len(paid) > 0 {
			return *get[store.Booking](t, key("booking", paid[0].BookingID)), nil
		}
		return b, store.ErrNotFound
	})
}

// History returns the history of a booking.
func (s *Store) History(ctx context.Context, bookingID string) ([]store.History, error) {
	return run(ctx, s, "history", false, func(t *table) ([]store.History, error) {
		lines, _ := rows[store.History](t, key("history", bookingID), window{})
		return lines, nil
	})
}

// BookingsByUser lists a user's bookings.
func (s *Store) BookingsByUser(ctx context.Context, userID string, p store.Page) ([]store.Booking, string, error) {
	return list[store.Booking](ctx, s, key("bookings by user", userID), p, window{})
}

// PaymentsByBooking lists a booking's payments.
func (s *Store) PaymentsByBooking(ctx context.Context, bookingID string, p store.Page) ([]store.Payment, string, error) {
	return list[store.Payment](ctx, s, key("payments by booking", bookingID), p, window{})
}

// PaymentsByUser lists a user's payments.
func (s *Store) PaymentsByUser(ctx context.Context, userID string, p store.Page) ([]store.Payment, string, error) {
	return list[store.Payment](ctx, s, key("payments by user", userID), p, window{})
}

// Events lists ledger rows.
func (s *Store) Events(ctx context.Context, f store.EventFilter, p store.Page) ([]store.Event, string, error) {
	return list[store.Event](ctx, s, key("events by kind", string(f.State), f.Type), p, window{from: f.From, to: f.To})
}

// The keys of records: their own, and their places in lists.

func keysOfBooking(b store.Booking) []string {
	return []string{
		key("booking", b.ID),
		place(key("bookings by user", b.UserID), b.CreatedAt, b.ID, ""),
		place(key("bookings by session", b.SessionID), b.CreatedAt, b.ID, ""),
	}
}

func keysOfPayment(p store.Payment) []string {
	return []string{
		key("payment", p.PaymentIntentID),
		place(key("payments by booking", p.BookingID), p.CreatedAt, p.ID, p.PaymentIntentID),
		place(key("payments by user", p.UserID), p.CreatedAt, p.ID, p.PaymentIntentID),
		place(key("payments by session", p.SessionID), p.CreatedAt, p.ID, p.PaymentIntentID),
	}
}

func keysOfEvent(e store.Event) []string {
	keys := []string{key("event", e.ID)}
	for _, state := range []store.EventState{"", e.State} { // for each filter that it matches
		for _, kind := range []string{"", e.Type} {
			keys = append(keys, place(key("events by kind", string(state), kind), e.ReceivedAt, e.ID, ""))
		}
	}
	return keys
}

func keysOfLine(l store.History) []string {
	return []string{key("line", l.BookingID) + number(l.Version), key("history", l.BookingID) + number(l.Version)}
}

func seatKey(s store.Seat) string { return key("seat", s.Slot) + number(int64(s.Number)) }
