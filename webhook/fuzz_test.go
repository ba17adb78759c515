package webhook

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/internal/jsonfuzz"
	"github.com/carevia/stripebooking/payment"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/memory"
	"github.com/carevia/stripebooking/webhook/webhooktest"
	"github.com/stretchr/testify/require"
	stripehook "github.com/stripe/stripe-go/v76/webhook"
)

// A delivery is accepted exactly when stripe-go accepts it with one of the
// secrets, but for what stripe-go lets pass: a time in the future beyond the
// tolerance, and several times, of which only the last was signed.
func FuzzSignature(f *testing.F) {
	const tolerance = time.Minute
	secrets := []string{"whsec_one", "whsec_two"}
	for _, header := range []string{
		"t={t},v1={1}", "t={t},v1={2},v0={1}", "t={t},v1={x},v1={2}", "v1={1},t={t}", "t={t},v1={X}", "t={t},v0={1}", "t={t}", "v1={1}", "",
		"t={t},t={t},v1={1}", "t=0,t={t},v1={1}", "t={t},t=0,v1={1}", "t={t},v1={1},,", "t={t},v1={1},a=b=c", "t={t}, v1={1}", "t=+{t},v1={1}",
		"t=0{t},v1={1}", "t={t},v1=zz,v1={1}", "T={t},V1={1}", "t={t},v1={1},v2={1}", "t={t},v1", "t={t},v1={1}\x00", "t={t},v1=={1}",
		"t=9223372036854775807,v1={1}", "t=-9223372036854775808,v1={1}", "t=9223372036854775808,v1={1}",
	} {
		for _, ago := range []int64{0, 3600, -3600, 55, -55, 65, -65} {
			f.Add([]byte("{}"), header, ago)
		}
	}
	f.Add([]byte{}, "t={t},v1={2}", int64(math.MaxInt64))
	f.Add([]byte{0xff, 0}, "t={t},v1={1}", int64(math.MinInt64))
	h, err := New(Config{Secrets: secrets, Store: &memory.Store{}, Mode: payment.Test, Tolerance: tolerance})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, payload []byte, header string, ago int64) {
		begun := time.Now() // both look at the clock of the machine
		at := time.Unix(begun.Unix()-ago, 0)
		sign := func(secret string) string {
			return hex.EncodeToString(stripehook.ComputeSignature(at, payload, secret))
		}
		header = strings.NewReplacer("{t}", fmt.Sprint(at.Unix()), "{1}", sign(secrets[0]), "{2}", sign(secrets[1]),
			"{X}", strings.ToUpper(sign(secrets[0])), "{x}", sign("whsec_other")).Replace(header)
		taken := false
		for _, secret := range secrets {
			taken = taken || stripehook.ValidatePayloadWithTolerance(payload, header, secret, tolerance) == nil
		}
		ours := h.verify(payload, []string{header})
		signed, _ := signedAt(header)
		ahead := signed.Sub(begun)
		if d := tolerance - max(ahead, -ahead); d > -2*time.Second && d < 2*time.Second || time.Since(begun) > time.Second {
			return // it depends on the instant
		}
		if ours == nil {
			require.True(t, taken, "accepted what stripe-go refuses: %q", header)
		}
		times := 0
		for _, pair := range strings.Split(header, ",") {
			if strings.HasPrefix(pair, "t=") {
				times++
			}
		}
		if taken && times == 1 && ahead < tolerance {
			require.NoError(t, ours, "refused what stripe-go accepts: %q", header)
		} else if times != 1 || ahead > tolerance {
			require.Error(t, ours, "%q", header)
		}
	})
}

// Whatever is signed is answered and recorded, and once more the same way; there
// is never a panic, nor a secret or what customers wrote in an answer or a log. The
// order of an event's fields, and what there is besides, make no difference. The
// input is any text, or one of the events with another value in one place.
func FuzzDeliver(f *testing.F) {
	meta := map[string]string{"userId": "u1", "serviceName": canary, "amountToPay": "50.00", "paymentOption": "half", "note": canary}
	marked := map[string]string{"stripebooking": "1", "bookingId": "bk_1", "bookingVersion": "1", "userId": "u1", "amountToPay": "50.00",
		"total": "100.00", "currency": "usd", "paymentOption": "half", "purpose": "deposit", "serviceName": canary}
	events := [][]byte{custom("evt_1")}
	for _, m := range []map[string]string{meta, marked, nil} {
		s, i := webhooktest.Session{Amount: 5000, Metadata: m, Reference: canary}, webhooktest.Intent{Amount: 5000, Metadata: m}
		events = append(events, webhooktest.SessionCompleted(s), webhooktest.SessionAsyncPaymentFailed(s), webhooktest.SessionExpired(s),
			webhooktest.IntentSucceeded(i), webhooktest.IntentFailed(i))
	}
	for i, e := range events {
		for pick := range uint8(2) {
			f.Add(e, uint8(0), uint16(0), "", pick)
			f.Add([]byte(nil), uint8(i), uint16(10), "", pick)
		}
	}
	for _, change := range [][2]string{
		{`"amount_total":5000`, `"amount_total":-5000`}, {`"amount_subtotal":5000`, `"amount_subtotal":20000`}, {`"amount_total":5000`, `"amount_total":9223372036854775807`}, {`"u1"`, `"\u0000"`}, {`"usd"`, `""`}, {`"usd"`, `"` + strings.Repeat("x", store.MaxID+1) + `"`},
		{`"pi_1"`, `{"id":"pi_1","status":"succeeded"}`}, {`"paid"`, `"unpaid"`}, {`"paid"`, `"no_payment_required"`}, {`"evt_`, `"\ud800_`},
		{`"payment_status"`, `"payment_\u017ftatus":"unpaid","payment_status"`}, {`"livemode":false`, `"livemode":true`}, {`"type":"checkout.session.completed"`, `"type":"payment_intent.succeeded"`},
		{`"50.00"`, `"49.00"`}, {`"50.00"`, `"CANARY"`}, {`"api_version":"2023-10-16"`, `"api_version":"\u0000"`}, {`"card"`, `"\u0000"`}, {`"created":1736935200`, `"created":-1`},
	} {
		for _, e := range [][]byte{events[1], events[6]} {
			require.Contains(f, string(e), change[0])
			for pick := range uint8(2) {
				f.Add(bytes.Replace(e, []byte(change[0]), []byte(change[1]), 1), uint8(0), uint16(0), "", pick)
			}
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte, which uint8, place uint16, value string, pick uint8) {
		if len(raw) == 0 {
			raw = jsonfuzz.Set(events[int(which)%len(events)], place, value, pick)
		}
		held := pick%2 == 1
		first := deliverTwice(t, raw, held)
		if turned := jsonfuzz.Turn(raw); turned != nil {
			require.Equal(t, first, deliverTwice(t, turned, held))
		}
	})
}

const canary = "CANARY"

// outcome is all that a delivery comes to.
type outcome struct {
	status  int
	message string
	row     store.Event // without the payload
	booking store.Booking
	payment store.Payment
}

// deliverTwice delivers a payload to a handler of its own, whose store holds the
// booking bk_1 or nothing, with all that must be true for every payload.
func deliverTwice(t *testing.T, raw []byte, held bool) (out outcome) {
	const key = "whsec_" + canary
	ctx, st, asked := context.Background(), &memory.Store{}, 0
	if held {
		o := booking.Order{BookingID: "bk_1", UserID: "u1", Option: store.OptionHalf, Purpose: store.PurposeDeposit, Total: 10000, Now: 5000, Currency: "usd"}
		q, err := booking.NewQuote(10000, "usd", store.OptionHalf)
		require.NoError(t, err)
		p, err := booking.Hold(o, q, nil, now.Add(time.Hour), false, "", store.Cause{By: "checkout"}, now)
		require.NoError(t, err)
		p.Change.Key = "hold"
		_, err = st.Apply(ctx, p.Change)
		require.NoError(t, err)
	}
	var logs bytes.Buffer
	pay, err := payment.New(payment.Config{
		Store: st, SecretKey: "sk_test_" + canary, Mode: payment.Test, Codecs: []booking.Codec{booking.Marked{}, booking.Plain{}},
		HTTPClient: &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			asked++
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"object":"list","data":[]}`))}, nil
		})},
		Now: func() time.Time { return now },
	})
	require.NoError(t, err)
	h, err := New(Config{Secrets: []string{key}, Store: st, Payments: pay, Mode: payment.Test, Logger: slog.New(slog.NewTextHandler(&logs, nil)),
		Now: func() time.Time { return now }})
	require.NoError(t, err)

	first := webhooktest.DeliverAt(h, raw, key, now)
	again := webhooktest.DeliverAt(h, raw, key, now)
	require.Equal(t, first.Code, again.Code)
	require.Equal(t, first.Body.String(), again.Body.String())
	require.LessOrEqual(t, asked, 2)
	var b body
	require.NoError(t, json.Unmarshal(first.Body.Bytes(), &b))
	out.status, out.message = first.Code, b.Message

	ev, err := decode(raw)
	rows, _, lerr := st.Events(ctx, store.EventFilter{}, store.Page{})
	require.NoError(t, lerr)
	if err != nil {
		require.Equal(t, http.StatusBadRequest, out.status)
		require.Equal(t, "not an event", out.message)
		require.Empty(t, rows)
	} else {
		require.True(t, utf8.Valid(raw))
		requireNoTwins(t, raw)
		requireNoTwins(t, ev.Object)
		require.Equal(t, http.StatusOK, out.status)
		require.Len(t, rows, 1)
		out.row = rows[0]
		out.row.Payload = nil
		require.Equal(t, ev.ID, out.row.ID)
		require.Equal(t, map[store.EventState]string{
			store.EventDone: "event processed", store.EventIgnored: "event ignored", store.EventDead: "event can't be processed",
		}[out.row.State], out.message)
		if out.row.BookingID != "" {
			out.booking, err = st.Booking(ctx, out.row.BookingID)
			require.NoError(t, err)
			require.True(t, out.booking.Paid >= 0 && out.booking.Due >= 0 && out.booking.Due <= out.booking.Total, "%+v", out.booking)
			payments, _, err := st.PaymentsByBooking(ctx, out.row.BookingID, store.Page{})
			require.NoError(t, err)
			require.LessOrEqual(t, len(payments), 1)
			if len(payments) > 0 {
				out.payment = payments[0]
			}
		}
	}

	told := logs.String() + first.Body.String() + out.row.Reason
	require.NotContains(t, told, "webhook: panic")
	if !strings.Contains(out.row.ID+out.row.Type+out.row.BookingID, canary) { // those are told
		require.NotContains(t, told, canary)
	}
	return out
}

// requireNoTwins fails if encoding/json takes two members of an object for one.
func requireNoTwins(t *testing.T, raw json.RawMessage) {
	t.Helper()
	var names []string
	dec := json.NewDecoder(bytes.NewReader(raw))
	_, err := dec.Token()
	require.NoError(t, err)
	for dec.More() && len(names) < 100 {
		name, err := dec.Token()
		require.NoError(t, err)
		for _, other := range names {
			require.False(t, strings.EqualFold(other, name.(string)), "%q and %q", other, name)
		}
		names = append(names, name.(string))
		var value json.RawMessage
		require.NoError(t, dec.Decode(&value))
	}
}

// roundTrip is Stripe, for a client without a network.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
