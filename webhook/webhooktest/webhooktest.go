package webhooktest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"
)

// Sign returns the Stripe-Signature header of a payload that was signed with
// secret at that time. Any time will do, old and future ones too.
func Sign(payload []byte, secret string, at time.Time) string {
	return header(payload, at, []string{secret})
}

// SignedRequest returns the POST request of a delivery that was signed at that
// time with all of the secrets, as Stripe does while one is rolled. Without any, it
// has only a v0 signature. Its path is /api/payment/webhook; for a server that has
// the webhook elsewhere, change its URL.
func SignedRequest(payload []byte, at time.Time, secrets ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/api/payment/webhook", bytes.NewReader(payload))
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set("Stripe-Signature", header(payload, at, secrets))
	return r
}

// Deliver gives h a payload that is signed now, as SignedRequest makes it, and
// returns what it answered. h is what takes the events, or a server that has it at
// /api/payment/webhook.
func Deliver(h http.Handler, payload []byte, secrets ...string) *httptest.ResponseRecorder {
	return deliver(h, SignedRequest(payload, time.Now(), secrets...))
}

// DeliverAt is Deliver at another time, such as that of a handler whose clock the
// test sets.
func DeliverAt(h http.Handler, payload []byte, secret string, at time.Time) *httptest.ResponseRecorder {
	return deliver(h, SignedRequest(payload, at, secret))
}

func deliver(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// Shuffle returns the events in an order that depends on the seed alone.
func Shuffle(seed int64, events ...[]byte) [][]byte {
	out := append([][]byte(nil), events...)
	rand.New(rand.NewSource(seed)).Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// header has a v1 signature for each secret, and the v0 that Stripe adds to test
// events and that nobody may trust.
// See https://docs.stripe.com/webhooks#verify-manually
func header(payload []byte, at time.Time, secrets []string) string {
	t := strconv.FormatInt(at.Unix(), 10)
	parts := []string{"t=" + t}
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(t + "."))
		mac.Write(payload)
		parts = append(parts, "v1="+hex.EncodeToString(mac.Sum(nil)))
	}
	fake := sha256.Sum256(payload)
	return strings.Join(append(parts, "v0="+hex.EncodeToString(fake[:])), ",")
}
