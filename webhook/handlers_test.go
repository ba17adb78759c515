package webhook

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/webhook/webhooktest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestHandlersRunUntilAllSucceeded: a later delivery runs only those that are
// missing.
func TestHandlersRunUntilAllSucceeded(t *testing.T) {
	for name, payload := range map[string][]byte{
		"built-in": webhooktest.SessionCompleted(webhooktest.Session{EventID: "evt_1", Amount: 1}),
		"own type": custom("evt_1"),
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := newFakeRig(t, nil)
			var ran []string
			fails := map[string]bool{"typed": true, "all": true}
			run := func(name string) HandlerFunc {
				return func(context.Context, Event) error {
					ran = append(ran, name)
					if fails[name] {
						return errors.New("not yet")
					}
					return nil
				}
			}
			r.HandleAll(run("all"))
			r.Handle("checkout.session.completed", run("typed"))
			r.Handle("customer.created", run("typed"))
			r.Handle("customer.deleted", run("another type"))

			requireAnswer(t, r.deliver(payload), 503, false)
			assert.Equal(t, []string{"typed", "all"}, ran, "one that fails does not keep the other from running")
			assert.Equal(t, store.EventFailed, r.row(t, "evt_1").State)
			assert.Empty(t, r.row(t, "evt_1").Handlers)

			fails["all"] = false
			requireAnswer(t, r.deliver(payload), 503, false)
			assert.Equal(t, []string{"typed", "all", "typed", "all"}, ran)
			assert.Equal(t, store.EventFailed, r.row(t, "evt_1").State)
			assert.Equal(t, []string{"*"}, r.row(t, "evt_1").Handlers)

			fails["typed"] = false
			requireAnswer(t, r.deliver(payload), 200, true)
			assert.Equal(t, []string{"typed", "all", "typed", "all", "typed"}, ran)
			row := r.row(t, "evt_1")
			assert.Equal(t, store.EventDone, row.State)
			assert.Empty(t, row.Reason)
			assert.ElementsMatch(t, []string{"*", row.Type}, row.Handlers)

			requireAnswer(t, r.deliver(payload), 200, true)
			assert.Len(t, ran, 5, "nothing is left to run")
		})
	}
}

// TestHandlerGone: a row that waits for a handler which is no longer registered
// is closed.
func TestHandlerGone(t *testing.T) {
	for name, payload := range map[string][]byte{
		"built-in": webhooktest.SessionCompleted(webhooktest.Session{EventID: "evt_1", Amount: 1}),
		"own type": custom("evt_1"),
	} {
		t.Run(name, func(t *testing.T) {
			before, _ := newFakeRig(t, nil)
			before.HandleAll(func(context.Context, Event) error { return errors.New("no") })
			requireAnswer(t, before.deliver(payload), 503, false)

			after, f := newFakeRig(t, nil)
			after.store.Store, f.store = before.store.Store, after.store
			requireAnswer(t, after.deliver(payload), 200, true)
			assert.Equal(t, store.EventDone, after.row(t, "evt_1").State)
		})
	}
}

// TestCrashBeforeHandlers: the process dies after the Change is in. The row is
// "applied", and the next delivery runs the handlers.
func TestCrashBeforeHandlers(t *testing.T) {
	ctx := context.Background()
	r, _ := newFakeRig(t, nil)
	payload := custom("evt_1")
	ev, err := decode(payload)
	require.NoError(t, err)
	row := rowOf(ev, now)
	row.State = store.EventApplied
	_, err = r.store.Store.Apply(ctx, store.Change{Key: "evt_1", Event: &row})
	require.NoError(t, err)

	ran := 0
	r.HandleAll(func(context.Context, Event) error { ran++; return nil })
	requireAnswer(t, r.deliver(payload), 200, true)
	assert.Equal(t, 1, ran)
	assert.Equal(t, store.EventDone, r.row(t, "evt_1").State)
}

// TestHandlerGetsTheEvent: what a handler sees, and that it may change its copy.
func TestHandlerGetsTheEvent(t *testing.T) {
	r, _ := newFakeRig(t, nil)
	payload := webhooktest.Event("evt_1", "customer.created", map[string]any{"id": "cus_1", "name": "x"})
	var got Event
	r.Handle("customer.created", func(_ context.Context, e Event) error {
		got = e.clone()
		e.Object[0] = '!'
		return nil
	})
	r.HandleAll(func(_ context.Context, e Event) error {
		assert.JSONEq(t, `{"id":"cus_1","name":"x"}`, string(e.Object))
		return nil
	})
	requireAnswer(t, r.deliver(payload), 200, true)
	assert.Equal(t, "evt_1", got.ID)
	assert.Equal(t, "customer.created", got.Type)
	assert.Equal(t, "cus_1", got.ObjectID)
	assert.Equal(t, webhooktest.APIVersion, got.APIVersion)
	assert.False(t, got.Livemode)
	assert.False(t, got.Created.IsZero())
	assert.JSONEq(t, string(payload), string(r.row(t, "evt_1").Payload))
}

// TestIgnoredRunsNoHandler: not ours is not the user's either.
func TestIgnoredRunsNoHandler(t *testing.T) {
	r, _ := newFakeRig(t, nil)
	r.HandleAll(func(context.Context, Event) error { t.Error("must not run"); return nil })
	requireAnswer(t, r.deliver(webhooktest.SessionCompleted(webhooktest.Session{EventID: "evt_1", Amount: 1, Livemode: true})), 200, true)
	assert.Equal(t, store.EventIgnored, r.row(t, "evt_1").State)
}

// TestDeadline: when the time is up no handler is started any more, and what has
// succeeded until then is noted all the same.
func TestDeadline(t *testing.T) {
	r := newRig(t, nil)
	ctx, stop := context.WithCancel(context.Background())
	r.Handle("customer.created", func(context.Context, Event) error { stop(); return nil })
	r.HandleAll(func(context.Context, Event) error { t.Error("must not start"); return nil })
	require.ErrorIs(t, r.ProcessEvent(ctx, custom("evt_1")), context.Canceled)
	row := r.row(t, "evt_1")
	assert.Equal(t, store.EventFailed, row.State)
	assert.Equal(t, "handler *: context canceled", row.Reason)
	assert.Equal(t, []string{"customer.created"}, row.Handlers)
}

// TestClientHangsUp: what was begun is brought to its end.
func TestClientHangsUp(t *testing.T) {
	r := newRig(t, nil)
	type key struct{}
	ctx, hangUp := context.WithCancel(context.WithValue(context.Background(), key{}, "kept"))
	r.HandleAll(func(ctx context.Context, _ Event) error {
		hangUp()
		assert.Equal(t, "kept", ctx.Value(key{}))
		_, has := ctx.Deadline()
		assert.True(t, has)
		return ctx.Err()
	})
	w := httptest.NewRecorder()
	r.ServeHTTP(w, webhooktest.SignedRequest(custom("evt_1"), now, secret).WithContext(ctx))
	requireAnswer(t, w, 200, true)
	assert.Equal(t, store.EventDone, r.row(t, "evt_1").State)
}

// TestRegistration: panics as in net/http, and is safe while events come in.
func TestRegistration(t *testing.T) {
	ok := func(context.Context, Event) error { return nil }
	r := newRig(t, nil)
	r.Handle("a.b", ok)
	r.HandleAll(ok)
	assert.Panics(t, func() { r.Handle("a.b", ok) }, "twice")
	assert.Panics(t, func() { r.With(r.store).Handle("a.b", ok) }, "twice, by way of With")
	assert.Panics(t, func() { r.HandleAll(ok) }, "twice")
	assert.Panics(t, func() { r.Handle("", ok) }, "no type")
	assert.Panics(t, func() { r.Handle("*", ok) }, "the name of HandleAll's")
	assert.Panics(t, func() { r.Handle("a.c", nil) }, "no_handler")
	assert.Panics(t, func() { r.HandleAll(nil) }, "no_handler")

	var wg sync.WaitGroup
	for _, kind := range []string{"c.1", "c.2", "c.3", "c.4"} {
		wg.Add(2)
		go func() { defer wg.Done(); r.Handle(kind, ok) }()
		go func() {
			defer wg.Done()
			w := r.deliver(webhooktest.Event("evt_"+kind, kind, map[string]any{"id": "x"}))
			assert.Equal(t, http.StatusOK, w.Code)
		}()
	}
	wg.Wait()
}

// TestConcurrentDeliveries: at the same time and several times over, handlers run
// at least once, and the row ends as done.
func TestConcurrentDeliveries(t *testing.T) {
	r := newRig(t, nil)
	var mu sync.Mutex
	ran := 0
	r.HandleAll(func(context.Context, Event) error {
		mu.Lock()
		defer mu.Unlock()
		ran++
		return nil
	})
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() { defer wg.Done(); assert.Equal(t, 200, r.deliver(custom("evt_1")).Code) }()
	}
	wg.Wait()
	assert.GreaterOrEqual(t, ran, 1)
	row := r.row(t, "evt_1")
	assert.Equal(t, store.EventDone, row.State)
	assert.Equal(t, []string{"*"}, row.Handlers)
	assert.Equal(t, 1, row.Attempts)
}
