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
	"sync/atomic"
	"time"

	"github.com/carevia/stripebooking/payment/stripetest"
	"github.com/carevia/stripebooking/store"
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

// answers gives some users' requests to a path this answer.
func answers(path string, status int, body string) wrong {
	return wrong{site: func(_ store.Store, site http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == path && strings.HasSuffix(r.Header.Get(userHeader), "3") {
				w.WriteHeader(status)
				_, _ = io.WriteString(w, body)
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

// inventsEvents writes a second row of the ledger with each.
func inventsEvents() wrong {
	return wrong{apply: func(ctx context.Context, s store.Store, c store.Change) (store.Result, error) {
		res, err := s.Apply(ctx, c)
		if err == nil && res.Applied && c.Event != nil {
			e := c.Event.Clone()
			e.ID, e.State = e.ID+"x", store.EventDone
			_, err = s.Apply(ctx, store.Change{Key: e.ID, Event: &e})
		}
		return res, err
	}}
}

// losesSeats has a booking that is in no list take a seat of those that others take.
func losesSeats() wrong {
	return wrong{apply: func(ctx context.Context, s store.Store, c store.Change) (store.Result, error) {
		res, err := s.Apply(ctx, c)
		if err == nil && res.Applied && len(c.Claim) > 0 {
			b := store.Booking{ID: "x" + c.Booking.ID, UserID: "nobody", Option: store.OptionFull, Currency: "usd",
				State: store.StateHeld, CreatedAt: c.Booking.CreatedAt, UpdatedAt: c.Booking.UpdatedAt}
			_, _ = s.(*watched).Store.Apply(ctx, store.Change{Key: c.Key + "x", Booking: &b, History: c.History,
				Claim: []store.SeatClaim{{Slot: c.Claim[0].Slot, Capacity: capacity, Count: 1}}})
		}
		return res, err
	}}
}

// refusesSeats never has any.
func refusesSeats() wrong {
	return wrong{apply: func(ctx context.Context, s store.Store, c store.Change) (store.Result, error) {
		if len(c.Claim) > 0 {
			return store.Result{Conflict: store.ConflictSeats}, store.ErrConflict
		}
		return s.Apply(ctx, c)
	}}
}

// changesEarlier changes a booking of the first leg with each of the second.
func changesEarlier() wrong {
	var earlier atomic.Pointer[store.Booking]
	return wrong{apply: func(ctx context.Context, s store.Store, c store.Change) (store.Result, error) {
		res, err := s.Apply(ctx, c)
		switch {
		case err != nil || res.Booking == nil:
		case strings.HasPrefix(res.Booking.UserID, "user_1_"):
			earlier.Store(res.Booking)
		default:
			if b, err := s.Booking(ctx, earlier.Load().ID); err == nil {
				b.Reason = "x"
				_, _ = s.Apply(ctx, store.Change{Key: c.Key + "x", Booking: &b, History: &store.History{To: b.State, Cause: c.History.Cause}})
			}
		}
		return res, err
	}}
}

// shows tells anybody about a booking.
func shows() wrong {
	return wrong{site: func(s store.Store, site http.Handler) http.Handler {
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
	}}
}

// afterCheckout does something with each session as soon as it is made.
func afterCheckout(k **soak, do func(*stripetest.Stripe, stripetest.Session)) wrong {
	return wrong{site: func(_ store.Store, site http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answer := httptest.NewRecorder()
			site.ServeHTTP(answer, r)
			var made struct{ SessionID string }
			if json.Unmarshal(answer.Body.Bytes(), &made) == nil && made.SessionID != "" {
				stripe := (*k).stripe.Load()
				ss, _ := stripe.Session(made.SessionID)
				do(stripe, ss)
			}
			w.WriteHeader(answer.Code)
			_, _ = answer.Body.WriteTo(w)
		})
	}}
}
