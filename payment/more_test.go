package payment

import (
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
			crash := errors.New("crash")
			w.store.fail(func(c store.Change) error {
				if strings.HasPrefix(c.Key, "session/") {
					return crash
				}
				return nil
			}, nil)
			_, err := w.pay.Checkout(ctxOf(t), w.request("a"))
			require.ErrorIs(t, err, crash)
			w.store.fail(nil, nil)
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
