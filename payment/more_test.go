package payment

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/payment/stripetest"
	"github.com/carevia/stripebooking/store"
)

func TestPaymentLists(t *testing.T) {
	w := newWorld(t)
	var intents []string
	for range 5 {
		ss := w.paid(w.plainSession(true).ID)
		w.mustDeliver(completed, ss.ID)
		intents = append([]string{ss.PaymentIntent}, intents...)
		w.clock.pass(time.Minute)
	}
	var got []string
	page := store.Page{Limit: 2}
	for {
		rows, next, err := w.pay.PaymentsByUser(ctxOf(t), "user_7", page)
		require.NoError(t, err)
		for _, p := range rows {
			got = append(got, p.PaymentIntentID)
		}
		if page.After = next; next == "" {
			break
		}
	}
	assert.Equal(t, intents, got, "newest first")

	p, err := w.pay.Payment(ctxOf(t), intents[0])
	require.NoError(t, err)
	rows, next, err := w.pay.PaymentsByBooking(ctxOf(t), p.BookingID, store.Page{})
	require.NoError(t, err)
	assert.Equal(t, []store.Payment{p}, rows)
	assert.Empty(t, next)
	_, err = w.pay.Payment(ctxOf(t), "pi_unknown")
	require.ErrorIs(t, err, store.ErrNotFound)
	_, _, err = w.pay.PaymentsByUser(ctxOf(t), "user_7", store.Page{Limit: -1})
	require.ErrorIs(t, err, store.ErrInvalid)
	_, _, err = w.pay.PaymentsByBooking(ctxOf(t), "bk", store.Page{After: "x"})
	require.ErrorIs(t, err, store.ErrInvalid)
}

// What is written when nothing is paid must not use up the key of what will be.
func TestKeys(t *testing.T) {
	paid := booking.Facts{SessionID: "cs_test_1", PaymentIntentID: "pi_1", Mode: "payment", SessionStatus: "complete", PaymentStatus: "paid"}
	unpaid := paid
	unpaid.PaymentStatus = "unpaid"
	assert.Equal(t, "reconcile/cs_test_1", keyOf(paid, Cause{By: "reconcile"}))
	assert.Equal(t, "reconcile/cs_test_1/processing", keyOf(unpaid, Cause{By: "reconcile"}))
	assert.Equal(t, "reconcile/pi_1", keyOf(booking.Facts{PaymentIntentID: "pi_1", IntentStatus: "succeeded"}, Cause{By: "reconcile"}))
	assert.Equal(t, "evt_1", keyOf(paid, Cause{By: "webhook", Event: &store.Event{ID: "evt_1"}}))
	assert.Equal(t, "mine", keyOf(paid, Cause{By: "webhook", Key: "mine", Event: &store.Event{ID: "evt_1"}}))
}

// What Stripe, or something in front of it, answers is never quoted.
func TestStripeErrors(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		want   error
	}{
		"a proxy's page":        {200, "<html>secretvalue</html>", ErrStripe},
		"another object":        {200, `{"id":"secretvalue","object":"customer"}`, ErrStripe},
		"a fraction":            {200, `{"id":"cs_test_1","object":"checkout.session","amount_total":1.5}`, ErrStripe},
		"an error page":         {502, "secretvalue", ErrStripe},
		"server error":          {500, `{"error":{"type":"api_error","message":"secretvalue"}}`, ErrStripe},
		"rate limit":            {429, `{"error":{"type":"invalid_request_error","code":"rate_limit","message":"secretvalue"}}`, ErrStripe},
		"unknown session":       {404, `{"error":{"type":"invalid_request_error","code":"resource_missing","param":"session","message":"No such secretvalue"}}`, ErrNoSession},
		"404 of something":      {404, `{"error":{"type":"invalid_request_error","message":"Unrecognized request URL secretvalue"}}`, ErrRefused},
		"key without the right": {403, `{"error":{"type":"invalid_request_error","code":"secret_key_required","message":"The provided key 'rk_test_*secretvalue'"}}`, ErrRefused},
		"bad key":               {401, `{"error":{"type":"invalid_request_error","message":"Invalid API Key provided: secretvalue"}}`, ErrRefused},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				assert.Empty(t, r.Header.Get("X-Stripe-Client-Telemetry"))
				rw.WriteHeader(c.status)
				_, _ = io.WriteString(rw, c.body)
			}))
			defer srv.Close()
			w := newWorld(t, func(cfg *Config) { cfg.APIBase = srv.URL })
			_, err := w.pay.Confirm(ctxOf(t), "cs_test_1", "user_7")
			require.ErrorIs(t, err, c.want)
			for _, secret := range []string{"secretvalue", w.stripe.SecretKey} {
				assert.NotContains(t, err.Error(), secret)
			}
			for _, other := range []error{ErrStripe, ErrNoSession, ErrRefused} {
				assert.Equal(t, other == c.want, errors.Is(err, other))
			}
		})
	}
}

// A connected account's calls are made in its name, and its facts are its own.
func TestAccount(t *testing.T) {
	var header []string
	w := newWorld(t, func(c *Config) {
		c.Account = "acct_1"
		c.HTTPClient = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			header = append(header, r.Header.Get("Stripe-Account"))
			return http.DefaultTransport.RoundTrip(r)
		})}
	})
	ss := w.paid(w.plainSession(false).ID)
	s, err := w.pay.Confirm(ctxOf(t), ss.ID, "user_7")
	require.NoError(t, err)
	assert.Equal(t, "acct_1", s.Booking.Account)
	e := w.event(intentSucceeded, ss.PaymentIntent)
	e.Account = "acct_1"
	got, err := w.deliver(e)
	require.NoError(t, err)
	assert.Equal(t, booking.OutcomeAlready, got.Outcome)
	assert.Equal(t, []string{"acct_1"}, header)
}

// The session was paid before the process that made it could note it.
func TestPaidBeforeAttached(t *testing.T) {
	for name, late := range map[string]time.Duration{"at once": 0, "with a short hold": 45 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.crashBeforeAttach(w.request("a"))
			w.paid(w.stripe.Sessions()[0].ID)
			w.clock.pass(late)
			c := w.checkout(w.request("a"))
			assert.Empty(t, c.URL)
			assert.Equal(t, store.StateConfirmed, c.Booking.State)
			assert.Len(t, w.stripe.Sessions(), 1)
		})
	}
}

// An event ends the booking between the making of its session and the note of it:
// the session that nobody waits for is closed.
func TestOvertaken(t *testing.T) {
	w := newWorld(t)
	once := false
	w.store.fail(func(c store.Change) error {
		if strings.HasPrefix(c.Key, "session/") && !once {
			once = true
			ss, err := w.stripe.Decline(w.stripe.Sessions()[0].ID, "")
			require.NoError(t, err)
			_, err = w.deliver(w.event(intentFailed, ss.PaymentIntent))
			require.NoError(t, err)
		}
		return nil
	}, nil)
	c := w.checkout(w.request("a"))
	assert.NotEmpty(t, c.URL)
	assert.Equal(t, 1, w.open())
	ss := w.paid(c.SessionID)
	assert.Equal(t, booking.OutcomeConfirmed, w.mustDeliver(completed, ss.ID).Outcome)
}

// hooked runs something before a call to Stripe, once.
type hooked struct {
	stripeAPI
	onCreate, onList func()
}

func (h *hooked) createSession(ctx context.Context, p sessionParams, key string) (session, error) {
	if do := h.onCreate; do != nil {
		h.onCreate = nil
		do()
	}
	return h.stripeAPI.createSession(ctx, p, key)
}

func (h *hooked) sessionsSince(ctx context.Context, since time.Time, keep func(session) bool) ([]session, error) {
	if do := h.onList; do != nil {
		h.onList = nil
		do()
	}
	return h.stripeAPI.sessionsSince(ctx, since, keep)
}

// Who looks at Stripe's list with an old view of the booking leaves a newer
// session alone: somebody else's customer has it open.
func TestSlowLister(t *testing.T) {
	w := newWorld(t)
	first := w.checkout(w.request("a"))
	r := w.full("b")
	r.BookingID = first.BookingID
	other := w.full("c")
	other.BookingID = first.BookingID
	var newer Checkout
	w.pay.stripe = &hooked{stripeAPI: w.pay.stripe, onList: func() { newer = w.checkout(other) }}
	got := w.checkout(r)
	assert.Equal(t, newer.SessionID, got.SessionID)
	assert.Equal(t, 1, w.open())
	assert.Len(t, w.stripe.Sessions(), 2)
}

// Who makes a session too late, after another process gave up on it, closes it.
func TestSlowCreator(t *testing.T) {
	w := newWorld(t)
	var newer Checkout
	w.pay.stripe = &hooked{stripeAPI: w.pay.stripe, onCreate: func() {
		w.stripe.FailNext(2, createRoute, stripetest.Fault{Status: 503})
		newer = w.checkout(w.request("a"))
	}}
	got := w.checkout(w.request("a"))
	assert.Equal(t, newer.SessionID, got.SessionID)
	assert.Len(t, w.stripe.Sessions(), 2)
	assert.Equal(t, 1, w.open())
	// And when the newer one is paid already:
	w = newWorld(t)
	w.pay.stripe = &hooked{stripeAPI: w.pay.stripe, onCreate: func() {
		w.stripe.FailNext(2, createRoute, stripetest.Fault{Status: 503})
		w.paid(w.checkout(w.request("a")).SessionID)
	}}
	got = w.checkout(w.request("a"))
	assert.Empty(t, got.URL)
	assert.Equal(t, store.StateConfirmed, got.Booking.State)
	assert.Zero(t, w.open())
}

type tells struct {
	stripeAPI
	w *world
}

func (h tells) expire(ctx context.Context, id string) (session, error) {
	ss, err := h.stripeAPI.expire(ctx, id)
	if err == nil {
		h.w.mustDeliver(expired, id)
	}
	return ss, err
}

// The webhook is quicker than the checkout that expired the old session: the hold
// and its seats stay.
func TestExpiryHeardAtOnce(t *testing.T) {
	w := newWorld(t)
	seats := []store.SeatClaim{{Slot: "monday", Capacity: 1, Count: 1}}
	r := w.request("a")
	r.Seats = seats
	first := w.checkout(r)
	w.pay.stripe = tells{w.pay.stripe, w}
	r = w.full("b")
	r.BookingID, r.Seats = first.BookingID, seats
	second := w.checkout(r)
	assert.NotEmpty(t, second.URL)
	assert.Equal(t, store.StateHeld, second.Booking.State)
	assert.Len(t, second.Booking.Seats, 1)
}
