package payment

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/payment/stripetest"
	"github.com/carevia/stripebooking/store"
)

func byHeader(r *http.Request) (string, bool) {
	id := r.Header.Get("X-Test-User")
	return id, id != ""
}

type envelope struct {
	Success bool           `json:"success"`
	Message string         `json:"message"`
	Data    map[string]any `json:"data"`
}

func (w *world) post(h http.Handler, user, body string) (*httptest.ResponseRecorder, envelope) {
	w.t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("X-Test-User", user)
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	var e envelope
	require.NoError(w.t, json.Unmarshal(rec.Body.Bytes(), &e))
	assert.Equal(w.t, rec.Code < 300, e.Success)
	assert.Equal(w.t, "application/json; charset=utf-8", rec.Header().Get("Content-Type"))
	assert.Equal(w.t, "no-store", rec.Header().Get("Cache-Control"))
	assert.NotContains(w.t, rec.Body.String(), "payment: ", "no internal text leaves")
	return rec, e
}

func body(id string) string { return `{"sessionId":"` + id + `"}` }

// The table of the endpoints: the same for both where nothing else is said.
func TestEndpointTable(t *testing.T) {
	const user = "user_7"
	unpaid := map[string]string{"open session": "unpaid", "expired session": "expired", "delayed payment": "processing"}
	for _, c := range []struct {
		name    string
		user    string
		body    func(w *world) string
		status  int
		message string
	}{
		{"no caller", "", func(w *world) string { return body(w.paid(w.plainSession(false).ID).ID) }, 401, "Unauthorized"},
		{"body too large", user, func(*world) string { return `{"sessionId":"` + strings.Repeat("x", 70<<10) + `"}` }, 413, "Request body is too large"},
		{"empty body", user, func(*world) string { return "" }, 400, "Session ID is required"},
		{"not JSON", user, func(*world) string { return "sessionId=cs_test_1" }, 400, "Session ID is required"},
		{"cut JSON", user, func(*world) string { return `{"sessionId":"cs_test_1"` }, 400, "Session ID is required"},
		{"two values", user, func(*world) string { return `{"sessionId":"cs_test_1"}{}` }, 400, "Session ID is required"},
		{"a list", user, func(*world) string { return `["cs_test_1"]` }, 400, "Session ID is required"},
		{"null", user, func(*world) string { return "null" }, 400, "Session ID is required"},
		{"no session id", user, func(*world) string { return "{}" }, 400, "Session ID is required"},
		{"another key", user, func(*world) string { return `{"sessionid":"cs_test_1"}` }, 400, "Session ID is required"},
		{"null session id", user, func(*world) string { return `{"sessionId":null}` }, 400, "Session ID is required"},
		{"number", user, func(*world) string { return `{"sessionId":17}` }, 400, "Session ID is required"},
		{"object", user, func(*world) string { return `{"sessionId":{"$ne":""}}` }, 400, "Session ID is required"},
		{"empty session id", user, func(*world) string { return body("") }, 400, "Session ID is required"},
		{"an intent's id", user, func(*world) string { return body("pi_1") }, 400, "Session ID is required"},
		{"a path", user, func(*world) string { return body("cs_test_1/../../events") }, 400, "Session ID is required"},
		{"a query", user, func(*world) string { return body("cs_test_1?expand[]=customer") }, 400, "Session ID is required"},
		{"a line break", user, func(*world) string { return body(`cs_test_1\nX`) }, 400, "Session ID is required"},
		{"a NUL", user, func(*world) string { return body(`cs_test_1\u0000`) }, 400, "Session ID is required"},
		{"too long", user, func(*world) string { return body("cs_test_" + strings.Repeat("x", 250)) }, 400, "Session ID is required"},
		{"unknown session", user, func(*world) string { return body("cs_test_unknown") }, 404, "Payment session not found"},
		{"the other mode's session", user, func(*world) string { return body("cs_live_1") }, 404, "Payment session not found"},
		{"no metadata", user, func(w *world) string {
			ss, err := w.stripe.CreateSession(stripetest.SessionParams{Amount: 4500})
			require.NoError(w.t, err)
			return body(ss.ID)
		}, 400, "Invalid session metadata"},
		{"broken metadata", user, func(w *world) string {
			return body(w.plainSession(false, func(p *stripetest.SessionParams) {
				p.Metadata = map[string]string{"userId": "user_7", "amountToPay": "-1"}
			}).ID)
		}, 400, "Invalid session metadata"},
		{"another's session", "user_8", func(w *world) string { return body(w.paid(w.plainSession(false).ID).ID) }, 403, "Unauthorized access"},
		{"open session", user, func(w *world) string { return body(w.plainSession(false).ID) }, 400, "Payment not completed"},
		{"expired session", user, func(w *world) string {
			ss, err := w.stripe.Expire(w.plainSession(false).ID)
			require.NoError(w.t, err)
			return body(ss.ID)
		}, 400, "Payment not completed"},
		{"delayed payment", user, func(w *world) string {
			ss, err := w.stripe.PayDelayed(w.plainSession(false).ID)
			require.NoError(w.t, err)
			return body(ss.ID)
		}, 400, "Payment not completed"},
		{"Stripe away", user, func(w *world) string {
			w.stripe.FailNext(2, retrieveRoute, stripetest.Fault{Status: 500})
			return body(w.paid(w.plainSession(false).ID).ID)
		}, 502, msgStripeAway},
		{"Stripe cut off", user, func(w *world) string {
			w.stripe.FailNext(2, retrieveRoute, stripetest.Fault{Cut: true})
			return body(w.paid(w.plainSession(false).ID).ID)
		}, 502, msgStripeAway},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, kind := range []string{"confirm", "verify"} {
				w := newWorld(t)
				h := w.pay.ConfirmHandler(byHeader)
				if kind == "verify" {
					h = w.pay.VerifyHandler(byHeader)
				}
				rec, e := w.post(h, c.user, c.body(w))
				assert.Equal(t, c.status, rec.Code, kind)
				assert.Equal(t, c.message, e.Message, kind)
				if status := unpaid[c.name]; status != "" {
					assert.Equal(t, map[string]any{"processed": false, "status": status}, e.Data)
				} else {
					assert.Nil(t, e.Data)
				}
				assert.Zero(t, w.store.applies, "nothing was stored")
			}
		})
	}
}

func TestEndpointMethods(t *testing.T) {
	w := newWorld(t)
	for _, h := range []http.Handler{w.pay.ConfirmHandler(byHeader), w.pay.VerifyHandler(byHeader)} {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodOptions} {
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, httptest.NewRequest(method, "/", strings.NewReader(body("cs_test_1"))))
			assert.Equal(t, http.StatusMethodNotAllowed, rec.Code)
			assert.Equal(t, "POST", rec.Header().Get("Allow"))
		}
	}
}

func TestEndpointsDone(t *testing.T) {
	w := newWorld(t)
	confirm, verify := w.pay.ConfirmHandler(byHeader), w.pay.VerifyHandler(byHeader)
	ss := w.paid(w.plainSession(false).ID)

	rec, e := w.post(verify, "user_7", body(ss.ID))
	assert.Equal(t, 200, rec.Code)
	assert.Equal(t, "Payment successful, processing...", e.Message)
	assert.Equal(t, map[string]any{"processed": false}, e.Data)

	rec, e = w.post(confirm, "user_7", body(ss.ID))
	assert.Equal(t, 200, rec.Code)
	assert.Equal(t, "Payment confirmed and booking created", e.Message)
	want := map[string]any{
		"bookingId": w.bookings("user_7")[0].ID, "serviceName": "Home cleaning", "amount": "45.00", "amountMinor": 4500.0,
		"currency": "usd", "paymentOption": "half", "processed": true,
	}
	assert.Equal(t, want, e.Data)

	_, e = w.post(confirm, "user_7", body(ss.ID))
	assert.Equal(t, "Payment already processed", e.Message)
	assert.Equal(t, want, e.Data)

	_, e = w.post(verify, "user_7", body(ss.ID))
	assert.Equal(t, "Payment verified", e.Message)
	assert.Equal(t, want, e.Data)
}

func TestEndpointAmounts(t *testing.T) {
	for _, c := range []struct {
		currency, pay, text string
		minor               int64
	}{
		{"jpy", "4500", "4500", 4500},
		{"kwd", "45.000", "45.000", 45000},
	} {
		w := newWorld(t)
		ss := w.paid(w.plainSession(false, func(p *stripetest.SessionParams) {
			p.Currency, p.Amount = c.currency, c.minor
			p.Metadata["amountToPay"] = c.pay
		}).ID)
		_, e := w.post(w.pay.ConfirmHandler(byHeader), "user_7", body(ss.ID))
		assert.Equal(t, c.text, e.Data["amount"])
		assert.Equal(t, float64(c.minor), e.Data["amountMinor"])
		assert.Equal(t, c.currency, e.Data["currency"])
	}
}

func TestEndpointsConflicted(t *testing.T) {
	w := newWorld(t)
	ss := w.paid(w.plainSession(false, func(p *stripetest.SessionParams) { p.Amount = 4400 }).ID)
	for _, h := range []http.Handler{w.pay.ConfirmHandler(byHeader), w.pay.ConfirmHandler(byHeader), w.pay.VerifyHandler(byHeader)} {
		rec, e := w.post(h, "user_7", body(ss.ID))
		assert.Equal(t, 409, rec.Code)
		assert.Equal(t, msgConflicted, e.Message)
		assert.Equal(t, w.bookings("user_7")[0].ID, e.Data["bookingId"])
		assert.Equal(t, "44.00", e.Data["amount"])
		assert.Equal(t, false, e.Data["processed"])
	}
	assert.Equal(t, booking.ReasonAmount, w.bookings("user_7")[0].Reason)
}

func TestEndpointsDatabaseAway(t *testing.T) {
	w := newWorld(t)
	ss := w.paid(w.plainSession(false).ID)
	w.store.fail(func(store.Change) error { return errors.New("dial tcp: secretvalue refused") }, nil)
	rec, e := w.post(w.pay.ConfirmHandler(byHeader), "user_7", body(ss.ID))
	assert.Equal(t, 503, rec.Code)
	assert.Equal(t, msgDatabaseAway, e.Message)
	assert.NotEmpty(t, rec.Header().Get("Retry-After"))
	assert.NotContains(t, rec.Body.String(), "secretvalue")
	require.Len(t, w.log.all(), 1)
	assert.Contains(t, w.log.all()[0], ss.ID)
}

func TestVerifyHandlerWaits(t *testing.T) {
	for wait, want := range map[string]int{
		`2`: 5, `0.05`: 1, `9999`: 13, `1e300`: 13, // capped: 100+200+400+800 ms, then 8 whole seconds and a part
		`0`: 0, `-1`: 0, `"5"`: 0, `null`: 0, `{}`: 0,
	} {
		w := newWorld(t)
		ss := w.paid(w.plainSession(false).ID)
		before := w.store.reads.Load()
		_, e := w.post(w.pay.VerifyHandler(byHeader), "user_7", `{"sessionId":"`+ss.ID+`","wait":`+wait+`}`)
		assert.Equal(t, msgPending, e.Message)
		assert.Equal(t, int64(want+1), w.store.reads.Load()-before, wait)
	}
}
