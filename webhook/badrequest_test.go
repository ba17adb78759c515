package webhook

import (
	"bytes"
	"compress/gzip"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/carevia/stripebooking/webhook/webhooktest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestBadRequests sends every kind of bad request that comes to mind. Each names
// its answer, and after each nothing may be stored.
func TestBadRequests(t *testing.T) {
	const limit = 1 << 15
	good := webhooktest.SessionCompleted(webhooktest.Session{Amount: 5000, Metadata: map[string]string{
		"userId": "u1", "serviceId": "s1", "serviceName": "Care", "amountToPay": "50.00", "paymentOption": "full",
	}})
	require.Less(t, len(good), limit)

	// request is a delivery of payload with this signature header.
	request := func(payload []byte, header string) *http.Request {
		r := httptest.NewRequest(http.MethodPost, "/webhook", bytes.NewReader(payload))
		if header != "" {
			r.Header.Set("Stripe-Signature", header)
		}
		return r
	}
	// signed is a delivery whose signature is right.
	signed := func(payload string) *http.Request { return webhooktest.SignedRequest([]byte(payload), now, secret) }
	mac := func(t string, payload []byte) string {
		m := hmac.New(sha256.New, []byte(secret))
		m.Write([]byte(t + "."))
		m.Write(payload)
		return hex.EncodeToString(m.Sum(nil))
	}
	ts := fmt.Sprint(now.Unix())
	v1 := mac(ts, good)
	with := func(change func(r *http.Request)) *http.Request {
		r := webhooktest.SignedRequest(good, now, secret)
		change(r)
		return r
	}
	method := func(m string) *http.Request { return with(func(r *http.Request) { r.Method = m }) }
	at := func(d time.Duration) *http.Request { return webhooktest.SignedRequest(good, now.Add(d), secret) }
	event := func(id, kind, data string) string {
		return fmt.Sprintf(`{"id":%s,"object":"event","api_version":"2023-10-16","created":1736935200,"livemode":false,"type":%s,"data":%s}`, id, kind, data)
	}
	const session = `{"object":{"id":"cs_test_1","object":"checkout.session"}}`
	const id, kind = `"evt_1"`, `"checkout.session.completed"`
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write(good)
	_ = z.Close()

	const (
		noSignature  = "no signature provided"
		badSignature = "signature verification failed"
		badTime      = "signature timestamp is outside the tolerance"
		notEvent     = "not an event"
		tooLarge     = "request body is too large"
	)
	for _, tc := range []struct {
		name    string
		request *http.Request
		status  int
		message string
	}{
		// The method.
		{"GET", method(http.MethodGet), 405, "method not allowed"},
		{"HEAD", method(http.MethodHead), 405, "method not allowed"},
		{"PUT", method(http.MethodPut), 405, "method not allowed"},
		{"PATCH", method(http.MethodPatch), 405, "method not allowed"},
		{"DELETE", method(http.MethodDelete), 405, "method not allowed"},
		{"OPTIONS", method(http.MethodOptions), 405, "method not allowed"},
		{"lower-case post", method("post"), 405, "method not allowed"},

		// The size.
		{"one byte over the limit, signed", signed(string(padded(good, limit+1))), 413, tooLarge},
		{"far over the limit, without length", with(func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(&endless{}), -1
		}), 413, tooLarge},
		{"over the limit, with the length of a small one", with(func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(&endless{}), 10
		}), 413, tooLarge},
		{"a length over the limit, whatever follows", with(func(r *http.Request) { r.ContentLength = limit + 1 }), 413, tooLarge},
		{"exactly the limit, unsigned", request(bytes.Repeat([]byte(" "), limit), ""), 400, noSignature},
		{"a body that breaks off", with(func(r *http.Request) {
			r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(good[:50]), iotest.ErrReader(io.ErrUnexpectedEOF)))
		}), 400, "request body can't be read"},
		{"a connection that breaks", with(func(r *http.Request) {
			r.Body = io.NopCloser(iotest.ErrReader(errors.New("connection reset")))
		}), 400, "request body can't be read"},

		// The signature.
		{"no header", request(good, ""), 400, noSignature},
		{"an empty header", with(func(r *http.Request) { r.Header["Stripe-Signature"] = []string{""} }), 400, noSignature},
		{"two headers", with(func(r *http.Request) { r.Header.Add("Stripe-Signature", r.Header.Get("Stripe-Signature")) }), 400, badSignature},
		{"garbage", request(good, "garbage"), 400, badSignature},
		{"garbage with signs", request(good, "t==,,=v1=="), 400, badSignature},
		{"NUL bytes", request(good, "t="+ts+",v1=\x00"), 400, badSignature},
		{"a header of 64 KiB", request(good, strings.Repeat("v1=00,", 11000)), 400, badSignature},
		{"no time", request(good, "v1="+v1), 400, badSignature},
		{"no time, signed with the time that stripe-go takes instead", request(good, "v1="+mac("-62135596800", good)), 400, badSignature},
		{"no signature", request(good, "t="+ts), 400, badSignature},
		{"an empty signature", request(good, "t="+ts+",v1="), 400, badSignature},
		{"only v0", request(good, "t="+ts+",v0="+v1), 400, badSignature},
		{"an unknown scheme", request(good, "t="+ts+",v2="+v1), 400, badSignature},
		{"upper-case keys", request(good, "T="+ts+",V1="+v1), 400, badSignature},
		{"a signature that is cut off", request(good, "t="+ts+",v1="+v1[:62]), 400, badSignature},
		{"half a byte of a signature", request(good, "t="+ts+",v1="+v1[:63]), 400, badSignature},
		{"a signature that is too long", request(good, "t="+ts+",v1="+v1+"00"), 400, badSignature},
		{"one bit off", request(good, "t="+ts+",v1="+flip(v1)), 400, badSignature},
		{"not hex", request(good, "t="+ts+",v1="+strings.Repeat("zz", 32)), 400, badSignature},
		{"spaces after the comma", request(good, "t="+ts+", v1="+v1), 400, badSignature},
		{"a space before the time", request(good, "t= "+ts+",v1="+v1), 400, badSignature},
		{"semicolons", request(good, "t="+ts+";v1="+v1), 400, badSignature},
		{"another's secret", webhooktest.SignedRequest(good, now, "whsec_other"), 400, badSignature},
		{"the empty secret", webhooktest.SignedRequest(good, now, ""), 400, badSignature},
		{"the secret's name instead of it", webhooktest.SignedRequest(good, now, "STRIPE_WEBHOOK_SECRET"), 400, badSignature},
		{"another body's signature", request(good, webhooktest.Sign([]byte("{}"), secret, now)), 400, badSignature},
		{"a body that was formatted again", request(append([]byte("\n"), good...), "t="+ts+",v1="+v1), 400, badSignature},
		{"an empty body, unsigned", request(nil, "t="+ts+",v1="+v1), 400, badSignature},
		{"the right body, compressed on the way", with(func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(zipped.Bytes())), int64(zipped.Len())
			r.Header.Set("Content-Encoding", "gzip")
		}), 400, badSignature},

		// The time.
		{"too old", at(-5*time.Minute - time.Second), 400, badTime},
		{"a day old", at(-24 * time.Hour), 400, badTime},
		{"from the future", at(5*time.Minute + time.Second), 400, badTime},
		{"from next year", at(365 * 24 * time.Hour), 400, badTime},
		{"the time zero", request(good, "t=0,v1="+mac("0", good)), 400, badTime},
		{"a negative time", request(good, "t=-1,v1="+mac("-1", good)), 400, badTime},
		{"the largest time", request(good, "t=9223372036854775807,v1="+mac("9223372036854775807", good)), 400, badTime},
		{"the smallest time", request(good, "t=-9223372036854775808,v1="+mac("-9223372036854775808", good)), 400, badTime},
		{"a time beyond 64 bits", request(good, "t=9223372036854775808,v1="+v1), 400, badSignature},
		{"a time with a fraction", request(good, "t="+ts+".5,v1="+mac(ts+".5", good)), 400, badSignature},
		{"a time in hex", request(good, "t=0x6787861c,v1="+v1), 400, badSignature},
		{"milliseconds", request(good, "t="+ts+"000,v1="+mac(ts+"000", good)), 400, badTime},
		{"old, with a fresh time in front", request(good, "t="+ts+",t=1,v1="+mac("1", good)), 400, badSignature},
		{"old, with a fresh time behind", request(good, "t=1,t="+ts+",v1="+mac("1", good)), 400, badSignature},
		{"the same time twice", request(good, "t="+ts+",t="+ts+",v1="+v1), 400, badSignature},

		// Signed, but not an event.
		{"an empty body", signed(""), 400, notEvent},
		{"spaces", signed("   \n"), 400, notEvent},
		{"plain text", signed("hello"), 400, notEvent},
		{"a form", signed("id=evt_1&type=checkout.session.completed"), 400, notEvent},
		{"HTML", signed("<html></html>"), 400, notEvent},
		{"compressed, and signed so", signed(zipped.String()), 400, notEvent},
		{"null", signed("null"), 400, notEvent},
		{"true", signed("true"), 400, notEvent},
		{"a number", signed("42"), 400, notEvent},
		{"a text", signed(`"evt_1"`), 400, notEvent},
		{"an array", signed("[]"), 400, notEvent},
		{"an array of an event", signed("[" + string(good) + "]"), 400, notEvent},
		{"an empty object", signed("{}"), 400, notEvent},
		{"cut off", signed(string(good[:len(good)-1])), 400, notEvent},
		{"something behind it", signed(string(good) + "x"), 400, notEvent},
		{"a second event behind it", signed(string(good) + string(good)), 400, notEvent},
		{"a byte order mark", signed("\ufeff" + string(good)), 400, notEvent},
		{"UTF-16", signed("{\x00}\x00"), 400, notEvent},
		{"broken UTF-8", signed(strings.Replace(event(id, kind, session), "cs_test_1", "cs_\xff\xfe", 1)), 400, notEvent},
		{"broken UTF-8 where nobody looks", signed(strings.Replace(event(id, kind, session), `"id":"cs`, `"note":"`+"\xc3\x28"+`","id":"cs`, 1)), 400, notEvent},
		{"nested too deep", signed(event(id, kind, `{"object":{"id":"cs_test_1","object":"checkout.session","x":`+strings.Repeat("[", 10001)+strings.Repeat("]", 10001)+`}}`)), 400, notEvent},
		{"nested without end", signed(strings.Repeat(`{"data":`, 3000)), 400, notEvent},
		{"another object", signed(string(bytes.Replace([]byte(event(id, kind, session)), []byte(`"object":"event"`), []byte(`"object":"charge"`), 1))), 400, notEvent},
		{"no object", signed(strings.Replace(event(id, kind, session), `"object":"event",`, "", 1)), 400, notEvent},
		{"an event of version 2", signed(`{"id":"evt_1","object":"v2.core.event","type":"v1.billing.meter.error_report_triggered","created":"2025-01-15T10:00:00.000Z","related_object":{"id":"mtr_1","type":"billing.meter"}}`), 400, notEvent},
		{"a session without an event around it", signed(`{"id":"cs_test_1","object":"checkout.session","payment_status":"paid"}`), 400, notEvent},
		{"no id", signed(strings.Replace(event(id, kind, session), `"id":"evt_1",`, "", 1)), 400, notEvent},
		{"an empty id", signed(event(`""`, kind, session)), 400, notEvent},
		{"an id that is null", signed(event("null", kind, session)), 400, notEvent},
		{"an id that is a number", signed(event("1", kind, session)), 400, notEvent},
		{"an id that is an object", signed(event(`{"a":1}`, kind, session)), 400, notEvent},
		{"an id with NUL", signed(event(`"evt_\u0000"`, kind, session)), 400, notEvent},
		{"an id of 256 bytes", signed(event(`"`+strings.Repeat("e", 256)+`"`, kind, session)), 400, notEvent},
		{"no type", signed(strings.Replace(event(id, kind, session), `"type":`+kind+`,`, "", 1)), 400, notEvent},
		{"an empty type", signed(event(id, `""`, session)), 400, notEvent},
		{"a type that is a list", signed(event(id, `["checkout.session.completed"]`, session)), 400, notEvent},
		{"a type with NUL", signed(event(id, `"a\u0000b"`, session)), 400, notEvent},
		{"a type of 256 bytes", signed(event(id, `"`+strings.Repeat("t", 256)+`"`, session)), 400, notEvent},
		{"no data", signed(strings.Replace(event(id, kind, session), `,"data":`+session, "", 1)), 400, notEvent},
		{"data that is null", signed(event(id, kind, "null")), 400, notEvent},
		{"data that is text", signed(event(id, kind, `"x"`)), 400, notEvent},
		{"data without an object", signed(event(id, kind, "{}")), 400, notEvent},
		{"an object that is null", signed(event(id, kind, `{"object":null}`)), 400, notEvent},
		{"an object that is text", signed(event(id, kind, `{"object":"cs_test_1"}`)), 400, notEvent},
		{"an object that is a list", signed(event(id, kind, `{"object":[]}`)), 400, notEvent},
		{"an account that is a number", signed(strings.Replace(event(id, kind, session), `"livemode"`, `"account":5,"livemode"`, 1)), 400, notEvent},
		{"a livemode that is text", signed(strings.Replace(event(id, kind, session), `"livemode":false`, `"livemode":"no"`, 1)), 400, notEvent},
		{"no livemode", signed(strings.Replace(event(id, kind, session), `"livemode":false,`, ``, 1)), 400, notEvent},
		{"two ids", signed(strings.Replace(event(id, kind, session), `"object":"event"`, `"id":"evt_2","object":"event"`, 1)), 400, notEvent},
		{"two objects", signed(event(id, kind, `{"object":{"id":"cs_test_1","object":"checkout.session"},"object":{"id":"cs_test_2","object":"checkout.session"}}`)), 400, notEvent},
		{"two statuses, one with a long s", signed(event(id, kind, `{"object":{"id":"cs_test_1","object":"checkout.session","status":"open","ſtatus":"complete"}}`)), 400, notEvent},
		{"an id in capitals", signed(strings.Replace(event(id, kind, session), `"id":"evt_1"`, `"ID":"evt_1"`, 1)), 400, notEvent},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, func(c *Config) { c.MaxBody = limit; c.Secrets = []string{secret, "whsec_test_two"} })
			r.settler = &fake{store: r.store}
			w := httptest.NewRecorder()
			r.ServeHTTP(w, tc.request)
			b := requireAnswer(t, w, tc.status, false)
			assert.Equal(t, tc.message, b.Message)
			if tc.status == http.StatusMethodNotAllowed {
				assert.Equal(t, "POST", w.Header().Get("Allow"))
			}
			r.requireNothing(t)
			assert.Empty(t, r.logs.lines(t, "INFO"), "only verified events have their line")
		})
	}
}

// TestGoodRequests are those that look odd and are right all the same.
func TestGoodRequests(t *testing.T) {
	payload := custom("evt_good")
	header := webhooktest.Sign(payload, secret, now)
	ts, v1 := fmt.Sprint(now.Unix()), header[strings.Index(header, "v1=")+3:][:64]
	for _, tc := range []struct {
		name string
		make func() *http.Request
	}{
		{"as old as may be", func() *http.Request { return webhooktest.SignedRequest(payload, now.Add(-5*time.Minute), secret) }},
		{"as far in the future as may be", func() *http.Request { return webhooktest.SignedRequest(payload, now.Add(5*time.Minute), secret) }},
		{"signed with the second secret", func() *http.Request { return webhooktest.SignedRequest(payload, now, "whsec_test_two") }},
		{"signed with both, while a secret is rolled", func() *http.Request { return webhooktest.SignedRequest(payload, now, "whsec_test_two", secret) }},
		{"signed with one that is gone, and ours", func() *http.Request { return webhooktest.SignedRequest(payload, now, "whsec_gone", secret) }},
		{"upper-case hex", func() *http.Request {
			r := webhooktest.SignedRequest(payload, now, secret)
			r.Header.Set("Stripe-Signature", "t="+ts+",v1="+strings.ToUpper(v1))
			return r
		}},
		{"a wrong signature before the right one", func() *http.Request {
			r := webhooktest.SignedRequest(payload, now, secret)
			r.Header.Set("Stripe-Signature", "v1=00,t="+ts+",v1=zz,v1="+v1)
			return r
		}},
		{"exactly the limit, without length", func() *http.Request {
			r := webhooktest.SignedRequest(padded(payload, 4096), now, secret)
			r.ContentLength = -1
			return r
		}},
		{"no content type", func() *http.Request {
			r := webhooktest.SignedRequest(payload, now, secret)
			r.Header.Del("Content-Type")
			return r
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, func(c *Config) { c.MaxBody = 4096; c.Secrets = []string{secret, "whsec_test_two"} })
			w := httptest.NewRecorder()
			r.ServeHTTP(w, tc.make())
			requireAnswer(t, w, http.StatusOK, true)
			assert.Equal(t, "no_handler", r.row(t, "evt_good").Reason)
		})
	}
}

// TestLengthThatLies speaks HTTP by hand: a client cannot be made to lie.
func TestLengthThatLies(t *testing.T) {
	r := newRig(t, nil)
	srv := httptest.NewServer(r.Handler)
	defer srv.Close()
	payload := custom("evt_lie")
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	_, err = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nStripe-Signature: %s\r\nContent-Length: %d\r\n\r\n%s",
		webhooktest.Sign(payload, secret, now), len(payload)+100, payload)
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	answer, err := io.ReadAll(conn)
	require.NoError(t, err)
	assert.Contains(t, string(answer), "HTTP/1.1 400 ")
	r.requireNothing(t)
}

// padded is an event with spaces behind it, n bytes in all.
func padded(payload []byte, n int) []byte {
	return append(bytes.Clone(payload), bytes.Repeat([]byte(" "), n-len(payload))...)
}

func flip(hexed string) string {
	b, _ := hex.DecodeString(hexed)
	b[0] ^= 1
	return hex.EncodeToString(b)
}

// endless is a body that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}
