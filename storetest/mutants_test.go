package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/memory"
)

// mutant is a store with one thing wrong, and the cases that must notice.
type mutant struct {
	name   string
	caught string // names of cases, separated by spaces
	open   func() store.Store
	reopen func(store.Store) store.Store // nil: the same
	join   func(store.Store) (store.Store, func() error, func() error)
}

func mutants() []mutant {
	return slices.Concat(changeMutants(), keyMutants(), raceMutants(), intentMutants(), idMutants(), seatMutants(),
		readMutants(), listMutants(), eventMutants(), mergeMutants(), contextMutants(), recordMutants(), reopenMutants(), joinMutants())
}

const nothingLeft = "nothing-left-version nothing-left-new-booking nothing-left-intent nothing-left-seats"

func changeMutants() []mutant {
	return []mutant{
		{
			name: "ledger before booking", caught: nothingLeft + " race-new-booking race-version race-intent race-last-seat",
			open: over(func(s *broken, sound store.Store) {
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					if _, err := sound.Event(ctx, eventID(c)); err != nil {
						aside(sound, c.Event)
					}
					return sound.Apply(ctx, c)
				}
			}),
		},
		{
			name: "ledger row survives a lost race", caught: nothingLeft + " race-new-booking race-version race-intent race-five-seats",
			open: over(func(s *broken, sound store.Store) {
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					r, err := sound.Apply(ctx, c)
					if errors.Is(err, store.ErrConflict) {
						aside(sound, c.Event)
					}
					return r, err
				}
			}),
		},
		{
			name: "payments survive a lost race", caught: "nothing-left-intent nothing-left-version nothing-left-seats",
			open: func() store.Store {
				return &ghosts{Store: new(memory.Store), payments: map[string]store.Payment{}}
			},
		},
		{
			name: "seats survive a lost race", caught: "nothing-left-seats seats-all-or-none",
			open: over(func(s *broken, sound store.Store) {
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					r, err := sound.Apply(ctx, c)
					if r.Conflict == store.ConflictSeats {
						for i, claim := range c.Claim {
							id := fmt.Sprintf("ghost-%s-%d", c.Key, i)
							_, _ = sound.Apply(ctx, claiming(id, id, claim))
						}
					}
					return r, err
				}
			}),
		},
		{
			name: "a lost Change uses its key up", caught: nothingLeft + " key-not-burnt conflict-stays-lost",
			open: over(func(s *broken, sound store.Store) {
				burnt := map[string]store.Result{}
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					if r, ok := burnt[c.Key]; ok {
						return r, nil
					}
					r, err := sound.Apply(ctx, c)
					if errors.Is(err, store.ErrConflict) {
						burnt[c.Key] = store.Result{Booking: r.Booking, Payments: r.Payments}
					}
					return r, err
				}
			}),
		},
		{
			name: "a lost Change comes through later", caught: "conflict-stays-lost",
			open: over(func(s *broken, sound store.Store) {
				lost := map[string]bool{}
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					if lost[c.Key] {
						return force(ctx, sound, c)
					}
					r, err := sound.Apply(ctx, c)
					lost[c.Key] = errors.Is(err, store.ErrConflict)
					return r, err
				}
			}),
		},
		{
			name: "a lost Change waits for its chance", caught: "conflict-never-late",
			open: over(func(s *broken, sound store.Store) {
				var waiting []store.Change
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					r, err := sound.Apply(ctx, c)
					if errors.Is(err, store.ErrConflict) {
						waiting = append(waiting, c)
					}
					if r.Applied {
						for _, c := range waiting {
							_, _ = sound.Apply(ctx, c)
						}
					}
					return r, err
				}
			}),
		},
		{
			name: "forgets the ledger row of a booking", caught: "change-whole",
			open: over(func(s *broken, sound store.Store) {
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					if c.Booking != nil {
						c.Event = nil
					}
					return sound.Apply(ctx, c)
				}
			}),
		},
		{
			name: "the creation time of a booking moves", caught: "change-stored-booking record-every-field",
			open: over(func(s *broken, sound store.Store) {
				created := map[string]time.Time{}
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					if c.Booking != nil {
						created[c.Booking.ID] = store.Time(c.Booking.CreatedAt)
					}
					return sound.Apply(ctx, c)
				}
				s.booking = func(b *store.Booking) { b.CreatedAt = created[b.ID] }
			}),
		},
		{
			name: "payments come after their booking", caught: "change-readers",
			open: func() store.Store { return &halfVisible{Store: new(memory.Store), hidden: map[string]bool{}} },
		},
		{
			name: "the ledger row comes before its booking", caught: "change-readers",
			open: func() store.Store {
				return &halfVisible{Store: new(memory.Store), hidden: map[string]bool{}, early: true}
			},
		},
		{
			name: "a Result is read in two steps", caught: "change-readers",
			open: over(func(s *broken, sound store.Store) {
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					r, err := sound.Apply(ctx, c)
					time.Sleep(halfTime)
					if !r.Applied && r.Booking != nil {
						r.Payments, _, _ = sound.PaymentsByBooking(ctx, r.Booking.ID, store.Page{})
					}
					return r, err
				}
			}),
		},
		{
			name: "an invalid Change is a raw error of the database", caught: "nothing-left-invalid errors-kinds",
			open: over(func(s *broken, sound store.Store) {
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					r, err := sound.Apply(ctx, c)
					if errors.Is(err, store.ErrInvalid) {
						err = errors.New("value too long for type character varying(255)")
					}
					return r, err
				}
			}),
		},
		{
			name: "what is too long is cut off", caught: "nothing-left-invalid",
			open: over(func(s *broken, sound store.Store) {
				s.id = func(_, id string, _ bool) string { return id[:min(len(id), store.MaxID)] }
			}),
		},
		{
			name: "an invalid Change leaves its ledger row", caught: "nothing-left-invalid",
			open: over(func(s *broken, sound store.Store) {
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					r, err := sound.Apply(ctx, c)
					if errors.Is(err, store.ErrInvalid) {
						aside(sound, c.Event)
					}
					return r, err
				}
			}),
		},
		{
			name: "looks at the version before the key", caught: "checks-in-order key-replay race-key",
			open: over(func(s *broken, sound store.Store) {
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					if c.Booking != nil {
						if b, _ := sound.Booking(ctx, c.Booking.ID); b.Version != c.Booking.Version {
							return store.Result{Booking: &b, Conflict: store.ConflictVersion}, store.ErrConflict
						}
					}
					return sound.Apply(ctx, c)
				}
			}),
		},
		{
			name: "looks at the intents before the version", caught: "checks-in-order",
			open: over(func(s *broken, sound store.Store) {
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					r, err := sound.Apply(ctx, c)
					if r.Conflict == store.ConflictVersion {
						for _, p := range c.Payments {
							if old, err := sound.Payment(ctx, p.PaymentIntentID); err == nil && old.BookingID != c.Booking.ID {
								r.Conflict = store.ConflictIntent
							}
						}
					}
					return r, err
				}
			}),
		},
	}
}

func eventID(c store.Change) string {
	if c.Event == nil {
		return ""
	}
	return c.Event.ID
}

// ghosts keeps the payments of Changes that lost.
type ghosts struct {
	store.Store
	mu       sync.Mutex
	payments map[string]store.Payment
}

func (s *ghosts) Apply(ctx context.Context, c store.Change) (store.Result, error) {
	r, err := s.Store.Apply(ctx, c)
	if errors.Is(err, store.ErrConflict) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, p := range c.Payments {
			s.payments[p.PaymentIntentID] = p
		}
	}
	return r, err
}

func (s *ghosts) Payment(ctx context.Context, intent string) (store.Payment, error) {
	p, err := s.Store.Payment(ctx, intent)
	s.mu.Lock()
	defer s.mu.Unlock()
	if ghost, ok := s.payments[intent]; ok && errors.Is(err, store.ErrNotFound) {
		return ghost, nil
	}
	return p, err
}

// halfVisible shows the booking of a Change for a while without its payments; or,
// if it is early, the ledger row without the rest.
type halfVisible struct {
	store.Store
	early  bool
	mu     sync.Mutex
	hidden map[string]bool // payment intents
	events []store.Event
}

// halfTime is long for a reader of memory.
const halfTime = 2 * time.Millisecond

func (s *halfVisible) Apply(ctx context.Context, c store.Change) (store.Result, error) {
	if b, _ := s.Store.Booking(ctx, c.Booking.ID); b.Version != c.Booking.Version {
		return s.Store.Apply(ctx, c) // which refuses it
	}
	s.mu.Lock()
	if s.early && c.Event != nil {
		s.events = append(s.events, *c.Event)
		s.mu.Unlock()
		time.Sleep(halfTime)
		return s.Store.Apply(ctx, c)
	}
	for _, p := range c.Payments {
		s.hidden[p.PaymentIntentID] = true
	}
	s.mu.Unlock()
	r, err := s.Store.Apply(ctx, c)
	time.Sleep(halfTime)
	s.mu.Lock()
	clear(s.hidden)
	s.mu.Unlock()
	return r, err
}

func (s *halfVisible) Payment(ctx context.Context, intent string) (store.Payment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hidden[intent] {
		return store.Payment{}, store.ErrNotFound
	}
	return s.Store.Payment(ctx, intent)
}

func (s *halfVisible) Event(ctx context.Context, id string) (store.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if e.ID == id {
			return e, nil
		}
	}
	return s.Store.Event(ctx, id)
}

func keyMutants() []mutant {
	return []mutant{
		{
			name: "Applied is always true", caught: "key-replay key-compares-nothing key-ledger-only race-key race-key-ledger-only",
			open: over(func(s *broken, _ store.Store) {
				s.result = func(_ store.Change, r *store.Result) { r.Applied = true }
			}),
		},
		{
			name: "a replay returns what was stored then", caught: "key-replay",
			open: over(func(s *broken, sound store.Store) {
				then := map[string]store.Result{}
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					if r, ok := then[c.Key]; ok {
						r.Applied = false
						return r, nil
					}
					r, err := sound.Apply(ctx, c)
					if err == nil {
						then[c.Key] = r
					}
					return r, err
				}
			}),
		},
		{
			name: "a replay returns nothing", caught: "key-replay key-compares-nothing race-key",
			open: over(func(s *broken, _ store.Store) {
				s.result = func(_ store.Change, r *store.Result) {
					if !r.Applied && r.Conflict == "" {
						*r = store.Result{}
					}
				}
			}),
		},
		{
			name: "a replay is counted", caught: "key-replay key-ledger-only race-key",
			open: over(func(s *broken, sound store.Store) {
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					r, err := sound.Apply(ctx, c)
					if err == nil && !r.Applied {
						aside(sound, c.Event)
					}
					return r, err
				}
			}),
		},
		{
			name: "compares the payload of a replay", caught: "key-compares-nothing race-key",
			open: over(func(s *broken, sound store.Store) {
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					r, err := sound.Apply(ctx, c)
					if err == nil && c.Event != nil && r.Event != nil && string(c.Event.Payload) != string(r.Event.Payload) {
						return store.Result{}, store.ErrMismatch
					}
					return r, err
				}
			}),
		},
		{
			name: "a replay is about the booking that is named", caught: "key-compares-nothing key-ledger-only",
			open: over(func(s *broken, sound store.Store) {
				s.result = func(c store.Change, r *store.Result) {
					if !r.Applied && r.Conflict == "" && c.Booking != nil {
						b, _ := sound.Booking(context.Background(), c.Booking.ID)
						r.Booking = &b
					}
				}
			}),
		},
		{
			name: "a missing fingerprint differs from any", caught: "key-fingerprint",
			open: over(func(s *broken, sound store.Store) {
				stored := map[string]string{}
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					if f, ok := stored[c.Key]; ok && f != c.Fingerprint {
						return store.Result{}, store.ErrMismatch
					}
					stored[c.Key] = c.Fingerprint
					return sound.Apply(ctx, c)
				}
			}),
		},
		{
			name: "never compares fingerprints", caught: "key-fingerprint checks-in-order race-key-fingerprints",
			open: over(func(s *broken, sound store.Store) {
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					c.Fingerprint = ""
					return sound.Apply(ctx, c)
				}
			}),
		},
		{
			name: "a Change without a booking is nothing to write", caught: "key-ledger-only",
			open: over(func(s *broken, sound store.Store) {
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					if c.Booking == nil {
						return store.Result{Applied: true, Event: c.Event}, nil
					}
					return sound.Apply(ctx, c)
				}
			}),
		},
		{
			name: "a delivery that lost keeps its booking", caught: "race-key-plans key-ledger-only",
			open: over(func(s *broken, sound store.Store) {
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					r, err := sound.Apply(ctx, c)
					if err == nil && !r.Applied && c.Booking != nil {
						half := c
						half.Key += "-half"
						half.Event = nil
						_, _ = sound.Apply(ctx, half)
					}
					return r, err
				}
			}),
		},
		{
			name: "an invalid Change uses its key up", caught: "key-not-burnt nothing-left-invalid",
			open: over(func(s *broken, sound store.Store) {
				burnt := map[string]bool{}
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					if burnt[c.Key] {
						return store.Result{}, nil
					}
					r, err := sound.Apply(ctx, c)
					burnt[c.Key] = errors.Is(err, store.ErrInvalid)
					return r, err
				}
			}),
		},
	}
}

func raceMutants() []mutant {
	return []mutant{
		{
			name: "looks the key up, then writes", caught: "race-key race-key-ledger-only race-key-plans",
			open: over(func(s *broken, sound store.Store) {
				var mu sync.Mutex
				var both gate
				used := map[string]int{}
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					mu.Lock()
					n := used[c.Key]
					mu.Unlock()
					if n == 0 {
						both.pass()
						mu.Lock()
						n, used[c.Key] = used[c.Key], used[c.Key]+1
						mu.Unlock()
						if n > 0 {
							c.Key = fmt.Sprintf("%s-again-%d", c.Key, n)
						}
					}
					return sound.Apply(ctx, c)
				}
			}),
		},
		{
			name: "compares fingerprints, then looks who has the key", caught: "race-key-fingerprints",
			open: over(func(s *broken, sound store.Store) {
				var mu sync.Mutex
				stored, looked := map[string]string{}, map[string]bool{}
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					mu.Lock()
					was := stored[c.Key]
					looked[c.Fingerprint] = true
					mu.Unlock()
					if was != "" && c.Fingerprint != "" && was != c.Fingerprint {
						return store.Result{}, store.ErrMismatch
					}
					until(func() bool {
						mu.Lock()
						defer mu.Unlock()
						return len(looked) > 1
					})
					mu.Lock()
					stored[c.Key] = cmp.Or(stored[c.Key], c.Fingerprint)
					mu.Unlock()
					c.Fingerprint = ""
					return sound.Apply(ctx, c)
				}
			}),
		},
		{
			name: "a busy database is a conflict", caught: "race-strangers race-five-seats race-event",
			open: over(func(s *broken, sound store.Store) {
				var mu sync.Mutex // held by the one that writes
				var lost atomic.Int32
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					if !mu.TryLock() {
						lost.Add(1)
						return store.Result{Conflict: store.ConflictVersion}, store.ErrConflict
					}
					defer mu.Unlock()
					until(func() bool { return lost.Load() >= callers-4 })
					return sound.Apply(ctx, c)
				}
			}),
		},
		{
			name: "looks at the version, then writes", caught: "race-new-booking race-version race-count",
			open: over(func(s *broken, sound store.Store) {
				var both gate
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					return lookThenWrite(ctx, sound, c, &both)
				}
			}),
		},
		{
			name: "ignores the version", caught: "race-new-booking race-version race-count nothing-left-version conflict-stays-lost",
			open: over(func(s *broken, sound store.Store) {
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) { return force(ctx, sound, c) }
			}),
		},
		{
			name: "a conflict brings no booking", caught: "race-count race-version conflict-brings-booking intent-owner",
			open: over(func(s *broken, _ store.Store) {
				s.result = func(_ store.Change, r *store.Result) {
					if r.Conflict != "" {
						r.Booking, r.Payments = nil, nil
					}
				}
			}),
		},
		{
			name: "looks the intent up, then writes", caught: "race-intent race-intent-stored",
			open: over(func(s *broken, sound store.Store) {
				var both gate
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					for _, p := range c.Payments {
						if old, err := sound.Payment(ctx, p.PaymentIntentID); err == nil && old.BookingID != c.Booking.ID {
							return sound.Apply(ctx, c) // which refuses it
						}
					}
					if len(c.Payments) > 0 {
						both.pass()
					}
					return withoutIntents(ctx, sound, c)
				}
			}),
		},
		{
			name: "looks at the intents of new bookings only", caught: "race-intent-stored intent-owner nothing-left-intent",
			open: over(func(s *broken, sound store.Store) {
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					if c.Booking != nil && c.Booking.Version > 0 {
						return withoutIntents(ctx, sound, c)
					}
					return sound.Apply(ctx, c)
				}
			}),
		},
		{
			name: "two orders are a deadlock", caught: "race-two-intents race-two-slots",
			open: over(func(s *broken, sound store.Store) {
				var mu sync.Mutex
				first := map[string]int{} // what those at work took first
				var met atomic.Bool
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					var took string
					switch {
					case len(c.Payments) > 1:
						took = c.Payments[0].PaymentIntentID
					case len(c.Claim) > 1:
						took = c.Claim[0].Slot
					default:
						return sound.Apply(ctx, c)
					}
					mu.Lock()
					first[took]++
					if len(first) > 1 {
						met.Store(true)
					}
					mu.Unlock()
					until(met.Load)
					if met.Load() {
						return store.Result{}, errors.New("deadlock detected (40P01)")
					}
					return sound.Apply(ctx, c)
				}
			}),
		},
		{
			name: "takes a seat, and gives up when another took the next", caught: "race-seat-pairs",
			open: over(func(s *broken, sound store.Store) {
				var both gate
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					if len(c.Claim) > 0 && c.Claim[0].Count > 1 {
						if both.pass(); both.open.Load() {
							return store.Result{Conflict: store.ConflictSeats}, store.ErrConflict
						}
					}
					return sound.Apply(ctx, c)
				}
			}),
		},
		{
			name: "a Change that lost frees its seats all the same", caught: "race-release seats-freed-once nothing-left-version nothing-left-intent",
			open: over(func(s *broken, sound store.Store) {
				var o owners
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					r, err := sound.Apply(ctx, c)
					if err == nil {
						o.note(r.Booking)
					} else if len(c.Release) > 0 {
						until(func() bool { return o.of(c.Release[0]) != c.Booking.ID }) // somebody else has it
						o.free(sound, c.Release)
					}
					return r, err
				}
			}),
		},
		{
			name: "one seat too many", caught: "race-last-seat race-five-seats seats-picked seats-all-or-none seats-released seats-reclaimed seats-kept seats-capacity reopen-race",
			open: over(func(s *broken, sound store.Store) {
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					for i := range c.Claim {
						c.Claim[i].Capacity++
					}
					return sound.Apply(ctx, c)
				}
			}),
		},
		{
			name: "gives up on seats that others want too", caught: "race-five-seats",
			open: over(func(s *broken, sound store.Store) {
				var mu sync.Mutex // held by the one that claims
				var lost atomic.Int32
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					if len(c.Claim) == 0 {
						return sound.Apply(ctx, c)
					}
					if !mu.TryLock() {
						lost.Add(1)
						return store.Result{Conflict: store.ConflictSeats}, store.ErrConflict
					}
					defer mu.Unlock()
					// It is slow: nearly all the others come meanwhile.
					until(func() bool { return lost.Load() >= callers-4 })
					return sound.Apply(ctx, c)
				}
			}),
		},
		{
			name: "a loser gets the raw error of the database", caught: "race-new-booking race-version race-intent race-last-seat race-count errors-kinds",
			open: over(func(s *broken, sound store.Store) {
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					r, err := sound.Apply(ctx, c)
					if errors.Is(err, store.ErrConflict) {
						err = errors.New("UNIQUE constraint failed")
					}
					return r, err
				}
			}),
		},
		{
			name: "a failure reads the count, then writes it", caught: "race-failures",
			open: over(func(s *broken, sound store.Store) {
				var mu sync.Mutex
				var both gate
				s.failure = func(ctx context.Context, e store.Event, reason string, dead bool) error {
					if !mu.TryLock() {
						both.open.Store(true)
						return nil // overwritten by the one that is at it
					}
					defer mu.Unlock()
					both.pass()
					return sound.RecordFailure(ctx, e, reason, dead)
				}
			}),
		},
		{
			name: "a Change reads the ledger row, then writes it", caught: "race-event",
			open: over(func(s *broken, sound store.Store) {
				var mu sync.Mutex
				var both gate
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					if !mu.TryLock() {
						both.open.Store(true)
						c.Event = nil
						return sound.Apply(ctx, c)
					}
					defer mu.Unlock()
					both.pass()
					return sound.Apply(ctx, c)
				}
			}),
		},
		{
			name: "a failure is written over what came since it read the row", caught: "race-event-news",
			open: over(func(s *broken, sound store.Store) {
				var reading, over atomic.Bool
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					until(reading.Load)
					return sound.Apply(ctx, c)
				}
				s.failure = func(ctx context.Context, e store.Event, reason string, dead bool) error {
					read, err := sound.Event(ctx, e.ID)
					if err == nil && read.State != store.EventDone {
						reading.Store(true)
						until(func() bool {
							now, _ := sound.Event(ctx, e.ID)
							return now.State == store.EventDone
						})
						over.Store(true)
					}
					return sound.RecordFailure(ctx, e, reason, dead)
				}
				s.event = func(e *store.Event) {
					if over.Load() {
						e.State = store.EventFailed
					}
				}
			}),
		},
		{
			name: "two events cannot share a row", caught: "race-event event-merged failure-names-no-key",
			open: over(func(s *broken, sound store.Store) {
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					if c.Event != nil {
						if _, err := sound.Event(ctx, c.Event.ID); err == nil {
							if r, err := sound.Apply(ctx, store.Change{Key: c.Key}); err == nil && r.Applied {
								return store.Result{}, errors.New("UNIQUE constraint failed: events.id")
							}
						}
					}
					return sound.Apply(ctx, c)
				}
			}),
		},
	}
}

// lookThenWrite is the race that a version is there to decide.
func lookThenWrite(ctx context.Context, s store.Store, c store.Change, both *gate) (store.Result, error) {
	if c.Booking == nil {
		return s.Apply(ctx, c)
	}
	if b, _ := s.Booking(ctx, c.Booking.ID); b.Version != c.Booking.Version {
		return s.Apply(ctx, c) // which refuses it
	}
	both.pass()
	return force(ctx, s, c)
}

// withoutIntents applies a Change though its intents are others'.
func withoutIntents(ctx context.Context, s store.Store, c store.Change) (store.Result, error) {
	r, err := s.Apply(ctx, c)
	if r.Conflict == store.ConflictIntent {
		c.Payments = slices.DeleteFunc(slices.Clone(c.Payments), func(p store.Payment) bool {
			old, err := s.Payment(ctx, p.PaymentIntentID)
			return err == nil && old.BookingID != c.Booking.ID
		})
		return s.Apply(ctx, c)
	}
	return r, err
}

func intentMutants() []mutant {
	return []mutant{
		{
			name: "no unique intent", caught: "intent-owner race-intent nothing-left-intent reopen-race key-not-burnt",
			open: over(func(s *broken, sound store.Store) {
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					return withoutIntents(ctx, sound, c)
				}
			}),
		},
		{
			name: "an intent is free when its payment is refunded", caught: "intent-owner",
			open: over(func(s *broken, sound store.Store) {
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					r, err := sound.Apply(ctx, c)
					if r.Conflict == store.ConflictIntent && r.Booking.State == store.StateRefunded {
						return withoutIntents(ctx, sound, c)
					}
					return r, err
				}
			}),
		},
		{
			name: "one payment for each booking", caught: "payments-two payments-replaced",
			open: over(func(s *broken, _ store.Store) {
				s.result = func(_ store.Change, r *store.Result) { r.Payments = r.Payments[:min(1, len(r.Payments))] }
			}),
		},
		{
			name: "a Result has the first page of payments", caught: "payments-many",
			open: over(func(s *broken, _ store.Store) {
				s.result = func(_ store.Change, r *store.Result) {
					r.Payments = r.Payments[:min(store.DefaultLimit, len(r.Payments))]
				}
			}),
		},
		{
			name: "a Result has the largest page of payments", caught: "payments-many",
			open: over(func(s *broken, _ store.Store) {
				s.result = func(_ store.Change, r *store.Result) { r.Payments = r.Payments[:min(store.MaxLimit, len(r.Payments))] }
			}),
		},
		{
			name: "a conflict brings no ledger row", caught: "conflict-brings-booking",
			open: over(func(s *broken, _ store.Store) {
				s.result = func(_ store.Change, r *store.Result) {
					if r.Conflict != "" {
						r.Event = nil
					}
				}
			}),
		},
		{
			name: "payments are newest first in a Result", caught: "payments-two conflict-brings-booking",
			open: over(func(s *broken, _ store.Store) {
				s.result = func(_ store.Change, r *store.Result) { slices.Reverse(r.Payments) }
			}),
		},
		{
			name: "a payment that is stored stays as it is", caught: "payments-replaced",
			open: over(func(s *broken, sound store.Store) {
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					c.Payments = slices.DeleteFunc(c.Payments, func(p store.Payment) bool {
						_, err := sound.Payment(ctx, p.PaymentIntentID)
						return err == nil
					})
					return sound.Apply(ctx, c)
				}
			}),
		},
		{
			name: "the creation time of a payment moves", caught: "payments-replaced",
			open: over(func(s *broken, sound store.Store) {
				created := map[string]time.Time{}
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					for _, p := range c.Payments {
						created[p.PaymentIntentID] = store.Time(p.CreatedAt)
					}
					return sound.Apply(ctx, c)
				}
				s.payment = func(p *store.Payment) { p.CreatedAt = created[p.PaymentIntentID] }
			}),
		},
		{
			name: "a missing intent is unique", caught: "free-bookings",
			open: over(func(s *broken, sound store.Store) {
				free := map[string]bool{}
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					if c.Booking != nil && c.Booking.PaymentIntentID == "" {
						if free[c.Booking.ID] = true; len(free) > 1 {
							return store.Result{Conflict: store.ConflictIntent}, store.ErrConflict
						}
					}
					return sound.Apply(ctx, c)
				}
			}),
		},
		{
			name: "a missing session is a session", caught: "free-bookings",
			open: func() store.Store { return emptySession{new(memory.Store)} },
		},
	}
}

type emptySession struct{ store.Store }

func (s emptySession) BookingBySession(ctx context.Context, id string) (store.Booking, error) {
	if id == "" {
		bs, _, _ := s.Store.BookingsByUser(ctx, someUser, store.Page{Limit: 1})
		if len(bs) > 0 {
			return bs[0], nil
		}
	}
	return s.Store.BookingBySession(ctx, id)
}

// idMutants compare one kind of id after folding it, as a collation does: what
// was stored first stands for all that are folded alike.
func idMutants() []mutant {
	folds := []struct {
		name, caught string
		fold         func(string) string
	}{
		{"folds case", "ids-case", strings.ToLower},
		{"trims trailing spaces", "ids-spaces", func(s string) string { return strings.TrimRight(s, " ") }},
		{"folds accents", "ids-accents", func(s string) string {
			return strings.NewReplacer("é", "e", "e\u0301", "e", "ß", "ss", "\u200d", "").Replace(s)
		}},
		{"indexes 254 bytes", "ids-255-bytes", func(s string) string { return s[:min(len(s), 254)] }},
		{"takes _ and % as wildcards", "ids-special", func(s string) string {
			if s == "abc" {
				return "a_c"
			}
			return s
		}},
		{"cuts ids at a separator", "ids-prefix", func(s string) string {
			if i := strings.IndexAny(s, "/:#|.\x1f"); i > 0 {
				return s[:i]
			}
			return s
		}},
		{"takes digits for a number", "ids-special", func(s string) string {
			if n, err := strconv.Atoi(s); err == nil {
				return strconv.Itoa(n)
			}
			return s
		}},
	}
	var all []mutant
	for _, f := range folds {
		for _, kind := range []string{"key", "fingerprint", "booking", "user", "session", "intent", "slot", "event", "type", "handler"} {
			all = append(all, mutant{
				name: fmt.Sprintf("%s (%s)", f.name, kind), caught: f.caught,
				open: over(func(s *broken, _ store.Store) {
					var mu sync.Mutex
					first := map[string]string{}
					s.id = func(k, id string, write bool) string {
						if k != kind {
							return id
						}
						mu.Lock()
						defer mu.Unlock()
						folded := f.fold(id)
						if stored, ok := first[folded]; ok {
							return stored
						}
						if write {
							first[folded] = id
						}
						return id
					}
				}),
			})
		}
	}
	// joined keeps pairs of an id and a number under one name, where others find them.
	type joined map[string]string
	taken := func(j joined, id string, n int64) bool {
		name := id + strconv.FormatInt(n, 10)
		if j[name] == "" {
			j[name] = id
		}
		return j[name] != id
	}
	return append(all,
		mutant{
			name: "joins a slot and the number of its seat", caught: "ids-prefix",
			open: over(func(s *broken, sound store.Store) {
				seats := joined{}
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					for _, claim := range c.Claim {
						for n := range claim.Capacity {
							if taken(seats, claim.Slot, int64(n+1)) {
								return store.Result{Conflict: store.ConflictSeats}, store.ErrConflict
							}
						}
					}
					return sound.Apply(ctx, c)
				}
			}),
		},
		mutant{
			name: "joins a booking and its version", caught: "ids-prefix",
			open: over(func(s *broken, sound store.Store) {
				versions := joined{}
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					if c.Booking != nil && taken(versions, c.Booking.ID, c.Booking.Version+1) {
						return store.Result{Conflict: store.ConflictVersion}, store.ErrConflict
					}
					return sound.Apply(ctx, c)
				}
			}),
		},
	)
}

func seatMutants() []mutant {
	return []mutant{
		{
			name: "a replay frees its seats once more", caught: "seats-freed-once",
			open: over(func(s *broken, sound store.Store) {
				var o owners
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					r, err := sound.Apply(ctx, c)
					if r.Applied {
						o.note(r.Booking)
					} else if err == nil {
						o.free(sound, c.Release)
					}
					return r, err
				}
			}),
		},
		{
			name: "frees seats whoever has them", caught: "seats-freed-once seats-read",
			open: over(func(s *broken, sound store.Store) {
				var o owners
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					r, err := sound.Apply(ctx, c)
					if r.Applied {
						o.note(r.Booking)
					} else if errors.Is(err, store.ErrInvalid) {
						o.free(sound, c.Release)
					}
					return r, err
				}
			}),
		},
		{
			name: "seats are numbered from 0", caught: "seats-picked",
			open: over(func(s *broken, _ store.Store) {
				s.booking = func(b *store.Booking) {
					for i := range b.Seats {
						b.Seats[i].Number--
					}
				}
			}),
		},
		{
			name: "takes as many seats as there are", caught: "seats-all-or-none",
			open: over(func(s *broken, sound store.Store) {
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					for {
						r, err := sound.Apply(ctx, c)
						if r.Conflict != store.ConflictSeats || len(c.Claim) == 0 {
							return r, err
						}
						last := &c.Claim[len(c.Claim)-1]
						if last.Count--; last.Count == 0 {
							c.Claim = c.Claim[:len(c.Claim)-1]
						}
					}
				}
			}),
		},
		{
			name: "released seats stay taken", caught: "seats-released seats-reclaimed",
			open: over(func(s *broken, sound store.Store) {
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					c.Release = nil
					return sound.Apply(ctx, c)
				}
			}),
		},
		{
			name: "claims before it releases", caught: "seats-reclaimed",
			open: over(func(s *broken, sound store.Store) {
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					if len(c.Release) > 0 && len(c.Claim) > 0 {
						id := "early-" + c.Key
						r, err := sound.Apply(ctx, claiming(id, id, c.Claim...))
						if err != nil {
							return r, err
						}
						back := step(id+"-back", *r.Booking, nil)
						back.Release = r.Booking.Seats
						_, _ = sound.Apply(ctx, back)
					}
					return sound.Apply(ctx, c)
				}
			}),
		},
		{
			name: "takes the caller's word for the seats that it has", caught: "seats-read",
			open: over(func(s *broken, sound store.Store) {
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					if b := c.Booking; b != nil && b.Version > 0 {
						if now, err := sound.Booking(ctx, b.ID); err == nil && now.Version == b.Version {
							b.Seats, c.Release = now.Seats, nil
						}
					}
					return sound.Apply(ctx, c)
				}
			}),
		},
		{
			name: "seats are only those of the latest claim", caught: "seats-kept",
			open: over(func(s *broken, sound store.Store) {
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					if c.Booking != nil && c.Release == nil {
						c.Release = c.Booking.Seats
					}
					return sound.Apply(ctx, c)
				}
			}),
		},
		{
			name: "the first claim fixes the capacity", caught: "seats-capacity",
			open: over(func(s *broken, sound store.Store) {
				capacity := map[string]int{}
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					for i := range c.Claim {
						slot := c.Claim[i].Slot
						capacity[slot] = cmp.Or(capacity[slot], c.Claim[i].Capacity)
						c.Claim[i].Capacity = max(capacity[slot], c.Claim[i].Count)
					}
					return sound.Apply(ctx, c)
				}
			}),
		},
	}
}

func readMutants() []mutant {
	return []mutant{
		{
			name: "reads from a replica that lags", caught: "read-own-writes change-whole",
			open: func() store.Store { return &lagging{Store: new(memory.Store), primary: new(memory.Store)} },
		},
		{
			name: "a missing record is no error", caught: "read-nothing errors-kinds",
			open: over(func(s *broken, _ store.Store) {
				s.missing = func(err error) error {
					if errors.Is(err, store.ErrNotFound) {
						return nil
					}
					return err
				}
			}),
		},
		{
			name: "a missing record is the driver's error", caught: "read-nothing errors-kinds",
			open: over(func(s *broken, _ store.Store) {
				s.missing = func(error) error { return errors.New("sql: no rows in result set") }
			}),
		},
		{
			name: "RecordHandled clears every reason", caught: "handled-recorded",
			open: over(func(s *broken, sound store.Store) {
				s.handled = func(ctx context.Context, id string, handlers []string, done bool, at time.Time) error {
					if e, err := sound.Event(ctx, id); err == nil && done {
						_ = sound.RecordFailure(ctx, e, "", false)
					}
					return sound.RecordHandled(ctx, id, handlers, done, at)
				}
			}),
		},
		{
			name: "takes any reason", caught: "nothing-left-invalid",
			open: over(func(s *broken, sound store.Store) {
				s.failure = func(ctx context.Context, e store.Event, reason string, dead bool) error {
					return sound.RecordFailure(ctx, e, strings.ToValidUTF8(strings.ReplaceAll(reason, "\x00", ""), ""), dead)
				}
			}),
		},
		{
			name: "RecordHandled makes the event", caught: "read-nothing handled-recorded",
			open: over(func(s *broken, sound store.Store) {
				s.handled = func(ctx context.Context, id string, handlers []string, done bool, at time.Time) error {
					_ = sound.RecordFailure(ctx, store.Event{ID: id, Type: "t", ReceivedAt: at, UpdatedAt: at}, "", false)
					return sound.RecordHandled(ctx, id, handlers, done, at)
				}
			}),
		},
		{
			name: "finds a booking by any session it ever had", caught: "booking-by-session",
			open: func() store.Store { return &sessions{Store: new(memory.Store), ever: map[string]string{}} },
		},
		{
			name: "finds a booking by its current session only", caught: "booking-by-session payments-replaced",
			open: func() store.Store { return &sessions{Store: new(memory.Store), ever: nil} },
		},
		{
			name: "finds a booking by any session that a payment of it ever had", caught: "booking-by-session",
			open: func() store.Store { return &sessions{Store: new(memory.Store), ever: map[string]string{}, paid: true} },
		},
		{
			name: "history by time", caught: "history-complete",
			open: over(func(s *broken, _ store.Store) {
				s.history = func(h []store.History) {
					slices.SortStableFunc(h, func(a, b store.History) int { return b.At.Compare(a.At) })
				}
			}),
		},
		{
			name: "history is oldest first", caught: "history-complete change-stored-booking race-count",
			open: over(func(s *broken, _ store.Store) { s.history = func(h []store.History) { slices.Reverse(h) } }),
		},
		{
			name: "errors are formatted and not wrapped", caught: "errors-kinds read-nothing race-version",
			open: over(func(s *broken, sound store.Store) {
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					r, err := sound.Apply(ctx, c)
					if err != nil {
						err = fmt.Errorf("apply: %v", err)
					}
					return r, err
				}
				s.missing = func(err error) error { return fmt.Errorf("read: %v", err) }
			}),
		},
		{
			name: "a mismatch is a conflict", caught: "errors-kinds key-fingerprint",
			open: over(func(s *broken, sound store.Store) {
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					r, err := sound.Apply(ctx, c)
					if errors.Is(err, store.ErrMismatch) {
						r.Conflict, err = store.ConflictVersion, fmt.Errorf("%w: %w", store.ErrConflict, err)
					}
					return r, err
				}
			}),
		},
	}
}

// lagging reads what was stored before the latest write.
type lagging struct {
	store.Store // the replica
	primary     store.Store
	late        func()
}

func (s *lagging) write(do func(store.Store) error) error {
	if s.late != nil {
		s.late()
	}
	s.late = func() { _ = do(s.Store) }
	return do(s.primary)
}

func (s *lagging) Apply(ctx context.Context, c store.Change) (r store.Result, err error) {
	err = s.write(func(to store.Store) error {
		got, err := to.Apply(ctx, c)
		r = got
		return err
	})
	return r, err
}

func (s *lagging) RecordFailure(ctx context.Context, e store.Event, reason string, dead bool) error {
	return s.write(func(to store.Store) error { return to.RecordFailure(ctx, e, reason, dead) })
}

func (s *lagging) RecordHandled(ctx context.Context, id string, handlers []string, done bool, at time.Time) error {
	return s.write(func(to store.Store) error { return to.RecordHandled(ctx, id, handlers, done, at) })
}

type sessions struct {
	store.Store
	ever map[string]string
	paid bool // of payments
}

func (s *sessions) Apply(ctx context.Context, c store.Change) (store.Result, error) {
	r, err := s.Store.Apply(ctx, c)
	switch {
	case err != nil || c.Booking == nil || s.ever == nil:
	case s.paid:
		for _, p := range c.Payments {
			s.ever[p.SessionID] = p.BookingID
		}
	default:
		s.ever[c.Booking.SessionID] = c.Booking.ID
	}
	return r, err
}

func (s *sessions) BookingBySession(ctx context.Context, id string) (store.Booking, error) {
	b, err := s.Store.BookingBySession(ctx, id)
	if s.ever == nil && b.SessionID != id {
		return store.Booking{}, store.ErrNotFound
	}
	if b, ok := s.ever[id]; ok && err != nil {
		return s.Store.Booking(ctx, b)
	}
	return b, err
}

func listMutants() []mutant {
	lists := func(f func(p store.Page, fetch fetch) ([]any, string, error)) func() store.Store {
		return over(func(s *broken, _ store.Store) { s.list = f })
	}
	// whole is the list without pages, for those that make their own.
	whole := func(p store.Page, fetch fetch) ([]any, error) {
		if _, _, err := p.Parse(); err != nil {
			return nil, err
		}
		rows, _, err := fetch(store.Page{Limit: store.MaxLimit})
		return rows, err
	}
	// second spoils all rows of a page but the first.
	second := func(name string, spoil func(row any) any) mutant {
		return mutant{name: name, caught: "list-whole", open: lists(func(p store.Page, fetch fetch) ([]any, string, error) {
			rows, next, err := fetch(p)
			for i := 1; i < len(rows); i++ {
				rows[i] = spoil(rows[i])
			}
			return rows, next, err
		})}
	}
	return []mutant{
		{
			name: "pages by OFFSET", caught: "list-stable list-shrinking",
			open: lists(func(p store.Page, fetch fetch) ([]any, string, error) {
				limit, after, err := p.Parse()
				if err != nil {
					return nil, "", err
				}
				rows, err := whole(p, fetch)
				offset := 0
				if after != nil {
					offset, _ = strconv.Atoi(after.ID)
				}
				rows = rows[min(offset, len(rows)):]
				if len(rows) <= limit {
					return rows, "", err
				}
				return rows[:limit], store.Cursor{At: at(0), ID: strconv.Itoa(offset + limit)}.String(), err
			}),
		},
		{
			name: "a cursor that knows only the time", caught: "list-order list-stable",
			open: lists(func(p store.Page, fetch fetch) ([]any, string, error) {
				if _, after, err := p.Parse(); err == nil && after != nil {
					p.After = store.Cursor{At: after.At, ID: "\x01"}.String()
				}
				return fetch(p)
			}),
		},
		{
			name: "a cursor that takes its row in again", caught: "list-order list-stable",
			open: lists(func(p store.Page, fetch fetch) ([]any, string, error) {
				if _, after, err := p.Parse(); err == nil && after != nil {
					p.After = store.Cursor{At: after.At, ID: after.ID + "\x01"}.String()
				}
				return fetch(p)
			}),
		},
		{
			name: "lists are oldest first", caught: "list-order list-own events-filter",
			open: lists(func(p store.Page, fetch fetch) ([]any, string, error) {
				rows, next, err := fetch(p)
				slices.Reverse(rows)
				return rows, next, err
			}),
		},
		{
			name: "ids in a list are ordered without case", caught: "list-order",
			open: lists(func(p store.Page, fetch fetch) ([]any, string, error) {
				rows, next, err := fetch(p)
				key := func(row any) (time.Time, string) {
					v := reflect.ValueOf(row)
					created := v.FieldByName("CreatedAt")
					if !created.IsValid() {
						created = v.FieldByName("ReceivedAt")
					}
					return created.Interface().(time.Time), strings.ToLower(v.FieldByName("ID").String())
				}
				slices.SortStableFunc(rows, func(a, b any) int {
					at, aid := key(a)
					bt, bid := key(b)
					return cmp.Or(bt.Compare(at), cmp.Compare(bid, aid))
				})
				return rows, next, err
			}),
		},
		{
			name: "limits are bent", caught: "list-limits errors-kinds",
			open: lists(func(p store.Page, fetch fetch) ([]any, string, error) {
				p.Limit = max(0, min(p.Limit, store.MaxLimit))
				return fetch(p)
			}),
		},
		{
			name: "a default limit of its own", caught: "list-limits",
			open: lists(func(p store.Page, fetch fetch) ([]any, string, error) {
				p.Limit = cmp.Or(p.Limit, 100)
				return fetch(p)
			}),
		},
		{
			name: "a cursor after the last page", caught: "list-limits list-order",
			open: lists(func(p store.Page, fetch fetch) ([]any, string, error) {
				rows, next, err := fetch(p)
				if next == "" && len(rows) > 0 && len(rows) == p.Limit {
					next = store.Cursor{At: at(-9999), ID: "end"}.String()
				}
				return rows, next, err
			}),
		},
		{
			name: "a bad cursor is the first page", caught: "list-bad-cursor",
			open: lists(func(p store.Page, fetch fetch) ([]any, string, error) {
				if _, _, err := (store.Page{After: p.After}).Parse(); err != nil {
					p.After = ""
				}
				return fetch(p)
			}),
		},
		second("a list has the seats of its first booking only", func(row any) any {
			if b, ok := row.(store.Booking); ok {
				b.Seats = nil
				return b
			}
			return row
		}),
		second("a list has the refunds of its first payment only", func(row any) any {
			if p, ok := row.(store.Payment); ok {
				p.Refunds = nil
				return p
			}
			return row
		}),
		second("a list has the handlers of its first event only", func(row any) any {
			if e, ok := row.(store.Event); ok {
				e.Handlers = nil
				return e
			}
			return row
		}),
		{
			name: "lists fold the case of the user", caught: "list-own",
			open: over(func(s *broken, _ store.Store) {
				s.id = func(kind, id string, _ bool) string {
					if kind == "user" {
						return strings.ToLower(id)
					}
					return id
				}
			}),
		},
	}
}

func eventMutants() []mutant {
	filters := func(f func(f *store.EventFilter)) func() store.Store {
		return over(func(s *broken, _ store.Store) { s.filter = f })
	}
	return []mutant{
		{name: "ignores the state", caught: "events-filter failure-recorded", open: filters(func(f *store.EventFilter) { f.State = "" })},
		{name: "ignores the type", caught: "events-filter", open: filters(func(f *store.EventFilter) { f.Type = "" })},
		{name: "From is not included", caught: "events-filter", open: filters(func(f *store.EventFilter) {
			if !f.From.IsZero() {
				f.From = f.From.Add(time.Millisecond)
			}
		})},
		{name: "From and To are cut to the millisecond", caught: "events-filter", open: filters(func(f *store.EventFilter) {
			f.From, f.To = store.Time(f.From), store.Time(f.To)
		})},
		{name: "To is included", caught: "events-filter", open: filters(func(f *store.EventFilter) {
			if !f.To.IsZero() {
				f.To = f.To.Add(time.Millisecond)
			}
		})},
		{
			name: "the first delivery is the latest", caught: "failure-recorded failure-names-no-key event-merged",
			open: over(func(s *broken, sound store.Store) {
				latest := map[string]time.Time{}
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					if c.Event != nil {
						latest[c.Event.ID] = store.Time(c.Event.ReceivedAt)
					}
					return sound.Apply(ctx, c)
				}
				s.failure = func(ctx context.Context, e store.Event, reason string, dead bool) error {
					latest[e.ID] = store.Time(e.ReceivedAt)
					return sound.RecordFailure(ctx, e, reason, dead)
				}
				s.event = func(e *store.Event) { e.ReceivedAt = latest[e.ID] }
			}),
		},
		{
			name: "attempts are not counted", caught: "failure-recorded failure-names-no-key event-merged race-failures",
			open: over(func(s *broken, _ store.Store) { s.event = func(e *store.Event) { e.Attempts = 1 } }),
		},
		{
			name: "a failure names the key", caught: "failure-names-no-key",
			open: over(func(s *broken, sound store.Store) {
				s.failure = func(ctx context.Context, e store.Event, reason string, dead bool) error {
					_, _ = sound.Apply(ctx, store.Change{Key: e.ID})
					return sound.RecordFailure(ctx, e, reason, dead)
				}
			}),
		},
		{
			name: "dead is for ever", caught: "failure-names-no-key failure-recorded",
			open: over(func(s *broken, sound store.Store) {
				gone := map[string]bool{}
				s.failure = func(ctx context.Context, e store.Event, reason string, dead bool) error {
					gone[e.ID] = gone[e.ID] || dead
					return sound.RecordFailure(ctx, e, reason, dead)
				}
				s.event = func(e *store.Event) {
					if gone[e.ID] {
						e.State = store.EventDead
					}
				}
			}),
		},
		{
			name: "a late failure undoes a success", caught: "failure-never-undoes",
			open: over(func(s *broken, sound store.Store) {
				failed := map[string]bool{}
				s.failure = func(ctx context.Context, e store.Event, reason string, dead bool) error {
					failed[e.ID] = true
					return sound.RecordFailure(ctx, e, reason, dead)
				}
				s.event = func(e *store.Event) {
					if failed[e.ID] && e.State == store.EventDone {
						e.State = store.EventFailed
					}
				}
			}),
		},
		{
			name: "a late failure undoes what was ignored", caught: "failure-never-undoes",
			open: over(func(s *broken, sound store.Store) {
				failed := map[string]bool{}
				s.failure = func(ctx context.Context, e store.Event, reason string, dead bool) error {
					failed[e.ID] = true
					return sound.RecordFailure(ctx, e, reason, dead)
				}
				s.event = func(e *store.Event) {
					if failed[e.ID] && e.State == store.EventIgnored {
						e.State = store.EventDead
					}
				}
			}),
		},
		{
			name: "handlers are replaced", caught: "handled-recorded handled-at-once",
			open: over(func(s *broken, sound store.Store) {
				var mu sync.Mutex
				latest := map[string][]string{}
				s.handled = func(ctx context.Context, id string, handlers []string, done bool, at time.Time) error {
					mu.Lock()
					latest[id] = handlers
					mu.Unlock()
					return sound.RecordHandled(ctx, id, handlers, done, at)
				}
				s.event = func(e *store.Event) {
					mu.Lock()
					defer mu.Unlock()
					if h, ok := latest[e.ID]; ok {
						e.Handlers = h
					}
				}
			}),
		},
		{
			name: "handlers are read, then written", caught: "handled-at-once",
			open: over(func(s *broken, sound store.Store) {
				var mu sync.Mutex
				var both gate
				s.handled = func(ctx context.Context, id string, handlers []string, done bool, at time.Time) error {
					if !mu.TryLock() {
						both.open.Store(true)
						return nil
					}
					defer mu.Unlock()
					both.pass()
					return sound.RecordHandled(ctx, id, handlers, done, at)
				}
			}),
		},
		{
			name: "the reason of a failure stays when all is done", caught: "handled-recorded",
			open: over(func(s *broken, sound store.Store) {
				why := map[string]string{}
				s.failure = func(ctx context.Context, e store.Event, reason string, dead bool) error {
					why[e.ID] = reason
					return sound.RecordFailure(ctx, e, reason, dead)
				}
				s.event = func(e *store.Event) { e.Reason = cmp.Or(e.Reason, why[e.ID]) }
			}),
		},
		{
			name: "done can be undone by a Change", caught: "event-merged",
			open: over(func(s *broken, sound store.Store) {
				latest := map[string]store.EventState{}
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					if c.Event != nil {
						latest[c.Event.ID] = c.Event.State
					}
					return sound.Apply(ctx, c)
				}
				s.event = func(e *store.Event) { e.State = cmp.Or(latest[e.ID], e.State) }
			}),
		},
	}
}

// mergeMutants merge ledger rows by rules of their own: one rule of MergeEvent,
// MergeFailure or MergeHandled is missing in each.
func mergeMutants() []mutant {
	type rules struct {
		name    string
		event   func(old *store.Event, e store.Event, right store.Event) store.Event
		failure func(old *store.Event, e store.Event, right store.Event) store.Event
		handled func(old store.Event, right store.Event) store.Event
	}
	var all []mutant
	for _, m := range []rules{
		{name: "a Change without a payload erases it", event: func(_ *store.Event, e, right store.Event) store.Event {
			right.Payload = e.Payload
			return right
		}},
		{name: "a Change without a booking forgets the event's", event: func(_ *store.Event, e, right store.Event) store.Event {
			right.BookingID = e.BookingID
			return right
		}},
		{name: "a Change replaces the handlers", event: func(_ *store.Event, e, right store.Event) store.Event {
			right.Handlers = slices.Clone(e.Handlers)
			return right
		}},
		{name: "an event that was applied is ignored after all", event: func(_ *store.Event, e, right store.Event) store.Event {
			right.State = e.State
			return right
		}},
		{name: "done is done again, for another reason", event: func(_ *store.Event, e, right store.Event) store.Event {
			right.Reason = e.Reason
			return right
		}},
		{name: "ignored is for ever", event: func(old *store.Event, _, right store.Event) store.Event {
			if old != nil && old.State == store.EventIgnored {
				right.State = store.EventIgnored
			}
			return right
		}},
		{name: "a failure without a payload erases it", failure: func(_ *store.Event, e, right store.Event) store.Event {
			right.Payload = e.Payload
			return right
		}},
		{name: "a failure without a booking forgets the event's", failure: func(_ *store.Event, e, right store.Event) store.Event {
			right.BookingID = e.BookingID
			return right
		}},
		{name: "a failure forgets the handlers", failure: func(_ *store.Event, _, right store.Event) store.Event {
			right.Handlers = nil
			return right
		}},
		{name: "a failure keeps the first reason", failure: func(old *store.Event, _, right store.Event) store.Event {
			if old != nil {
				right.Reason = cmp.Or(old.Reason, right.Reason)
			}
			return right
		}},
		{name: "an event that was applied cannot fail any more", failure: func(old *store.Event, _, right store.Event) store.Event {
			if old != nil && old.State == store.EventApplied {
				right.State, right.Reason = old.State, old.Reason
			}
			return right
		}},
		{name: "a handler of a dead event revives it", handled: func(old, right store.Event) store.Event {
			if old.State == store.EventDead {
				right.State = store.EventApplied
			}
			return right
		}},
		{name: "what is done by its handlers keeps the failure's reason", handled: func(old, right store.Event) store.Event {
			right.Reason = old.Reason
			return right
		}},
	} {
		all = append(all, mutant{name: m.name, caught: "event-every-turn", open: over(func(s *broken, sound store.Store) {
			rows := map[string]store.Event{} // as they are by these rules
			old := func(id string) *store.Event {
				if row, ok := rows[id]; ok {
					return &row
				}
				return nil
			}
			s.event = func(e *store.Event) {
				if row, ok := rows[e.ID]; ok {
					*e = row.Clone()
				}
			}
			s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
				r, err := sound.Apply(ctx, c)
				if r.Applied && c.Event != nil {
					was := old(c.Event.ID)
					row := store.MergeEvent(was, *c.Event)
					if m.event != nil {
						row = m.event(was, c.Event.Clone(), row)
					}
					rows[row.ID] = row
				}
				return r, err
			}
			s.failure = func(ctx context.Context, e store.Event, reason string, dead bool) error {
				was := old(e.ID)
				row := store.MergeFailure(was, e, reason, dead)
				if m.failure != nil {
					row = m.failure(was, e.Clone(), row)
				}
				rows[row.ID] = row
				return sound.RecordFailure(ctx, e, reason, dead)
			}
			s.handled = func(ctx context.Context, id string, handlers []string, done bool, at time.Time) error {
				if was := old(id); was != nil {
					row := store.MergeHandled(*was, handlers, done)
					row.UpdatedAt = store.Time(at)
					if m.handled != nil {
						row = m.handled(*was, row)
					}
					rows[id] = row
				}
				return sound.RecordHandled(ctx, id, handlers, done, at)
			}
		})})
	}
	return append(all, mutant{
		name: "an event's booking must exist", caught: "event-every-turn key-ledger-only failure-recorded",
		open: over(func(s *broken, sound store.Store) {
			exists := func(ctx context.Context, id string) error {
				if _, err := sound.Booking(ctx, id); id != "" && err != nil {
					return errors.New("FOREIGN KEY constraint failed (787)")
				}
				return nil
			}
			s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
				if c.Event != nil && c.Booking == nil {
					if err := exists(ctx, c.Event.BookingID); err != nil {
						return store.Result{}, err
					}
				}
				return sound.Apply(ctx, c)
			}
			s.failure = func(ctx context.Context, e store.Event, reason string, dead bool) error {
				if err := exists(ctx, e.BookingID); err != nil {
					return err
				}
				return sound.RecordFailure(ctx, e, reason, dead)
			}
		}),
	})
}

func contextMutants() []mutant {
	return []mutant{
		{
			name: "ignores ctx", caught: "context-cancelled context-expired",
			open: over(func(s *broken, _ store.Store) { s.ctx = context.WithoutCancel }),
		},
		{
			name: "writes, then looks at ctx", caught: "context-cancelled context-expired",
			open: over(func(s *broken, sound store.Store) {
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					r, err := sound.Apply(context.WithoutCancel(ctx), c)
					if ctx.Err() != nil {
						return store.Result{}, ctx.Err()
					}
					return r, err
				}
			}),
		},
		{
			name: "commits after the call, while its context lasts", caught: "context-ends-after",
			open: func() store.Store {
				j := &journal{Store: new(memory.Store)}
				return wrapped(j, func(s *broken, _ store.Store) {
					commit, last := func() error { return nil }, context.Background()
					s.ctx = func(ctx context.Context) context.Context {
						if last.Err() == nil {
							_ = commit()
						}
						commit = func() error { return nil }
						return ctx
					}
					s.apply = func(ctx context.Context, c store.Change) (r store.Result, err error) {
						var tx store.Store
						tx, commit, _ = j.join()
						last = ctx
						return tx.Apply(ctx, c)
					}
				})
			},
		},
		{
			name: "a call that gives up keeps the lock", caught: "context-ends-in-race",
			open: over(func(s *broken, sound store.Store) {
				lock := make(chan struct{}, 1)
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					select {
					case lock <- struct{}{}:
						defer func() { <-lock }()
						time.Sleep(halfTime)
						return sound.Apply(ctx, c)
					case <-ctx.Done():
						go func() { lock <- struct{}{} }() // who gives it back?
						return store.Result{}, ctx.Err()
					case <-time.After(400 * time.Millisecond):
						return store.Result{}, errors.New("database is locked (5)")
					}
				}
			}),
		},
		{
			name: "a stopped call leaves the ledger row", caught: "context-cancelled context-expired context-ends-midway",
			open: over(func(s *broken, sound store.Store) {
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					r, err := sound.Apply(ctx, c)
					if store.IsTransient(err) && !errors.Is(err, store.ErrConflict) {
						aside(sound, c.Event)
					}
					return r, err
				}
			}),
		},
		{
			name: "a stopped call says that it won", caught: "context-ends-midway context-cancelled",
			open: over(func(s *broken, sound store.Store) {
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					r, err := sound.Apply(ctx, c)
					if errors.Is(err, context.Canceled) {
						return store.Result{Applied: true}, nil
					}
					return r, err
				}
			}),
		},
		{
			name: "the error of a stopped call is the driver's", caught: "context-cancelled context-expired context-ends-midway",
			open: over(func(s *broken, sound store.Store) {
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					r, err := sound.Apply(ctx, c)
					if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
						err = errors.New("interrupted (9)")
					}
					return r, err
				}
			}),
		},
	}
}

func recordMutants() []mutant {
	all := []mutant{
		{
			name: "knows today's states only", caught: "record-longest",
			open: over(func(s *broken, sound store.Store) {
				s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
					if c.Booking != nil && len(c.Booking.State) > len(store.StateConflicted) {
						return store.Result{}, errors.New("invalid input value for enum state")
					}
					return sound.Apply(ctx, c)
				}
			}),
		},
		{
			name: "a currency has three letters", caught: "record-longest",
			open: over(func(s *broken, _ store.Store) {
				s.payment = func(p *store.Payment) { p.Currency = p.Currency[:min(3, len(p.Currency))] }
			}),
		},
		{
			name: "a cause has 64 bytes", caught: "record-longest",
			open: over(func(s *broken, _ store.Store) {
				s.history = func(h []store.History) {
					for i := range h {
						h[i].Cause.By = h[i].Cause.By[:min(64, len(h[i].Cause.By))]
					}
				}
			}),
		},
		{
			name: "a payload has 65,535 bytes", caught: "record-values",
			open: over(func(s *broken, _ store.Store) {
				s.event = func(e *store.Event) { e.Payload = e.Payload[:min(1<<16-1, len(e.Payload))] }
			}),
		},
		{
			name: "refunds are ordered by id", caught: "record-values",
			open: over(func(s *broken, _ store.Store) {
				s.payment = func(p *store.Payment) {
					slices.SortFunc(p.Refunds, func(a, b store.Refund) int { return cmp.Compare(a.ID, b.ID) })
				}
			}),
		},
		{
			name: "details fold the case of their keys", caught: "record-values",
			open: over(func(s *broken, _ store.Store) {
				s.booking = func(b *store.Booking) {
					for key := range b.Details {
						if lower := strings.ToLower(key); lower != key {
							b.Details[lower] = b.Details[key]
							delete(b.Details, key)
						}
					}
				}
			}),
		},
		{
			name: "1970 is no time", caught: "record-times",
			open: over(func(s *broken, _ store.Store) {
				s.booking = func(b *store.Booking) {
					if b.HoldUntil.Equal(time.UnixMilli(0)) {
						b.HoldUntil = time.Time{}
					}
				}
			}),
		},
		{
			name: "counts the version on in the caller's booking", caught: "arguments-untouched",
			open: func() store.Store { return &untidy{new(memory.Store)} },
		},
		{
			name: "sorts the caller's handlers", caught: "arguments-untouched",
			open: func() store.Store { return &untidy{new(memory.Store)} },
		},
		{
			name: "no details are an empty map", caught: "record-minimal",
			open: over(func(s *broken, _ store.Store) {
				s.booking = func(b *store.Booking) {
					if b.Details == nil {
						b.Details = map[string]string{}
					}
				}
			}),
		},
		{
			name: "no time is 1970", caught: "record-minimal",
			open: over(func(s *broken, _ store.Store) {
				s.booking = func(b *store.Booking) {
					if b.HoldUntil.IsZero() {
						b.HoldUntil = time.Unix(0, 0).UTC()
					}
				}
			}),
		},
		{
			name: "money is a float", caught: "record-values",
			open: over(func(s *broken, _ store.Store) {
				s.booking = func(b *store.Booking) { b.Total = floated(b.Total) }
				s.payment = func(p *store.Payment) { p.Amount = floated(p.Amount) }
			}),
		},
		{
			name: "texts have 255 bytes", caught: "record-values",
			open: over(func(s *broken, _ store.Store) {
				s.booking = func(b *store.Booking) { b.ServiceName = b.ServiceName[:min(len(b.ServiceName), 255)] }
			}),
		},
		{
			name: "a payload is text", caught: "record-values",
			open: over(func(s *broken, _ store.Store) {
				s.event = func(e *store.Event) {
					if e.Payload != nil {
						e.Payload = []byte(strings.ToValidUTF8(string(e.Payload), "?"))
					}
				}
			}),
		},
		{
			name: "times keep their zone", caught: "record-times",
			open: over(func(s *broken, _ store.Store) {
				s.booking = func(b *store.Booking) { b.CreatedAt = b.CreatedAt.In(time.FixedZone("UTC+6", 6*3600)) }
			}),
		},
		{
			name: "times have whole seconds", caught: "record-times",
			open: over(func(s *broken, _ store.Store) {
				s.payment = func(p *store.Payment) { p.CreatedAt = p.CreatedAt.Truncate(time.Second) }
			}),
		},
		{
			name: "hands out what it holds", caught: "record-not-shared",
			open: func() store.Store { return &sharing{Store: new(memory.Store)} },
		},
	}
	// For every field of every record a store that loses it.
	lost := func(record, field string, set func(s *broken)) {
		all = append(all, mutant{
			name: fmt.Sprintf("loses a field of a %s (%s)", record, field), caught: "record-every-field",
			open: over(func(s *broken, _ store.Store) { set(s) }),
		})
	}
	each := func(record any, set func(name string, i int)) {
		t := reflect.TypeOf(record)
		for i := range t.NumField() {
			set(t.Field(i).Name, i)
		}
	}
	each(store.Booking{}, func(field string, i int) {
		lost("Booking", field, func(s *broken) { s.booking = func(b *store.Booking) { reflect.ValueOf(b).Elem().Field(i).SetZero() } })
	})
	each(store.Payment{}, func(field string, i int) {
		lost("Payment", field, func(s *broken) { s.payment = func(p *store.Payment) { reflect.ValueOf(p).Elem().Field(i).SetZero() } })
	})
	each(store.Event{}, func(field string, i int) {
		lost("Event", field, func(s *broken) { s.event = func(e *store.Event) { reflect.ValueOf(e).Elem().Field(i).SetZero() } })
	})
	each(store.History{}, func(field string, i int) {
		lost("History", field, func(s *broken) {
			s.history = func(h []store.History) {
				for j := range h {
					reflect.ValueOf(&h[j]).Elem().Field(i).SetZero()
				}
			}
		})
	})
	return all
}

// untidy works on what the caller gave it.
type untidy struct{ store.Store }

func (s *untidy) Apply(ctx context.Context, c store.Change) (store.Result, error) {
	r, err := s.Store.Apply(ctx, c)
	if r.Applied && c.Booking != nil {
		c.Booking.Version++
	}
	return r, err
}

func (s *untidy) RecordHandled(ctx context.Context, id string, handlers []string, done bool, at time.Time) error {
	slices.Sort(handlers)
	return s.Store.RecordHandled(ctx, id, handlers, done, at)
}

func floated(n int64) int64 {
	f := float64(n)
	if f >= 1<<63 {
		return 1<<63 - 1
	}
	return int64(f)
}

// sharing returns the same maps to every reader.
type sharing struct {
	store.Store
	held map[string]store.Booking
}

func (s *sharing) Booking(ctx context.Context, id string) (store.Booking, error) {
	b, err := s.Store.Booking(ctx, id)
	if err != nil {
		return b, err
	}
	if held, ok := s.held[id]; ok && held.Version == b.Version {
		return held, nil
	}
	if s.held == nil {
		s.held = map[string]store.Booking{}
	}
	s.held[id] = b
	return b, nil
}

func reopenMutants() []mutant {
	return []mutant{
		{
			name: "forgets on reopen", caught: "reopen-keeps reopen-no-cache",
			open:   func() store.Store { return new(memory.Store) },
			reopen: func(store.Store) store.Store { return new(memory.Store) },
		},
		{
			name: "remembers keys in the process only", caught: "reopen-keeps reopen-no-cache",
			open: func() store.Store { return &ownKeys{Store: new(memory.Store)} },
			reopen: func(s store.Store) store.Store {
				return &ownKeys{Store: s.(*ownKeys).Store, process: s.(*ownKeys).process + 1}
			},
		},
		{
			name: "caches bookings in the process", caught: "reopen-no-cache",
			open:   func() store.Store { return &caching{Store: new(memory.Store)} },
			reopen: func(s store.Store) store.Store { return &caching{Store: s.(*caching).Store} },
		},
		{
			name: "locks in the process", caught: "reopen-race",
			open: func() store.Store { return &locking{Store: new(memory.Store), both: new(gate)} },
			reopen: func(s store.Store) store.Store {
				return &locking{Store: s.(*locking).Store, both: s.(*locking).both}
			},
		},
	}
}

// ownKeys gives the keys of each process names of their own.
type ownKeys struct {
	store.Store
	process int
}

func (s *ownKeys) Apply(ctx context.Context, c store.Change) (store.Result, error) {
	if s.process > 0 && c.Key != "" {
		c.Key = fmt.Sprintf("%d/%s", s.process, c.Key)
	}
	return s.Store.Apply(ctx, c)
}

type caching struct {
	store.Store
	mu   sync.Mutex
	seen map[string]store.Booking
}

func (s *caching) Apply(ctx context.Context, c store.Change) (store.Result, error) {
	r, err := s.Store.Apply(ctx, c)
	if r.Booking != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.seen, r.Booking.ID)
	}
	return r, err
}

func (s *caching) Booking(ctx context.Context, id string) (store.Booking, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b, ok := s.seen[id]; ok {
		return b.Clone(), nil
	}
	b, err := s.Store.Booking(ctx, id)
	if err == nil {
		if s.seen == nil {
			s.seen = map[string]store.Booking{}
		}
		s.seen[id] = b.Clone()
	}
	return b, err
}

// locking decides races under a mutex of the process: right, as long as there is
// one process.
type locking struct {
	store.Store
	both *gate
	mu   sync.Mutex
}

func (s *locking) Apply(ctx context.Context, c store.Change) (store.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return lookThenWrite(ctx, s.Store, c, s.both)
}

// blind writes in the transaction and reads outside.
type blind struct {
	store.Store
	tx store.Store
}

func (s *blind) Apply(ctx context.Context, c store.Change) (store.Result, error) {
	return s.tx.Apply(ctx, c)
}

func (s *blind) RecordFailure(ctx context.Context, e store.Event, reason string, dead bool) error {
	return s.tx.RecordFailure(ctx, e, reason, dead)
}

func (s *blind) RecordHandled(ctx context.Context, id string, handlers []string, done bool, at time.Time) error {
	return s.tx.RecordHandled(ctx, id, handlers, done, at)
}

func joinMutants() []mutant {
	open := func() store.Store { return &journal{Store: new(memory.Store)} }
	return []mutant{
		{
			name: "a joined Change is committed at once", caught: "join-rollback", open: open,
			join: func(s store.Store) (store.Store, func() error, func() error) {
				nothing := func() error { return nil }
				return s, nothing, nothing
			},
		},
		{
			name: "a joined Change is lost", caught: "join-commit", open: open,
			join: func(s store.Store) (store.Store, func() error, func() error) {
				tx, _, rollback := s.(*journal).join()
				return tx, rollback, rollback
			},
		},
		{
			name: "a joined transaction does not see its own writes", caught: "join-commit", open: open,
			join: func(s store.Store) (store.Store, func() error, func() error) {
				tx, commit, rollback := s.(*journal).join()
				return &blind{Store: s, tx: tx}, commit, rollback
			},
		},
		{
			name: "a Change that lost leaves its ledger row in the transaction", caught: "join-conflict", open: open,
			join: func(s store.Store) (store.Store, func() error, func() error) {
				tx, commit, rollback := s.(*journal).join()
				return wrapped(tx, func(s *broken, tx store.Store) {
					s.apply = func(ctx context.Context, c store.Change) (store.Result, error) {
						r, err := tx.Apply(ctx, c)
						if errors.Is(err, store.ErrConflict) {
							aside(tx, c.Event)
						}
						return r, err
					}
				}), commit, rollback
			},
		},
	}
}
