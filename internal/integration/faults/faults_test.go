package faults

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/sqlitetest"
	"github.com/carevia/stripebooking/store"
)

// TestNoticed gives the harness stores with one thing wrong.
func TestNoticed(t *testing.T) {
	for name, wrong := range map[string]struct {
		operation string
		kind      Kind
		apply     func(ctx context.Context, s store.Store, c store.Change) (store.Result, error)
	}{
		"the ledger row comes after the booking": {"new booking", LostRequest,
			func(ctx context.Context, s store.Store, c store.Change) (store.Result, error) {
				later := store.Change{Key: c.Key + " ledger", Event: c.Event}
				c.Event = nil
				res, err := s.Apply(ctx, c)
				if err == nil {
					_, err = s.Apply(ctx, later)
				}
				return res, err
			}},
		"a broken connection is called a conflict": {"new booking with seats", LostAnswer,
			func(ctx context.Context, s store.Store, c store.Change) (store.Result, error) {
				res, err := s.Apply(ctx, c)
				if errors.Is(err, ErrBroken) {
					err = store.ErrConflict
				}
				return res, err
			}},
		"an error is swallowed": {"next version", LostRequest,
			func(ctx context.Context, s store.Store, c store.Change) (store.Result, error) {
				res, err := s.Apply(ctx, c)
				if errors.Is(err, ErrBroken) {
					err = nil
				}
				return res, err
			}},
		"every call has a key of its own": {"event without a booking", LostAnswer,
			func(ctx context.Context, s store.Store, c store.Change) (store.Result, error) {
				c.Key = newWorld().id("call", c.Key)
				return s.Apply(ctx, c)
			}},
		"a read decides who may write": {"new booking", Standstill,
			func(ctx context.Context, s store.Store, c store.Change) (store.Result, error) {
				if _, err := s.Booking(ctx, c.Booking.ID); errors.Is(err, store.ErrNotFound) {
					res, err := s.Apply(ctx, c)
					res.Applied = true
					return res, err
				}
				return store.Result{Booking: c.Booking}, nil
			}},
		"a replay comes back as a conflict": {"new booking with seats", Standstill,
			func(ctx context.Context, s store.Store, c store.Change) (store.Result, error) {
				if _, err := s.Booking(ctx, c.Booking.ID); err == nil {
					return store.Result{}, fmt.Errorf("%w: %w", store.ErrMismatch, store.ErrConflict)
				}
				res, err := s.Apply(ctx, c)
				if err == nil && !res.Applied {
					err = errors.New("duplicate key")
				}
				return res, err
			}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, op := range operations() {
				if op.name != wrong.operation {
					continue
				}
				// Each of the harness's ways is right for a sound store, and
				// tells this one.
				for _, sound := range []bool{true, false} {
					dsn := sqlitetest.DSN(sqlitetest.File(t))
					around := func(s store.Store) store.Store {
						if sound {
							return s
						}
						return &wrongStore{s, wrong.apply}
					}
					target := Target{
						Blocked: sqlitetest.Blocked(t, dsn),
						Direct:  around(sqlitetest.Store(t, sqlitetest.OpenDB(t, dsn), nil)),
						Open: func(t *testing.T, line *Line) store.Store {
							return around(sqlitetest.Store(t, sqlitetest.Intercept(t, dsn, line.Statement), nil))
						},
					}
					one := op.broken
					if wrong.kind == Standstill {
						one = func(tb tb, r *run) { op.overtaken(tb, r, op.rivals[0]) }
					}
					failed, log := observe(func(tb tb) { eachCommand(t, tb, target, wrong.kind, one) })
					require.Equal(t, !sound, failed, log)
				}
			}
		})
	}
}

type wrongStore struct {
	store.Store
	apply func(ctx context.Context, s store.Store, c store.Change) (store.Result, error)
}

func (s *wrongStore) Apply(ctx context.Context, c store.Change) (store.Result, error) {
	return s.apply(ctx, s.Store, c)
}

// recorder takes notes instead of failing a test.
type recorder struct {
	mu     sync.Mutex
	failed bool
	log    strings.Builder
}

// observe runs fn in a goroutine of its own, which FailNow ends.
func observe(fn func(tb)) (failed bool, log string) {
	r := &recorder{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn(r)
	}()
	<-done
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed, r.log.String()
}

func (r *recorder) Helper() {}

func (r *recorder) Logf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(&r.log, format+"\n", args...)
}

func (r *recorder) Errorf(format string, args ...any) {
	r.Logf(format, args...)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = true
}

func (r *recorder) FailNow() {
	r.mu.Lock()
	r.failed = true
	r.mu.Unlock()
	runtime.Goexit()
}
