package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/payment"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/webhook/webhooktest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestAnswers is the design's table of what Stripe says and what we answer, from
// the first verified event on; TestBadRequests is the part before it.
func TestAnswers(t *testing.T) {
	paid := webhooktest.Session{EventID: "evt_1", Amount: 5000}
	session := webhooktest.SessionCompleted(paid)
	live, connected, unpaidLive := paid, paid, paid
	live.Livemode, connected.Account = true, "acct_other"
	unpaidLive.Livemode, unpaidLive.PaymentStatus = true, "unpaid"

	facts := func(err error) func(*rig, *fake) {
		return func(_ *rig, f *fake) {
			f.facts = func(context.Context, payment.Event) (booking.Facts, error) { return booking.Facts{}, err }
		}
	}
	settle := func(err error) func(*rig, *fake) {
		return func(_ *rig, f *fake) {
			f.settle = func(context.Context, booking.Facts, payment.Cause) error { return err }
		}
	}
	handler := func(fn HandlerFunc) func(*rig, *fake) {
		return func(r *rig, _ *fake) { r.Handle("checkout.session.completed", fn) }
	}
	for _, tc := range []struct {
		delivery string
		payload  []byte
		config   func(*Config)
		set      func(*rig, *fake)

		status  int
		success bool
		state   store.EventState
		reason  string
		errors  int // lines at level Error
	}{
		// verified, processed
		{"processed", session, nil, nil, 200, true, store.EventDone, "", 0},
		{"processed by one's own handler", custom("evt_1"), nil,
			func(r *rig, _ *fake) {
				r.Handle("customer.created", func(context.Context, Event) error { return nil })
			}, 200, true, store.EventDone, "", 0},

		// ignored, with the reason
		{"type without a handler", custom("evt_1"), nil, nil, 200, true, store.EventIgnored, "no_handler", 0},
		{"not ours", session, nil, facts(fmt.Errorf("x: %w", booking.ErrNotOurs)), 200, true, store.EventIgnored, "not_ours", 0},
		{"a subscription", session, nil, func(_ *rig, f *fake) {
			f.facts = func(context.Context, payment.Event) (booking.Facts, error) {
				return booking.Facts{Mode: "subscription", SessionStatus: "complete", PaymentStatus: "paid"}, nil
			}
		}, 200, true, store.EventIgnored, "not_a_one_off_payment", 0},
		{"other livemode, paid", webhooktest.SessionCompleted(live), nil, nil, 200, true, store.EventIgnored, "other_livemode", 1},
		{"other livemode, not paid", webhooktest.SessionCompleted(unpaidLive), nil, nil, 200, true, store.EventIgnored, "other_livemode", 0},
		{"other livemode, paid, when we are live", session, func(c *Config) { c.Mode = payment.Live }, nil, 200, true, store.EventIgnored, "other_livemode", 1},
		{"other livemode, an intent that succeeded", webhooktest.IntentSucceeded(webhooktest.Intent{EventID: "evt_1", Livemode: true}), nil, nil, 200, true, store.EventIgnored, "other_livemode", 1},
		{"other livemode, an intent that failed", webhooktest.IntentFailed(webhooktest.Intent{EventID: "evt_1", Livemode: true}), nil, nil, 200, true, store.EventIgnored, "other_livemode", 0},
		{"other account, paid", webhooktest.SessionCompleted(connected), nil, nil, 200, true, store.EventIgnored, "other_account", 1},
		{"no account, when we serve one", session, func(c *Config) { c.Account = "acct_ours" }, nil, 200, true, store.EventIgnored, "other_account", 1},
		{"our account", webhooktest.SessionCompleted(connected), func(c *Config) { c.Account = "acct_other" }, nil, 200, true, store.EventDone, "", 0},

		// a failed attempt to pay: its code, no booking
		{"a failed attempt", webhooktest.IntentFailed(webhooktest.Intent{EventID: "evt_1"}), nil, func(_ *rig, f *fake) {
			f.facts = func(context.Context, payment.Event) (booking.Facts, error) {
				return booking.Facts{PaymentIntentID: "pi_1", FailureCode: "card_declined"}, nil
			}
		}, 200, true, store.EventDone, "card_declined", 0},

		// permanent failure
		{"broken metadata", session, nil, facts(fmt.Errorf("%w: amountToPay", booking.ErrMetadata)), 200, false, store.EventDead, "read the event: booking: invalid metadata: amountToPay", 1},
		{"broken metadata, as the settling says", session, nil, settle(booking.ErrMetadata), 200, false, store.EventDead, "settle: booking: invalid metadata", 1},
		{"broken metadata, answered as the guide does", session, func(c *Config) { c.PermanentStatus = 400 }, settle(booking.ErrMetadata), 400, false, store.EventDead, "settle: booking: invalid metadata", 1},
		{"an object that makes no sense", session, nil, facts(payment.ErrNotEvent), 200, false, store.EventDead, "read the event: payment: not an event", 1},
		{"what no store takes", session, nil, settle(store.ErrInvalid), 200, false, store.EventDead, "settle: store: invalid", 1},
		{"a key used for something else", session, nil, settle(store.ErrMismatch), 200, false, store.EventDead, "settle: store: key was used with another fingerprint", 1},

		// transient
		{"database away", session, nil, settle(errors.New("connection refused")), 503, false, store.EventFailed, "settle: connection refused", 1},
		{"Stripe away", session, nil, facts(payment.ErrStripe), 503, false, store.EventFailed, "read the event: payment: Stripe can't be reached", 1},
		{"conflict not settled in time", session, nil, settle(store.ErrConflict), 503, false, store.EventFailed, "settle: store: conflict", 1},
		{"handler error", session, nil, handler(func(context.Context, Event) error { return errors.New("mail is down") }), 503, false, store.EventFailed, "handler checkout.session.completed: mail is down", 1},
		{"a handler's error is never permanent", session, nil, handler(func(context.Context, Event) error { return booking.ErrMetadata }), 503, false, store.EventFailed, "handler checkout.session.completed: booking: invalid metadata", 1},
		{"handler panic", session, nil, handler(func(context.Context, Event) error { panic("x") }), 503, false, store.EventFailed, "handler checkout.session.completed: panic: string", 2},
		{"handler that aborts", session, nil, handler(func(context.Context, Event) error { panic(http.ErrAbortHandler) }), 503, false, store.EventFailed, "handler checkout.session.completed: panic: *errors.errorString", 1},
		{"panic of the settling", session, nil, func(_ *rig, f *fake) {
			f.settle = func(context.Context, booking.Facts, payment.Cause) error { var m map[string]int; m["x"]++; return nil }
		}, 503, false, store.EventFailed, "panic: assignment to entry in nil map", 2},
		{"deadline in the settling", session, func(c *Config) { c.Deadline = 1 }, func(_ *rig, f *fake) {
			f.settle = func(ctx context.Context, _ booking.Facts, _ payment.Cause) error { <-ctx.Done(); return ctx.Err() }
		}, 503, false, store.EventFailed, "settle: context deadline exceeded", 1},
	} {
		t.Run(tc.delivery, func(t *testing.T) {
			r, f := newFakeRig(t, tc.config)
			if tc.set != nil {
				tc.set(r, f)
			}
			w := r.deliver(tc.payload)
			requireAnswer(t, w, tc.status, tc.success)
			row := r.row(t, "evt_1")
			assert.Equal(t, tc.state, row.State)
			assert.Equal(t, tc.reason, row.Reason)
			assert.JSONEq(t, string(tc.payload), string(row.Payload))
			assert.Equal(t, now, row.ReceivedAt)
			assert.NotContains(t, w.Body.String(), "refused", "an answer tells nothing of the inside")

			info := r.logs.lines(t, "INFO")
			require.Len(t, info, 1, "one line for each verified event")
			assert.Equal(t, "evt_1", info[0]["id"])
			assert.Equal(t, row.Type, info[0]["type"])
			assert.Equal(t, string(tc.state), info[0]["outcome"])
			assert.Contains(t, info[0], "booking")
			assert.Contains(t, info[0], "ms")
			if tc.success && tc.reason != "" {
				assert.Equal(t, tc.reason, info[0]["reason"])
			}
			errs := r.logs.lines(t, "ERROR")
			require.Len(t, errs, tc.errors, r.logs.text())
			if tc.state == store.EventDead || tc.state == store.EventFailed {
				assert.Equal(t, tc.reason, errs[len(errs)-1]["reason"])
			}
		})
	}
}

// TestDuplicates: a delivery again is answered as the first, and stores nothing.
func TestDuplicates(t *testing.T) {
	ran := 0
	r, _ := newFakeRig(t, nil)
	r.Handle("customer.created", func(context.Context, Event) error { ran++; return nil })
	events := [][]byte{
		webhooktest.SessionCompleted(webhooktest.Session{EventID: "evt_done", Amount: 1}),
		webhooktest.Event("evt_ignored", "plan.created", map[string]any{"id": "plan_1"}),
		custom("evt_handled"),
	}
	for _, e := range events {
		requireAnswer(t, r.deliver(e), 200, true)
	}
	before := map[string]store.Event{}
	for _, id := range []string{"evt_done", "evt_ignored", "evt_handled"} {
		before[id] = r.row(t, id)
	}
	for range 3 {
		for _, e := range events {
			requireAnswer(t, r.deliver(e), 200, true)
		}
	}
	for id, row := range before {
		assert.Equal(t, row, r.row(t, id))
	}
	assert.Equal(t, 1, ran)
}

// TestDeadIsTriedAgain: a later delivery of a dead event can succeed.
func TestDeadIsTriedAgain(t *testing.T) {
	var hooked []string
	r, f := newFakeRig(t, func(c *Config) {
		c.OnDead = func(_ context.Context, e Event, reason string) { hooked = append(hooked, e.ID+": "+reason) }
	})
	f.settle = func(context.Context, booking.Facts, payment.Cause) error { return booking.ErrMetadata }
	e := webhooktest.SessionCompleted(webhooktest.Session{EventID: "evt_1", Amount: 1})
	requireAnswer(t, r.deliver(e), 200, false)
	requireAnswer(t, r.deliver(e), 200, false)
	assert.Equal(t, 2, r.row(t, "evt_1").Attempts)
	assert.Equal(t, []string{"evt_1: settle: booking: invalid metadata", "evt_1: settle: booking: invalid metadata"}, hooked)

	f.settle = nil
	requireAnswer(t, r.deliver(e), 200, true)
	assert.Equal(t, store.EventDone, r.row(t, "evt_1").State)
	assert.Empty(t, r.row(t, "evt_1").Reason)
	assert.Len(t, hooked, 2)
}

// TestOnDeadMayPanic: a broken hook changes nothing.
func TestOnDeadMayPanic(t *testing.T) {
	r, f := newFakeRig(t, func(c *Config) { c.OnDead = func(context.Context, Event, string) { panic("x") } })
	f.settle = func(context.Context, booking.Facts, payment.Cause) error { return booking.ErrMetadata }
	requireAnswer(t, r.deliver(webhooktest.SessionCompleted(webhooktest.Session{EventID: "evt_1", Amount: 1})), 200, false)
	assert.Equal(t, store.EventDead, r.row(t, "evt_1").State)
}

// TestCauses: what the history of a booking will say brought a change about.
func TestCauses(t *testing.T) {
	ctx := context.Background()
	r, f := newFakeRig(t, nil)
	one := webhooktest.SessionCompleted(webhooktest.Session{EventID: "evt_1", Amount: 1})
	two := webhooktest.SessionCompleted(webhooktest.Session{EventID: "evt_2", Amount: 1})
	r.deliver(one)
	require.NoError(t, r.ProcessEvent(ctx, two))
	require.NoError(t, r.Replay(ctx, "evt_1", "alice"))
	require.Len(t, f.causes, 3)
	for i, want := range []payment.Cause{
		{By: "webhook", ID: "evt_1", Key: "evt_1"},
		{By: "reconcile", ID: "evt_2", Key: "evt_2"},
		{By: "replay", ID: "alice", Key: "evt_1/replay/1"},
	} {
		got := f.causes[i]
		require.NotNil(t, got.Event)
		assert.Equal(t, store.EventDone, got.Event.State)
		got.Event = nil
		assert.Equal(t, want, got)
	}
}
