package webhook

import (
	"context"
	"errors"
	"testing"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/payment"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/webhook/webhooktest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var errAway = errors.New("connection refused")

// TestStoreFails: whichever call of the database fails, before or after it took
// effect, the answer is 503, nothing is half done, and the next delivery mends
// it all.
func TestStoreFails(t *testing.T) {
	ctx := context.Background()
	for _, when := range []string{"before", "after"} {
		for _, ops := range [][]string{{"Apply"}, {"RecordHandled"}, {"Apply", "RecordFailure"}, {"RecordHandled", "RecordFailure"}} {
			t.Run(when+" "+ops[len(ops)-1]+" of "+ops[0], func(t *testing.T) {
				r := newRig(t, nil)
				ran := 0
				r.HandleAll(func(context.Context, Event) error { ran++; return nil })
				away := func(op string) error {
					for _, o := range ops {
						if o == op {
							return errAway
						}
					}
					return nil
				}
				if when == "before" {
					r.store.set(func(_ context.Context, op string) error { return away(op) }, nil)
				} else {
					r.store.set(nil, away)
				}
				requireAnswer(t, r.deliver(custom("evt_1")), 503, false)
				if when == "before" && ops[0] == "Apply" && len(ops) == 2 {
					_, err := r.store.Store.Event(ctx, "evt_1")
					require.ErrorIs(t, err, store.ErrNotFound)
					assert.Zero(t, ran)
				}
				if ops[0] == "Apply" {
					assert.Zero(t, ran, "no handler before the Change is in")
				}
				require.Len(t, r.logs.lines(t, "ERROR"), 1)

				r.store.set(nil, nil)
				requireAnswer(t, r.deliver(custom("evt_1")), 200, true)
				assert.Equal(t, store.EventDone, r.row(t, "evt_1").State)
				assert.GreaterOrEqual(t, ran, 1)
			})
		}
	}
}

// TestStoreHangs: a database that does not answer is given up at the deadline.
func TestStoreHangs(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Deadline = 1 })
	r.HandleAll(func(context.Context, Event) error { t.Error("must not run"); return nil })
	r.store.set(func(ctx context.Context, op string) error {
		if op != "Apply" {
			return errAway
		}
		<-ctx.Done()
		return ctx.Err()
	}, nil)
	requireAnswer(t, r.deliver(custom("evt_1")), 503, false)
	rows, _, err := r.store.Store.Events(context.Background(), store.EventFilter{}, store.Page{})
	require.NoError(t, err)
	assert.Empty(t, rows)
}

// TestStorePanics: also in the middle of noting a failure.
func TestStorePanics(t *testing.T) {
	r := newRig(t, nil)
	r.HandleAll(func(context.Context, Event) error { return nil })
	r.store.set(func(context.Context, string) error { panic("driver") }, nil)
	requireAnswer(t, r.deliver(custom("evt_1")), 503, false)
}

// TestDeadButNotRecorded: a permanent failure that the database did not take is
// answered 503, since it would be lost otherwise.
func TestDeadButNotRecorded(t *testing.T) {
	r, f := newFakeRig(t, func(c *Config) {
		c.PermanentStatus = 400
		c.OnDead = func(context.Context, Event, string) { t.Error("it is not dead yet") }
	})
	f.settle = func(context.Context, booking.Facts, payment.Cause) error { return booking.ErrMetadata }
	r.store.set(func(_ context.Context, op string) error { return errAway }, nil)
	requireAnswer(t, r.deliver(webhooktest.SessionCompleted(webhooktest.Session{EventID: "evt_1", Amount: 1})), 503, false)
}

// TestLateFailure: an attempt that fails after another has succeeded takes
// nothing back.
func TestLateFailure(t *testing.T) {
	r := newRig(t, nil)
	first := true
	r.HandleAll(func(ctx context.Context, _ Event) error {
		if !first {
			return nil
		}
		first = false
		assert.Equal(t, 200, r.deliver(custom("evt_1")).Code, "another delivery overtakes this one")
		return errors.New("late")
	})
	requireAnswer(t, r.deliver(custom("evt_1")), 503, false)
	row := r.row(t, "evt_1")
	assert.Equal(t, store.EventDone, row.State)
	requireAnswer(t, r.deliver(custom("evt_1")), 200, true)
}
