package soak

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/payment/stripetest"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/memory"
)

// wrong is a store, or a site over it, with one thing wrong.
type wrong struct {
	store.Store
	apply   func(ctx context.Context, s store.Store, c store.Change) (store.Result, error)
	handled bool   // is not kept
	history bool   // lacks the first line
	find    string // the method that finds what has changed since
	site    func(s store.Store, site http.Handler) http.Handler
}

func (w wrong) Apply(ctx context.Context, c store.Change) (store.Result, error) {
	if w.apply == nil {
		return w.Store.Apply(ctx, c)
	}
	return w.apply(ctx, w.Store, c)
}

func (w wrong) RecordHandled(ctx context.Context, id string, handlers []string, done bool, at time.Time) error {
	if w.handled {
		return nil
	}
	return w.Store.RecordHandled(ctx, id, handlers, done, at)
}

func (w wrong) History(ctx context.Context, id string) ([]store.History, error) {
	lines, err := w.Store.History(ctx, id)
	if w.history && len(lines) > 0 {
		lines = lines[:len(lines)-1]
	}
	return lines, err
}

func (w wrong) Booking(ctx context.Context, id string) (store.Booking, error) {
	b, err := w.Store.Booking(ctx, id)
	if w.find == "Booking" {
		b.UpdatedAt = b.UpdatedAt.Add(time.Second)
	}
	return b, err
}

func (w wrong) BookingBySession(ctx context.Context, id string) (store.Booking, error) {
	b, err := w.Store.BookingBySession(ctx, id)
	if w.find == "BookingBySession" {
		b.UpdatedAt = b.UpdatedAt.Add(time.Second)
	}
	return b, err
}

func (w wrong) Payment(ctx context.Context, intent string) (store.Payment, error) {
	p, err := w.Store.Payment(ctx, intent)
	if w.find == "Payment" {
		p.UpdatedAt = p.UpdatedAt.Add(time.Second)
	}
	return p, err
}

func (w wrong) PaymentsByBooking(ctx context.Context, id string, page store.Page) ([]store.Payment, string, error) {
	payments, next, err := w.Store.PaymentsByBooking(ctx, id, page)
	if w.find == "PaymentsByBooking" && len(payments) > 0 {
		payments = append(payments, payments[0])
	}
	return payments, next, err
}

// captured reports whether a Change brings money.
func captured(c store.Change) bool { return len(c.Payments) > 0 && !c.Payments[0].CapturedAt.IsZero() }

// pretend is the answer to a Change that was not applied.
func pretend(c store.Change) store.Result {
	r := store.Result{Applied: true, Payments: c.Payments, Event: c.Event}
	if c.Booking != nil {
		b := c.Next()
		r.Booking = &b
	}
	return r
}

// change is an apply that does something to each Change first.
func change(do func(c *store.Change)) func(context.Context, store.Store, store.Change) (store.Result, error) {
	return func(ctx context.Context, s store.Store, c store.Change) (store.Result, error) {
		do(&c)
		return s.Apply(ctx, c)
	}
}

// changeBooking and the others are change for what a Change may hold.
func changeBooking(do func(b *store.Booking)) wrong {
	return wrong{apply: change(func(c *store.Change) {
		if c.Booking != nil {
			do(c.Booking)
		}
	})}
}

func changePayment(do func(p *store.Payment)) wrong {
	return wrong{apply: change(func(c *store.Change) {
		for i := range c.Payments {
			do(&c.Payments[i])
		}
	})}
}

func changeHistory(do func(h *store.History)) wrong {
	return wrong{apply: change(func(c *store.Change) {
		if c.History != nil {
			do(c.History)
		}
	})}
}

func changeEvent(do func(e *store.Event)) wrong {
	return wrong{apply: change(func(c *store.Change) {
		if c.Event != nil {
			do(c.Event)
		}
	})}
}

// twice applies a Change, and if it is a paid new booking makes another, for a user if one is named.
func twice(ctx context.Context, s store.Store, c store.Change, user string) (store.Result, error) {
	res, err := s.Apply(ctx, c)
	if err == nil && res.Applied && captured(c) && c.Booking.Version == 0 {
		b, p := c.Booking.Clone(), c.Payments[0].Clone()
		b.ID, b.PaymentIntentID, p.ID, p.PaymentIntentID = b.ID+"x", b.PaymentIntentID+"x", p.ID+"x", p.PaymentIntentID+"x"
		b.SessionID, p.SessionID, p.BookingID = b.SessionID+"x", p.SessionID+"x", b.ID
		if user != "" {
			b.UserID, p.UserID = user, user
		}
		_, err = s.Apply(ctx, store.Change{Key: c.Key + "x", Booking: &b, Payments: []store.Payment{p}, History: c.History})
	}
	return res, err
}

// refuses answers some users' requests to a path with this status.
func refuses(path string, status int) wrong {
	return wrong{site: func(_ store.Store, site http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == path && strings.HasSuffix(r.Header.Get(userHeader), "3") {
				w.WriteHeader(status)
				return
			}
			site.ServeHTTP(w, r)
		})
	}}
}

// refusesOne answers the first request to a path, of each customer or about each event, or else all others, with this
// status after the work.
func refusesOne(path string, status int, first bool) wrong {
	var met sync.Map
	return wrong{site: func(_ store.Store, site http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(body))
			var event struct{ ID string }
			_ = json.Unmarshal(body, &event)
			who := r.Header.Get(userHeader) + event.ID
			if _, again := met.LoadOrStore(r.URL.Path+who, true); r.URL.Path == path && who != "stranger" && first != again {
				site.ServeHTTP(httptest.NewRecorder(), r)
				w.WriteHeader(status)
				return
			}
			site.ServeHTTP(w, r)
		})
	}}
}

func TestNoticed(t *testing.T) {
	var k *soak
	for name, tt := range map[string]struct {
		wrong
		counted func(*tally) int
		n       int // payments; 25 unless set
		leg     int // customers of one
	}{
		"nothing is wrong": {},
		"a payment is not stored": {wrong: wrong{apply: func(ctx context.Context, s store.Store, c store.Change) (store.Result, error) {
			if captured(c) && strings.HasSuffix(c.Booking.UserID, "3") {
				return pretend(c), nil
			}
			return s.Apply(ctx, c)
		}}, counted: missing},
		"an event is not in the ledger": {wrong: wrong{apply: func(ctx context.Context, s store.Store, c store.Change) (store.Result, error) {
			if c.Event != nil && c.Event.Type == "checkout.session.expired" {
				return pretend(c), nil
			}
			return s.Apply(ctx, c)
		}}, counted: missing},
		"a booking is made twice": {wrong: wrong{apply: func(ctx context.Context, s store.Store, c store.Change) (store.Result, error) {
			return twice(ctx, s, c, "")
		}}, counted: duplicate},
		"a booking is made for somebody else too": {wrong: wrong{apply: func(ctx context.Context, s store.Store, c store.Change) (store.Result, error) {
			return twice(ctx, s, c, "nobody")
		}}, counted: duplicate},
		"an event that Stripe did not send is in the ledger": {wrong: wrong{apply: func(ctx context.Context, s store.Store, c store.Change) (store.Result, error) {
			res, err := s.Apply(ctx, c)
			if err == nil && res.Applied && c.Event != nil {
				e := c.Event.Clone()
				e.ID, e.State = e.ID+"x", store.EventDone
				_, err = s.Apply(ctx, store.Change{Key: e.ID, Event: &e})
			}
			return res, err
		}}, counted: duplicate},
		"an amount is one too high":          {wrong: changePayment(func(p *store.Payment) { p.Amount++ }), counted: amount},
		"a booking does not say what is due": {wrong: changeBooking(func(b *store.Booking) { b.Due = 0 }), counted: amount},
		"what was not paid has another price": {wrong: changeBooking(func(b *store.Booking) {
			if b.State == store.StateExpired {
				b.Total++
			}
		}), counted: amount},
		"a booking has no details":            {wrong: changeBooking(func(b *store.Booking) { b.Details = nil }), counted: state},
		"a booking is of another service":     {wrong: changeBooking(func(b *store.Booking) { b.ServiceName = "x" }), counted: state},
		"a booking forgets what seats it had": {wrong: changeBooking(func(b *store.Booking) { b.Claims = nil }), counted: state, n: 90},
		"a booking is of Stripe's live mode":  {wrong: changeBooking(func(b *store.Booking) { b.Livemode = b.State != store.StateHeld }), counted: state},
		"a booking is older than its history": {wrong: changeBooking(func(b *store.Booking) { b.CreatedAt = time.Unix(1, 0) }), counted: state},
		"a booking names another session": {wrong: changeBooking(func(b *store.Booking) {
			if b.State == store.StateExpired {
				b.SessionID += "x"
			}
		}), counted: state},
		"a payment has no metadata":            {wrong: changePayment(func(p *store.Payment) { p.Metadata = nil }), counted: state},
		"a payment names another event":        {wrong: changePayment(func(p *store.Payment) { p.Metadata["webhookEventId"] = "evt_x" }), counted: state},
		"a payment names no event":             {wrong: changePayment(func(p *store.Payment) { delete(p.Metadata, "webhookEventId") }), counted: state},
		"a payment was made by other means":    {wrong: changePayment(func(p *store.Payment) { p.PaymentMethod = "x" }), counted: state},
		"a payment does not say why it failed": {wrong: changePayment(func(p *store.Payment) { p.FailureCode = "" }), counted: state},
		"a payment is of Stripe's live mode":   {wrong: changePayment(func(p *store.Payment) { p.Livemode = true }), counted: state},
		"a payment was made long ago":          {wrong: changePayment(func(p *store.Payment) { p.CreatedAt = time.Unix(1, 0) }), counted: state},
		"nothing causes what happens":          {wrong: changeHistory(func(h *store.History) { h.Cause = store.Cause{By: "x", ID: "nobody"} }), counted: state},
		"another event causes what happens":    {wrong: changeHistory(func(h *store.History) { h.Cause.ID += "x" }), counted: state},
		"a history does not say why":           {wrong: changeHistory(func(h *store.History) { h.Reason = "" }), counted: state},
		"a history does not say when":          {wrong: changeHistory(func(h *store.History) { h.At = time.Unix(1, 0) }), counted: state},
		"an event is of another type":          {wrong: changeEvent(func(e *store.Event) { e.Type = "x" }), counted: state},
		"an event is about nothing":            {wrong: changeEvent(func(e *store.Event) { e.ObjectID = "" }), counted: state},
		"an event is not told":                 {wrong: changeEvent(func(e *store.Event) { e.Payload = nil }), counted: state},
		"an event belongs to no booking":       {wrong: changeEvent(func(e *store.Event) { e.BookingID = "" }), counted: state},
		"an event belongs to another booking":  {wrong: changeEvent(func(e *store.Event) { e.BookingID += "x" }), counted: state},
		"an event came before it was made":     {wrong: changeEvent(func(e *store.Event) { e.ReceivedAt = time.Unix(1, 0) }), counted: state},
		"what is confirmed is conflicted": {wrong: wrong{apply: change(func(c *store.Change) {
			if captured(*c) && c.Booking.State == store.StateConfirmed {
				c.Booking.State, c.History.To, c.Booking.Reason = store.StateConflicted, store.StateConflicted, "seats_gone"
			}
		})}, counted: state},
		"a handler's success is not kept": {wrong: wrong{handled: true}, counted: state},
		"a handler is left out": {wrong: wrong{apply: change(func(c *store.Change) {
			if c.Event != nil && c.Event.State == store.EventApplied {
				c.Event.State = store.EventDone
			}
		})}, counted: state},
		"a handler is left out and said to have run": {wrong: wrong{apply: change(func(c *store.Change) {
			if c.Event != nil && c.Event.State == store.EventApplied {
				c.Event.State, c.Event.Handlers = store.EventDone, []string{c.Event.Type}
			}
		})}, counted: missing},
		"a history has a gap": {wrong: wrong{history: true}, counted: state},
		"there is a seat too many": {wrong: wrong{apply: change(func(c *store.Change) {
			for i := range c.Claim {
				c.Claim[i].Capacity++
			}
		})}, counted: state, n: 90},
		"seats are not given back": {wrong: wrong{apply: change(func(c *store.Change) { c.Release = nil })}, counted: state, n: 90},
		"a hold does not end": {wrong: wrong{apply: change(func(c *store.Change) {
			if c.Booking != nil && c.Booking.State == store.StateExpired {
				c.Booking, c.Payments, c.Release, c.History = nil, nil, nil, nil
			}
		})}, counted: state},
		"seats are lost when a hold ends": {wrong: wrong{apply: func(ctx context.Context, s store.Store, c store.Change) (store.Result, error) {
			res, err := s.Apply(ctx, c)
			if err == nil && res.Applied && len(c.Release) > 0 {
				b := c.Booking.Clone()
				b.ID, b.Version, b.Seats, b.PaymentIntentID, b.State = "x"+b.ID, 0, nil, "", store.StateHeld
				b.UserID, b.SessionID = "nobody", "" // a booking that is in no list, so that its seats alone are in the way
				_, _ = s.(*watched).Store.Apply(ctx, store.Change{Key: c.Key + "x", Booking: &b, Claim: b.Claims, History: &store.History{To: b.State, Cause: c.History.Cause}})
			}
			return res, err
		}}, counted: state, n: 90},
		"somebody is told that all seats are taken": {wrong: refuses("/checkout", http.StatusConflict), counted: state},
		"somebody is told that it is too late":      {wrong: refuses("/checkout", http.StatusGone), counted: state},
		"all seats are taken, and nobody has one": {wrong: wrong{apply: func(ctx context.Context, s store.Store, c store.Change) (store.Result, error) {
			if len(c.Claim) > 0 {
				return store.Result{Conflict: store.ConflictSeats}, store.ErrConflict
			}
			return s.Apply(ctx, c)
		}}, counted: missing},
		"a session is ended before it can be paid": {wrong: wrong{site: func(_ store.Store, site http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				answer := httptest.NewRecorder()
				site.ServeHTTP(answer, r)
				var made struct{ SessionID string }
				if json.Unmarshal(answer.Body.Bytes(), &made) == nil && made.SessionID != "" {
					_, _ = k.stripe.Load().Expire(made.SessionID)
				}
				w.WriteHeader(answer.Code)
				_, _ = answer.Body.WriteTo(w)
			})
		}}, counted: missing},
		"a booking is another by its id":          {wrong: wrong{find: "Booking"}, counted: state},
		"a booking is another by its session":     {wrong: wrong{find: "BookingBySession"}, counted: state},
		"a payment is another by its intent":      {wrong: wrong{find: "Payment"}, counted: state},
		"a booking's payments are not the user's": {wrong: wrong{find: "PaymentsByBooking"}, counted: state},
		"the site breaks after a checkout":        {wrong: refusesOne("/checkout", http.StatusInternalServerError, true), counted: state},
		"the webhook breaks after its work":       {wrong: refusesOne("/hook", http.StatusInternalServerError, true), counted: state},
		"the webhook refuses an event at first":   {wrong: refusesOne("/hook", http.StatusBadRequest, true), counted: state},
		"the webhook refuses what it has taken":   {wrong: refusesOne("/hook", http.StatusServiceUnavailable, false), counted: state},
		"who has paid is told to pay":             {wrong: refusesOne("/verify", http.StatusBadRequest, true), counted: state},
		"a later booking changes an earlier one": {wrong: wrong{apply: func(ctx context.Context, s store.Store, c store.Change) (store.Result, error) {
			res, err := s.Apply(ctx, c)
			if err == nil && res.Applied && c.Booking != nil && strings.HasPrefix(c.Booking.UserID, "user_2_") {
				old, _, _ := s.BookingsByUser(ctx, "user_1_0", store.Page{})
				old[0].Reason = "x"
				_, _ = s.Apply(ctx, store.Change{Key: c.Key + "x", Booking: &old[0], History: &store.History{To: old[0].State, Cause: c.History.Cause}})
			}
			return res, err
		}}, counted: state, leg: 20},
		"anybody may look": {wrong: wrong{site: func(s store.Store, site http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/verify" {
					body, _ := io.ReadAll(r.Body)
					r.Body = io.NopCloser(bytes.NewReader(body))
					var asked struct{ SessionID string }
					if json.Unmarshal(body, &asked) == nil {
						if b, err := s.BookingBySession(r.Context(), asked.SessionID); err == nil {
							r.Header.Set(userHeader, b.UserID)
						}
					}
				}
				site.ServeHTTP(w, r)
			})
		}}, counted: state},
	} {
		t.Run(name, func(t *testing.T) {
			held := watch(new(memory.Store))
			if tt.Store = held; tt.n == 0 {
				tt.n = 25
			}
			k = newSoak(t, 1, tt.n, tt, held.stock, 1, func(stripe string) (*process, error) { return serve(tt, stripe, tt.site) })
			k.chaos = stripetest.Chaos{} // one thing wrong is enough
			if tt.leg > 0 {
				k.legSize = tt.leg
			}
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
			defer cancel()
			require.NoError(t, k.run(ctx))
			if tt.counted == nil {
				require.False(t, k.tally.any(), k.tally.first)
				return
			}
			require.Positive(t, tt.counted(&k.tally), &k.tally)
			t.Log(&k.tally, k.tally.first[0])
		})
	}
}

func missing(t *tally) int   { return t.missing }
func duplicate(t *tally) int { return t.duplicate }
func amount(t *tally) int    { return t.amount }
func state(t *tally) int     { return t.state }
