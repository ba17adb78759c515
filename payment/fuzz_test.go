package payment

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/internal/jsonfuzz"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/memory"
)

// Whatever comes as an event, a session or an intent is refused, or makes facts
// that all that follows can rely on; and they are the same whatever the order of
// the fields is, and what there is besides. The input is any text, or one of the
// fixtures with another value in one place.
func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	require.NoError(f, err)
	var fixtures [][]byte
	for _, file := range files {
		raw, err := os.ReadFile(file)
		require.NoError(f, err)
		fixtures = append(fixtures, raw)
	}
	// All that is read, in little.
	const (
		marked = `"metadata":{"stripebooking":"1","bookingId":"bk_1","bookingVersion":"1","userId":"u","amountToPay":"45.00","total":"90.00","currency":"usd","paymentOption":"half","purpose":"deposit"}`
		intent = `{"id":"pi_1","object":"payment_intent","status":"requires_payment_method","currency":"usd","amount":4500,"amount_received":0,"created":1,
			"payment_method_types":["card"],"payment_method":{"type":"card"},"latest_charge":{"payment_method_details":{"type":"link"}},
			"charges":{"data":[{"payment_method_details":{"type":"card"}}]},"last_payment_error":{"code":"card_declined","decline_code":"lost_card"},` + marked + `}`
		head = `{"id":"cs_1","object":"checkout.session","mode":"payment","status":"complete","currency":"usd","amount_subtotal":4500,"livemode":false,"created":1,"expires_at":2,`
	)
	for _, small := range []string{
		intent,
		head + `"payment_status":"unpaid","payment_intent":` + intent + `,"currency_conversion":{"source_currency":"usd","amount_subtotal":4500,"amount_total":4500},` + marked + `}`,
		head + `"payment_status":"paid","payment_intent":"pi_1","amount_total":4500,"total_details":{"amount_discount":0,"amount_shipping":0,"amount_tax":0},` + marked + `}`,
		head + `"payment_status":"paid","payment_intent":"pi_1","payment_method_types":["card"],"metadata":{"userId":"u","amountToPay":"45.00"}}`,
	} {
		for place := range strings.Count(small, ":") {
			f.Add([]byte(nil), uint8(len(fixtures)), uint16(place), "", uint8(place))
		}
		fixtures = append(fixtures, []byte(small))
	}
	for i, raw := range fixtures {
		f.Add(raw, uint8(0), uint16(0), "", uint8(0))
		f.Add([]byte(nil), uint8(i), uint16(10), "", uint8(10))
	}
	f.Fuzz(func(t *testing.T, raw []byte, which uint8, place uint16, value string, pick uint8) {
		if len(raw) == 0 {
			raw = jsonfuzz.Set(fixtures[int(which)%len(fixtures)], place, value, pick)
		}
		turned := jsonfuzz.Turn(raw)
		object, other := raw, turned
		e, err := DecodeEvent(raw)
		if err != nil {
			require.ErrorIs(t, err, ErrNotEvent)
			require.Equal(t, Event{}, e)
		} else {
			require.NoError(t, store.CheckID("id", e.ID))
			require.NoError(t, store.CheckID("type", e.Type))
			require.True(t, e.ObjectID == "" || store.CheckID("object id", e.ObjectID) == nil)
			object = e.Object
		}
		if turned != nil {
			again, err2 := DecodeEvent(turned)
			require.Equal(t, err == nil, err2 == nil, "%v, %v", err, err2)
			if err == nil {
				other = again.Object
			}
			e.Object, e.Raw, again.Object, again.Raw = nil, nil, nil, nil
			require.Equal(t, e, again)
		}
		for _, kind := range []string{"", completed, asyncFailed, expired} {
			ss, err := decodeSession(object, kind)
			if other != nil {
				again, err2 := decodeSession(other, kind)
				require.Equal(t, err == nil, err2 == nil, "%v, %v", err, err2)
				require.Equal(t, ss, again)
			}
			if err == nil {
				require.NoError(t, store.CheckID("session", ss.facts.SessionID))
				sound(t, ss.facts)
			}
		}
		in, err := decodeIntent(object)
		if other != nil {
			again, err2 := decodeIntent(other)
			require.Equal(t, err == nil, err2 == nil, "%v, %v", err, err2)
			require.Equal(t, in, again)
		}
		if err == nil {
			require.NoError(t, store.CheckID("intent", in.PaymentIntentID))
			sound(t, in)
		}
	})
}

// sound checks facts, and what is planned from them.
func sound(t *testing.T, f booking.Facts) {
	for _, id := range []string{f.SessionID, f.PaymentIntentID, f.FailureCode, f.PaymentMethod} {
		require.True(t, id == "" || store.CheckID("id", id) == nil, "%q", id)
	}
	if checkMoney(f) != nil {
		return // Settle refuses it
	}
	for _, codec := range []booking.Codec{booking.Marked{}, booking.Plain{}} {
		o, err := codec.Decode(f)
		if err != nil {
			continue
		}
		for _, id := range []string{o.BookingID, o.UserID, o.Currency} {
			require.NoError(t, store.CheckID("id", id))
		}
		p, err := booking.Settle(booking.Stored{}, o, f, store.Cause{By: "webhook"}, time.Unix(1, 0), false)
		require.NoError(t, err)
		if p.Change.Booking == nil {
			continue
		}
		p.Change.Key = "k"
		require.True(t, f.Standing() == booking.Paid || f.Standing() == booking.Free, f.Standing())
		require.True(t, p.Change.Booking.Paid >= 0 && p.Change.Booking.Due >= 0, "%+v", p.Change.Booking)
		require.NoError(t, p.Change.Validate())
	}
}

// Whatever a page sends, the endpoints answer in their own words, ask Stripe about
// nothing but what looks like a session, and tell no secret and nothing of another
// customer's.
func FuzzEndpoints(f *testing.F) {
	const canary = "CANARY"
	metadata := func(user string) map[string]string {
		return map[string]string{"userId": user, "serviceName": "Cleaning", "amountToPay": "45.00", "note": canary}
	}
	sessions := map[string]session{}
	for id, s := range map[string]booking.Facts{
		"cs_test_paid":    {SessionStatus: "complete", PaymentStatus: "paid", PaymentIntentID: "pi_1", Amount: 4500, Subtotal: 4500, Metadata: metadata("u1")},
		"cs_test_another": {SessionStatus: "complete", PaymentStatus: "paid", PaymentIntentID: "pi_2", Amount: 4500, Subtotal: 4500, Metadata: metadata(canary)},
		"cs_test_less":    {SessionStatus: "complete", PaymentStatus: "paid", PaymentIntentID: "pi_3", Amount: 4400, Subtotal: 4400, Metadata: metadata("u1")},
		"cs_test_open":    {SessionStatus: "open", PaymentStatus: "unpaid", Metadata: metadata("u1")},
		"cs_test_expired": {SessionStatus: "expired", PaymentStatus: "unpaid", Metadata: metadata("u1")},
		"cs_test_broken":  {SessionStatus: "complete", PaymentStatus: "paid", PaymentIntentID: "pi_4", Metadata: map[string]string{"userId": canary}},
		"cs_test_foreign": {SessionStatus: "complete", PaymentStatus: "paid", PaymentIntentID: "pi_5", Metadata: map[string]string{"note": canary}},
		"cs_test_live":    {SessionStatus: "complete", PaymentStatus: "paid", PaymentIntentID: "pi_6", Livemode: true, Metadata: metadata("u1")},
	} {
		s.SessionID, s.Mode, s.Currency = id, "payment", "usd"
		sessions[id] = session{facts: s}
		for _, body := range []string{`{"sessionId":"` + id + `"}`, `{"sessionId":" ` + id + `\n","wait":0.5}`} {
			f.Add(http.MethodPost, []byte(body), "u1", "Content-Type", "application/json", uint8(len(sessions)))
		}
	}
	for _, body := range []string{
		``, `{}`, `[]`, `null`, `{"sessionId":17}`, `{"sessionId":"cs_test_away"}`, `{"sessionId":"cs_live_1"}`, `{"sessionId":"cs_test_1/../../events"}`,
		`{"sessionid":"cs_test_paid"}`, `{"sessionId":"cs_test_open","sessionId":"cs_test_paid"}`, `{"sessionId":"cs_test_paid","wait":1e400}`,
		`{"sessionId":"cs_test_paid","wait":{}}`, `{"sessionId":"CANARY"}`, strings.Repeat(" ", maxBody+1), "\xff",
	} {
		f.Add(http.MethodPost, []byte(body), "u1", "Content-Encoding", canary, uint8(1))
		f.Add(http.MethodGet, []byte(body), "u1", "", "", uint8(0))
	}
	f.Add(http.MethodPost, []byte(`{"sessionId":"cs_test_paid"}`), "", "", "", uint8(0))
	words := map[int][]string{
		200: {msgPending, msgVerified, msgConfirmed, msgAlready}, 400: {msgNoSessionID, msgMetadata, msgNotPaid}, 401: {msgCaller}, 403: {msgOwner},
		404: {msgNoSession}, 405: {msgMethod}, 409: {msgConflicted}, 413: {msgTooLarge}, 502: {msgStripeAway}, 503: {msgDatabaseAway},
	}
	f.Fuzz(func(t *testing.T, method string, body []byte, user, header, value string, pick uint8) {
		log := &logged{}
		st := &faulty{Store: &memory.Store{}}
		pay, err := New(Config{Store: st, SecretKey: "sk_test_" + canary, Mode: Test, Codecs: []booking.Codec{booking.Marked{}, booking.Plain{}},
			Logger: slog.New(log), HTTPClient: tripwire(t)})
		require.NoError(t, err)
		api := &sessionsOnly{sessions: sessions}
		pay.stripe, pay.after = api, unhurried
		confirm, verify := pay.ConfirmHandler(byHeader), pay.VerifyHandler(byHeader)
		for _, h := range []http.Handler{verify, confirm, verify, confirm}[pick%2:] {
			r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
			r.Method = method
			r.Header[http.CanonicalHeaderKey(header)] = []string{value}
			r.Header.Set("X-Test-User", user)
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, r)

			require.Equal(t, "application/json; charset=utf-8", rec.Header().Get("Content-Type"))
			require.NotContains(t, rec.Body.String(), canary)
			var got envelope
			dec := json.NewDecoder(rec.Body)
			dec.DisallowUnknownFields()
			require.NoError(t, dec.Decode(&got))
			require.Contains(t, words[rec.Code], got.Message, rec.Code)
			require.Equal(t, rec.Code == 200, got.Success)
			require.Equal(t, rec.Code == 200 || rec.Code == 409 || rec.Code == 400 && got.Data["status"] != nil, got.Data != nil)
			require.Equal(t, rec.Code == 502 || rec.Code == 503, rec.Header().Get("Retry-After") != "")
			if rec.Code == 200 || rec.Code == 409 {
				require.Equal(t, http.MethodPost, method)
				require.Equal(t, "u1", user)
				require.Subset(t, []string{"cs_test_paid", "cs_test_less"}, api.asked)
			} else {
				require.Zero(t, st.applies, "nothing is stored for who gets an error")
			}
		}
		for _, id := range api.asked {
			var sent map[string]json.RawMessage
			var named string
			require.NoError(t, json.Unmarshal(body, &sent))
			require.NoError(t, json.Unmarshal(sent["sessionId"], &named), "by that name, in that case")
			require.Equal(t, strings.TrimSpace(named), id)
			require.Regexp(t, `^cs_test_[A-Za-z0-9]+$`, id)
		}
		for _, line := range log.all() {
			require.NotContains(t, line, canary)
		}
	})
}

// sessionsOnly is Stripe as far as the endpoints need it.
type sessionsOnly struct {
	stripeAPI
	sessions map[string]session
	asked    []string
}

func (s *sessionsOnly) session(_ context.Context, id string) (session, error) {
	s.asked = append(s.asked, id)
	if id == "cs_test_away" {
		return session{}, ErrStripe
	}
	ss, ok := s.sessions[id]
	if !ok {
		return session{}, ErrNoSession
	}
	return ss, nil
}
