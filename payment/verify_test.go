package payment

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/payment/stripetest"
	"github.com/carevia/stripebooking/store"
)

func (w *world) verify(id string, wait time.Duration) Verification {
	w.t.Helper()
	v, err := w.pay.Verify(ctxOf(w.t), id, "user_7", wait)
	require.NoError(w.t, err)
	return v
}

func TestVerify(t *testing.T) {
	for name, begin := range map[string]func(w *world) string{
		"held":  func(w *world) string { return w.checkout(w.request("a")).SessionID },
		"plain": func(w *world) string { return w.plainSession(false).ID },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			id := begin(w)
			applies := w.store.applies
			assert.Equal(t, Unpaid, w.verify(id, time.Minute).Status, "there is nothing to wait for yet")
			ss := w.paid(id)
			assert.Equal(t, Unpaid, w.verify(id, 0).Status, "an answer of a moment ago")
			w.clock.pass(askAgain)
			assert.Equal(t, Pending, w.verify(id, 0).Status)
			i, err := w.pay.Inspect(ctxOf(t), id)
			require.NoError(t, err)
			assert.Equal(t, "pending_webhook", i.StatusText)
			assert.Empty(t, i.ProcessedBy)
			assert.Equal(t, applies, w.store.applies, "it only reads")

			w.mustDeliver(completed, ss.ID)
			v := w.verify(id, 0)
			assert.Equal(t, Processed, v.Status)
			assert.Equal(t, store.StateConfirmed, v.Booking.State)
			require.NotNil(t, v.Payment)
			assert.Equal(t, ss.PaymentIntent, v.Payment.PaymentIntentID)
			i, err = w.pay.Inspect(ctxOf(t), id)
			require.NoError(t, err)
			assert.Equal(t, "processed", i.StatusText)
			assert.Equal(t, "webhook", i.ProcessedBy)
			assert.Equal(t, Processed, i.Status)
		})
	}
}

// Polling asks Stripe once for a paid session, and every two seconds for one that
// is not; once the store knows, never.
func TestVerifyCalls(t *testing.T) {
	w := newWorld(t)
	ss := w.plainSession(false)
	for range 10 {
		w.verify(ss.ID, 0)
	}
	assert.Equal(t, 1, w.calls())
	w.clock.pass(time.Second)
	w.verify(ss.ID, 0)
	assert.Equal(t, 1, w.calls())
	w.clock.pass(time.Second)
	w.verify(ss.ID, 0)
	assert.Equal(t, 2, w.calls())

	ss = w.paid(ss.ID)
	w.clock.pass(askAgain)
	for range 10 {
		assert.Equal(t, Pending, w.verify(ss.ID, 0).Status)
		w.clock.pass(time.Minute)
	}
	assert.Equal(t, 3, w.calls(), "paid is for good")
	together(32, func(int) { _, _ = w.pay.Verify(context.Background(), ss.ID, "user_7", time.Second) })
	assert.Equal(t, 3, w.calls())
	assert.Equal(t, Pending, w.verify(ss.ID, 10*time.Second).Status)
	assert.Equal(t, 3, w.calls(), "waiting asks the store")

	w.mustDeliver(completed, ss.ID)
	fresh, err := New(w.pay.cfg)
	require.NoError(t, err)
	v, err := fresh.Verify(ctxOf(t), ss.ID, "user_7", 0)
	require.NoError(t, err)
	assert.Equal(t, Processed, v.Status)
	assert.Equal(t, 3, w.calls(), "the store has the answer")

	// Pages that open at the same time share one call.
	other := w.plainSession(false)
	together(32, func(int) { _, _ = w.pay.Verify(context.Background(), other.ID, "user_7", 0) })
	assert.Equal(t, 4, w.calls())
}

func TestVerifyWaits(t *testing.T) {
	w := newWorld(t)
	ss := w.paid(w.plainSession(false).ID)
	var pauses []time.Duration
	w.pay.after = func(d time.Duration) <-chan time.Time {
		if pauses = append(pauses, d); len(pauses) == 5 {
			w.mustDeliver(completed, ss.ID)
		}
		return closed()
	}
	v := w.verify(ss.ID, 30*time.Second)
	assert.Equal(t, Processed, v.Status)
	assert.Equal(t, []time.Duration{100, 200, 400, 800, 1000}, millis(pauses))

	// The limit.
	pauses = nil
	second := w.paid(w.plainSession(false).ID)
	w.pay.after = func(d time.Duration) <-chan time.Time { pauses = append(pauses, d); return closed() }
	assert.Equal(t, Pending, w.verify(second.ID, 2*time.Second).Status)
	assert.Equal(t, []time.Duration{100, 200, 400, 800, 500}, millis(pauses))

	// The customer goes away.
	ctx, cancel := context.WithCancel(context.Background())
	w.pay.after = func(time.Duration) <-chan time.Time { cancel(); return nil }
	v, err := w.pay.Verify(ctx, second.ID, "user_7", time.Hour)
	require.NoError(t, err)
	assert.Equal(t, Pending, v.Status)
}

func millis(ds []time.Duration) (out []time.Duration) {
	for _, d := range ds {
		out = append(out, d/time.Millisecond)
	}
	return out
}

func TestVerifyStates(t *testing.T) {
	t.Run("the intent's news came first", func(t *testing.T) {
		w := newWorld(t)
		ss := w.paid(w.plainSession(true).ID)
		w.mustDeliver(intentSucceeded, ss.PaymentIntent) // which does not tell the session
		assert.Equal(t, Processed, w.verify(ss.ID, 0).Status)
	})
	t.Run("expired", func(t *testing.T) {
		w := newWorld(t)
		c := w.checkout(w.request("a"))
		_, err := w.stripe.Expire(c.SessionID)
		require.NoError(t, err)
		assert.Equal(t, Expired, w.verify(c.SessionID, 0).Status, "as Stripe says")
		w.mustDeliver(expired, c.SessionID)
		v := w.verify(c.SessionID, 0)
		assert.Equal(t, Expired, v.Status, "as the store says")
		assert.Equal(t, c.BookingID, v.Booking.ID)
	})
	t.Run("a delayed payment", func(t *testing.T) {
		w := newWorld(t)
		c := w.checkout(w.request("a"))
		_, err := w.stripe.PayDelayed(c.SessionID)
		require.NoError(t, err)
		for range 2 { // as Stripe says, and then as the store does too
			v := w.verify(c.SessionID, time.Minute)
			assert.Equal(t, Processing, v.Status, "it takes days: there is nothing to wait for")
			assert.Equal(t, c.BookingID, v.Booking.ID)
			w.mustDeliver(completed, c.SessionID)
		}
		_, err = w.stripe.SettleDelayed(c.SessionID, false)
		require.NoError(t, err)
		w.clock.pass(askAgain)
		assert.Equal(t, Unpaid, w.verify(c.SessionID, 0).Status)
	})
	t.Run("an older session of a booking that was paid", func(t *testing.T) {
		w := newWorld(t)
		first := w.checkout(w.request("a"))
		r := w.full("b")
		r.BookingID = first.BookingID
		second := w.checkout(r)
		w.paid(second.SessionID)
		w.mustDeliver(completed, second.SessionID)
		v := w.verify(first.SessionID, 0)
		assert.Equal(t, Expired, v.Status)
		assert.Equal(t, first.BookingID, v.Booking.ID)
	})
	t.Run("another's, from the store and from Stripe", func(t *testing.T) {
		w := newWorld(t)
		ss := w.paid(w.plainSession(false).ID)
		for range 2 {
			_, err := w.pay.Verify(ctxOf(t), ss.ID, "user_8", 0)
			require.ErrorIs(t, err, ErrNotOwner)
			_, err = w.pay.Verify(ctxOf(t), ss.ID, "", 0)
			require.ErrorIs(t, err, ErrNotOwner)
			w.mustDeliver(completed, ss.ID)
		}
		i, err := w.pay.Inspect(ctxOf(t), ss.ID)
		require.NoError(t, err)
		assert.Equal(t, "user_7", i.Booking.UserID)
	})
	t.Run("Stripe away", func(t *testing.T) {
		w := newWorld(t)
		ss := w.paid(w.plainSession(false).ID)
		w.stripe.FailNext(2, retrieveRoute, stripetest.Fault{Status: 500})
		_, err := w.pay.Verify(ctxOf(t), ss.ID, "user_7", time.Minute)
		require.ErrorIs(t, err, ErrStripe)
		assert.Equal(t, Pending, w.verify(ss.ID, 0).Status, "an error is not remembered")
	})
}

func TestInspectProcessedBy(t *testing.T) {
	w := newWorld(t)
	ss := w.paid(w.plainSession(false).ID)
	_, err := w.pay.Confirm(ctxOf(t), ss.ID, "user_7")
	require.NoError(t, err)
	w.mustDeliver(completed, ss.ID)
	i, err := w.pay.Inspect(ctxOf(t), ss.ID)
	require.NoError(t, err)
	assert.Equal(t, "confirm", i.ProcessedBy)
}

func TestCacheIsBounded(t *testing.T) {
	w := newWorld(t)
	c := newCache(w.clock.now)
	for i := range 3 * maxSeen {
		_, err := c.facts(context.Background(), fmt.Sprint(i), func() (booking.Facts, error) { return booking.Facts{}, nil })
		require.NoError(t, err)
	}
	assert.Len(t, c.entries, maxSeen)

	// Who waits for another's answer goes when its ctx does.
	e := c.entry("busy")
	<-e.turn
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := c.facts(ctx, "busy", nil)
	require.True(t, errors.Is(err, context.Canceled))
}

// Who polls for a session that Stripe does not know does not make every poll a
// call.
func TestVerifyUnknownCalls(t *testing.T) {
	w := newWorld(t)
	for range 5 {
		_, err := w.pay.Verify(ctxOf(t), "cs_test_unknown", "user_7", 0)
		require.ErrorIs(t, err, ErrNoSession)
	}
	assert.Equal(t, 1, w.calls())
	w.clock.pass(askAgain)
	_, err := w.pay.Verify(ctxOf(t), "cs_test_unknown", "user_7", 0)
	require.ErrorIs(t, err, ErrNoSession)
	assert.Equal(t, 2, w.calls())
}

// A session that names somebody else's booking shows it to nobody, whichever of
// its events came first.
func TestVerifyStolenBooking(t *testing.T) {
	w := newWorld(t)
	o := booking.OrderOf(w.booking(w.checkout(w.request("a")).BookingID))
	o.UserID = "user_8"
	metadata, err := booking.Marked{}.Encode(o)
	require.NoError(t, err)
	ss, err := w.stripe.CreateSession(stripetest.SessionParams{Amount: 4500, Metadata: metadata, IntentMetadata: metadata})
	require.NoError(t, err)
	w.mustDeliver(intentSucceeded, w.paid(ss.ID).PaymentIntent)
	_, err = w.pay.Verify(ctxOf(t), ss.ID, "user_8", 0)
	require.ErrorIs(t, err, ErrNotOwner)
}

// A delayed payment comes through after somebody ended the booking's hold.
func TestVerifyLatePayment(t *testing.T) {
	w := newWorld(t)
	c := w.checkout(w.request("a"))
	_, err := w.stripe.PayDelayed(c.SessionID)
	require.NoError(t, err)
	b := w.booking(c.BookingID)
	b.State = store.StateExpired
	_, err = w.store.Apply(ctxOf(t), store.Change{Key: "op", Booking: &b, History: &store.History{
		From: store.StateHeld, To: b.State, Cause: store.Cause{By: "operator"}, At: w.clock.now()}})
	require.NoError(t, err)
	_, err = w.stripe.SettleDelayed(c.SessionID, true)
	require.NoError(t, err)
	v, err := w.pay.Verify(ctxOf(t), c.SessionID, "user_7", 0)
	require.NoError(t, err)
	assert.Equal(t, Pending, v.Status)
}
