package soak

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/payment/stripetest"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/memory"
)

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
		"an event that Stripe did not send is in the ledger": {wrong: inventsEvents(), counted: duplicate},
		"an amount is one too high":                          {wrong: changePayment(func(p *store.Payment) { p.Amount++ }), counted: amount},
		"a booking does not say what is due":                 {wrong: changeBooking(func(b *store.Booking) { b.Due = 0 }), counted: amount},
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
		"seats are not given back": {wrong: wrong{apply: change(func(c *store.Change) { c.Release = nil })}, counted: state, n: 180},
		"a hold does not end": {wrong: wrong{apply: change(func(c *store.Change) {
			if c.Booking != nil && c.Booking.State == store.StateExpired {
				c.Booking, c.Payments, c.Release, c.History = nil, nil, nil, nil
			}
		})}, counted: state},
		"seats are lost": {wrong: losesSeats(), counted: state},
		"somebody is told that all seats are taken": {wrong: answers("/checkout", http.StatusConflict, ""), counted: state},
		"somebody is told that it is too late":      {wrong: answers("/checkout", http.StatusGone, ""), counted: state},
		"all seats are taken, and nobody has one":   {wrong: refusesSeats(), counted: missing},
		"a session is ended before it can be paid": {wrong: afterCheckout(&k, func(stripe *stripetest.Stripe, ss stripetest.Session) {
			_, _ = stripe.Expire(ss.ID)
		}), counted: missing},
		"there is another session to pay": {wrong: afterCheckout(&k, func(stripe *stripetest.Stripe, ss stripetest.Session) {
			_, _ = stripe.CreateSession(stripetest.SessionParams{Amount: ss.AmountTotal, Currency: ss.Currency, Metadata: ss.Metadata, ClientReferenceID: ss.ClientReferenceID})
		}), counted: duplicate},
		"a checkout leads nowhere":                {wrong: answers("/checkout", http.StatusOK, `{"BookingID":"x"}`), counted: missing},
		"a booking is another by its id":          {wrong: wrong{find: "Booking"}, counted: state},
		"a booking is another by its session":     {wrong: wrong{find: "BookingBySession"}, counted: state},
		"a payment is another by its intent":      {wrong: wrong{find: "Payment"}, counted: state},
		"a booking's payments are not the user's": {wrong: wrong{find: "PaymentsByBooking"}, counted: state},
		"the site breaks after a checkout":        {wrong: refusesOne("/checkout", http.StatusInternalServerError, true), counted: state},
		"the webhook breaks after its work":       {wrong: refusesOne("/hook", http.StatusInternalServerError, true), counted: state},
		"the webhook refuses an event at first":   {wrong: refusesOne("/hook", http.StatusBadRequest, true), counted: state},
		"the webhook refuses what it has taken":   {wrong: refusesOne("/hook", http.StatusServiceUnavailable, false), counted: state},
		"who has paid is told to pay":             {wrong: refusesOne("/verify", http.StatusBadRequest, true), counted: state},
		"a later booking changes an earlier one":  {wrong: changesEarlier(), counted: state, leg: 20},
		"anybody may look":                        {wrong: shows(), counted: state},
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
