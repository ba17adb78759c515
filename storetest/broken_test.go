package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/memory"
)

// broken is a store with one thing wrong: the hooks that are set stand between
// the caller and a sound store.
type broken struct {
	store.Store

	apply   func(ctx context.Context, c store.Change) (store.Result, error)
	failure func(ctx context.Context, e store.Event, reason string, dead bool) error
	handled func(ctx context.Context, id string, handlers []string, done bool, at time.Time) error

	ctx     func(context.Context) context.Context // for every call
	id      func(kind, id string, write bool) string
	result  func(c store.Change, r *store.Result)
	booking func(b *store.Booking) // everything that is read, Results too
	payment func(p *store.Payment)
	event   func(e *store.Event)
	history func(h []store.History)
	missing func(err error) error // the errors of reads of one record
	list    func(p store.Page, fetch fetch) ([]any, string, error)
	filter  func(f *store.EventFilter)
}

type fetch func(p store.Page) ([]any, string, error)

// over makes a sound store with hooks.
func over(set func(s *broken, sound store.Store)) func() store.Store {
	return func() store.Store { return wrapped(new(memory.Store), set) }
}

func wrapped(sound store.Store, set func(s *broken, sound store.Store)) *broken {
	s := &broken{Store: sound}
	set(s, sound)
	return s
}

func (s *broken) context(ctx context.Context) context.Context {
	if s.ctx != nil {
		return s.ctx(ctx)
	}
	return ctx
}

func (s *broken) as(kind, id string, write bool) string {
	if s.id != nil && id != "" {
		return s.id(kind, id, write)
	}
	return id
}

func (s *broken) asAll(kind string, ids []string, write bool) []string {
	var out []string
	for _, id := range ids {
		out = append(out, s.as(kind, id, write))
	}
	return out
}

// copied is a Change that may be changed.
func copied(c store.Change) store.Change {
	if c.Booking != nil {
		b := *c.Booking
		c.Booking = &b
	}
	if c.History != nil {
		h := *c.History
		c.History = &h
	}
	if c.Event != nil {
		e := *c.Event
		c.Event = &e
	}
	c.Payments = append([]store.Payment(nil), c.Payments...)
	c.Claim = append([]store.SeatClaim(nil), c.Claim...)
	return c
}

func (s *broken) Apply(ctx context.Context, c store.Change) (store.Result, error) {
	c = copied(c)
	if s.id != nil {
		c.Key, c.Fingerprint = s.as("key", c.Key, true), s.as("fingerprint", c.Fingerprint, true)
		if b := c.Booking; b != nil {
			b.ID, b.UserID, b.SessionID = s.as("booking", b.ID, true), s.as("user", b.UserID, true), s.as("session", b.SessionID, true)
		}
		for i := range c.Payments {
			p := &c.Payments[i]
			p.BookingID, p.UserID = s.as("booking", p.BookingID, true), s.as("user", p.UserID, true)
			p.PaymentIntentID, p.SessionID = s.as("intent", p.PaymentIntentID, true), s.as("session", p.SessionID, true)
		}
		for i := range c.Claim {
			c.Claim[i].Slot = s.as("slot", c.Claim[i].Slot, true)
		}
		if c.Event != nil {
			c.Event.ID, c.Event.Type = s.as("event", c.Event.ID, true), s.as("type", c.Event.Type, true)
		}
	}
	do := s.apply
	if do == nil {
		do = s.Store.Apply
	}
	r, err := do(s.context(ctx), c)
	if r.Booking != nil && s.booking != nil {
		s.booking(r.Booking)
	}
	if s.payment != nil {
		for i := range r.Payments {
			s.payment(&r.Payments[i])
		}
	}
	if r.Event != nil && s.event != nil {
		s.event(r.Event)
	}
	if s.result != nil {
		s.result(c, &r)
	}
	return r, err
}

func (s *broken) RecordFailure(ctx context.Context, e store.Event, reason string, dead bool) error {
	e.ID, e.Type = s.as("event", e.ID, true), s.as("type", e.Type, true)
	if s.failure != nil {
		return s.failure(s.context(ctx), e, reason, dead)
	}
	return s.Store.RecordFailure(s.context(ctx), e, reason, dead)
}

func (s *broken) RecordHandled(ctx context.Context, id string, handlers []string, done bool, at time.Time) error {
	id, handlers = s.as("event", id, false), s.asAll("handler", handlers, true)
	if s.handled != nil {
		return s.handled(s.context(ctx), id, handlers, done, at)
	}
	return s.Store.RecordHandled(s.context(ctx), id, handlers, done, at)
}

func one[T any](s *broken, found T, err error, edit func(*T)) (T, error) {
	if err != nil && s.missing != nil {
		return found, s.missing(err)
	}
	if err == nil && edit != nil {
		edit(&found)
	}
	return found, err
}

func (s *broken) Booking(ctx context.Context, id string) (store.Booking, error) {
	b, err := s.Store.Booking(s.context(ctx), s.as("booking", id, false))
	return one(s, b, err, s.booking)
}

func (s *broken) BookingBySession(ctx context.Context, id string) (store.Booking, error) {
	b, err := s.Store.BookingBySession(s.context(ctx), s.as("session", id, false))
	return one(s, b, err, s.booking)
}

func (s *broken) Payment(ctx context.Context, id string) (store.Payment, error) {
	p, err := s.Store.Payment(s.context(ctx), s.as("intent", id, false))
	return one(s, p, err, s.payment)
}

func (s *broken) Event(ctx context.Context, id string) (store.Event, error) {
	e, err := s.Store.Event(s.context(ctx), s.as("event", id, false))
	return one(s, e, err, s.event)
}

func (s *broken) History(ctx context.Context, id string) ([]store.History, error) {
	h, err := s.Store.History(s.context(ctx), s.as("booking", id, false))
	if s.history != nil {
		s.history(h)
	}
	return h, err
}

func many[T any](s *broken, p store.Page, edit func(*T), call func(store.Page) ([]T, string, error)) ([]T, string, error) {
	if s.list != nil {
		rows, next, err := s.list(p, func(p store.Page) ([]any, string, error) {
			rows, next, err := call(p)
			var out []any
			for _, row := range rows {
				out = append(out, row)
			}
			return out, next, err
		})
		var out []T
		for _, row := range rows {
			out = append(out, row.(T))
		}
		return out, next, err
	}
	rows, next, err := call(p)
	if edit != nil {
		for i := range rows {
			edit(&rows[i])
		}
	}
	return rows, next, err
}

func (s *broken) BookingsByUser(ctx context.Context, id string, p store.Page) ([]store.Booking, string, error) {
	return many(s, p, s.booking, func(p store.Page) ([]store.Booking, string, error) {
		return s.Store.BookingsByUser(s.context(ctx), s.as("user", id, false), p)
	})
}

func (s *broken) PaymentsByUser(ctx context.Context, id string, p store.Page) ([]store.Payment, string, error) {
	return many(s, p, s.payment, func(p store.Page) ([]store.Payment, string, error) {
		return s.Store.PaymentsByUser(s.context(ctx), s.as("user", id, false), p)
	})
}

func (s *broken) PaymentsByBooking(ctx context.Context, id string, p store.Page) ([]store.Payment, string, error) {
	return many(s, p, s.payment, func(p store.Page) ([]store.Payment, string, error) {
		return s.Store.PaymentsByBooking(s.context(ctx), s.as("booking", id, false), p)
	})
}

func (s *broken) Events(ctx context.Context, f store.EventFilter, p store.Page) ([]store.Event, string, error) {
	f.Type = s.as("type", f.Type, false)
	if s.filter != nil {
		s.filter(&f)
	}
	return many(s, p, s.event, func(p store.Page) ([]store.Event, string, error) {
		return s.Store.Events(s.context(ctx), f, p)
	})
}

// gate is the critical point of a race: a caller waits in it until another comes,
// so that the two meet on any machine. A caller that nobody follows goes on after a
// while. Once two have met the gate stays open. The zero value is ready.
type gate struct {
	inside atomic.Int32
	open   atomic.Bool
}

func (g *gate) pass() {
	if g.inside.Add(1) > 1 {
		g.open.Store(true)
	}
	until(g.open.Load)
	g.inside.Add(-1)
}

// until waits for what a rival does, if there is one.
func until(happened func() bool) {
	for end := time.Now().Add(400 * time.Millisecond); !happened() && time.Now().Before(end); {
		time.Sleep(50 * time.Microsecond)
	}
}

// force applies a Change whatever version is stored, as an UPDATE without a
// condition does.
func force(ctx context.Context, s store.Store, c store.Change) (store.Result, error) {
	for {
		r, err := s.Apply(ctx, c)
		if !errors.Is(err, store.ErrConflict) || r.Conflict != store.ConflictVersion {
			return r, err
		}
		b := *c.Booking
		b.Version, b.Seats = 0, nil
		if r.Booking != nil {
			b.Version, b.Seats = r.Booking.Version, r.Booking.Seats
		}
		c.Booking, c.Release = &b, nil
	}
}

// owners knows who has a seat, for mutants that free another's.
type owners struct {
	mu    sync.Mutex
	owner map[store.Seat]string
	n     int
}

func (o *owners) note(b *store.Booking) {
	if b == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.owner == nil {
		o.owner = map[store.Seat]string{}
	}
	for _, seat := range b.Seats {
		o.owner[seat] = b.ID
	}
}

func (o *owners) of(seat store.Seat) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.owner[seat]
}

// free takes the seats from whoever has them.
func (o *owners) free(s store.Store, seats []store.Seat) {
	for _, seat := range seats {
		b, err := s.Booking(context.Background(), o.of(seat))
		if err != nil || !slices.Contains(b.Seats, seat) {
			continue
		}
		o.mu.Lock()
		o.n++
		c := step(fmt.Sprintf("evict-%d", o.n), b, nil)
		o.mu.Unlock()
		c.Release = []store.Seat{seat}
		_, _ = s.Apply(context.Background(), c)
	}
}

var asides atomic.Int64

// aside writes a ledger row in a transaction of its own.
func aside(s store.Store, e *store.Event) {
	if e == nil {
		return
	}
	key := fmt.Sprintf("aside-%d", asides.Add(1))
	_, _ = s.Apply(context.Background(), store.Change{Key: key, Event: e})
}

// journal is a sound store whose transactions can be joined: one works on a copy,
// made by doing again all that was done before, and commits by doing on the
// original what was done on the copy.
type journal struct {
	store.Store
	mu   sync.Mutex
	done []func(s store.Store) error
}

func (j *journal) note(do func(s store.Store) error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	err := do(j.Store)
	if err == nil {
		j.done = append(j.done, do)
	}
	return err
}

func (j *journal) Apply(ctx context.Context, c store.Change) (r store.Result, err error) {
	kept := copied(c)
	err = j.note(func(s store.Store) error {
		got, err := s.Apply(ctx, kept)
		r = got
		return err
	})
	return r, err
}

func (j *journal) RecordFailure(ctx context.Context, e store.Event, reason string, dead bool) error {
	return j.note(func(s store.Store) error { return s.RecordFailure(ctx, e, reason, dead) })
}

func (j *journal) RecordHandled(ctx context.Context, id string, handlers []string, done bool, at time.Time) error {
	return j.note(func(s store.Store) error { return s.RecordHandled(ctx, id, handlers, done, at) })
}

func (j *journal) join() (tx *journal, commit, rollback func() error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	tx = &journal{Store: new(memory.Store)}
	for _, do := range j.done {
		_ = do(tx.Store)
	}
	commit = func() error {
		for _, do := range tx.done {
			if err := j.note(do); err != nil {
				return err
			}
		}
		return nil
	}
	return tx, commit, func() error { return nil }
}
