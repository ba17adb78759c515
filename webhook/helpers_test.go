package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/payment"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/memory"
	"github.com/carevia/stripebooking/webhook/webhooktest"
	"github.com/stretchr/testify/require"
)

const secret = "whsec_test_one"

// now is what the injected clock shows.
var now = time.Date(2025, time.January, 15, 10, 1, 0, 0, time.UTC)

// probe is a store that counts writes and fails when it is told to.
type probe struct {
	store.Store
	mu     sync.Mutex
	writes int
	before func(ctx context.Context, op string) error // an error: the call never reaches the store
	after  func(op string) error                      // an error: the call took effect, but its answer is lost
}

func (p *probe) call(ctx context.Context, op string, write bool, do func() error) error {
	p.mu.Lock()
	if write {
		p.writes++
	}
	before, after := p.before, p.after
	p.mu.Unlock()
	if before != nil {
		if err := before(ctx, op); err != nil {
			return err
		}
	}
	if err := do(); err != nil {
		return err
	}
	if after != nil {
		return after(op)
	}
	return nil
}

func (p *probe) set(before func(ctx context.Context, op string) error, after func(op string) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.before, p.after = before, after
}

func (p *probe) Apply(ctx context.Context, c store.Change) (res store.Result, err error) {
	err = p.call(ctx, "Apply", true, func() (err error) { res, err = p.Store.Apply(ctx, c); return err })
	return res, err
}

func (p *probe) RecordFailure(ctx context.Context, e store.Event, reason string, dead bool) error {
	return p.call(ctx, "RecordFailure", true, func() error { return p.Store.RecordFailure(ctx, e, reason, dead) })
}

func (p *probe) RecordHandled(ctx context.Context, id string, handlers []string, done bool, at time.Time) error {
	return p.call(ctx, "RecordHandled", true, func() error { return p.Store.RecordHandled(ctx, id, handlers, done, at) })
}

func (p *probe) Event(ctx context.Context, id string) (e store.Event, err error) {
	err = p.call(ctx, "Event", false, func() (err error) { e, err = p.Store.Event(ctx, id); return err })
	return e, err
}

func (p *probe) Events(ctx context.Context, f store.EventFilter, page store.Page) (rows []store.Event, next string, err error) {
	err = p.call(ctx, "Events", false, func() (err error) { rows, next, err = p.Store.Events(ctx, f, page); return err })
	return rows, next, err
}

// fake stands for the payment service: FactsOf and Settle as the test says.
type fake struct {
	store store.Store
	facts func(ctx context.Context, e payment.Event) (booking.Facts, error)
	// settle, before the ledger row is written; nil settles.
	settle func(ctx context.Context, f booking.Facts, c payment.Cause) error
	causes []payment.Cause
	mu     sync.Mutex
}

func (f *fake) FactsOf(ctx context.Context, e payment.Event) (booking.Facts, error) {
	if f.facts != nil {
		return f.facts(ctx, e)
	}
	return booking.Facts{SessionID: e.ObjectID, Mode: "payment", SessionStatus: "complete", PaymentStatus: "paid"}, nil
}

func (f *fake) Settle(ctx context.Context, facts booking.Facts, c payment.Cause) (payment.Settlement, error) {
	f.mu.Lock()
	f.causes = append(f.causes, c)
	f.mu.Unlock()
	if f.settle != nil {
		if err := f.settle(ctx, facts, c); err != nil {
			return payment.Settlement{}, err
		}
	}
	row, outcome := *c.Event, booking.OutcomeConfirmed
	switch facts.Standing() {
	case booking.Foreign:
		row.State, row.Reason, outcome = store.EventIgnored, booking.ReasonNotPayment, booking.OutcomeIgnored
	case booking.Failed:
		row.Reason, outcome = facts.FailureCode, booking.OutcomeFailed
	}
	res, err := f.store.Apply(ctx, store.Change{Key: c.Key, Event: &row})
	return payment.Settlement{Outcome: outcome, Reason: row.Reason, Applied: res.Applied, Event: res.Event}, err
}

// logs is what a Handler logged.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logs) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// lines are the lines of a level.
func (l *logs) lines(t *testing.T, level string) []map[string]any {
	t.Helper()
	var out []map[string]any
	for _, line := range bytes.Split([]byte(l.text()), []byte("\n")) {
		if len(line) == 0 {
			continue
		}
		var m map[string]any
		require.NoError(t, json.Unmarshal(line, &m))
		if m["level"] == level {
			out = append(out, m)
		}
	}
	return out
}

// rig is a Handler over a memory store, with all that a test looks at.
type rig struct {
	*Handler
	store *probe
	logs  *logs
}

func newRig(t *testing.T, change func(*Config)) *rig {
	t.Helper()
	r := &rig{store: &probe{Store: &memory.Store{}}, logs: &logs{}}
	cfg := Config{
		Secrets: []string{secret}, Store: r.store, Mode: payment.Test,
		Logger: slog.New(slog.NewJSONHandler(r.logs, nil)),
		Now:    func() time.Time { return now },
	}
	if change != nil {
		change(&cfg)
	}
	h, err := New(cfg)
	require.NoError(t, err)
	r.Handler = h
	return r
}

// newFakeRig is a rig whose payment service is a fake.
func newFakeRig(t *testing.T, change func(*Config)) (*rig, *fake) {
	t.Helper()
	r := newRig(t, change)
	f := &fake{store: r.store}
	r.settler = f
	return r, f
}

func (r *rig) deliver(payload []byte) *httptest.ResponseRecorder {
	return webhooktest.DeliverAt(r.Handler, payload, secret, now)
}

// row is the ledger row of an event.
func (r *rig) row(t *testing.T, id string) store.Event {
	t.Helper()
	row, err := r.store.Store.Event(context.Background(), id)
	require.NoError(t, err)
	return row
}

// requireNothing fails when anything was stored.
func (r *rig) requireNothing(t *testing.T) {
	t.Helper()
	ctx := context.Background()
	require.Zero(t, r.store.writes, "no write may be tried")
	rows, _, err := r.store.Store.Events(ctx, store.EventFilter{}, store.Page{})
	require.NoError(t, err)
	require.Empty(t, rows, "no ledger row")
	_, err = r.store.Payment(ctx, "pi_1")
	require.ErrorIs(t, err, store.ErrNotFound, "no payment")
	_, err = r.store.BookingBySession(ctx, "cs_test_1")
	require.ErrorIs(t, err, store.ErrNotFound, "no booking")
	bookings, _, err := r.store.BookingsByUser(ctx, "u1", store.Page{})
	require.NoError(t, err)
	require.Empty(t, bookings, "no booking")
}

type body struct {
	Success bool   `json:"success"`
	Message string `json:"message"`
}

// requireAnswer checks the status and the envelope of an answer.
func requireAnswer(t *testing.T, w *httptest.ResponseRecorder, status int, success bool) body {
	t.Helper()
	require.Equal(t, status, w.Code, w.Body.String())
	require.Equal(t, "application/json; charset=utf-8", w.Header().Get("Content-Type"))
	var b body
	dec := json.NewDecoder(bytes.NewReader(w.Body.Bytes()))
	dec.DisallowUnknownFields()
	require.NoError(t, dec.Decode(&b))
	require.Equal(t, success, b.Success)
	require.NotEmpty(t, b.Message)
	require.Equal(t, status == http.StatusServiceUnavailable, w.Header().Get("Retry-After") != "")
	return b
}

// custom is an event of a type that the library does not handle itself.
func custom(id string) []byte {
	return webhooktest.Event(id, "customer.created", map[string]any{"id": "cus_1", "object": "customer"})
}
