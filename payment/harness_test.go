package payment

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/payment/stripetest"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/memory"
)

const (
	createRoute   = "POST /v1/checkout/sessions"
	retrieveRoute = "GET /v1/checkout/sessions/{id}"
	listRoute     = "GET /v1/checkout/sessions"
	expireRoute   = "POST /v1/checkout/sessions/{id}/expire"
)

var start = time.Date(2025, 10, 9, 8, 0, 0, 0, time.UTC)

// clock is a time that only the test moves.
type clock struct{ ns atomic.Int64 }

func (c *clock) now() time.Time                { return start.Add(time.Duration(c.ns.Load())) }
func (c *clock) pass(d time.Duration)          { c.ns.Add(int64(d)) }
func closed() <-chan time.Time                 { ch := make(chan time.Time); close(ch); return ch }
func unhurried(time.Duration) <-chan time.Time { return closed() }

// world is a service with a stand-in for Stripe and a store in memory.
type world struct {
	t      *testing.T
	stripe *stripetest.Server
	store  *faulty
	clock  *clock
	pay    *Service
	log    *logged
}

func newWorld(t *testing.T, change ...func(*Config)) *world {
	t.Helper()
	w := &world{t: t, clock: &clock{}, store: &faulty{Store: &memory.Store{}}, log: &logged{}}
	w.stripe = stripetest.NewServer(stripetest.Config{Now: w.clock.now, Seed: 7})
	t.Cleanup(w.stripe.Close)
	w.stripe.Hold()
	cfg := Config{
		Store: w.store, SecretKey: w.stripe.SecretKey, Mode: Test, APIBase: w.stripe.URL,
		Codecs:     []booking.Codec{booking.Marked{}, booking.Plain{}},
		SuccessURL: "https://example.com/success", CancelURL: "https://example.com/cancel",
		Now: w.clock.now, Logger: slog.New(w.log),
	}
	for _, c := range change {
		c(&cfg)
	}
	var err error
	w.pay, err = New(cfg)
	require.NoError(t, err)
	// Waiting takes no time: what is waited for happens meanwhile anyway.
	w.pay.after = unhurried
	w.pay.stripe.(*client).backend.(*stripe.BackendImplementation).SetNetworkRetriesSleep(false)
	return w
}

func ctxOf(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// request is a sound one.
func (w *world) request(attempt string) CheckoutRequest {
	q, err := booking.NewQuote(9000, "usd", store.OptionHalf)
	require.NoError(w.t, err)
	return CheckoutRequest{
		Attempt: attempt, UserID: "user_7", ServiceID: "svc_3", ServiceName: "Home cleaning", Quote: q,
		Details: map[string]string{"city": "Dhaka"}, CustomerEmail: "someone@example.com",
	}
}

func (w *world) full(attempt string) CheckoutRequest {
	q, err := booking.NewQuote(9000, "usd", store.OptionFull)
	require.NoError(w.t, err)
	r := w.request(attempt)
	r.Quote = q
	return r
}

func (w *world) checkout(r CheckoutRequest) Checkout {
	w.t.Helper()
	c, err := w.pay.Checkout(ctxOf(w.t), r)
	require.NoError(w.t, err)
	return c
}

// crashBeforeAttach begins a checkout whose process dies when Stripe has made the
// session and the store does not know of it yet.
func (w *world) crashBeforeAttach(r CheckoutRequest) {
	w.t.Helper()
	crash := errors.New("crash")
	w.store.fail(func(c store.Change) error {
		if strings.HasPrefix(c.Key, "session/") {
			return crash
		}
		return nil
	}, nil)
	_, err := w.pay.Checkout(ctxOf(w.t), r)
	require.ErrorIs(w.t, err, crash)
	w.store.fail(nil, nil)
}

// plainSession is one that a site made itself.
func (w *world) plainSession(onIntent bool, change ...func(*stripetest.SessionParams)) stripetest.Session {
	w.t.Helper()
	p := stripetest.SessionParams{Amount: 4500, Metadata: map[string]string{
		"userId": "user_7", "serviceId": "svc_3", "serviceName": "Home cleaning", "amountToPay": "45.00", "paymentOption": "half",
	}}
	if onIntent {
		p.IntentMetadata = p.Metadata
	}
	for _, c := range change {
		c(&p)
	}
	ss, err := w.stripe.CreateSession(p)
	require.NoError(w.t, err)
	return ss
}

// event is the latest event of a type about an object.
func (w *world) event(kind, objectID string) Event {
	w.t.Helper()
	events := w.stripe.Events()
	for i := len(events) - 1; i >= 0; i-- {
		if events[i].Type == kind && events[i].ObjectID == objectID {
			e, err := DecodeEvent(events[i].Payload)
			require.NoError(w.t, err)
			return e
		}
	}
	require.FailNow(w.t, "no such event", kind)
	return Event{}
}

// deliver does what a webhook does with an event.
func (w *world) deliver(e Event) (Settlement, error) {
	f, err := w.pay.FactsOf(ctxOf(w.t), e)
	if err != nil {
		return Settlement{}, err
	}
	return w.pay.Settle(ctxOf(w.t), f, Cause{By: "webhook", ID: e.ID, Event: &store.Event{
		ID: e.ID, Type: e.Type, ObjectID: e.ObjectID, Created: e.Created,
		ReceivedAt: w.clock.now(), UpdatedAt: w.clock.now(), State: store.EventDone, Payload: e.Raw,
	}})
}

func (w *world) mustDeliver(kind, objectID string) Settlement {
	w.t.Helper()
	s, err := w.deliver(w.event(kind, objectID))
	require.NoError(w.t, err)
	return s
}

func (w *world) paid(sessionID string) stripetest.Session {
	w.t.Helper()
	ss, err := w.stripe.Pay(sessionID)
	require.NoError(w.t, err)
	return ss
}

func (w *world) bookings(userID string) []store.Booking {
	w.t.Helper()
	rows, _, err := w.store.BookingsByUser(ctxOf(w.t), userID, store.Page{})
	require.NoError(w.t, err)
	return rows
}

func (w *world) payments(userID string) []store.Payment {
	w.t.Helper()
	rows, _, err := w.pay.PaymentsByUser(ctxOf(w.t), userID, store.Page{})
	require.NoError(w.t, err)
	return rows
}

func (w *world) booking(id string) store.Booking {
	w.t.Helper()
	b, err := w.store.Booking(ctxOf(w.t), id)
	require.NoError(w.t, err)
	return b
}

// calls is how many requests reached Stripe.
func (w *world) session(id string) stripetest.Session {
	w.t.Helper()
	ss, ok := w.stripe.Session(id)
	require.True(w.t, ok)
	return ss
}

func (w *world) ledger(id string) store.Event {
	w.t.Helper()
	e, err := w.store.Event(ctxOf(w.t), id)
	require.NoError(w.t, err)
	return e
}

func (w *world) calls() int { return len(w.stripe.Requests()) }

func (w *world) open() (n int) {
	for _, ss := range w.stripe.Sessions() {
		if ss.Status == "open" {
			n++
		}
	}
	return n
}

// together runs n calls at the same time.
func together(n int, do func(i int)) {
	var wg sync.WaitGroup
	gate := make(chan struct{})
	for i := range n {
		wg.Add(1)
		go func() {
			defer wg.Done()
			<-gate
			do(i)
		}()
	}
	close(gate)
	wg.Wait()
}

// faulty is a store that can fail before or after a write, and counts.
type faulty struct {
	store.Store
	mu      sync.Mutex
	before  func(store.Change) error
	after   func(store.Change) error
	applies int
	reads   atomic.Int64
}

func (f *faulty) Apply(ctx context.Context, c store.Change) (store.Result, error) {
	f.mu.Lock()
	f.applies++
	before, after := f.before, f.after
	f.mu.Unlock()
	if before != nil {
		if err := before(c); err != nil {
			return store.Result{}, err
		}
	}
	r, err := f.Store.Apply(ctx, c)
	if err == nil && after != nil {
		if err := after(c); err != nil {
			return store.Result{}, err
		}
	}
	return r, err
}

func (f *faulty) BookingBySession(ctx context.Context, id string) (store.Booking, error) {
	f.reads.Add(1)
	return f.Store.BookingBySession(ctx, id)
}

func (f *faulty) fail(before, after func(store.Change) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before, f.after = before, after
}

// logged keeps the texts of a log.
type logged struct {
	mu    sync.Mutex
	lines []string
}

func (l *logged) Enabled(context.Context, slog.Level) bool { return true }
func (l *logged) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *logged) WithGroup(string) slog.Handler            { return l }
func (l *logged) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
	l.lines = append(l.lines, line)
	return nil
}

func (l *logged) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.lines...)
}

// tripwire is an HTTP client that no test expects to be used.
func tripwire(t *testing.T) *http.Client {
	return &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		assert.Fail(t, "a call to Stripe", r.URL.Path)
		return nil, context.Canceled
	})}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
