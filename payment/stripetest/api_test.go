package stripetest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/client"

	"github.com/carevia/stripebooking/payment/stripetest"
)

const createRoute = "POST /v1/checkout/sessions"

// clock is a time that a test moves.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func start(t *testing.T, cfg stripetest.Config) *stripetest.Server {
	srv := stripetest.NewServer(cfg)
	t.Cleanup(srv.Close)
	return srv
}

// api is stripe-go's client without retries of its own.
func api(srv *stripetest.Server, key string) *client.API {
	return client.New(key, &stripe.Backends{API: stripe.GetBackendWithConfig(stripe.APIBackend, &stripe.BackendConfig{
		URL: stripe.String(srv.URL), MaxNetworkRetries: stripe.Int64(0), LeveledLogger: &stripe.LeveledLogger{},
	})})
}

func sessionParams(key string) *stripe.CheckoutSessionParams {
	p := &stripe.CheckoutSessionParams{
		Mode:              stripe.String("payment"),
		SuccessURL:        stripe.String("https://example.com/ok?session_id={CHECKOUT_SESSION_ID}"),
		CancelURL:         stripe.String("https://example.com/cancel"),
		ClientReferenceID: stripe.String("bk_1"),
		CustomerEmail:     stripe.String("a@example.com"),
		Metadata:          map[string]string{"userId": "u1", "empty": ""},
		PaymentIntentData: &stripe.CheckoutSessionPaymentIntentDataParams{Metadata: map[string]string{"userId": "u1", "on": "intent"}},
		LineItems: []*stripe.CheckoutSessionLineItemParams{{
			Quantity: stripe.Int64(2),
			PriceData: &stripe.CheckoutSessionLineItemPriceDataParams{
				Currency: stripe.String("usd"), UnitAmount: stripe.Int64(2250),
				ProductData: &stripe.CheckoutSessionLineItemPriceDataProductDataParams{Name: stripe.String("Elder care"), Description: stripe.String("A day")},
			},
		}},
	}
	if key != "" {
		p.SetIdempotencyKey(key)
	}
	return p
}

func stripeError(t *testing.T, err error) *stripe.Error {
	t.Helper()
	var e *stripe.Error
	require.ErrorAs(t, err, &e)
	return e
}

func TestSessionThroughTheClient(t *testing.T) {
	c := newClock()
	srv := start(t, stripetest.Config{Now: c.now})
	sc := api(srv, srv.SecretKey)

	ss, err := sc.CheckoutSessions.New(sessionParams("k1"))
	require.NoError(t, err)
	assert.Regexp(t, `^cs_test_[A-Za-z0-9]{58}$`, ss.ID)
	assert.Equal(t, stripe.CheckoutSessionStatusOpen, ss.Status)
	assert.Equal(t, stripe.CheckoutSessionPaymentStatusUnpaid, ss.PaymentStatus)
	assert.Equal(t, stripe.CheckoutSessionModePayment, ss.Mode)
	assert.EqualValues(t, 4500, ss.AmountSubtotal)
	assert.EqualValues(t, 4500, ss.AmountTotal)
	assert.EqualValues(t, "usd", ss.Currency)
	assert.Equal(t, map[string]string{"userId": "u1"}, ss.Metadata, "an empty value unsets its key")
	assert.Equal(t, "bk_1", ss.ClientReferenceID)
	assert.Equal(t, "a@example.com", ss.CustomerEmail)
	assert.Equal(t, c.now().Unix(), ss.Created)
	assert.Equal(t, c.now().Add(24*time.Hour).Unix(), ss.ExpiresAt)
	assert.Equal(t, srv.URL+"/pay/"+ss.ID, ss.URL)
	assert.Equal(t, "card", ss.PaymentMethodTypes[0])
	assert.Nil(t, ss.PaymentIntent, "no intent before the first attempt")
	assert.False(t, ss.Livemode)
	assert.Nil(t, ss.LineItems, "only when expanded")
	assert.Regexp(t, `^req_`, ss.LastResponse.RequestID)
	assert.Equal(t, "k1", ss.LastResponse.IdempotencyKey)

	_, err = srv.Pay(ss.ID)
	require.NoError(t, err)

	get := &stripe.CheckoutSessionParams{}
	got, err := sc.CheckoutSessions.Get(ss.ID, get)
	require.NoError(t, err)
	assert.Equal(t, stripe.CheckoutSessionStatusComplete, got.Status)
	assert.Equal(t, stripe.CheckoutSessionPaymentStatusPaid, got.PaymentStatus)
	assert.Empty(t, got.URL, "a session that is not open has no page")
	require.NotNil(t, got.PaymentIntent)
	assert.Regexp(t, `^pi_[A-Za-z0-9]{24}$`, got.PaymentIntent.ID)
	assert.Empty(t, got.PaymentIntent.Status, "an id only")

	get.AddExpand("payment_intent.latest_charge")
	get.AddExpand("line_items")
	got, err = sc.CheckoutSessions.Get(ss.ID, get)
	require.NoError(t, err)
	pi := got.PaymentIntent
	assert.Equal(t, stripe.PaymentIntentStatusSucceeded, pi.Status)
	assert.EqualValues(t, 4500, pi.AmountReceived)
	assert.Equal(t, map[string]string{"userId": "u1", "on": "intent"}, pi.Metadata)
	require.NotNil(t, pi.LatestCharge)
	assert.True(t, pi.LatestCharge.Paid)
	assert.Equal(t, stripe.ChargePaymentMethodDetailsTypeCard, pi.LatestCharge.PaymentMethodDetails.Type)
	require.Len(t, got.LineItems.Data, 1)
	assert.EqualValues(t, 2, got.LineItems.Data[0].Quantity)
	assert.EqualValues(t, 2250, got.LineItems.Data[0].Price.UnitAmount)

	intent, err := sc.PaymentIntents.Get(pi.ID, nil)
	require.NoError(t, err)
	assert.Equal(t, pi.ID, intent.ID)
	assert.Regexp(t, `^ch_`, intent.LatestCharge.ID)
	assert.Regexp(t, `^pm_`, intent.PaymentMethod.ID)
}

func TestListSessions(t *testing.T) {
	c := newClock()
	srv := start(t, stripetest.Config{Now: c.now})
	sc := api(srv, srv.SecretKey)
	var ids []string
	for i := range 5 {
		ss, err := srv.CreateSession(stripetest.SessionParams{Amount: 1000, Name: fmt.Sprint(i)})
		require.NoError(t, err)
		ids = append([]string{ss.ID}, ids...) // newest first
		c.add(time.Minute)
	}
	paid, err := srv.Pay(ids[3])
	require.NoError(t, err)

	list := func(p *stripe.CheckoutSessionListParams) []string {
		var got []string
		it := sc.CheckoutSessions.List(p)
		for it.Next() {
			got = append(got, it.CheckoutSession().ID)
		}
		require.NoError(t, it.Err())
		return got
	}
	assert.Equal(t, ids, list(&stripe.CheckoutSessionListParams{}))
	two := &stripe.CheckoutSessionListParams{}
	two.Limit = stripe.Int64(2)
	assert.Equal(t, ids, list(two), "the client pages by starting_after")
	two = &stripe.CheckoutSessionListParams{}
	two.Limit, two.Single = stripe.Int64(2), true
	it := sc.CheckoutSessions.List(two)
	assert.True(t, it.Meta().HasMore)
	assert.Equal(t, ids[:2], list(two))
	two.StartingAfter = stripe.String(ids[3])
	assert.Equal(t, ids[4:], list(two))
	two.StartingAfter, two.EndingBefore = nil, stripe.String(ids[3])
	assert.Equal(t, []string{ids[2], ids[1]}, list(two), "the client turns a page before a cursor round")

	assert.Equal(t, []string{ids[3]}, list(&stripe.CheckoutSessionListParams{PaymentIntent: stripe.String(paid.PaymentIntent)}))
	assert.Equal(t, []string{ids[3]}, list(&stripe.CheckoutSessionListParams{Status: stripe.String("complete")}))
	since := c.now().Add(-2 * time.Minute).Unix()
	assert.Equal(t, ids[:2], list(&stripe.CheckoutSessionListParams{CreatedRange: &stripe.RangeQueryParams{GreaterThanOrEqual: since}}))

	// The last one of a page changes before the next is asked for.
	open := &stripe.CheckoutSessionListParams{Status: stripe.String("open")}
	open.Limit, open.Single = stripe.Int64(2), true
	assert.Equal(t, ids[:2], list(open))
	_, err = srv.Pay(ids[1])
	require.NoError(t, err)
	open.StartingAfter = stripe.String(ids[1])
	assert.Equal(t, []string{ids[2], ids[4]}, list(open))
	open.StartingAfter, open.EndingBefore = nil, stripe.String(ids[3])
	assert.Equal(t, []string{ids[2], ids[0]}, list(open))
	open.EndingBefore = stripe.String("cs_none")
	it = sc.CheckoutSessions.List(open)
	assert.False(t, it.Next())
	assert.Equal(t, stripe.ErrorCodeResourceMissing, stripeError(t, it.Err()).Code)

	it = sc.CheckoutSessions.List(&stripe.CheckoutSessionListParams{PaymentIntent: stripe.String("pi_none")})
	assert.False(t, it.Next())
	assert.Equal(t, stripe.ErrorCodeResourceMissing, stripeError(t, it.Err()).Code)
}

func TestExpireThroughTheClient(t *testing.T) {
	srv := start(t, stripetest.Config{})
	sc := api(srv, srv.SecretKey)
	ss, err := sc.CheckoutSessions.New(sessionParams(""))
	require.NoError(t, err)
	got, err := sc.CheckoutSessions.Expire(ss.ID, nil)
	require.NoError(t, err)
	assert.Equal(t, stripe.CheckoutSessionStatusExpired, got.Status)
	assert.Empty(t, got.URL)

	_, err = sc.CheckoutSessions.Expire(ss.ID, nil)
	e := stripeError(t, err)
	assert.Equal(t, 400, e.HTTPStatusCode)
	assert.Contains(t, e.Msg, `Only Checkout Sessions with a status in ["open"] can be expired`)
	_, err = srv.Pay(ss.ID)
	assert.ErrorIs(t, err, stripetest.ErrNotOpen)
	events := srv.Events()
	require.Len(t, events, 1)
	assert.Equal(t, "checkout.session.expired", events[0].Type)
	assert.Equal(t, ss.ID, events[0].ObjectID)

	_, err = sc.CheckoutSessions.Expire("cs_test_none", nil)
	e = stripeError(t, err)
	assert.Equal(t, 404, e.HTTPStatusCode)
	assert.Equal(t, stripe.ErrorCodeResourceMissing, e.Code)
}

func TestSessionsExpireByTheClock(t *testing.T) {
	c := newClock()
	srv := start(t, stripetest.Config{Now: c.now})
	at := c.now().Add(30 * time.Minute)
	short, err := srv.CreateSession(stripetest.SessionParams{Amount: 1000, ExpiresAt: at})
	require.NoError(t, err)
	long, err := srv.CreateSession(stripetest.SessionParams{Amount: 1000, ExpiresAt: at.Add(time.Hour)})
	require.NoError(t, err)
	tried, err := srv.CreateSession(stripetest.SessionParams{Amount: 1000, ExpiresAt: at})
	require.NoError(t, err)
	_, err = srv.Decline(tried.ID, "")
	require.NoError(t, err)
	before := len(srv.Events())

	c.add(30*time.Minute - time.Second)
	srv.Tick()
	assert.Len(t, srv.Events(), before)
	c.add(time.Second)
	_, err = srv.Pay(short.ID)
	assert.ErrorIs(t, err, stripetest.ErrNotOpen)
	var got []string
	for _, e := range srv.Events()[before:] {
		got = append(got, e.Type+" "+e.ObjectID)
	}
	after, _ := srv.Session(tried.ID)
	assert.Equal(t, []string{"checkout.session.expired " + short.ID, "payment_intent.canceled " + after.PaymentIntent, "checkout.session.expired " + tried.ID}, got)
	c.add(time.Hour)
	srv.Tick()
	srv.Tick()
	assert.Equal(t, long.ID, srv.Events()[len(srv.Events())-1].ObjectID)
	assert.Len(t, srv.Events(), before+4)
}

// raw posts a form, as any client might.
func raw(t *testing.T, srv *stripetest.Server, method, path, key string, form url.Values, header ...string) (int, map[string]any, http.Header) {
	t.Helper()
	req, err := http.NewRequest(method, srv.URL+path, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	var m map[string]any
	require.NoError(t, json.Unmarshal(body, &m))
	return resp.StatusCode, m, resp.Header
}

func goodForm() url.Values {
	return url.Values{
		"mode": {"payment"}, "success_url": {"https://example.com/ok"},
		"line_items[0][quantity]": {"1"}, "line_items[0][price_data][currency]": {"usd"},
		"line_items[0][price_data][unit_amount]": {"1000"}, "line_items[0][price_data][product_data][name]": {"Care"},
	}
}

func TestCreateRefuses(t *testing.T) {
	c := newClock()
	srv := start(t, stripetest.Config{Now: c.now})
	now := c.now().Unix()
	many := url.Values{}
	for i := range 51 {
		many.Set(fmt.Sprintf("metadata[k%d]", i), "v")
	}
	const price = "line_items[0][price_data]"
	for _, tt := range []struct {
		name        string
		set         map[string]string // "-" removes
		more        url.Values
		code, param string
	}{
		{"no mode", map[string]string{"mode": "-"}, nil, "parameter_missing", "mode"},
		{"odd mode", map[string]string{"mode": "gift"}, nil, "", "mode"},
		{"subscription", map[string]string{"mode": "subscription"}, nil, "stripetest_unsupported", "mode"},
		{"no success url", map[string]string{"success_url": "-"}, nil, "parameter_missing", "success_url"},
		{"relative url", map[string]string{"success_url": "/ok"}, nil, "url_invalid", "success_url"},
		{"odd scheme", map[string]string{"cancel_url": "ftp://example.com"}, nil, "url_invalid", "cancel_url"},
		{"no items", map[string]string{"line_items[0][quantity]": "-", price + "[currency]": "-", price + "[unit_amount]": "-", price + "[product_data][name]": "-"}, nil, "parameter_missing", "line_items"},
		{"no quantity", map[string]string{"line_items[0][quantity]": "-"}, nil, "parameter_missing", "line_items[0][quantity]"},
		{"zero quantity", map[string]string{"line_items[0][quantity]": "0"}, nil, "parameter_invalid_integer", "line_items[0][quantity]"},
		{"no currency", map[string]string{price + "[currency]": "-"}, nil, "parameter_missing", price + "[currency]"},
		{"unknown currency", map[string]string{price + "[currency]": "xyz"}, nil, "", price + "[currency]"},
		{"no amount", map[string]string{price + "[unit_amount]": "-"}, nil, "parameter_missing", price + "[unit_amount]"},
		{"fraction", map[string]string{price + "[unit_amount]": "10.5"}, nil, "parameter_invalid_integer", price + "[unit_amount]"},
		{"negative", map[string]string{price + "[unit_amount]": "-5"}, nil, "parameter_invalid_integer", price + "[unit_amount]"},
		{"too small", map[string]string{price + "[unit_amount]": "49"}, nil, "amount_too_small", ""},
		{"too large", map[string]string{price + "[unit_amount]": "100000000"}, nil, "amount_too_large", price + "[unit_amount]"},
		{"total too large", map[string]string{"line_items[0][quantity]": "999999", price + "[unit_amount]": "1000"}, nil, "amount_too_large", ""},
		{"off step", map[string]string{price + "[currency]": "kwd", price + "[unit_amount]": "1005"}, nil, "", price + "[unit_amount]"},
		{"no name", map[string]string{price + "[product_data][name]": "-"}, nil, "parameter_missing", price + "[product_data][name]"},
		{"empty name", map[string]string{price + "[product_data][name]": ""}, nil, "parameter_invalid_empty", price + "[product_data][name]"},
		{"too soon", map[string]string{"expires_at": fmt.Sprint(now + 1799)}, nil, "", "expires_at"},
		{"too late", map[string]string{"expires_at": fmt.Sprint(now + 86401)}, nil, "", "expires_at"},
		{"odd expiry", map[string]string{"expires_at": "tomorrow"}, nil, "parameter_invalid_integer", "expires_at"},
		{"51 keys", nil, many, "", "metadata"},
		{"long key", map[string]string{"metadata[" + strings.Repeat("k", 41) + "]": "v"}, nil, "", "metadata"},
		{"long value", map[string]string{"metadata[k]": strings.Repeat("é", 501)}, nil, "", "metadata"},
		{"brackets in a key", map[string]string{"metadata[a[b]]": "v"}, nil, "", "metadata"},
		{"long value on the intent", map[string]string{"payment_intent_data[metadata][k]": strings.Repeat("v", 501)}, nil, "", "payment_intent_data[metadata]"},
		{"long reference", map[string]string{"client_reference_id": strings.Repeat("r", 201)}, nil, "", "client_reference_id"},
		{"odd email", map[string]string{"customer_email": "nobody"}, nil, "email_invalid", "customer_email"},
		{"odd method", map[string]string{"payment_method_types[0]": "cash"}, nil, "", "payment_method_types[0]"},
		{"a method of another currency", map[string]string{"payment_method_types[0]": "oxxo"}, nil, "", "payment_method_types"},
		{"unknown parameter", map[string]string{"colour": "red"}, nil, "parameter_unknown", "colour"},
		{"unknown inside", map[string]string{"line_items[0][colour]": "red"}, nil, "stripetest_unsupported", "line_items[0][colour]"},
		{"not modelled", map[string]string{"discounts[0][coupon]": "x"}, nil, "stripetest_unsupported", "discounts[0][coupon]"},
		{"odd expansion", map[string]string{"expand[]": "colour"}, nil, "", "expand"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			form := goodForm()
			for k, v := range tt.set {
				form.Set(k, v)
				if v == "-" {
					form.Del(k)
				}
			}
			for k, v := range tt.more {
				form[k] = v
			}
			status, body, header := raw(t, srv, "POST", "/v1/checkout/sessions", srv.SecretKey, form, "Idempotency-Key", "refused/"+tt.name)
			assert.Equal(t, 400, status)
			e, _ := body["error"].(map[string]any)
			assert.Equal(t, "invalid_request_error", e["type"])
			assert.NotEmpty(t, e["message"])
			code, _ := e["code"].(string)
			param, _ := e["param"].(string)
			assert.Equal(t, tt.code, code)
			assert.Equal(t, tt.param, param)
			assert.NotEmpty(t, header.Get("Request-Id"))

			// A request that fails its checks does not use its key up.
			status, _, header = raw(t, srv, "POST", "/v1/checkout/sessions", srv.SecretKey, goodForm(), "Idempotency-Key", "refused/"+tt.name)
			assert.Equal(t, 200, status)
			assert.Empty(t, header.Get("Idempotent-Replayed"))
		})
	}
}

func TestCreateAcceptsTheLimits(t *testing.T) {
	c := newClock()
	srv := start(t, stripetest.Config{Now: c.now})
	for name, set := range map[string]map[string]string{
		"earliest":   {"expires_at": fmt.Sprint(c.now().Add(30 * time.Minute).Unix())},
		"latest":     {"expires_at": fmt.Sprint(c.now().Add(24 * time.Hour).Unix())},
		"minimum":    {"line_items[0][price_data][unit_amount]": "50"},
		"metadata":   {"metadata[" + strings.Repeat("k", 40) + "]": strings.Repeat("é", 500)},
		"upper case": {"line_items[0][price_data][currency]": "USD"},
		"zero-dec":   {"line_items[0][price_data][currency]": "jpy"},
		"three-dec":  {"line_items[0][price_data][currency]": "kwd", "line_items[0][price_data][unit_amount]": "1010"},
		"two items":  {"line_items[1][quantity]": "1", "line_items[1][price_data][currency]": "usd", "line_items[1][price_data][unit_amount]": "5", "line_items[1][price_data][product_data][name]": "Tea"},
		"methods":    {"payment_method_types[]": "card"},
	} {
		form := goodForm()
		for k, v := range set {
			form.Set(k, v)
		}
		status, body, _ := raw(t, srv, "POST", "/v1/checkout/sessions", srv.SecretKey, form)
		assert.Equal(t, 200, status, "%s: %v", name, body)
	}
}

func TestAuthAndUnknown(t *testing.T) {
	srv := start(t, stripetest.Config{SecretKey: "sk_test_right_1234567890"})
	for name, tt := range map[string]struct {
		method, path, key string
		status            int
		code              string
	}{
		"no key":         {"GET", "/v1/events", "", 401, ""},
		"wrong key":      {"GET", "/v1/events", "sk_test_wrong_1234567890", 401, ""},
		"other path":     {"GET", "/v1/customers", "sk_test_right_1234567890", 404, ""},
		"other method":   {"DELETE", "/v1/events", "sk_test_right_1234567890", 404, ""},
		"no session":     {"GET", "/v1/checkout/sessions/cs_x", "sk_test_right_1234567890", 404, "resource_missing"},
		"no intent":      {"GET", "/v1/payment_intents/pi_x", "sk_test_right_1234567890", 404, "resource_missing"},
		"no event":       {"GET", "/v1/events/evt_x", "sk_test_right_1234567890", 404, "resource_missing"},
		"unknown filter": {"GET", "/v1/events?colour=red", "sk_test_right_1234567890", 400, "parameter_unknown"},
		"odd limit":      {"GET", "/v1/events?limit=101", "sk_test_right_1234567890", 400, "parameter_invalid_integer"},
	} {
		status, body, _ := raw(t, srv, tt.method, tt.path, tt.key, nil)
		assert.Equal(t, tt.status, status, name)
		e, _ := body["error"].(map[string]any)
		code, _ := e["code"].(string)
		assert.Equal(t, tt.code, code, name)
		assert.NotContains(t, fmt.Sprint(body), "wrong_1234567890", "keys are masked")
	}
	_, err := api(srv, "sk_test_wrong").CheckoutSessions.Get("cs_x", nil)
	assert.Equal(t, 401, stripeError(t, err).HTTPStatusCode)
	req, _ := http.NewRequest("GET", srv.URL+"/v1/events", nil)
	req.SetBasicAuth(srv.SecretKey, "")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, 200, resp.StatusCode, "as curl -u does it")
}

func TestIdempotency(t *testing.T) {
	c := newClock()
	srv := start(t, stripetest.Config{Now: c.now})
	sc := api(srv, srv.SecretKey)

	first, err := sc.CheckoutSessions.New(sessionParams("k"))
	require.NoError(t, err)
	assert.Empty(t, first.LastResponse.Header.Get("Idempotent-Replayed"))

	c.add(23*time.Hour + 59*time.Minute)
	_, err = srv.Pay(first.ID)
	require.NoError(t, err)
	again, err := sc.CheckoutSessions.New(sessionParams("k"))
	require.NoError(t, err)
	assert.Equal(t, "true", again.LastResponse.Header.Get("Idempotent-Replayed"))
	assert.Equal(t, first.LastResponse.RequestID, again.LastResponse.Header.Get("Original-Request"))
	assert.NotEqual(t, first.LastResponse.RequestID, again.LastResponse.RequestID)
	assert.Equal(t, string(first.LastResponse.RawJSON), string(again.LastResponse.RawJSON), "the stored body, not the session as it is now")
	assert.Len(t, srv.Sessions(), 1)

	other := sessionParams("k")
	other.ClientReferenceID = stripe.String("bk_2")
	_, err = sc.CheckoutSessions.New(other)
	e := stripeError(t, err)
	assert.Equal(t, 400, e.HTTPStatusCode)
	assert.Equal(t, stripe.ErrorTypeIdempotency, e.Type)
	expire := &stripe.CheckoutSessionExpireParams{}
	expire.SetIdempotencyKey("k")
	_, err = sc.CheckoutSessions.Expire(first.ID, expire)
	assert.Equal(t, stripe.ErrorTypeIdempotency, stripeError(t, err).Type, "another endpoint")

	c.add(time.Minute)
	later, err := sc.CheckoutSessions.New(sessionParams("k"))
	require.NoError(t, err)
	assert.NotEqual(t, first.ID, later.ID, "24 hours later the key is forgotten")

	// A refusal by an endpoint that has begun is stored, too.
	expire.SetIdempotencyKey("late")
	_, err = sc.CheckoutSessions.Expire(first.ID, expire)
	require.Equal(t, 400, stripeError(t, err).HTTPStatusCode)
	_, err = sc.CheckoutSessions.Expire(first.ID, expire)
	assert.Equal(t, "true", stripeError(t, err).LastResponse.Header.Get("Idempotent-Replayed"))
	_, err = sc.CheckoutSessions.Expire(later.ID, expire)
	assert.Equal(t, stripe.ErrorTypeIdempotency, stripeError(t, err).Type, "the same parameters for another session")
	got, _ := srv.Session(later.ID)
	assert.Equal(t, "open", got.Status)

	status, _, _ := raw(t, srv, "POST", "/v1/checkout/sessions", srv.SecretKey, goodForm(), "Idempotency-Key", strings.Repeat("k", 256))
	assert.Equal(t, 400, status)

	// An earlier expires_at is not looked at again: keys are compared before parameters are checked.
	soon := sessionParams("soon")
	soon.ExpiresAt = stripe.Int64(c.now().Add(31 * time.Minute).Unix())
	one, err := sc.CheckoutSessions.New(soon)
	require.NoError(t, err)
	c.add(20 * time.Minute)
	two, err := sc.CheckoutSessions.New(soon)
	require.NoError(t, err)
	assert.Equal(t, one.ID, two.ID)
}

func TestOneSessionForManyWithOneKey(t *testing.T) {
	srv := start(t, stripetest.Config{})
	sc := api(srv, srv.SecretKey)
	var wg sync.WaitGroup
	var mu sync.Mutex
	ids := map[string]bool{}
	for range 32 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				ss, err := sc.CheckoutSessions.New(sessionParams("k"))
				var e *stripe.Error
				if errors.As(err, &e) && e.HTTPStatusCode == 409 {
					continue
				}
				if assert.NoError(t, err) {
					mu.Lock()
					ids[ss.ID] = true
					mu.Unlock()
				}
				return
			}
		}()
	}
	wg.Wait()
	assert.Len(t, ids, 1)
	assert.Len(t, srv.Sessions(), 1)
}

func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		name                string
		fault               stripetest.Fault
		status              int // of the first answer; 0: none
		sessions            int // after it
		againStatus         int // with the same key
		replayed            bool
		sessionsAfterSecond int
	}{
		{"500 with the work done", stripetest.Fault{Status: 500, Done: true}, 500, 1, 500, true, 1},
		{"500 without the work", stripetest.Fault{Status: 500}, 500, 0, 500, true, 0},
		{"gateway, done", stripetest.Fault{Status: 503, Done: true}, 503, 1, 200, true, 1},
		{"gateway, not arrived", stripetest.Fault{Status: 503}, 503, 0, 200, false, 1},
		{"rate limit", stripetest.Fault{Status: 429, RetryAfter: 1500 * time.Millisecond}, 429, 0, 200, false, 1},
		{"cut after the work", stripetest.Fault{Cut: true, Done: true}, 0, 1, 200, true, 1},
		{"cut before the work", stripetest.Fault{Cut: true}, 0, 0, 200, false, 1},
		{"none", stripetest.Fault{}, 200, 1, 200, true, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := start(t, stripetest.Config{})
			sc := api(srv, srv.SecretKey)
			// A used connection, which Go's client would otherwise quietly replace.
			_, err := sc.CheckoutSessions.Get("cs_none", nil)
			require.Error(t, err)

			srv.Fail(createRoute, tt.fault)
			_, err = sc.CheckoutSessions.New(sessionParams("k"))
			switch tt.status {
			case 200:
				require.NoError(t, err)
			case 0:
				var e *stripe.Error
				require.Error(t, err)
				require.False(t, errors.As(err, &e), "no answer at all: %v", err)
			default:
				e := stripeError(t, err)
				require.Equal(t, tt.status, e.HTTPStatusCode)
				if tt.status == 429 {
					assert.Equal(t, "2", e.LastResponse.Header.Get("Retry-After"))
				}
			}
			assert.Equal(t, 1, srv.Count(createRoute), "asked once")
			assert.Len(t, srv.Sessions(), tt.sessions)

			ss, err := sc.CheckoutSessions.New(sessionParams("k"))
			var header http.Header
			if tt.againStatus == 200 {
				require.NoError(t, err)
				header = ss.LastResponse.Header
			} else {
				e := stripeError(t, err)
				require.Equal(t, tt.againStatus, e.HTTPStatusCode)
				header = e.LastResponse.Header
			}
			assert.Equal(t, tt.replayed, header.Get("Idempotent-Replayed") == "true")
			assert.Len(t, srv.Sessions(), tt.sessionsAfterSecond)
			last := srv.Requests()[len(srv.Requests())-1]
			assert.Equal(t, createRoute, last.Route)
			assert.Equal(t, "k", last.IdempotencyKey)
			assert.Equal(t, tt.replayed, last.Replayed)
		})
	}
}

func TestAnotherWithTheKeyWhileTheFirstIsUnderWay(t *testing.T) {
	srv := start(t, stripetest.Config{})
	sc := api(srv, srv.SecretKey)
	gate := make(chan struct{})
	srv.Fail(createRoute, stripetest.Fault{Gate: gate})

	// Two at once: one of them meets the gate, the other then gets 409 at once.
	got := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := sc.CheckoutSessions.New(sessionParams("k"))
			got <- err
		}()
	}
	e := stripeError(t, <-got)
	assert.Equal(t, 409, e.HTTPStatusCode)
	assert.Equal(t, stripe.ErrorCodeIdempotencyKeyInUse, e.Code)
	assert.Empty(t, srv.Sessions())
	close(gate)
	require.NoError(t, <-got)
	assert.Len(t, srv.Sessions(), 1)
}

func TestTheAnswerWaits(t *testing.T) {
	srv := start(t, stripetest.Config{})
	sc := api(srv, srv.SecretKey)
	gate := make(chan struct{})
	defer close(gate)
	srv.Fail(createRoute, stripetest.Fault{Gate: gate, Done: true})
	ctx, cancel := context.WithCancel(context.Background())
	got := make(chan error, 1)
	go func() {
		p := sessionParams("k")
		p.Context = ctx
		_, err := sc.CheckoutSessions.New(p)
		got <- err
	}()
	require.Eventually(t, func() bool { return len(srv.Sessions()) == 1 }, 5*time.Second, time.Millisecond)
	cancel() // the client gives up; the session exists
	require.Error(t, <-got)
	ss, err := sc.CheckoutSessions.New(sessionParams("k"))
	require.NoError(t, err)
	assert.Equal(t, srv.Sessions()[0].ID, ss.ID)
}

func TestAClientThatLeavesAtTheGate(t *testing.T) {
	srv := start(t, stripetest.Config{})
	sc := api(srv, srv.SecretKey)
	gate := make(chan struct{})
	defer close(gate)
	srv.Fail(createRoute, stripetest.Fault{Gate: gate})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	p := sessionParams("k")
	p.Context = ctx
	_, err := sc.CheckoutSessions.New(p)
	require.Error(t, err)
	require.Eventually(t, func() bool { // the key is free again
		_, err := sc.CheckoutSessions.New(sessionParams("k"))
		return err == nil
	}, 5*time.Second, time.Millisecond)
	assert.Len(t, srv.Sessions(), 1)
}

// Whoever has started the command can ask, without a key and on a bad day too, whether it is there.
func TestHealth(t *testing.T) {
	srv := start(t, stripetest.Config{Chaos: stripetest.Chaos{Unavailable: 1}})
	resp, body := browse(t, "GET", srv.URL+"/healthz", nil)
	assert.Equal(t, "200 OK: ok\n", resp.Status+": "+body)
	assert.Empty(t, srv.Requests())
}

func TestDocTellsEveryRoute(t *testing.T) {
	routes := func(file, pattern string) (found []string) {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(source), -1) {
			found = append(found, m[1]+" "+m[2])
		}
		return found
	}
	assert.ElementsMatch(t, routes("api.go", `\{"(GET|POST) (/v1/[^"]*)"`), routes("doc.go", `(?m)^//\t(GET|POST) +(/v1/\S*)`))
}

func TestFailRefusesNonsense(t *testing.T) {
	srv := start(t, stripetest.Config{})
	assert.Panics(t, func() { srv.Fail("POST /v1/customers", stripetest.Fault{Status: 500}) })
	assert.Panics(t, func() { srv.Fail(createRoute, stripetest.Fault{Status: 404}) })
	assert.Panics(t, func() { srv.Fail(createRoute, stripetest.Fault{Status: 429, Done: true}) })
	assert.Panics(t, func() { srv.Count("nowhere") })

	srv.FailNext(2, createRoute, stripetest.Fault{Status: 503})
	sc := api(srv, srv.SecretKey)
	for i, want := range []bool{false, false, true} {
		_, err := sc.CheckoutSessions.New(sessionParams(""))
		assert.Equal(t, want, err == nil, i)
	}
}

func TestConfig(t *testing.T) {
	_, err := stripetest.New(stripetest.Config{SecretKey: "sk_live_1", AttemptTimeout: -1, RetryDelays: []time.Duration{-1}, Parallel: -1, Chaos: stripetest.Chaos{Drop: -1}, Now: time.Now, Clock: &stripetest.Clock{}})
	require.Error(t, err)
	for _, word := range []string{"PublicURL", "SecretKey", "AttemptTimeout", "RetryDelays", "Parallel", "Chaos", "Clock"} {
		assert.Contains(t, err.Error(), word, "all problems at once")
	}
	assert.Panics(t, func() { stripetest.NewServer(stripetest.Config{Addr: "0.0.0.0:0"}) })

	var drawn int64
	ids := func(seed int64) string {
		s, err := stripetest.New(stripetest.Config{PublicURL: "http://pay.test/stand-in/", Seed: seed})
		require.NoError(t, err)
		defer s.Close()
		drawn = s.Seed
		ss, err := s.CreateSession(stripetest.SessionParams{Amount: 1000})
		require.NoError(t, err)
		assert.Equal(t, "http://pay.test/stand-in/pay/"+ss.ID, ss.URL)
		return ss.ID
	}
	assert.Equal(t, ids(7), ids(7))
	assert.NotEqual(t, ids(7), ids(8))
	assert.NotEqual(t, ids(0), ids(0))
	assert.Equal(t, ids(0), ids(drawn), "the seed that was drawn is told")
}
