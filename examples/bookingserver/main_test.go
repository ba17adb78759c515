package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/payment/stripetest"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/memory"
	"github.com/carevia/stripebooking/webhook/webhooktest"
)

// running is a bookingserver in this process.
type running struct {
	t    *testing.T
	url  string
	stop func() error // as SIGTERM does, and waits
}

// start runs the server with these flags and this environment.
func start(t *testing.T, env map[string]string, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		args := append([]string{"-addr", "127.0.0.1:0"}, args...)
		ended <- run(ctx, args, func(k string) string { return env[k] }, t.Output(), func(u string) { ready <- u })
	}()
	stop := sync.OnceValue(func() error { cancel(); return <-ended })
	select {
	case u := <-ready:
		t.Cleanup(func() { assert.NoError(t, stop()) })
		return &running{t: t, url: u, stop: stop}
	case err := <-ended:
		cancel()
		require.NoError(t, err)
		return nil
	}
}

// withStripe runs the server against a stand-in that the test controls.
func withStripe(t *testing.T, args ...string) (*running, *stripetest.Server) {
	t.Helper()
	stripe := stripetest.NewServer(stripetest.Config{})
	t.Cleanup(stripe.Close)
	s := start(t, map[string]string{
		"STRIPE_SECRET_KEY":     stripe.SecretKey,
		"STRIPE_WEBHOOK_SECRET": stripe.WebhookSecret,
		"STRIPE_API_BASE":       stripe.URL,
	}, args...)
	require.NoError(t, stripe.AddEndpoint(s.url+"/api/payment/webhook", ""))
	return s, stripe
}

// answer is the envelope that all of the API shares.
type answer struct {
	Status  int
	Header  http.Header
	Success bool
	Message string
	Data    json.RawMessage
	Next    string
}

func (a answer) data(t *testing.T) map[string]any {
	t.Helper()
	m := map[string]any{}
	require.NoError(t, json.Unmarshal(a.Data, &m), string(a.Data))
	return m
}

func (a answer) list(t *testing.T) []map[string]any {
	t.Helper()
	var l []map[string]any
	require.NoError(t, json.Unmarshal(a.Data, &l), string(a.Data))
	return l
}

// call makes a request to the API as user ("": as nobody).
func (s *running) call(method, path, user, body string, header ...string) answer {
	r, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	require.NoError(s.t, err)
	r.Header.Set("Content-Type", "application/json")
	if user != "" {
		r.Header.Set(userHeader, user)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(s.t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(s.t, err)
	a := answer{Status: resp.StatusCode, Header: resp.Header}
	require.NoError(s.t, json.Unmarshal(raw, &a), string(raw))
	assert.Equal(s.t, resp.StatusCode < 300, a.Success, "success must go with the status")
	return a
}

// page fetches a page as user and returns its text.
func (s *running) page(path, user string) (int, string) {
	r, err := http.NewRequest(http.MethodGet, s.url+path, nil)
	require.NoError(s.t, err)
	if user != "" {
		r.Header.Set(userHeader, user)
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(s.t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(s.t, err)
	return resp.StatusCode, string(raw)
}

func (s *running) checkout(user, service, option string) (bookingID, sessionID string) {
	s.t.Helper()
	a := s.call("POST", "/api/checkout", user, fmt.Sprintf(`{"serviceId":%q,"paymentOption":%q}`, service, option))
	require.Equal(s.t, 200, a.Status, a.Message)
	d := a.data(s.t)
	require.NotEmpty(s.t, d["url"])
	return d["bookingId"].(string), d["sessionId"].(string)
}

func session(id string) string { return fmt.Sprintf(`{"sessionId":%q}`, id) }

// arrive waits until the stand-in has delivered everything.
func arrive(t *testing.T, stripe *stripetest.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	require.NoError(t, stripe.Wait(ctx))
}

func eachStore(t *testing.T, f func(t *testing.T, flag string)) {
	t.Run("memory", func(t *testing.T) { f(t, "memory") })
	t.Run("sqlite", func(t *testing.T) { f(t, "sqlite:"+filepath.Join(t.TempDir(), "a name?with 100%.db")) })
}

func TestPaidInFull(t *testing.T) {
	eachStore(t, func(t *testing.T, flag string) {
		s, stripe := withStripe(t, "-store", flag)
		bookingID, sessionID := s.checkout("ada", "elderly-care", "full")

		a := s.call("GET", "/api/bookings/"+bookingID, "ada", "")
		require.Equal(t, 200, a.Status, a.Message)
		assert.Equal(t, "held", a.data(t)["state"])
		a = s.call("POST", "/api/payment/verify", "ada", session(sessionID))
		assert.Equal(t, 400, a.Status)
		assert.Equal(t, "Payment not completed", a.Message)

		_, err := stripe.Pay(sessionID)
		require.NoError(t, err)
		arrive(t, stripe)

		a = s.call("POST", "/api/payment/verify", "ada", session(sessionID))
		require.Equal(t, 200, a.Status, a.Message)
		assert.Equal(t, "Payment verified", a.Message)
		d := a.data(t)
		assert.Equal(t, true, d["processed"])
		assert.Equal(t, bookingID, d["bookingId"])
		assert.Equal(t, "Elderly care visit", d["serviceName"])
		assert.Equal(t, "45.00", d["amount"])
		assert.EqualValues(t, 4500, d["amountMinor"])
		assert.Equal(t, "usd", d["currency"])
		assert.Equal(t, "full", d["paymentOption"])

		b := s.call("GET", "/api/bookings/"+bookingID, "ada", "").data(t)
		assert.Equal(t, bookingID, b["id"])
		assert.Equal(t, "confirmed", b["state"])
		assert.Equal(t, "45.00", b["paid"])

		payments := s.call("GET", "/api/payments", "ada", "").list(t)
		require.Len(t, payments, 1)
		assert.Equal(t, bookingID, payments[0]["bookingId"])
		assert.Equal(t, b["paymentIntentId"], payments[0]["paymentIntentId"])
		assert.Equal(t, "45.00", payments[0]["amount"])
		assert.Equal(t, "usd", payments[0]["currency"])
		assert.Equal(t, "succeeded", payments[0]["status"])
		_, err = time.Parse(time.RFC3339, payments[0]["createdAt"].(string))
		assert.NoError(t, err)

		status, page := s.page("/booking/"+bookingID, "ada")
		assert.Equal(t, 200, status)
		for _, text := range []string{"Your booking has been confirmed.", "45.00 USD", "Full Payment", "Confirmed", bookingID, "by webhook evt_"} {
			assert.Contains(t, page, text)
		}

		// All of it is the owner's alone.
		assert.Equal(t, 403, s.call("POST", "/api/payment/verify", "bob", session(sessionID)).Status)
		assert.Equal(t, 401, s.call("POST", "/api/payment/verify", "", session(sessionID)).Status)
		assert.Equal(t, 403, s.call("GET", "/api/bookings/"+bookingID, "bob", "").Status)
		assert.Equal(t, 401, s.call("GET", "/api/bookings/"+bookingID, "", "").Status)
		assert.Equal(t, 404, s.call("GET", "/api/bookings/bk_none", "bob", "").Status)
		assert.Empty(t, s.call("GET", "/api/payments", "bob", "").list(t))
		assert.Equal(t, 401, s.call("GET", "/api/payments", "", "").Status)
		status, page = s.page("/booking/"+bookingID, "bob")
		assert.Equal(t, 403, status)
		assert.NotContains(t, page, "45.00")
	})
}

func TestPaidByHalf(t *testing.T) {
	eachStore(t, func(t *testing.T, flag string) {
		s, stripe := withStripe(t, "-store", flag)
		bookingID, sessionID := s.checkout("ada", "baby-care", "half")
		_, err := stripe.Pay(sessionID)
		require.NoError(t, err)
		arrive(t, stripe)
		b := s.call("GET", "/api/bookings/"+bookingID, "ada", "").data(t)
		assert.Equal(t, []any{"confirmed", "half", "39.99", "20.00", "19.99"},
			[]any{b["state"], b["paymentOption"], b["total"], b["paid"], b["due"]})
		payments := s.call("GET", "/api/payments", "ada", "").list(t)
		require.Len(t, payments, 1)
		assert.Equal(t, []any{"20.00", "deposit"}, []any{payments[0]["amount"], payments[0]["purpose"]})
		_, page := s.page("/booking/"+bookingID, "ada")
		assert.Contains(t, page, "50% Advance")
		assert.Contains(t, page, "19.99 USD")
	})
}

func TestDeclined(t *testing.T) {
	eachStore(t, func(t *testing.T, flag string) {
		s, stripe := withStripe(t, "-store", flag)
		bookingID, sessionID := s.checkout("ada", "elderly-care", "full")
		_, err := stripe.Decline(sessionID, "")
		require.NoError(t, err)
		arrive(t, stripe)
		assert.Equal(t, "held", s.call("GET", "/api/bookings/"+bookingID, "ada", "").data(t)["state"])
		for _, p := range s.call("GET", "/api/payments", "ada", "").list(t) {
			assert.Equal(t, "failed", p["status"])
		}
		status, page := s.page("/booking/"+bookingID, "ada")
		assert.Equal(t, 200, status)
		assert.Contains(t, page, "Continue to payment")

		_, err = stripe.Pay(sessionID) // with another card
		require.NoError(t, err)
		arrive(t, stripe)
		assert.Equal(t, "confirmed", s.call("GET", "/api/bookings/"+bookingID, "ada", "").data(t)["state"])
		payments := s.call("GET", "/api/payments", "ada", "").list(t)
		require.Len(t, payments, 1)
		assert.Equal(t, "succeeded", payments[0]["status"])
	})
}

func TestDoubleClick(t *testing.T) {
	eachStore(t, func(t *testing.T, flag string) {
		s, stripe := withStripe(t, "-store", flag)
		body := `{"serviceId":"elderly-care","paymentOption":"full"}`
		var wg sync.WaitGroup
		answers := make([]answer, 8)
		for i := range answers {
			wg.Go(func() { answers[i] = s.call("POST", "/api/checkout", "ada", body, "Idempotency-Key", "click") })
		}
		wg.Wait()
		for _, a := range answers {
			require.Equal(t, 200, a.Status, a.Message)
			assert.JSONEq(t, string(answers[0].Data), string(a.Data))
		}
		assert.Len(t, stripe.Sessions(), 1)

		a := s.call("POST", "/api/checkout", "ada", `{"serviceId":"elderly-care","paymentOption":"full","attempt":"click"}`)
		assert.JSONEq(t, string(answers[0].Data), string(a.Data), "the name may be in the body")
		a = s.call("POST", "/api/checkout", "ada", `{"serviceId":"baby-care","paymentOption":"full","attempt":"click"}`)
		assert.Equal(t, 409, a.Status, "the name of an attempt is for one choice")
		a = s.call("POST", "/api/checkout", "bob", body, "Idempotency-Key", "click")
		assert.NotEqual(t, answers[0].data(t)["bookingId"], a.data(t)["bookingId"], "attempts are each user's own")
		s.checkout("ada", "elderly-care", "full")
		assert.Len(t, stripe.Sessions(), 3, "without a name each request is an attempt")
	})
}

// TestForm is the home page without a script.
func TestForm(t *testing.T) {
	s, stripe := withStripe(t, "-store", "memory")
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	browser := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	get := func(path string) string {
		resp, err := browser.Get(s.url + path)
		require.NoError(t, err)
		defer resp.Body.Close()
		raw, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return string(raw)
	}
	home := get("/")
	attempt := regexp.MustCompile(`name="attempt" value="([^"]+)"`).FindStringSubmatch(home)
	require.NotNil(t, attempt)
	send := func(service, option string) *http.Response {
		resp, err := browser.PostForm(s.url+"/api/checkout", url.Values{"serviceId": {service}, "paymentOption": {option}, "attempt": {attempt[1]}})
		require.NoError(t, err)
		resp.Body.Close()
		return resp
	}
	first, second := send("elderly-care", "full"), send("elderly-care", "full")
	require.Equal(t, 303, first.StatusCode)
	require.Len(t, stripe.Sessions(), 1, "a double click is one session")
	paid := stripe.Sessions()[0]
	assert.Equal(t, paid.URL, first.Header.Get("Location"))
	assert.Equal(t, paid.URL, second.Header.Get("Location"))

	assert.Equal(t, 303, send("elderly-care", "half").StatusCode)
	assert.Len(t, stripe.Sessions(), 2, "another choice after the Back button is another attempt")

	_, err = stripe.Pay(paid.ID)
	require.NoError(t, err)
	arrive(t, stripe)
	again := send("elderly-care", "full")
	assert.Equal(t, 303, again.StatusCode)
	assert.Regexp(t, "^/booking/", again.Header.Get("Location"), "what is paid is not paid again")
	assert.Contains(t, get(again.Header.Get("Location")), "Your booking has been confirmed.")
	assert.Contains(t, get("/"), again.Header.Get("Location"), "the home page lists it")
	assert.Contains(t, get("/?cancelled=1"), "Payment was cancelled.")

	assert.Equal(t, 400, send("no-such-service", "full").StatusCode)
	nobody, err := http.PostForm(s.url+"/api/checkout", url.Values{"serviceId": {"baby-care"}, "paymentOption": {"full"}})
	require.NoError(t, err)
	nobody.Body.Close()
	assert.Equal(t, 401, nobody.StatusCode)
}

// TestContinue pays for a held booking from its page.
func TestContinue(t *testing.T) {
	s, stripe := withStripe(t, "-store", "memory")
	bookingID, sessionID := s.checkout("ada", "elderly-care", "full")
	body := fmt.Sprintf(`{"serviceId":"elderly-care","paymentOption":"full","bookingId":%q}`, bookingID)
	a := s.call("POST", "/api/checkout", "ada", body)
	require.Equal(t, 200, a.Status, a.Message)
	assert.Equal(t, bookingID, a.data(t)["bookingId"])
	assert.Equal(t, sessionID, a.data(t)["sessionId"], "a booking has one open session")
	assert.Equal(t, 403, s.call("POST", "/api/checkout", "bob", body).Status)
	assert.Len(t, stripe.Sessions(), 1)
}

func TestBadCheckouts(t *testing.T) {
	s, stripe := withStripe(t, "-store", "memory")
	for name, c := range map[string]struct {
		body, user string
		status     int
	}{
		"nobody":           {`{"serviceId":"baby-care","paymentOption":"full"}`, "", 401},
		"not JSON":         {`serviceId=baby-care`, "ada", 400},
		"empty":            {``, "ada", 400},
		"unknown service":  {`{"serviceId":"x","paymentOption":"full"}`, "ada", 400},
		"no service":       {`{"paymentOption":"full"}`, "ada", 400},
		"no option":        {`{"serviceId":"baby-care"}`, "ada", 400},
		"unknown option":   {`{"serviceId":"baby-care","paymentOption":"third"}`, "ada", 400},
		"too large":        {`{"serviceId":"` + strings.Repeat("x", maxBody) + `"}`, "ada", 413},
		"attempt too long": {`{"serviceId":"baby-care","paymentOption":"full","attempt":"` + strings.Repeat("x", 300) + `"}`, "ada", 400},
		"unknown booking":  {`{"serviceId":"baby-care","paymentOption":"full","bookingId":"bk_none"}`, "ada", 404},
	} {
		t.Run(name, func(t *testing.T) {
			a := s.call("POST", "/api/checkout", c.user, c.body)
			assert.Equal(t, c.status, a.Status, a.Message)
			assert.NotEmpty(t, a.Message)
		})
	}
	assert.Empty(t, stripe.Sessions())
	a := s.call("POST", "/api/checkout", "ada", `{"serviceId":"baby-care","paymentOption":"full","amount":1,"currency":"jpy"}`)
	require.Equal(t, 200, a.Status, a.Message)
	assert.EqualValues(t, 3999, stripe.Sessions()[0].AmountTotal, "the price is the server's")
	assert.Equal(t, "usd", stripe.Sessions()[0].Currency)

	r, err := http.Get(s.url + "/api/checkout")
	require.NoError(t, err)
	r.Body.Close()
	assert.NotEqual(t, 200, r.StatusCode)
}

// TestCurl: curl -d says that what it sends is a form.
func TestCurl(t *testing.T) {
	s, _ := withStripe(t, "-store", "memory")
	a := s.call("POST", "/api/checkout", "ada", `{"serviceId":"baby-care","paymentOption":"full"}`, "Content-Type", "application/x-www-form-urlencoded")
	require.Equal(t, 200, a.Status, a.Message)
	assert.NotEmpty(t, a.data(t)["url"])
}

func TestCrossSiteForm(t *testing.T) {
	s, _ := withStripe(t, "-store", "memory")
	r, err := http.NewRequest(http.MethodPost, s.url+"/api/checkout", strings.NewReader(`{}`))
	require.NoError(t, err)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	r.Header.Set(userHeader, "ada")
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, 403, resp.StatusCode)
}

func TestPaymentsInPages(t *testing.T) {
	eachStore(t, func(t *testing.T, flag string) {
		s, stripe := withStripe(t, "-store", flag)
		var made []string
		for range 3 {
			bookingID, sessionID := s.checkout("ada", "elderly-care", "full")
			_, err := stripe.Pay(sessionID)
			require.NoError(t, err)
			arrive(t, stripe)
			made = append(made, bookingID)
		}
		var seen []any
		after := ""
		for page := range 4 {
			a := s.call("GET", "/api/payments?limit=1&after="+after, "ada", "")
			require.Equal(t, 200, a.Status, a.Message)
			for _, p := range a.list(t) {
				seen = append(seen, p["bookingId"])
			}
			if after = a.Next; after == "" {
				break
			}
			require.Less(t, page, 3)
		}
		assert.ElementsMatch(t, made, seen)
		for _, query := range []string{"limit=x", "limit=0", "limit=-1", "limit=501", "after=x"} {
			assert.Equal(t, 400, s.call("GET", "/api/payments?"+query, "ada", "").Status, query)
		}
	})
}

func TestModes(t *testing.T) {
	t.Run(modeWebhook, func(t *testing.T) {
		s, stripe := withStripe(t, "-store", "memory")
		_, sessionID := s.checkout("ada", "elderly-care", "full")
		stripe.Hold()
		_, err := stripe.Pay(sessionID)
		require.NoError(t, err)
		assert.Equal(t, 404, s.call("POST", "/api/payment/confirm", "ada", session(sessionID)).Status)
		a := s.call("POST", "/api/payment/verify", "ada", session(sessionID))
		assert.Equal(t, 200, a.Status)
		assert.Equal(t, "Payment successful, processing...", a.Message)
		assert.Equal(t, false, a.data(t)["processed"])
	})
	t.Run(modeConfirm, func(t *testing.T) {
		s, stripe := withStripe(t, "-store", "memory", "-mode", "confirm")
		bookingID, sessionID := s.checkout("ada", "elderly-care", "full")
		stripe.Hold()
		a := s.call("POST", "/api/payment/confirm", "ada", session(sessionID))
		assert.Equal(t, 400, a.Status)
		_, err := stripe.Pay(sessionID)
		require.NoError(t, err)
		assert.Equal(t, 403, s.call("POST", "/api/payment/confirm", "bob", session(sessionID)).Status)
		_, page := s.page("/payment/success?session_id="+sessionID, "ada")
		assert.Contains(t, page, `data-mode="confirm"`)
		a = s.call("POST", "/api/payment/confirm", "ada", session(sessionID))
		require.Equal(t, 200, a.Status, a.Message)
		assert.Equal(t, "Payment confirmed and booking created", a.Message)
		assert.Equal(t, bookingID, a.data(t)["bookingId"])
		a = s.call("POST", "/api/payment/confirm", "ada", session(sessionID))
		assert.Equal(t, "Payment already processed", a.Message)
		assert.Equal(t, 404, s.call("POST", "/api/payment/webhook", "", "{}").Status)
	})
	t.Run(modeBoth, func(t *testing.T) {
		s, stripe := withStripe(t, "-store", "memory", "-mode", "both")
		_, sessionID := s.checkout("ada", "elderly-care", "full")
		_, err := stripe.Pay(sessionID)
		require.NoError(t, err)
		assert.Equal(t, 200, s.call("POST", "/api/payment/confirm", "ada", session(sessionID)).Status)
		arrive(t, stripe)
		assert.Len(t, s.call("GET", "/api/payments", "ada", "").list(t), 1)
	})
}

// TestWithoutKey: the stand-in is the server's own, and deliveries that others
// sign with one of the secrets are good too, under both codecs.
func TestWithoutKey(t *testing.T) {
	s := start(t, map[string]string{"STRIPE_WEBHOOK_SECRET": "whsec_old, whsec_new"}, "-store", "memory")
	_, page := s.page("/", "")
	assert.Contains(t, page, "stand-in for Stripe")

	event := webhooktest.SessionCompleted(webhooktest.Session{
		ID: "cs_test_site", Intent: "pi_site", Amount: 5000,
		Metadata: map[string]string{
			"userId": "ada", "serviceId": "s1", "serviceName": "Piano lesson", "amountToPay": "50.00", "paymentOption": "full",
		},
	})
	deliver := func(secret string) int {
		r, err := http.NewRequest(http.MethodPost, s.url+"/api/payment/webhook", bytes.NewReader(event))
		require.NoError(t, err)
		r.Header.Set("Stripe-Signature", webhooktest.Sign(event, secret, time.Now()))
		resp, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer resp.Body.Close()
		return resp.StatusCode
	}
	assert.Equal(t, 400, deliver("whsec_wrong"))
	assert.Equal(t, 200, deliver("whsec_new"))
	assert.Equal(t, 200, deliver("whsec_old"))
	payments := s.call("GET", "/api/payments", "ada", "").list(t)
	require.Len(t, payments, 1)
	assert.Equal(t, "pi_site", payments[0]["paymentIntentId"])
	bookingID := payments[0]["bookingId"].(string)
	assert.Equal(t, "confirmed", s.call("GET", "/api/bookings/"+bookingID, "ada", "").data(t)["state"])
	a := s.call("POST", "/api/payment/verify", "ada", session("cs_test_site"))
	assert.Equal(t, bookingID, a.data(t)["bookingId"])

	a = s.call("POST", "/api/checkout", "ada", `{"serviceId":"baby-care","paymentOption":"full"}`)
	require.Equal(t, 200, a.Status, a.Message)
	resp, err := http.Get(a.data(t)["url"].(string))
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, 200, resp.StatusCode, "the pay page")
}

func TestPages(t *testing.T) {
	plain, stripe := withStripe(t, "-store", "memory")
	bookingID, sessionID := plain.checkout("ada", "baby-care", "half")
	success := "/payment/success?session_id=" + sessionID
	shows := func(path, user string, status int, texts ...string) {
		t.Helper()
		got, page := plain.page(path, user)
		assert.Equal(t, status, got)
		for _, text := range texts {
			assert.Contains(t, page, text)
		}
	}
	shows(success, "ada", 200, "Payment Error", "Payment not completed", "Try again", "/booking/"+bookingID)
	stripe.Hold()
	_, err := stripe.Pay(sessionID) // at once, so that what was known of it is old
	require.NoError(t, err)
	shows(success, "ada", 200, "Processing your payment…", `data-mode="webhook"`, "success.js",
		"Payment is being processed. Please check your bookings in a moment.", "Payment Error", "Go to Home")
	shows("/static/success.js", "", 200, "Payment confirmation failed",
		"Failed to verify payment. Please contact support if you were charged.")

	stripe.Release()
	arrive(t, stripe)
	shows(success, "ada", 200, "Payment Successful!", "Your booking has been confirmed", "Booking ID", bookingID,
		"Booking Summary", "Service", "Baby care", "Amount Paid", "20.00 USD", "Payment Option", "50% Advance",
		"Status", "Confirmed", "What's Next?",
		"You can view your booking details anytime from your dashboard",
		"Our team will contact you shortly to confirm the schedule",
		"View Booking", "Download Receipt", "Back to Home")
	shows(success, "bob", 403, "Payment Error", "Unauthorized access", "Go to Home")
	shows("/payment/success?session_id=cs_test_1", "ada", 404, "Payment Error", "Payment session not found")
	const asked = "GET /v1/checkout/sessions/{id}"
	before := stripe.Count(asked)
	shows("/payment/success?session_id=cs_test_2", "", 403, "Payment Error", "Unauthorized access")
	assert.Equal(t, before, stripe.Count(asked), "nobody's question")

	const email = "A confirmation email has been sent to your registered email"
	_, page := plain.page(success, "ada")
	assert.NotContains(t, page, email, "nothing sends one")
	mailing, stripe := withStripe(t, "-store", "memory", "-mailer", "log")
	success = "/payment/success?session_id=" + paid(t, mailing, stripe, "ada")
	arrive(t, stripe)
	_, page = mailing.page(success, "ada")
	assert.Contains(t, page, email)

	for _, path := range []string{"/payment/success", "/payment/success?session_id=", "/payment/success?session_id=" + strings.Repeat("x", 300)} {
		shows(path, "ada", 400, "Invalid payment session", "Payment Error", "Go to Home")
	}
	_, page = plain.page("/payment/success?session_id="+url.QueryEscape(`"><script>alert(1)</script>`), "ada")
	assert.NotContains(t, page, "<script>alert")

	shows("/no/such/page", "ada", 404, "Page not found")
	shows("/booking/bk_none", "ada", 404, "There is no such booking")
	assert.Equal(t, 404, plain.call("GET", "/api/nothing", "ada", "").Status)
}

// TestPaidByBank: the money is on its way, and the pages say so.
func TestPaidByBank(t *testing.T) {
	s, stripe := withStripe(t, "-store", "memory")
	bookingID, sessionID := s.checkout("ada", "baby-care", "full")
	stripe.Hold()
	_, err := stripe.PayDelayed(sessionID)
	require.NoError(t, err)
	says := func(path string) {
		status, page := s.page(path, "ada")
		assert.Equal(t, 200, status)
		assert.Contains(t, page, "Your payment is on its way.", path)
		assert.NotContains(t, page, "Error", path)
		assert.NotContains(t, page, "Continue to payment", path)
	}
	says("/payment/success?session_id=" + sessionID) // before the webhook
	says("/booking/" + bookingID)
	a := s.call("POST", "/api/checkout", "ada", `{"serviceId":"baby-care","paymentOption":"full","bookingId":"`+bookingID+`"}`)
	assert.Equal(t, "The payment is on its way", a.Message)
	stripe.Release()
	arrive(t, stripe)
	says("/payment/success?session_id=" + sessionID)
	says("/booking/" + bookingID)
	_, err = stripe.SettleDelayed(sessionID, true)
	require.NoError(t, err)
	arrive(t, stripe)
	_, page := s.page("/payment/success?session_id="+sessionID, "ada")
	assert.Contains(t, page, "Payment Successful!")

	// A site that makes its sessions itself has no booking until the money is there.
	plain, err := stripe.CreateSession(stripetest.SessionParams{Amount: 4500, Metadata: map[string]string{"userId": "ada", "amountToPay": "45.00"}})
	require.NoError(t, err)
	_, err = stripe.PayDelayed(plain.ID)
	require.NoError(t, err)
	arrive(t, stripe)
	says("/payment/success?session_id=" + plain.ID)
}

// TestPaidByAnotherSession: the page of a session that was left shows what became of the booking.
func TestPaidByAnotherSession(t *testing.T) {
	s, stripe := withStripe(t, "-store", "memory")
	bookingID, first := s.checkout("ada", "baby-care", "full")
	half := `{"serviceId":"baby-care","paymentOption":"half","bookingId":"` + bookingID + `"}`
	second := s.call("POST", "/api/checkout", "ada", half)
	_, err := stripe.Pay(second.data(t)["sessionId"].(string))
	require.NoError(t, err)
	arrive(t, stripe)
	_, page := s.page("/payment/success?session_id="+first, "ada")
	assert.Contains(t, page, "Your booking has been confirmed.")
	assert.NotContains(t, page, "Error")

	again := s.call("POST", "/api/checkout", "ada", half)
	assert.Equal(t, 200, again.Status)
	assert.Equal(t, "Nothing is left to pay", again.Message)
	assert.Empty(t, again.data(t)["url"])
}

// TestPaidUnheard: the webhook is late, and the booking's page asks nobody to pay again.
func TestPaidUnheard(t *testing.T) {
	s, stripe := withStripe(t, "-store", "memory")
	stripe.Hold()
	bookingID, sessionID := s.checkout("ada", "baby-care", "full")
	_, page := s.page("/booking/"+bookingID, "ada")
	assert.Contains(t, page, "Continue to payment")
	_, err := stripe.Pay(sessionID)
	require.NoError(t, err)
	assert.Eventually(t, func() bool { // Stripe is asked every two seconds
		_, page = s.page("/booking/"+bookingID, "ada")
		return strings.Contains(page, "Your payment was received.")
	}, 30*time.Second, 100*time.Millisecond)
	assert.NotContains(t, page, "Continue to payment")
}

// TestDeclinedThenByBank: what failed before does not hide what is on its way.
func TestDeclinedThenByBank(t *testing.T) {
	s, stripe := withStripe(t, "-store", "memory")
	bookingID, sessionID := s.checkout("ada", "baby-care", "full")
	_, err := stripe.Decline(sessionID, "")
	require.NoError(t, err)
	_, err = stripe.PayDelayed(sessionID)
	require.NoError(t, err)
	arrive(t, stripe)
	_, page := s.page("/booking/"+bookingID, "ada")
	assert.Contains(t, page, "Your payment is on its way.")
	assert.NotContains(t, page, "Continue to payment")
}

// TestPaidBack: the page of a payment does not call a booking confirmed that is not any more.
func TestPaidBack(t *testing.T) {
	flag, ctx := "sqlite:"+filepath.Join(t.TempDir(), "bookings.db"), context.Background()
	s, stripe := withStripe(t, "-store", flag)
	sessionID := paid(t, s, stripe, "ada")
	arrive(t, stripe)
	db, err := openStore(ctx, flag)
	require.NoError(t, err)
	defer db.close()
	b, err := db.store.BookingBySession(ctx, sessionID)
	require.NoError(t, err)
	b.State = store.StateRefunded
	_, err = db.store.Apply(ctx, store.Change{Key: "refund", Booking: &b, History: &store.History{
		From: store.StateConfirmed, To: b.State, Cause: store.Cause{By: "operator", ID: "eve"}, At: time.Now(),
	}})
	require.NoError(t, err)
	status, page := s.page("/payment/success?session_id="+sessionID, "ada")
	assert.Equal(t, 200, status)
	assert.Contains(t, page, "Refunded")
	assert.NotContains(t, page, "Payment Successful!")
}

// TestPaidOtherwise: less was paid than agreed.
func TestPaidOtherwise(t *testing.T) {
	s, stripe := withStripe(t, "-store", "memory")
	s.checkout("ada", "baby-care", "full")
	agreed := stripe.Sessions()[0]
	less, err := stripe.CreateSession(stripetest.SessionParams{Amount: agreed.AmountTotal - 1, Metadata: agreed.Metadata})
	require.NoError(t, err)
	_, err = stripe.Pay(less.ID)
	require.NoError(t, err)
	arrive(t, stripe)
	status, page := s.page("/payment/success?session_id="+less.ID, "ada")
	assert.Equal(t, 200, status)
	assert.Contains(t, page, "We are looking into your booking")
	assert.Contains(t, page, "Please do not pay again.")
}

// TestSuccessWithoutStripe: the page waits no longer than it must, and its script
// goes on asking.
func TestSuccessWithoutStripe(t *testing.T) {
	s, stripe := withStripe(t, "-store", "memory")
	stripe.Hold()
	sessionID := paid(t, s, stripe, "ada")
	stripe.FailNext(2, "GET /v1/checkout/sessions/{id}", stripetest.Fault{Status: 503})
	status, page := s.page("/payment/success?session_id="+sessionID, "ada")
	assert.Equal(t, 200, status)
	assert.Contains(t, page, "Processing your payment…")
	assert.NotContains(t, page, "Baby care")
}

// paid is a session for half of baby care that user has paid.
func paid(t *testing.T, s *running, stripe *stripetest.Server, user string) string {
	t.Helper()
	_, sessionID := s.checkout(user, "baby-care", "half")
	_, err := stripe.Pay(sessionID)
	require.NoError(t, err)
	return sessionID
}

func TestHeaders(t *testing.T) {
	s, _ := withStripe(t, "-store", "memory")
	for _, path := range []string{"/", "/payment/success", "/static/app.css", "/healthz"} {
		resp, err := http.Get(s.url + path)
		require.NoError(t, err)
		resp.Body.Close()
		policy := resp.Header.Get("Content-Security-Policy")
		assert.Contains(t, policy, "default-src 'none'", path)
		assert.Contains(t, policy, "frame-ancestors 'none'", path)
		assert.NotContains(t, policy, "unsafe", path)
		assert.Equal(t, "nosniff", resp.Header.Get("X-Content-Type-Options"), path)
	}
	resp, err := http.Get(s.url + "/")
	require.NoError(t, err)
	resp.Body.Close()
	require.Len(t, resp.Cookies(), 1)
	assert.True(t, resp.Cookies()[0].HttpOnly)
	assert.Equal(t, http.SameSiteLaxMode, resp.Cookies()[0].SameSite)
}

// TestOneName: a cookie for localhost would not come back to 127.0.0.1.
func TestOneName(t *testing.T) {
	s, _ := withStripe(t, "-store", "memory")
	r, err := http.NewRequest(http.MethodGet, s.url+"/?cancelled=1", nil)
	require.NoError(t, err)
	r.Host = strings.Replace(r.Host, "127.0.0.1", "localhost", 1)
	resp, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, 307, resp.StatusCode)
	assert.Equal(t, s.url+"/?cancelled=1", resp.Header.Get("Location"))
}

// sent is a mailer that remembers.
type sent []string

func (s *sent) Confirm(_ context.Context, key string, b store.Booking) error {
	*s = append(*s, key+" "+b.UserID)
	return nil
}

func TestMailer(t *testing.T) {
	var mails sent
	s, err := newSite(config{
		BaseURL: "http://127.0.0.1:1", Mode: modeWebhook, Store: &memory.Store{}, SecretKey: "sk_test_x",
		Secrets: []string{"whsec_x"}, Mailer: &mails, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	require.NoError(t, err)
	metadata := map[string]string{"userId": "ada", "serviceId": "s1", "serviceName": "Piano lesson", "amountToPay": "50.00", "paymentOption": "full"}
	slow := webhooktest.Session{EventID: "evt_slow", ID: "cs_test_slow", Intent: "pi_slow", Amount: 5000, Metadata: metadata, PaymentStatus: "unpaid"}
	card := webhooktest.Session{EventID: "evt_card", ID: "cs_test_card", Intent: "pi_card", Amount: 5000, Metadata: metadata}
	deliver := func(event []byte) {
		assert.Equal(t, 200, webhooktest.DeliverAt(post{s.routes()}, event, "whsec_x", time.Now()).Code)
	}
	deliver(webhooktest.SessionCompleted(slow))
	assert.Empty(t, mails, "not paid yet")
	deliver(webhooktest.SessionCompleted(card))
	deliver(webhooktest.SessionCompleted(card))
	require.Len(t, mails, 1)
	card.EventID = "evt_card_again" // Stripe reports it once more
	deliver(webhooktest.SessionCompleted(card))
	deliver(webhooktest.IntentSucceeded(webhooktest.Intent{ID: "pi_card", Amount: 5000, Metadata: metadata}))
	require.Len(t, mails, 3)
	assert.Regexp(t, "^bk_.+/confirmed ada$", mails[0])
	assert.Len(t, slices.Compact(mails), 1, "one key: one mail")

	slow.PaymentStatus = ""
	deliver(webhooktest.SessionAsyncPaymentSucceeded(slow))
	assert.NotEqual(t, mails[0], mails[len(mails)-1], "another booking")
}

// post sends what it gets to the webhook's address.
type post struct{ http.Handler }

func (p post) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.URL.Path = "/api/payment/webhook"
	p.Handler.ServeHTTP(w, r)
}

// brokenStore answers nothing.
type brokenStore struct{ memory.Store }

func (*brokenStore) Event(context.Context, string) (store.Event, error) {
	return store.Event{}, errors.New("away")
}

func TestHealth(t *testing.T) {
	s, _ := withStripe(t, "-store", "memory")
	assert.Equal(t, 200, s.call("GET", "/healthz", "", "").Status)

	cfg := config{
		BaseURL: "http://127.0.0.1:1", Mode: modeWebhook, Store: &brokenStore{}, SecretKey: "sk_test_x",
		Secrets: []string{"whsec_x"}, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	broken, err := newSite(cfg)
	require.NoError(t, err)
	w := httptest.NewRecorder()
	broken.routes().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/healthz", nil))
	assert.Equal(t, 503, w.Code)
}

func TestRefusedSettings(t *testing.T) {
	key := func(v string) map[string]string { return map[string]string{"STRIPE_SECRET_KEY": v} }
	for name, c := range map[string]struct {
		env  map[string]string
		args []string
		want string
	}{
		"unknown store":    {nil, []string{"-store", "redis:x"}, "memory"},
		"no file":          {nil, []string{"-store", "sqlite:"}, "needs a file"},
		"unknown mode":     {nil, []string{"-store", "memory", "-mode", "x"}, "webhook, confirm, both"},
		"unknown mailer":   {nil, []string{"-store", "memory", "-mailer", "x"}, "log"},
		"live key":         {key("sk_live_x"), []string{"-store", "memory"}, "test keys only"},
		"no secret":        {key("sk_test_x"), []string{"-store", "memory"}, "STRIPE_WEBHOOK_SECRET"},
		"not a secret key": {map[string]string{"STRIPE_SECRET_KEY": "pk_test_x", "STRIPE_WEBHOOK_SECRET": "whsec_x"}, []string{"-store", "memory"}, "payment"},
	} {
		t.Run(name, func(t *testing.T) {
			err := run(t.Context(), append([]string{"-addr", "127.0.0.1:0"}, c.args...),
				func(k string) string { return c.env[k] }, t.Output(), func(string) { t.Error("it runs") })
			require.ErrorContains(t, err, c.want)
		})
	}
}

// TestShutdown stops the server while Stripe takes its time to answer a checkout.
func TestShutdown(t *testing.T) {
	stripe, err := stripetest.New(stripetest.Config{PublicURL: "http://127.0.0.1:1"})
	require.NoError(t, err)
	t.Cleanup(stripe.Close)
	arrived, gate := make(chan struct{}, 8), make(chan struct{})
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-gate
		stripe.ServeHTTP(w, r)
	}))
	t.Cleanup(api.Close)
	s := start(t, map[string]string{
		"STRIPE_SECRET_KEY": stripe.SecretKey, "STRIPE_WEBHOOK_SECRET": stripe.WebhookSecret, "STRIPE_API_BASE": api.URL,
	}, "-store", "sqlite:"+filepath.Join(t.TempDir(), "b.db"))

	answered := make(chan answer, 1)
	go func() {
		answered <- s.call("POST", "/api/checkout", "ada", `{"serviceId":"baby-care","paymentOption":"full"}`)
	}()
	<-arrived
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	address := strings.TrimPrefix(s.url, "http://")
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err != nil
	}, 10*time.Second, time.Millisecond, "new connections must be refused")
	select {
	case err := <-stopped:
		require.Fail(t, "it did not wait", err)
	default:
	}
	close(gate)
	a := <-answered
	assert.Equal(t, 200, a.Status, a.Message)
	assert.NoError(t, <-stopped)
}

func TestBaseURL(t *testing.T) {
	actual := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080}
	for addr, want := range map[string]string{
		"127.0.0.1:8080": "http://127.0.0.1:8080",
		"127.0.0.1:0":    "http://127.0.0.1:8080",
		":8080":          "http://localhost:8080",
		"0.0.0.0:8080":   "http://localhost:8080",
		"[::]:8080":      "http://localhost:8080",
		"[::1]:8080":     "http://[::1]:8080",
		"box.local:8080": "http://box.local:8080",
	} {
		assert.Equal(t, want, baseURL(addr, actual), addr)
	}
}
