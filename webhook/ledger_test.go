package webhook

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/payment"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/webhook/webhooktest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestProcessEvent(t *testing.T) {
	ctx := context.Background()
	r, f := newFakeRig(t, nil)
	session := webhooktest.SessionCompleted(webhooktest.Session{EventID: "evt_1", Amount: 1})

	require.ErrorIs(t, r.ProcessEvent(ctx, []byte("{}")), payment.ErrNotEvent)
	r.requireNothing(t)

	f.settle = func(context.Context, booking.Facts, payment.Cause) error { return errAway }
	require.ErrorIs(t, r.ProcessEvent(ctx, session), errAway)
	assert.Equal(t, store.EventFailed, r.row(t, "evt_1").State)

	f.settle = func(context.Context, booking.Facts, payment.Cause) error { return booking.ErrMetadata }
	require.ErrorIs(t, r.ProcessEvent(ctx, session), booking.ErrMetadata)
	assert.Equal(t, store.EventDead, r.row(t, "evt_1").State)

	f.settle = nil
	require.NoError(t, r.ProcessEvent(ctx, session))
	require.NoError(t, r.ProcessEvent(ctx, session), "a duplicate")
	assert.Equal(t, store.EventDone, r.row(t, "evt_1").State)

	require.NoError(t, r.ProcessEvent(ctx, custom("evt_2")), "ignored")

	// Unlike a delivery it stops with its caller, and says so in the ledger.
	stopped, stop := context.WithCancel(ctx)
	stop()
	f.settle = func(ctx context.Context, _ booking.Facts, _ payment.Cause) error { return ctx.Err() }
	three := webhooktest.SessionCompleted(webhooktest.Session{EventID: "evt_3", Amount: 1})
	require.ErrorIs(t, r.ProcessEvent(stopped, three), context.Canceled)
	assert.Equal(t, store.EventFailed, r.row(t, "evt_3").State)
}

// TestReplay: from each state, with what has changed since.
func TestReplay(t *testing.T) {
	ctx := context.Background()
	session := webhooktest.SessionCompleted(webhooktest.Session{EventID: "evt_1", Amount: 1})
	errFirst := errors.New("first")
	for _, tc := range []struct {
		state store.EventState
		first func(r *rig, f *fake) // what made the state
		key   string                // of the replay
	}{
		{store.EventDead, func(_ *rig, f *fake) {
			f.settle = func(context.Context, booking.Facts, payment.Cause) error { return booking.ErrMetadata }
		}, "evt_1"},
		{store.EventFailed, func(_ *rig, f *fake) {
			f.settle = func(context.Context, booking.Facts, payment.Cause) error { return errFirst }
		}, "evt_1"},
		{store.EventIgnored, func(_ *rig, f *fake) {
			f.facts = func(context.Context, payment.Event) (booking.Facts, error) {
				return booking.Facts{}, booking.ErrNotOurs
			}
		}, "evt_1/replay/1"},
		{store.EventDone, func(*rig, *fake) {}, "evt_1/replay/1"},
	} {
		t.Run(string(tc.state), func(t *testing.T) {
			r, f := newFakeRig(t, nil)
			tc.first(r, f)
			r.deliver(session)
			require.Equal(t, tc.state, r.row(t, "evt_1").State)

			f.facts, f.settle, f.causes = nil, nil, nil
			ran := 0
			r.HandleAll(func(context.Context, Event) error { ran++; return nil })
			require.NoError(t, r.Replay(ctx, "evt_1", "alice"))
			require.Len(t, f.causes, 1)
			assert.Equal(t, "replay", f.causes[0].By)
			assert.Equal(t, "alice", f.causes[0].ID)
			assert.Equal(t, tc.key, f.causes[0].Key)
			row := r.row(t, "evt_1")
			assert.Equal(t, store.EventDone, row.State)
			assert.Equal(t, []string{"*"}, row.Handlers)
			assert.Equal(t, 1, ran, "a handler that is new since takes effect")
			assert.Equal(t, now, row.ReceivedAt)

			for range 3 {
				require.NoError(t, r.Replay(ctx, "evt_1", "bob"))
			}
			assert.Equal(t, 1, ran, "a handler that succeeded does not run again")
			assert.Equal(t, store.EventDone, r.row(t, "evt_1").State)
			keys := map[string]bool{}
			for _, c := range f.causes {
				keys[c.Key] = true
			}
			assert.Len(t, keys, 4, "each replay of a done event has a key of its own")
		})
	}
}

// TestReplayAfterDone: a replay of a done event whose new handler fails leaves it
// done, and the next replay runs that handler again.
func TestReplayAfterDone(t *testing.T) {
	ctx := context.Background()
	r := newRig(t, nil)
	r.Handle("customer.created", func(context.Context, Event) error { return nil })
	r.deliver(custom("evt_1"))
	fails, ran := true, 0
	r.HandleAll(func(context.Context, Event) error {
		ran++
		if fails {
			return errAway
		}
		return nil
	})
	requireAnswer(t, r.deliver(custom("evt_1")), 200, true)
	assert.Zero(t, ran, "a delivery of a done event runs nothing")
	require.ErrorIs(t, r.Replay(ctx, "evt_1", "alice"), errAway)
	assert.Equal(t, store.EventDone, r.row(t, "evt_1").State)
	fails = false
	require.NoError(t, r.Replay(ctx, "evt_1", "alice"))
	assert.Equal(t, 2, ran)
	assert.Equal(t, []string{"*", "customer.created"}, r.row(t, "evt_1").Handlers)
}

// TestReplayLongID: the key of a replay is a key also when the id leaves no room.
func TestReplayLongID(t *testing.T) {
	ctx := context.Background()
	r := newRig(t, nil)
	id := "evt_" + strings.Repeat("x", 251)
	requireAnswer(t, r.deliver(custom(id)), 200, true)
	for i := range 3 {
		require.NoError(t, r.Replay(ctx, id, "alice"))
		assert.Equal(t, i+2, r.row(t, id).Attempts, "looked at afresh")
	}
}

func TestReplayErrors(t *testing.T) {
	ctx := context.Background()
	r := newRig(t, nil)
	require.ErrorIs(t, r.Replay(ctx, "evt_none", "alice"), store.ErrNotFound)
	require.ErrorIs(t, r.Replay(ctx, "evt_none", ""), store.ErrInvalid)
	_, err := r.ReplayAll(ctx, store.EventFilter{}, "")
	require.ErrorIs(t, err, store.ErrInvalid)

	pruned := store.Event{ID: "evt_pruned", Type: "a.b", State: store.EventDone, ReceivedAt: now, UpdatedAt: now}
	_, err = r.store.Apply(ctx, store.Change{Key: "evt_pruned", Event: &pruned})
	require.NoError(t, err)
	err = r.Replay(ctx, "evt_pruned", "alice")
	require.ErrorIs(t, err, ErrPruned)
	require.ErrorContains(t, err, "evt_pruned")

	spoilt := pruned
	spoilt.ID, spoilt.Payload = "evt_spoilt", []byte("{")
	_, err = r.store.Apply(ctx, store.Change{Key: "evt_spoilt", Event: &spoilt})
	require.NoError(t, err)
	require.ErrorIs(t, r.Replay(ctx, "evt_spoilt", "alice"), payment.ErrNotEvent)
	count, err := r.ReplayAll(ctx, store.EventFilter{}, "alice")
	assert.Zero(t, count)
	require.ErrorIs(t, err, ErrPruned)
	require.ErrorIs(t, err, payment.ErrNotEvent)

	for _, op := range []string{"Events", "Event"} {
		r.store.set(func(_ context.Context, called string) error {
			if called == op {
				return errAway
			}
			return nil
		}, nil)
		_, err = r.ReplayAll(ctx, store.EventFilter{}, "alice")
		require.ErrorIs(t, err, errAway)
	}
}

// TestReplayAll pages through more than one page while the states change under
// it, and goes on after those that fail.
func TestReplayAll(t *testing.T) {
	ctx := context.Background()
	r := newRig(t, nil)
	fails := func(Event) bool { return true }
	ran := map[string]int{}
	r.HandleAll(func(_ context.Context, e Event) error {
		ran[e.ID]++
		if fails(e) {
			return fmt.Errorf("no: %w", errAway)
		}
		return nil
	})
	const n = 230
	for i := range n {
		require.Equal(t, 503, r.deliver(custom(fmt.Sprintf("evt_%03d", i))).Code)
	}
	rows, next, err := r.Events(ctx, store.EventFilter{State: store.EventFailed}, store.Page{Limit: 100})
	require.NoError(t, err)
	require.Len(t, rows, 100)
	require.NotEmpty(t, next)

	clear(ran)
	fails = func(e Event) bool { return strings.HasSuffix(e.ID, "7") }
	count, err := r.ReplayAll(ctx, store.EventFilter{State: store.EventFailed}, "alice")
	require.ErrorIs(t, err, errAway)
	assert.Equal(t, n/10, strings.Count(err.Error(), "webhook: event evt_"), "each failure is told")
	assert.Equal(t, n-n/10, count)
	assert.Len(t, ran, n)
	for id, times := range ran {
		assert.Equal(t, 1, times, id)
	}

	fails = func(Event) bool { return false }
	count, err = r.ReplayAll(ctx, store.EventFilter{State: store.EventFailed}, "alice")
	require.NoError(t, err)
	assert.Equal(t, n/10, count)
	count, err = r.ReplayAll(ctx, store.EventFilter{State: store.EventFailed}, "alice")
	require.NoError(t, err)
	assert.Zero(t, count)

	// All of them, done as they are: harmless, and no handler runs.
	clear(ran)
	count, err = r.ReplayAll(ctx, store.EventFilter{}, "alice")
	require.NoError(t, err)
	assert.Equal(t, n, count)
	assert.Empty(t, ran)
}

func TestReplayAllStops(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	r := newRig(t, nil)
	fail, ran := true, 0
	r.HandleAll(func(context.Context, Event) error {
		ran++
		if fail {
			return errAway
		}
		stop()
		return nil
	})
	for i := range 5 {
		r.deliver(custom(fmt.Sprintf("evt_%d", i)))
	}
	fail, ran = false, 0
	count, err := r.ReplayAll(ctx, store.EventFilter{State: store.EventFailed}, "alice")
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, 1, strings.Count(err.Error(), "canceled"), "told once, not for every event that is left")
	assert.Equal(t, 1, count)
	assert.Equal(t, 1, ran)
}

// TestReplayAllLeavesOutWhatHasChanged: an event that another delivery has mended
// meanwhile is not taken up again.
func TestReplayAllLeavesOutWhatHasChanged(t *testing.T) {
	ctx := context.Background()
	r := newRig(t, nil)
	fail, ran := true, 0
	r.HandleAll(func(_ context.Context, e Event) error {
		if fail {
			return errAway
		}
		ran++
		if ran == 1 { // the first replay: meanwhile Stripe delivers the others
			for i := range 3 {
				r.deliver(custom(fmt.Sprintf("evt_%d", i)))
			}
		}
		return nil
	})
	for i := range 3 {
		r.deliver(custom(fmt.Sprintf("evt_%d", i)))
	}
	fail = false
	count, err := r.ReplayAll(ctx, store.EventFilter{State: store.EventFailed}, "alice")
	require.NoError(t, err)
	assert.Equal(t, 1, count)
}

func TestEventsAndEvent(t *testing.T) {
	ctx := context.Background()
	r := newRig(t, nil)
	r.deliver(custom("evt_1"))
	row, err := r.Event(ctx, "evt_1")
	require.NoError(t, err)
	assert.Equal(t, "no_handler", row.Reason)
	_, err = r.Event(ctx, "evt_2")
	require.ErrorIs(t, err, store.ErrNotFound)
	rows, next, err := r.Events(ctx, store.EventFilter{Type: "customer.created", State: store.EventIgnored}, store.Page{})
	require.NoError(t, err)
	assert.Len(t, rows, 1)
	assert.Empty(t, next)
	_, _, err = r.Events(ctx, store.EventFilter{}, store.Page{Limit: -1})
	require.ErrorIs(t, err, store.ErrInvalid)
}
