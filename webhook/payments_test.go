package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/payment"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/webhook/webhooktest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// stripe stands for the one call to Stripe that an intent's event can need: the
// list of the sessions that made it. nil: it is away.
type stripe struct{ sessions []json.RawMessage }

func (s *stripe) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Stripe-Should-Retry", "false")
	if s == nil {
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write([]byte(`{"error":{"type":"api_error","message":"away"}}`))
		return
	}
	list := map[string]any{"object": "list", "data": s.sessions, "has_more": false, "url": "/v1/checkout/sessions"}
	if s.sessions == nil {
		list["data"] = []any{}
	}
	_ = json.NewEncoder(w).Encode(list)
}

// newPaidRig is a rig with a real payment service.
func newPaidRig(t *testing.T, api *stripe, change func(*Config)) *rig {
	t.Helper()
	srv := httptest.NewServer(api)
	t.Cleanup(srv.Close)
	return newRig(t, func(c *Config) {
		pay, err := payment.New(payment.Config{
			Store: c.Store, SecretKey: "sk_test_1", Mode: payment.Test, APIBase: srv.URL,
			Codecs: []booking.Codec{booking.Marked{}, booking.Plain{}}, Now: c.Now, Logger: c.Logger,
		})
		require.NoError(t, err)
		c.Payments = pay
		if change != nil {
			change(c)
		}
	})
}

// plain is the metadata of a site with the guide's keys: 50.00 for a service.
func plain() map[string]string {
	return map[string]string{
		"userId": "u1", "serviceId": "s1", "serviceName": "Care", "amountToPay": "50.00", "paymentOption": "full",
	}
}

// booked are the bookings of u1, and the payments.
func (r *rig) booked(t *testing.T) ([]store.Booking, []store.Payment) {
	t.Helper()
	ctx := context.Background()
	bookings, _, err := r.store.BookingsByUser(ctx, "u1", store.Page{})
	require.NoError(t, err)
	payments, _, err := r.store.PaymentsByUser(ctx, "u1", store.Page{})
	require.NoError(t, err)
	return bookings, payments
}

// objectOf is what an event is about.
func objectOf(t *testing.T, event []byte) json.RawMessage {
	t.Helper()
	var e struct {
		Data struct{ Object json.RawMessage }
	}
	require.NoError(t, json.Unmarshal(event, &e))
	return e.Data.Object
}

// TestBuiltIn is the table of answers with the real payment service: what each of
// the built-in types comes to.
func TestBuiltIn(t *testing.T) {
	session := func(change func(*webhooktest.Session)) webhooktest.Session {
		s := webhooktest.Session{EventID: "evt_1", Amount: 5000, Metadata: plain()}
		if change != nil {
			change(&s)
		}
		return s
	}
	meta := func(key, value string) func(*webhooktest.Session) {
		return func(s *webhooktest.Session) { s.Metadata[key] = value }
	}
	intent := webhooktest.Intent{EventID: "evt_1", Amount: 5000, Metadata: plain()}
	bare := webhooktest.Intent{EventID: "evt_1", Amount: 5000}
	paid := webhooktest.SessionCompleted(session(nil))
	none := &stripe{}
	marked, err := booking.Marked{}.Encode(booking.Order{
		BookingID: "bk_1", UserID: "u1", ServiceID: "s1", ServiceName: "Care", Option: store.OptionFull, Purpose: store.PurposeFull,
		Total: 5000, Now: 5000, Currency: "usd",
	})
	require.NoError(t, err)

	for _, tc := range []struct {
		delivery string
		payload  []byte
		api      *stripe

		status   int
		success  bool
		state    store.EventState
		reason   string
		booking  store.State // empty: there is none
		payments int
	}{
		{"session completed, paid", paid, none, 200, true, store.EventDone, "", store.StateConfirmed, 1},
		{"session completed, paid, tax on top", webhooktest.SessionCompleted(session(func(s *webhooktest.Session) { s.Tax, s.Amount = 500, 5500 })), none, 200, true, store.EventDone, "", store.StateConfirmed, 1},
		{"session completed, not paid yet", webhooktest.SessionCompleted(session(func(s *webhooktest.Session) { s.PaymentStatus = "unpaid" })), none, 200, true, store.EventDone, "", "", 0},
		{"async payment succeeded", webhooktest.SessionAsyncPaymentSucceeded(session(nil)), none, 200, true, store.EventDone, "", store.StateConfirmed, 1},
		{"async payment failed", webhooktest.SessionAsyncPaymentFailed(session(nil)), none, 200, true, store.EventDone, "payment_intent_payment_attempt_failed", "", 0},
		{"session expired", webhooktest.SessionExpired(session(nil)), none, 200, true, store.EventDone, "", "", 0},

		{"intent succeeded, first of all", webhooktest.IntentSucceeded(intent), none, 200, true, store.EventDone, "", store.StateConfirmed, 1},
		{"intent succeeded, its session at Stripe is ours", webhooktest.IntentSucceeded(bare), &stripe{sessions: []json.RawMessage{objectOf(t, paid)}}, 200, true, store.EventDone, "", store.StateConfirmed, 1},
		{"intent succeeded, no metadata and no session", webhooktest.IntentSucceeded(bare), none, 200, true, store.EventIgnored, "not_ours", "", 0},
		{"intent succeeded, Stripe away", webhooktest.IntentSucceeded(bare), nil, 503, false, store.EventFailed, "", "", 0},
		{"intent failed", webhooktest.IntentFailed(webhooktest.Intent{EventID: "evt_1", Amount: 5000, Metadata: plain(), FailureCode: "insufficient_funds"}), none, 200, true, store.EventDone, "insufficient_funds", "", 0},

		{"another amount", webhooktest.SessionCompleted(session(func(s *webhooktest.Session) { s.Amount = 4999 })), none, 200, true, store.EventDone, "amount_mismatch", store.StateConflicted, 1},
		{"a currency that nobody knows", webhooktest.SessionCompleted(session(func(s *webhooktest.Session) { s.Currency, s.Metadata = "usdcoin", marked })), none, 200, true, store.EventDone, "currency_mismatch", store.StateConflicted, 1},
		{"an amount that can't be", webhooktest.SessionCompleted(session(func(s *webhooktest.Session) { s.Tax = -500 })), none, 200, false, store.EventDead, "", "", 0},
		{"an amount that can't be, of an intent", webhooktest.IntentSucceeded(webhooktest.Intent{EventID: "evt_1", Amount: 1e16, Metadata: plain()}), none, 200, false, store.EventDead, "", "", 0},
		{"an amount that can't be, of another's", webhooktest.SessionCompleted(session(func(s *webhooktest.Session) { s.Tax, s.Metadata = -500, nil })), none, 200, true, store.EventIgnored, "not_ours", "", 0},
		{"none of the keys", webhooktest.SessionCompleted(session(func(s *webhooktest.Session) { s.Metadata = map[string]string{"order": "1"} })), none, 200, true, store.EventIgnored, "not_ours", "", 0},
		{"no metadata", webhooktest.SessionCompleted(session(func(s *webhooktest.Session) { s.Metadata = nil })), none, 200, true, store.EventIgnored, "not_ours", "", 0},
		{"a subscription", webhooktest.SessionCompleted(session(func(s *webhooktest.Session) { s.Mode = "subscription" })), none, 200, true, store.EventIgnored, "not_a_one_off_payment", "", 0},
		{"some of the keys are missing", webhooktest.SessionCompleted(session(func(s *webhooktest.Session) { delete(s.Metadata, "userId") })), none, 200, false, store.EventDead, "", "", 0},
		{"an amount that is no number", webhooktest.SessionCompleted(session(meta("amountToPay", "fifty"))), none, 200, false, store.EventDead, "", "", 0},
		{"an option that is none", webhooktest.SessionCompleted(session(meta("paymentOption", "third"))), none, 200, false, store.EventDead, "", "", 0},
		{"a session's id with NUL", webhooktest.SessionCompleted(session(func(s *webhooktest.Session) { s.ID = "cs_\x00" })), none, 200, false, store.EventDead, "", "", 0},
		{"a session's id of 256 bytes", webhooktest.SessionCompleted(session(func(s *webhooktest.Session) { s.ID = strings.Repeat("c", 256) })), none, 200, false, store.EventDead, "", "", 0},
		{"a user's id with NUL", webhooktest.SessionCompleted(session(meta("userId", "u\x00"))), none, 200, false, store.EventDead, "", "", 0},
	} {
		t.Run(tc.delivery, func(t *testing.T) {
			r := newPaidRig(t, tc.api, nil)
			for range 3 { // and again: the answer is the same, and so is what is stored
				requireAnswer(t, r.deliver(tc.payload), tc.status, tc.success)
				row := r.row(t, "evt_1")
				assert.Equal(t, tc.state, row.State)
				if tc.reason != "" || tc.success {
					assert.Equal(t, tc.reason, row.Reason)
				} else {
					assert.NotEmpty(t, row.Reason)
				}
				bookings, payments := r.booked(t)
				if tc.booking == "" {
					assert.Empty(t, bookings)
				} else if assert.Len(t, bookings, 1) {
					assert.Equal(t, tc.booking, bookings[0].State)
					assert.Equal(t, tc.reason, bookings[0].Reason)
					assert.Equal(t, bookings[0].ID, row.BookingID)
				}
				assert.Len(t, payments, tc.payments)
			}
		})
	}
}

// TestHandlerGetsTheBooking: a handler of one's own sees what was settled, also
// when it runs again.
func TestHandlerGetsTheBooking(t *testing.T) {
	r := newPaidRig(t, &stripe{}, nil)
	var seen []Event
	r.Handle("checkout.session.completed", func(_ context.Context, e Event) error {
		seen = append(seen, e.clone())
		e.Booking.State = "changed" // its own copy
		if len(seen) < 3 {
			return errAway
		}
		return nil
	})
	e := webhooktest.SessionCompleted(webhooktest.Session{EventID: "evt_1", Amount: 5000, Metadata: plain()})
	requireAnswer(t, r.deliver(e), 503, false)
	bookings, payments := r.booked(t)
	require.Len(t, bookings, 1, "the booking is there, whatever the handler says")
	assert.Equal(t, bookings[0].ID, r.row(t, "evt_1").BookingID)
	requireAnswer(t, r.deliver(e), 503, false)
	requireAnswer(t, r.deliver(e), 200, true)
	require.Len(t, seen, 3)
	for _, s := range seen {
		require.NotNil(t, s.Booking)
		require.NotNil(t, s.Payment)
		assert.Equal(t, bookings[0], *s.Booking)
		assert.Equal(t, payments[0], *s.Payment)
	}
}

// TestReplayWithANewCodec: an event that was not ours becomes ours, with its
// booking, and a handler that failed then still gets the booking at the next
// delivery.
func TestReplayWithANewCodec(t *testing.T) {
	ctx := context.Background()
	marked, err := payment.New(payment.Config{Store: &probe{}, SecretKey: "sk_test_1", Mode: payment.Test})
	require.NoError(t, err)
	both := newPaidRig(t, &stripe{}, nil)
	e := webhooktest.SessionCompleted(webhooktest.Session{EventID: "evt_1", Amount: 5000, Metadata: plain()})

	before := newRig(t, func(c *Config) { c.Store, c.Payments = both.store, marked.With(both.store) })
	before.store = both.store
	requireAnswer(t, before.deliver(e), 200, true)
	assert.Equal(t, "not_ours", before.row(t, "evt_1").Reason)

	fails := true
	both.HandleAll(func(_ context.Context, e Event) error {
		if fails {
			return errAway
		}
		require.NotNil(t, e.Booking)
		require.NotNil(t, e.Payment)
		return nil
	})
	requireAnswer(t, both.deliver(e), 200, true)
	assert.Equal(t, store.EventIgnored, both.row(t, "evt_1").State, "a delivery does not look at it again")
	require.ErrorIs(t, both.Replay(ctx, "evt_1", "alice"), errAway)
	bookings, payments := both.booked(t)
	require.Len(t, bookings, 1)
	require.Len(t, payments, 1)
	history, err := both.store.History(ctx, bookings[0].ID)
	require.NoError(t, err)
	assert.Equal(t, store.Cause{By: "replay", ID: "alice"}, history[0].Cause)
	assert.Equal(t, store.EventFailed, both.row(t, "evt_1").State)

	fails = false
	requireAnswer(t, both.deliver(e), 200, true)
	assert.Equal(t, store.EventDone, both.row(t, "evt_1").State)
}

// TestDeadThenReplayed: broken metadata that a corrected codec can read.
func TestDeadThenReplayed(t *testing.T) {
	ctx := context.Background()
	r := newPaidRig(t, &stripe{}, nil)
	broken := plain()
	broken["amountToPay"] = "50,00"
	e := webhooktest.SessionCompleted(webhooktest.Session{EventID: "evt_1", Amount: 5000, Metadata: broken})
	requireAnswer(t, r.deliver(e), 200, false)
	require.ErrorIs(t, r.Replay(ctx, "evt_1", "alice"), booking.ErrMetadata)
	bookings, _ := r.booked(t)
	require.Empty(t, bookings)

	mended, err := payment.New(payment.Config{
		Store: r.store, SecretKey: "sk_test_1", Mode: payment.Test, Now: r.cfg.Now,
		Codecs: []booking.Codec{booking.Marked{}, commas{}},
	})
	require.NoError(t, err)
	after := newRig(t, func(c *Config) { c.Store, c.Payments = r.store, mended })
	n, err := after.ReplayAll(ctx, store.EventFilter{State: store.EventDead}, "alice")
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	bookings, payments := r.booked(t)
	require.Len(t, bookings, 1)
	assert.Len(t, payments, 1)
	assert.Equal(t, store.EventDone, r.row(t, "evt_1").State)
}

// commas reads plain metadata whose amounts are written with a comma.
type commas struct{ booking.Plain }

func (c commas) Decode(f booking.Facts) (booking.Order, error) {
	f.Metadata["amountToPay"] = strings.ReplaceAll(f.Metadata["amountToPay"], ",", ".")
	return c.Plain.Decode(f)
}

// TestAnyOrderAnyNumber: both types of events, three times each, under two event
// ids each, at the same time and in any order: one booking and one payment.
func TestAnyOrderAnyNumber(t *testing.T) {
	for seed := range int64(20) {
		r := newPaidRig(t, &stripe{}, nil)
		var events [][]byte
		for range 3 {
			for _, id := range []string{"a", "b"} {
				events = append(events,
					webhooktest.SessionCompleted(webhooktest.Session{EventID: "evt_s_" + id, Amount: 5000, Metadata: plain()}),
					webhooktest.IntentSucceeded(webhooktest.Intent{EventID: "evt_i_" + id, Amount: 5000, Metadata: plain()}))
			}
		}
		var wg sync.WaitGroup
		for i, e := range webhooktest.Shuffle(seed, events...) {
			if i%4 == 3 {
				wg.Wait() // partly at the same time, partly one after the other
			}
			wg.Add(1)
			go func() {
				defer wg.Done()
				w := r.deliver(e)
				assert.Equal(t, http.StatusOK, w.Code, w.Body.String())
			}()
		}
		wg.Wait()
		bookings, payments := r.booked(t)
		require.Len(t, bookings, 1, "seed %d", seed)
		require.Len(t, payments, 1, "seed %d", seed)
		assert.Equal(t, store.StateConfirmed, bookings[0].State)
		assert.Equal(t, int64(5000), bookings[0].Paid)
		assert.Equal(t, "cs_test_1", payments[0].SessionID)
		for _, id := range []string{"evt_s_a", "evt_s_b", "evt_i_a", "evt_i_b"} {
			row := r.row(t, id)
			assert.Equal(t, store.EventDone, row.State)
			assert.Equal(t, bookings[0].ID, row.BookingID)
		}
	}
}

// fixtures are the events of several API versions, by version.
func fixtures(t testing.TB) map[string][][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/*.json")
	require.NoError(t, err)
	byVersion := map[string][][]byte{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		var e struct {
			Version string `json:"api_version"`
			Type    string `json:"type"`
		}
		require.NoError(t, json.Unmarshal(raw, &e))
		require.Equal(t, e.Version+"."+e.Type+".json", filepath.Base(file))
		byVersion[e.Version] = append(byVersion[e.Version], raw)
	}
	require.Len(t, byVersion, 5)
	return byVersion
}

// TestVersions delivers the fixtures of several API versions, and each in a
// version that nobody knows yet.
func TestVersions(t *testing.T) {
	byVersion := fixtures(t)
	for version, events := range fixtures(t) {
		for _, raw := range events {
			future := bytes.Replace(raw, []byte(`"api_version": "`+version), []byte(`"api_version": "2099-01-01.future`), 1)
			byVersion["future, shaped as "+version] = append(byVersion["future, shaped as "+version], future)
		}
	}
	for version, events := range byVersion {
		require.Len(t, events, 2)
		for seed := range int64(4) {
			t.Run(fmt.Sprint(version, ", order ", seed), func(t *testing.T) {
				ctx := context.Background()
				r := newPaidRig(t, &stripe{}, nil)
				var want *store.Booking
				for _, e := range webhooktest.Shuffle(seed, events...) {
					requireAnswer(t, r.deliver(e), 200, true)
					ev, err := decode(e)
					require.NoError(t, err)
					row := r.row(t, ev.ID)
					assert.Equal(t, store.EventDone, row.State)
					b, err := r.store.Booking(ctx, row.BookingID)
					require.NoError(t, err)
					if want == nil {
						want = &b
					}
					assert.Equal(t, want.ID, b.ID, "both events lead to one booking")
					assert.Equal(t, store.StateConfirmed, b.State)
					assert.Equal(t, int64(15050), b.Total)
					assert.Equal(t, int64(15050), b.Paid)
					assert.Equal(t, "usd", b.Currency)
					assert.Equal(t, "svc_elder_care", b.ServiceID)
					assert.Equal(t, "Ring twice", b.Details["careNote"])
					payments, _, err := r.store.PaymentsByBooking(ctx, b.ID, store.Page{})
					require.NoError(t, err)
					require.Len(t, payments, 1)
					assert.Equal(t, int64(15050), payments[0].Amount)
					assert.Equal(t, "card", payments[0].PaymentMethod)
					assert.Equal(t, store.StatusSucceeded, payments[0].Status)
				}
			})
		}
	}
}

// TestVersionsAgree makes the fixtures news of one and the same payment: whatever
// version tells it, the booking and the payment are the same; and all of them
// together are one booking.
func TestVersionsAgree(t *testing.T) {
	numbers := regexp.MustCompile(`"(pi_3|cs_test_a1)Fixture\d|(65f0c0ffee0000000000000)\d`)
	var all [][]byte
	var first *store.Booking
	var firstPayment store.Payment
	for version, events := range fixtures(t) {
		r := newPaidRig(t, &stripe{}, nil)
		for i, e := range events {
			events[i] = numbers.ReplaceAllFunc(e, func(m []byte) []byte { return append(m[:len(m)-1:len(m)-1], '1') })
			requireAnswer(t, r.deliver(events[i]), 200, true)
		}
		all = append(all, events...)
		b, p := r.only(t)
		delete(p.Metadata, "webhookEventId")
		if first == nil {
			first, firstPayment = &b, p
		}
		assert.Equal(t, *first, b, version)
		assert.Equal(t, firstPayment, p, version)
	}
	require.Len(t, all, 10)
	for seed := range int64(4) {
		r := newPaidRig(t, &stripe{}, nil)
		for _, e := range webhooktest.Shuffle(seed, all...) {
			requireAnswer(t, r.deliver(e), 200, true)
		}
		b, p := r.only(t)
		assert.Equal(t, first.ID, b.ID)
		assert.Equal(t, store.StateConfirmed, b.State)
		assert.Equal(t, int64(15050), p.Amount)
	}
}

// only is the one booking of the fixtures' user, and its one payment.
func (r *rig) only(t *testing.T) (store.Booking, store.Payment) {
	t.Helper()
	ctx, user := context.Background(), "65f0c0ffee00000000000001"
	bookings, _, err := r.store.BookingsByUser(ctx, user, store.Page{})
	require.NoError(t, err)
	require.Len(t, bookings, 1)
	payments, _, err := r.store.PaymentsByUser(ctx, user, store.Page{})
	require.NoError(t, err)
	require.Len(t, payments, 1)
	return bookings[0], payments[0]
}

// TestQuiet plants canaries wherever a secret, a payload or a customer's data can
// be, goes through every kind of failure, and looks for them in the log, in the
// answers and in the errors.
func TestQuiet(t *testing.T) {
	ctx := context.Background()
	const canary = "CANARY"
	metadata := func(change map[string]string) map[string]string {
		m := plain()
		m["note"], m["userId"], m["serviceName"] = canary+"note", canary+"user", canary+"service"
		for k, v := range change {
			m[k] = v
		}
		return m
	}
	event := func(id string, change map[string]string) []byte {
		e := webhooktest.SessionCompleted(webhooktest.Session{EventID: id, Amount: 5000, Metadata: metadata(change), Reference: canary})
		e = bytes.ReplaceAll(e, []byte("customer@example.com"), []byte(canary+"@example.com"))
		return bytes.ReplaceAll(e, []byte("Test Customer"), []byte(canary+" Customer"))
	}
	const key = "whsec_" + canary
	r := newPaidRig(t, nil, func(c *Config) { c.Secrets = []string{key} })
	var told []string // answers and errors
	deliver := func(payload []byte, header string) {
		w := httptest.NewRecorder()
		req := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(payload))
		req.Header.Set("Stripe-Signature", header)
		r.ServeHTTP(w, req)
		told = append(told, w.Body.String(), fmt.Sprint(w.Header()))
	}
	signed := func(payload []byte) { deliver(payload, webhooktest.Sign(payload, key, now)) }
	tell := func(err error) {
		require.Error(t, err)
		told = append(told, err.Error())
	}
	r.Handle(canary[:1]+".panic", func(_ context.Context, e Event) error { panic(string(e.Object)) })
	r.Handle(canary[:1]+".error", func(_ context.Context, e Event) error { panic(fmt.Errorf("about %s", e.Object)) })
	r.Handle(canary[:1]+".index", func(_ context.Context, e Event) error { return errors.New(string(e.Object[len(e.Object)])) })

	deliver(event("evt_1", nil), canary)
	deliver(event("evt_1", nil), webhooktest.Sign([]byte(canary), key, now))
	deliver(event("evt_1", nil), webhooktest.Sign(event("evt_1", nil), key, now.AddDate(0, 0, -1)))
	for _, broken := range []string{canary, `{"id":"` + canary, `{"` + canary + `":1}`, `["` + canary + `"]`,
		`{"id":5,"object":"event","type":"` + canary + `","data":{"object":{"id":"` + canary + `"}}}`,
		`{"id":"evt_x","object":"` + canary + `","type":"a","data":{"object":{"` + canary + `":1,"` + canary + `":2}}}`} {
		signed([]byte(broken))
		tell(r.ProcessEvent(ctx, []byte(broken)))
	}
	signed(event("evt_paid", nil))
	signed(event("evt_paid", nil))
	signed(event("evt_amount", map[string]string{"amountToPay": canary}))
	signed(event("evt_option", map[string]string{"paymentOption": canary}))
	signed(event("evt_missing", map[string]string{"serviceId": ""}))
	tell(r.Replay(ctx, "evt_amount", "alice"))
	signed(webhooktest.SessionCompleted(webhooktest.Session{EventID: "evt_live", Livemode: true, Amount: 5000, Metadata: metadata(nil)}))
	signed(webhooktest.IntentSucceeded(webhooktest.Intent{EventID: "evt_stripe_away", ID: "pi_2", Amount: 5000, Metadata: map[string]string{"x": canary}}))
	for _, kind := range []string{"panic", "error", "index"} {
		signed(webhooktest.Event("evt_"+kind, canary[:1]+"."+kind, map[string]any{"id": "x", "name": canary}))
	}
	r.store.set(func(context.Context, string) error { return errAway }, nil)
	signed(event("evt_away", nil))
	tell(r.ProcessEvent(ctx, event("evt_away", nil)))
	r.store.set(nil, nil)

	// The reasons that the ledger keeps are shown to people, too.
	rows, _, err := r.Events(ctx, store.EventFilter{}, store.Page{})
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(rows), 9)
	for _, row := range rows {
		told = append(told, row.Reason)
	}
	assert.NotContains(t, strings.Join(told, "\n"), canary)
	assert.NotContains(t, r.logs.text(), canary)
	assert.NotContains(t, r.logs.text(), "v1=")
	require.GreaterOrEqual(t, len(r.logs.lines(t, "ERROR")), 8, "the failures were logged")
	require.GreaterOrEqual(t, len(r.logs.lines(t, "WARN")), 6, "and so were the refusals")
}
