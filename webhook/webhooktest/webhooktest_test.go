package webhooktest_test

import (
	"context"
	"encoding/json"
	"go/parser"
	"go/token"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/payment"
	"github.com/carevia/stripebooking/payment/stripetest"
	"github.com/carevia/stripebooking/store/memory"
	"github.com/carevia/stripebooking/webhook/webhooktest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	stripehook "github.com/stripe/stripe-go/v76/webhook"
)

// TestSign: stripe-go agrees with every signature that is made here.
func TestSign(t *testing.T) {
	payload := []byte(`{"id":"evt_1"}`)
	at := time.Now()
	require.NoError(t, stripehook.ValidatePayload(payload, webhooktest.Sign(payload, "a", at), "a"))
	require.ErrorIs(t, stripehook.ValidatePayload(payload, webhooktest.Sign(payload, "b", at), "a"), stripehook.ErrNoValidSignature)
	require.ErrorIs(t, stripehook.ValidatePayload(payload, webhooktest.Sign(payload, "a", at.Add(-time.Hour)), "a"), stripehook.ErrTooOld)
	require.Contains(t, webhooktest.Sign(payload, "a", at), ",v0=")

	r := webhooktest.SignedRequest(payload, at, "old", "new")
	for _, secret := range []string{"old", "new"} {
		require.NoError(t, stripehook.ValidatePayload(payload, r.Header.Get("Stripe-Signature"), secret))
	}
	require.Equal(t, http.MethodPost, r.Method)
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	require.Equal(t, payload, body)
}

func TestDeliver(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if err := stripehook.ValidatePayload(body, r.Header.Get("Stripe-Signature"), "a"); err != nil {
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	assert.Equal(t, 200, webhooktest.Deliver(h, []byte("x"), "a").Code)
	assert.Equal(t, 400, webhooktest.Deliver(h, []byte("x"), "b").Code)
	assert.Equal(t, 200, webhooktest.Deliver(h, []byte("x"), "b", "a").Code)
	assert.Equal(t, 400, webhooktest.Deliver(h, []byte("x")).Code, "v0 alone")
	assert.Equal(t, 400, webhooktest.DeliverAt(h, []byte("x"), "a", time.Now().AddDate(0, 0, -1)).Code)
}

func TestShuffle(t *testing.T) {
	var events [][]byte
	for i := range 20 {
		events = append(events, []byte{byte(i)})
	}
	one, again, two := webhooktest.Shuffle(1, events...), webhooktest.Shuffle(1, events...), webhooktest.Shuffle(2, events...)
	assert.Equal(t, one, again)
	assert.NotEqual(t, one, two)
	assert.ElementsMatch(t, events, two)
	assert.Equal(t, []byte{0}, events[0], "what was given stays as it is")
}

// TestEventIDs: what says the same is the same event, and what does not is another.
func TestEventIDs(t *testing.T) {
	id := func(payload []byte) string {
		var e struct{ ID string }
		require.NoError(t, json.Unmarshal(payload, &e))
		require.Regexp(t, "^evt_[0-9a-f]{24}$", e.ID)
		return e.ID
	}
	paid := webhooktest.Session{Amount: 5000, Metadata: map[string]string{"userId": "u1", "note": "x"}}
	unpaid, more, later := paid, paid, paid
	unpaid.PaymentStatus, more.Amount, later.Created = "unpaid", 5001, time.Now()
	assert.Equal(t, id(webhooktest.SessionCompleted(paid)), id(webhooktest.SessionCompleted(paid)))
	seen := map[string]bool{}
	for _, e := range [][]byte{
		webhooktest.SessionCompleted(paid), webhooktest.SessionCompleted(unpaid), webhooktest.SessionCompleted(more), webhooktest.SessionCompleted(later),
		webhooktest.SessionAsyncPaymentSucceeded(paid), webhooktest.Event("", "customer.created", map[string]any{"id": "cus_1"}),
		webhooktest.Event("", "customer.updated", map[string]any{"id": "cus_1"}), webhooktest.Event("", "customer.updated", map[string]any{"id": "cus_1", "name": "x"}),
	} {
		assert.False(t, seen[id(e)], string(e))
		seen[id(e)] = true
	}
	assert.Panics(t, func() { webhooktest.Event("evt_1", "", map[string]any{"id": "x"}) })
	assert.Panics(t, func() { webhooktest.Event("evt_1", "customer.created", nil) })
}

// TestEvents: the library reads every builder's event as what it claims to be.
func TestEvents(t *testing.T) {
	stripe := stripetest.NewServer(stripetest.Config{}) // it knows none of these sessions
	defer stripe.Close()
	service, err := payment.New(payment.Config{Store: &memory.Store{}, SecretKey: stripe.SecretKey, APIBase: stripe.URL, Mode: payment.Test,
		Codecs: []booking.Codec{booking.Marked{}, booking.Plain{}}})
	require.NoError(t, err)
	meta := map[string]string{"userId": "u1", "serviceId": "s1", "serviceName": "Care", "amountToPay": "50.00", "paymentOption": "full"}
	for _, version := range []string{"", "2020-08-27", "2022-11-15", "2025-06-30.basil"} {
		s := webhooktest.Session{ID: "cs_1", Intent: "pi_9", Metadata: meta, Amount: 5000, Currency: "eur", APIVersion: version}
		i := webhooktest.Intent{ID: "pi_9", Metadata: meta, Amount: 5000, Currency: "eur", FailureCode: "insufficient_funds", APIVersion: version}
		unpaid, free := s, s
		unpaid.PaymentStatus = "unpaid"
		free.Amount, free.Intent = 0, ""
		for _, tc := range []struct {
			kind     string
			event    []byte
			standing booking.Standing
			intent   string
			failure  string
		}{
			{"checkout.session.completed", webhooktest.SessionCompleted(s), booking.Paid, "pi_9", ""},
			{"checkout.session.completed", webhooktest.SessionCompleted(unpaid), booking.Processing, "pi_9", ""},
			{"checkout.session.completed", webhooktest.SessionCompleted(free), booking.Free, "", ""},
			{"checkout.session.async_payment_succeeded", webhooktest.SessionAsyncPaymentSucceeded(s), booking.Paid, "pi_9", ""},
			{"checkout.session.async_payment_failed", webhooktest.SessionAsyncPaymentFailed(s), booking.Failed, "pi_9", "payment_intent_payment_attempt_failed"},
			{"checkout.session.expired", webhooktest.SessionExpired(s), booking.Expired, "pi_9", ""},
			{"payment_intent.succeeded", webhooktest.IntentSucceeded(i), booking.Paid, "pi_9", ""},
			{"payment_intent.payment_failed", webhooktest.IntentFailed(i), booking.Failed, "pi_9", "insufficient_funds"},
		} {
			e, err := payment.DecodeEvent(tc.event)
			require.NoError(t, err)
			assert.Equal(t, tc.kind, e.Type)
			assert.True(t, payment.Settles(e.Type))
			if version != "" {
				assert.Equal(t, version, e.APIVersion)
			}
			f, err := service.FactsOf(context.Background(), e)
			require.NoError(t, err)
			assert.Equal(t, tc.standing, f.Standing(), tc.kind)
			assert.Equal(t, tc.intent, f.PaymentIntentID)
			assert.Equal(t, tc.failure, f.FailureCode)
			assert.Equal(t, "eur", f.Currency)
			assert.Equal(t, meta, f.Metadata)
		}
	}
}

// TestAmounts: what is left out follows from the rest.
func TestAmounts(t *testing.T) {
	for _, tc := range []struct {
		s                webhooktest.Session
		amount, subtotal int64
		status           string
	}{
		{webhooktest.Session{Amount: 5000}, 5000, 5000, "paid"},
		{webhooktest.Session{Subtotal: 5000, Tax: 500, Shipping: 300, Discount: 1000}, 4800, 5000, "paid"},
		{webhooktest.Session{Amount: 4800, Tax: 500, Shipping: 300, Discount: 1000}, 4800, 5000, "paid"},
		{webhooktest.Session{Subtotal: 5000, Discount: 5000}, 0, 5000, "no_payment_required"},
		{webhooktest.Session{}, 0, 0, "no_payment_required"},
	} {
		var e struct {
			Data struct {
				Object struct {
					Amount   int64  `json:"amount_total"`
					Subtotal int64  `json:"amount_subtotal"`
					Status   string `json:"payment_status"`
				} `json:"object"`
			} `json:"data"`
		}
		require.NoError(t, json.Unmarshal(webhooktest.SessionCompleted(tc.s), &e))
		assert.Equal(t, tc.amount, e.Data.Object.Amount)
		assert.Equal(t, tc.subtotal, e.Data.Object.Subtotal)
		assert.Equal(t, tc.status, e.Data.Object.Status)
	}
}

// TestIDs: the same arguments are the same event, other types other events.
func TestIDs(t *testing.T) {
	id := func(event []byte) string {
		e, err := payment.DecodeEvent(event)
		require.NoError(t, err)
		return e.ID
	}
	s := webhooktest.Session{Amount: 1}
	assert.Equal(t, webhooktest.SessionCompleted(s), webhooktest.SessionCompleted(s))
	assert.NotEqual(t, id(webhooktest.SessionCompleted(s)), id(webhooktest.SessionExpired(s)))
	assert.NotEqual(t, id(webhooktest.SessionCompleted(s)), id(webhooktest.SessionCompleted(webhooktest.Session{ID: "cs_2"})))
	assert.Equal(t, "evt_1", id(webhooktest.SessionCompleted(webhooktest.Session{EventID: "evt_1"})))
	assert.Equal(t, "acct_1", func() string {
		e, err := payment.DecodeEvent(webhooktest.IntentSucceeded(webhooktest.Intent{Account: "acct_1"}))
		require.NoError(t, err)
		return e.Account
	}())
}

// TestImports: the standard library and nothing else, so that any service can use
// it in its tests.
func TestImports(t *testing.T) {
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, spec := range f.Imports {
			assert.NotContains(t, spec.Path.Value, ".", file)
		}
	}
}
