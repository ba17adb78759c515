package payment

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/payment/stripetest"
	"github.com/carevia/stripebooking/store"
)

// Session event, intent event and confirm, 32 of each at once: one booking, one
// payment, whatever the codec, and whether or not the intent has the metadata.
func TestSettleRaces(t *testing.T) {
	for name, begin := range map[string]func(w *world) string{
		"held":                         func(w *world) string { return w.checkout(w.request("a")).SessionID },
		"plain":                        func(w *world) string { return w.plainSession(true).ID },
		"plain, nothing on the intent": func(w *world) string { return w.plainSession(false).ID },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			ss := w.paid(begin(w))
			events := []Event{w.event(completed, ss.ID), w.event(intentSucceeded, ss.PaymentIntent)}
			outcomes := make([]Settlement, 96)
			errs := make([]error, 96)
			together(96, func(i int) {
				switch i % 3 {
				case 0, 1:
					outcomes[i], errs[i] = w.deliver(events[i%3])
				case 2:
					outcomes[i], errs[i] = w.pay.Confirm(context.Background(), ss.ID, "user_7")
				}
			})
			winners := 0
			for i := range errs {
				require.NoError(t, errs[i])
				require.NotNil(t, outcomes[i].Booking)
				require.NotNil(t, outcomes[i].Payment)
				assert.Equal(t, store.StateConfirmed, outcomes[i].Booking.State)
				if outcomes[i].Outcome == booking.OutcomeConfirmed && outcomes[i].Applied {
					winners++
				}
			}
			assert.Equal(t, 1, winners)
			require.Len(t, w.bookings("user_7"), 1)
			require.Len(t, w.payments("user_7"), 1)
			b, p := w.bookings("user_7")[0], w.payments("user_7")[0]
			assert.Equal(t, ss.ID, p.SessionID, "the intent's news is completed by the session's")
			assert.Equal(t, ss.ID, b.SessionID)
			assert.Equal(t, store.StatusSucceeded, p.Status)
			assert.Equal(t, int64(4500), b.Paid)
			assert.Equal(t, int64(4500), b.Due)
			for _, e := range events {
				row, err := w.store.Event(ctxOf(t), e.ID)
				require.NoError(t, err)
				assert.Equal(t, store.EventDone, row.State)
				assert.Equal(t, b.ID, row.BookingID)
			}
		})
	}
}

func TestSettleCost(t *testing.T) {
	w := newWorld(t)
	ss := w.paid(w.plainSession(true).ID)
	w.store.applies = 0
	assert.True(t, w.mustDeliver(completed, ss.ID).Applied)
	assert.Equal(t, 1, w.store.applies, "a new booking without a hold is one Apply")
	assert.False(t, w.mustDeliver(completed, ss.ID).Applied)
	assert.Equal(t, 2, w.store.applies, "and so is a duplicate")
	assert.Equal(t, booking.OutcomeAlready, w.mustDeliver(completed, ss.ID).Outcome)
	assert.Zero(t, w.calls(), "and a session's event asks Stripe nothing")
}

// An intent's event that comes late or twice asks nobody at Stripe and is done.
func TestLateIntent(t *testing.T) {
	for name, begin := range map[string]func(w *world) string{
		"held":                         func(w *world) string { return w.checkout(w.request("a")).SessionID },
		"plain":                        func(w *world) string { return w.plainSession(true).ID },
		"plain, nothing on the intent": func(w *world) string { return w.plainSession(false).ID },
		"plain, with tax": func(w *world) string {
			return w.plainSession(true, func(p *stripetest.SessionParams) { p.Tax = 400 }).ID
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			ss := w.paid(begin(w))
			first := w.mustDeliver(completed, ss.ID)
			require.Equal(t, booking.OutcomeConfirmed, first.Outcome)
			before := w.calls()
			for range 2 {
				s := w.mustDeliver(intentSucceeded, ss.PaymentIntent)
				assert.Equal(t, booking.OutcomeAlready, s.Outcome)
				assert.Equal(t, first.Booking.ID, s.Booking.ID)
				require.NotNil(t, s.Payment)
				assert.Equal(t, store.EventDone, s.Event.State)
				assert.Equal(t, first.Booking.ID, s.Event.BookingID)
			}
			assert.Equal(t, before, w.calls())
			assert.Equal(t, first.Booking.Version, w.booking(first.Booking.ID).Version, "nothing was written to the booking")
		})
	}
}

// An intent's event that comes first settles by itself.
func TestIntentFirst(t *testing.T) {
	for name, c := range map[string]struct {
		begin func(w *world) string
		calls int
	}{
		"held":                         {func(w *world) string { return w.checkout(w.request("a")).SessionID }, 0},
		"plain":                        {func(w *world) string { return w.plainSession(true).ID }, 1},
		"plain, nothing on the intent": {func(w *world) string { return w.plainSession(false).ID }, 1},
		"plain, another amount for tax and a discount": {func(w *world) string {
			return w.plainSession(true, func(p *stripetest.SessionParams) { p.Tax, p.Discount = 400, 150 }).ID
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			ss := w.paid(c.begin(w))
			before := w.calls()
			s := w.mustDeliver(intentSucceeded, ss.PaymentIntent)
			assert.Equal(t, booking.OutcomeConfirmed, s.Outcome)
			assert.Equal(t, store.StateConfirmed, s.Booking.State)
			assert.Equal(t, c.calls, w.calls()-before)
			assert.Equal(t, booking.OutcomeAlready, w.mustDeliver(completed, ss.ID).Outcome)
			require.Len(t, w.payments("user_7"), 1)
			assert.Equal(t, ss.ID, w.payments("user_7")[0].SessionID)
			assert.Equal(t, ss.AmountTotal, w.payments("user_7")[0].Amount)
		})
	}
}

// A discount can bring the amount of an intent to what was agreed by chance. The
// order of the events does not decide what becomes of it.
func TestDiscountInAnyOrder(t *testing.T) {
	for _, first := range []string{completed, intentSucceeded} {
		t.Run(first, func(t *testing.T) {
			w := newWorld(t)
			ss := w.paid(w.plainSession(true, func(p *stripetest.SessionParams) { p.Amount, p.Discount = p.Amount+500, 500 }).ID)
			object := map[string]string{completed: ss.ID, intentSucceeded: ss.PaymentIntent}
			s := w.mustDeliver(first, object[first])
			assert.Equal(t, booking.OutcomeConflicted, s.Outcome)
			assert.Equal(t, booking.ReasonAmount, s.Booking.Reason)
			assert.Equal(t, first, w.ledger(s.Payment.Metadata["webhookEventId"]).Type)
		})
	}
}

// While Stripe is away, an intent that says all by itself is not kept waiting,
// and one that does not is.
func TestIntentWhileStripeIsAway(t *testing.T) {
	for name, c := range map[string]struct {
		onIntent bool
		discount int64
		err      error
	}{
		"agreed":       {true, 0, nil},
		"other amount": {true, 100, ErrStripe},
		"says nothing": {false, 0, ErrStripe},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			ss := w.paid(w.plainSession(c.onIntent, func(p *stripetest.SessionParams) { p.Discount = c.discount }).ID)
			e := w.event(intentSucceeded, ss.PaymentIntent)
			w.stripe.Fail("GET /v1/checkout/sessions", stripetest.Fault{Status: 503}, stripetest.Fault{Status: 503})
			s, err := w.deliver(e)
			require.ErrorIs(t, err, c.err)
			if c.err == nil {
				assert.Equal(t, booking.OutcomeConfirmed, s.Outcome)
			} else {
				assert.True(t, store.IsTransient(err))
			}
		})
	}
}

// Where a session's metadata and its intent's differ, the sound one counts.
func TestPartialMetadata(t *testing.T) {
	whole := map[string]string{"userId": "user_7", "serviceId": "svc_3", "serviceName": "Home cleaning", "amountToPay": "45.00", "paymentOption": "half"}
	part := map[string]string{"userId": "user_7"}
	for name, c := range map[string]struct{ session, intent map[string]string }{
		"of the session": {part, whole},
		"of the intent":  {whole, part},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			ss, err := w.stripe.CreateSession(stripetest.SessionParams{Amount: 4500, Metadata: c.session, IntentMetadata: c.intent})
			require.NoError(t, err)
			ss, err = w.stripe.Decline(ss.ID, "insufficient_funds")
			require.NoError(t, err)
			s := w.mustDeliver(intentFailed, ss.PaymentIntent)
			assert.Equal(t, booking.OutcomeFailed, s.Outcome)
			assert.Equal(t, "insufficient_funds", s.Event.Reason)
			s = w.mustDeliver(intentSucceeded, w.paid(ss.ID).PaymentIntent)
			assert.Equal(t, booking.OutcomeConfirmed, s.Outcome)
		})
	}
}

// Two payments of one booking, of which one is not as agreed, end the same
// whichever is heard of first; so do a deposit and its balance.
func TestOrderOfTwoPayments(t *testing.T) {
	for name, c := range map[string]struct {
		request func(w *world) CheckoutRequest
		other   int64
		purpose store.Purpose
		reason  string
	}{
		"another amount":        {func(w *world) CheckoutRequest { return w.full("a") }, 4500, store.PurposeFull, booking.ReasonOverpaid},
		"a deposit of too much": {func(w *world) CheckoutRequest { return w.request("a") }, 4400, store.PurposeDeposit, booking.ReasonOverpaid},
		"the balance":           {func(w *world) CheckoutRequest { return w.request("a") }, 4500, store.PurposeBalance, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var ends []store.Booking
			for _, swap := range []bool{false, true} {
				w := newWorld(t)
				first := w.checkout(c.request(w))
				o := booking.OrderOf(w.booking(first.BookingID))
				o.Purpose, o.Now = c.purpose, c.other
				metadata, err := booking.Marked{}.Encode(o)
				require.NoError(t, err)
				other, err := w.stripe.CreateSession(stripetest.SessionParams{Amount: c.other, Metadata: metadata})
				require.NoError(t, err)
				ids := []string{first.SessionID, other.ID}
				if swap {
					ids[0], ids[1] = ids[1], ids[0]
				}
				for _, id := range ids {
					w.mustDeliver(completed, w.paid(id).ID)
				}
				b := w.booking(first.BookingID)
				assert.Equal(t, w.session(first.SessionID).PaymentIntent, b.PaymentIntentID, "it rests on what was agreed")
				require.Len(t, w.payments("user_7"), 2)
				ends = append(ends, store.Booking{State: b.State, Reason: b.Reason, Paid: b.Paid, Due: b.Due})
			}
			assert.Equal(t, ends[0], ends[1])
			assert.Equal(t, store.StateConfirmed, ends[0].State)
			assert.Equal(t, c.reason, ends[0].Reason)
		})
	}
}

// What was used to pay is kept once it is known, whoever tells it.
func TestPaymentMethodUsed(t *testing.T) {
	for name, order := range map[string][]string{"confirm first": {"confirm", completed}, "confirm last": {completed, "confirm", completed}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			ss := w.paid(w.plainSession(true, func(p *stripetest.SessionParams) {
				p.PaymentMethodTypes, p.Currency = []string{"sepa_debit", "card"}, "eur"
			}).ID)
			for _, by := range order {
				if by == "confirm" {
					_, err := w.pay.Confirm(ctxOf(t), ss.ID, "user_7")
					require.NoError(t, err)
				} else {
					w.mustDeliver(by, ss.ID)
				}
			}
			assert.Equal(t, "card", w.payments("user_7")[0].PaymentMethod)
		})
	}
}

// A session that takes no payment is none of ours, whatever its metadata says.
func TestNotAPayment(t *testing.T) {
	w := newWorld(t)
	e := w.event(completed, w.paid(w.plainSession(true).ID).ID)
	e.Object = []byte(`{"id":"cs_test_s","object":"checkout.session","mode":"setup","status":"complete",
		"payment_status":"no_payment_required","metadata":{"userId":"user_7","amountToPay":"45"}}`)
	s, err := w.deliver(e)
	require.NoError(t, err)
	assert.Equal(t, booking.OutcomeIgnored, s.Outcome)
	assert.Equal(t, store.EventIgnored, s.Event.State)
	assert.Equal(t, booking.ReasonNotPayment, s.Event.Reason)
	assert.Empty(t, w.payments("user_7"))
}

// Stripe can show a session as open for an instant after its intent succeeded.
func TestIntentAheadOfSession(t *testing.T) {
	w := newWorld(t)
	ss := w.paid(w.plainSession(false).ID)
	e := w.event(intentSucceeded, ss.PaymentIntent)
	w.pay.stripe = lagging{w.pay.stripe}
	s, err := w.deliver(e)
	require.NoError(t, err)
	assert.Equal(t, booking.OutcomeConfirmed, s.Outcome)
	assert.Equal(t, ss.ID, s.Payment.SessionID)
}

type lagging struct{ stripeAPI }

func (l lagging) sessionsOf(ctx context.Context, id string) ([]session, error) {
	sessions, err := l.stripeAPI.sessionsOf(ctx, id)
	for i := range sessions {
		sessions[i].facts.SessionStatus, sessions[i].facts.PaymentStatus, sessions[i].facts.PaymentIntentID = "open", "unpaid", ""
	}
	return sessions, err
}

func TestNotOurs(t *testing.T) {
	w := newWorld(t)
	ss, err := w.stripe.CreateSession(stripetest.SessionParams{Amount: 4500, Metadata: map[string]string{"order": "17"}})
	require.NoError(t, err)
	ss = w.paid(ss.ID)

	_, err = w.pay.FactsOf(ctxOf(t), w.event(intentSucceeded, ss.PaymentIntent))
	require.ErrorIs(t, err, booking.ErrNotOurs)

	s := w.mustDeliver(completed, ss.ID)
	assert.Equal(t, booking.OutcomeIgnored, s.Outcome)
	assert.Equal(t, ReasonNotOurs, s.Reason)
	assert.Equal(t, store.EventIgnored, s.Event.State)
	assert.Equal(t, ReasonNotOurs, s.Event.Reason)
	assert.Empty(t, w.payments("user_7"))

	// An intent that no session made.
	e := w.event(intentSucceeded, ss.PaymentIntent)
	e.Object = []byte(`{"id":"pi_other","object":"payment_intent","status":"succeeded","amount":5,"currency":"usd","metadata":{}}`)
	_, err = w.pay.FactsOf(ctxOf(t), e)
	require.ErrorIs(t, err, booking.ErrNotOurs)
	// Another type.
	_, err = w.pay.FactsOf(ctxOf(t), Event{Type: "charge.succeeded"})
	require.ErrorIs(t, err, booking.ErrNotOurs)
}

func TestBrokenMetadata(t *testing.T) {
	w := newWorld(t)
	ss := w.paid(w.plainSession(true, func(p *stripetest.SessionParams) {
		p.Metadata = map[string]string{"userId": "user_7", "amountToPay": "forty-five"}
		p.IntentMetadata = nil
	}).ID)
	for _, e := range []Event{w.event(completed, ss.ID), w.event(intentSucceeded, ss.PaymentIntent)} {
		_, err := w.deliver(e)
		require.ErrorIs(t, err, booking.ErrMetadata)
		assert.NotContains(t, err.Error(), "forty-five")
		_, err = w.store.Event(ctxOf(t), e.ID)
		require.ErrorIs(t, err, store.ErrNotFound, "the caller records it")
	}
	// What can't be read is permanent too.
	e := w.event(completed, ss.ID)
	e.Object = []byte(`{"id":"cs_test_1","object":"checkout.session","amount_total":1.5}`)
	_, err := w.pay.FactsOf(ctxOf(t), e)
	require.ErrorIs(t, err, booking.ErrMetadata)
}

// The session's news of a payment that failed does not say why, and the intent's does:
// what is kept of the latest attempt does not depend on which comes first.
func TestWhyItFailed(t *testing.T) {
	sessionFirst, intentFirst := []string{asyncFailed, intentFailed, asyncFailed}, []string{intentFailed, asyncFailed, intentFailed}
	const voucher = "payment_intent_payment_attempt_expired"
	for name, c := range map[string]struct {
		currency string
		order    []string
		want     string
	}{
		"a voucher, the session's news first": {"jpy", sessionFirst, voucher},
		"a voucher, the intent's news first":  {"jpy", intentFirst, voucher},
		"a debit, the session's news first":   {"usd", sessionFirst, booking.UnknownFailure},
		"a debit, the intent's news first":    {"usd", intentFirst, booking.UnknownFailure},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			r := w.request("a")
			q, err := booking.NewQuote(9000, c.currency, store.OptionFull)
			require.NoError(t, err)
			r.Quote = q
			held := w.checkout(r)
			ss, err := w.stripe.Decline(held.SessionID, "insufficient_funds")
			require.NoError(t, err)
			w.mustDeliver(intentFailed, ss.PaymentIntent)
			require.Equal(t, "insufficient_funds", w.payments("user_7")[0].FailureCode)
			_, err = w.stripe.PayDelayed(held.SessionID)
			require.NoError(t, err)
			_, err = w.stripe.SettleDelayed(held.SessionID, false)
			require.NoError(t, err)
			for _, kind := range c.order {
				id := ss.ID
				if kind == intentFailed {
					id = ss.PaymentIntent
				}
				e := w.event(kind, id)
				_, err := w.deliver(e)
				require.NoError(t, err)
			}
			payments := w.payments("user_7")
			require.Len(t, payments, 1)
			assert.Equal(t, store.StatusFailed, payments[0].Status)
			assert.Equal(t, c.want, payments[0].FailureCode)
			assert.Equal(t, store.StateExpired, w.booking(held.BookingID).State)
		})
	}
}

// What no payment can be is refused for good, and leaves nothing behind.
func TestMoneyThatCannotBe(t *testing.T) {
	w := newWorld(t)
	held := w.checkout(w.request("a"))
	e := w.event(completed, w.paid(held.SessionID).ID)
	facts, err := w.pay.FactsOf(ctxOf(t), e)
	require.NoError(t, err)
	for what, change := range map[string]func(*booking.Facts){
		"a negative amount":         func(f *booking.Facts) { f.Amount = -1 },
		"a negative discount":       func(f *booking.Facts) { f.Discount = -1 },
		"more than there is":        func(f *booking.Facts) { f.Subtotal = maxAmount + 1 },
		"no currency":               func(f *booking.Facts) { f.Currency = "" },
		"a currency without an end": func(f *booking.Facts) { f.Currency = strings.Repeat("x", store.MaxID+1) },
		"a currency with a NUL":     func(f *booking.Facts) { f.Currency = "us\x00" },
	} {
		f := facts
		change(&f)
		_, err := w.pay.Settle(ctxOf(t), f, Cause{By: "webhook", ID: e.ID})
		require.ErrorIs(t, err, booking.ErrMetadata, what)
		require.Equal(t, store.StateHeld, w.booking(held.BookingID).State, what)
	}
	_, err = w.pay.Settle(ctxOf(t), facts, Cause{By: "webhook", ID: e.ID})
	require.NoError(t, err)
	require.Equal(t, store.StateConfirmed, w.booking(held.BookingID).State)
}

func TestForeign(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Event)
		reason string
	}{
		"livemode": {func(e *Event) { e.Livemode = true }, ReasonLivemode},
		"account":  {func(e *Event) { e.Account = "acct_other" }, ReasonAccount},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			ss := w.paid(w.plainSession(false).ID)
			for _, e := range []Event{w.event(completed, ss.ID), w.event(intentSucceeded, ss.PaymentIntent)} {
				c.change(&e)
				s, err := w.deliver(e)
				require.NoError(t, err)
				assert.Equal(t, booking.OutcomeIgnored, s.Outcome)
				assert.Equal(t, c.reason, s.Reason)
				assert.Equal(t, store.EventIgnored, s.Event.State)
			}
			assert.Zero(t, w.calls())
			assert.Empty(t, w.bookings("user_7"))
			require.Len(t, w.log.all(), 2, "money that nobody here will account for")
			assert.Contains(t, w.log.all()[0], "ERROR")
		})
	}
}

func TestFailedAttempt(t *testing.T) {
	t.Run("plain: no booking", func(t *testing.T) {
		for _, onIntent := range []bool{true, false} {
			w := newWorld(t)
			ss, err := w.stripe.Decline(w.plainSession(onIntent).ID, "insufficient_funds")
			require.NoError(t, err)
			s := w.mustDeliver(intentFailed, ss.PaymentIntent)
			assert.Equal(t, booking.OutcomeFailed, s.Outcome)
			assert.Equal(t, "insufficient_funds", s.Event.Reason)
			assert.Empty(t, w.bookings("user_7"))
			assert.Empty(t, w.payments("user_7"))

			ss = w.paid(ss.ID)
			assert.Equal(t, booking.OutcomeConfirmed, w.mustDeliver(completed, ss.ID).Outcome)
		}
	})
	t.Run("held: the booking keeps waiting", func(t *testing.T) {
		w := newWorld(t)
		c := w.checkout(w.request("a"))
		ss, err := w.stripe.Decline(c.SessionID, "insufficient_funds")
		require.NoError(t, err)
		s := w.mustDeliver(intentFailed, ss.PaymentIntent)
		assert.Equal(t, booking.OutcomeFailed, s.Outcome)
		assert.Equal(t, store.StateHeld, s.Booking.State)
		require.NotNil(t, s.Payment)
		assert.Equal(t, store.StatusFailed, s.Payment.Status)
		assert.Equal(t, "insufficient_funds", s.Payment.FailureCode)

		ss = w.paid(ss.ID)
		s = w.mustDeliver(completed, ss.ID)
		assert.Equal(t, booking.OutcomeConfirmed, s.Outcome)
		assert.Equal(t, store.StatusSucceeded, s.Payment.Status)
		// The failure again, and late: nothing is undone.
		s = w.mustDeliver(intentFailed, ss.PaymentIntent)
		assert.Equal(t, store.StateConfirmed, s.Booking.State)
		assert.Equal(t, store.StatusSucceeded, s.Payment.Status)
		assert.Len(t, w.payments("user_7"), 1)
	})
}

func TestDelayedPayment(t *testing.T) {
	for _, ok := range []bool{true, false} {
		w := newWorld(t)
		c := w.checkout(w.request("a"))
		_, err := w.stripe.PayDelayed(c.SessionID)
		require.NoError(t, err)
		s := w.mustDeliver(completed, c.SessionID)
		assert.Equal(t, booking.OutcomePending, s.Outcome)
		assert.Equal(t, store.StateHeld, s.Booking.State)
		_, err = w.pay.Confirm(ctxOf(t), c.SessionID, "user_7")
		require.ErrorIs(t, err, ErrNotPaid)

		_, err = w.stripe.SettleDelayed(c.SessionID, ok)
		require.NoError(t, err)
		if ok {
			s = w.mustDeliver(asyncSucceeded, c.SessionID)
			assert.Equal(t, booking.OutcomeConfirmed, s.Outcome)
			assert.Equal(t, store.StatusSucceeded, s.Payment.Status)
			// The confirm that came too early has not used up its key.
			s, err = w.pay.Confirm(ctxOf(t), c.SessionID, "user_7")
			require.NoError(t, err)
			assert.Equal(t, store.StateConfirmed, s.Booking.State)
			continue
		}
		s = w.mustDeliver(asyncFailed, c.SessionID)
		assert.Equal(t, booking.OutcomeFailed, s.Outcome)
		assert.Equal(t, store.StateExpired, s.Booking.State)
		assert.Equal(t, store.StatusFailed, s.Payment.Status)
	}
}

func TestExpiredSession(t *testing.T) {
	w := newWorld(t)
	r := w.request("a")
	r.Seats = []store.SeatClaim{{Slot: "monday", Capacity: 1, Count: 1}}
	c := w.checkout(r)
	r.Attempt = "b"
	_, err := w.pay.Checkout(ctxOf(t), r)
	require.ErrorIs(t, err, ErrSoldOut)

	_, err = w.stripe.Expire(c.SessionID)
	require.NoError(t, err)
	s := w.mustDeliver(expired, c.SessionID)
	assert.Equal(t, booking.OutcomeExpired, s.Outcome)
	assert.Equal(t, store.StateExpired, s.Booking.State)
	assert.Empty(t, s.Booking.Seats)
	require.NotEmpty(t, w.checkout(r).URL, "the seat is free again")
}

func TestOverpaid(t *testing.T) {
	w := newWorld(t)
	c := w.checkout(w.request("a"))
	// A second session of the same booking that got away.
	first, _ := w.stripe.Session(c.SessionID)
	second, err := w.stripe.CreateSession(stripetest.SessionParams{Amount: 4500, Metadata: first.Metadata, IntentMetadata: first.Metadata})
	require.NoError(t, err)
	w.paid(first.ID)
	second = w.paid(second.ID)

	require.Equal(t, booking.OutcomeConfirmed, w.mustDeliver(completed, first.ID).Outcome)
	s := w.mustDeliver(intentSucceeded, second.PaymentIntent)
	assert.Equal(t, booking.OutcomeOverpaid, s.Outcome)
	assert.Equal(t, store.StateConfirmed, s.Booking.State)
	assert.Equal(t, booking.ReasonOverpaid, s.Booking.Reason)
	assert.Len(t, w.payments("user_7"), 2)
	assert.Len(t, w.bookings("user_7"), 1)

	got, err := w.pay.Confirm(ctxOf(t), second.ID, "user_7")
	require.NoError(t, err)
	assert.Equal(t, booking.OutcomeAlready, got.Outcome)
}

func TestConflicted(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*stripetest.SessionParams)
		reason string
	}{
		"amount":   {func(p *stripetest.SessionParams) { p.Amount = 100 }, booking.ReasonAmount},
		"currency": {func(p *stripetest.SessionParams) { p.Currency = "eur" }, booking.ReasonCurrency},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			held := w.checkout(w.request("a"))
			first, _ := w.stripe.Session(held.SessionID)
			p := stripetest.SessionParams{Amount: 4500, Metadata: first.Metadata}
			c.change(&p)
			ss, err := w.stripe.CreateSession(p)
			require.NoError(t, err)
			ss = w.paid(ss.ID)

			s, err := w.pay.Confirm(ctxOf(t), ss.ID, "user_7")
			require.ErrorIs(t, err, ErrConflicted)
			assert.Equal(t, booking.OutcomeConflicted, s.Outcome)
			assert.Equal(t, c.reason, s.Booking.Reason)
			require.NotNil(t, s.Payment, "the payment is recorded")
			assert.Equal(t, store.StatusSucceeded, s.Payment.Status)
			s, err = w.pay.Confirm(ctxOf(t), ss.ID, "user_7")
			require.ErrorIs(t, err, ErrConflicted)
			assert.Equal(t, booking.OutcomeAlready, s.Outcome)
			// The webhook agrees.
			assert.Equal(t, booking.OutcomeAlready, w.mustDeliver(completed, ss.ID).Outcome)

			v, err := w.pay.Verify(ctxOf(t), ss.ID, "user_7", 0)
			require.NoError(t, err)
			assert.Equal(t, NeedsAttention, v.Status)
			assert.Equal(t, held.BookingID, v.Booking.ID)
		})
	}
}

// Paid late, and the seat has another owner.
func TestSeatsGone(t *testing.T) {
	w := newWorld(t)
	r := w.request("a")
	r.Seats = []store.SeatClaim{{Slot: "monday", Capacity: 1, Count: 1}}
	c := w.checkout(r)
	_, err := w.stripe.PayDelayed(c.SessionID)
	require.NoError(t, err)
	// Somebody ends the hold meanwhile.
	facts := booking.Facts{Mode: "payment", SessionStatus: "expired", SessionID: c.SessionID}
	first, _ := w.stripe.Session(c.SessionID)
	facts.Metadata = first.Metadata
	s, err := w.pay.Settle(ctxOf(t), facts, Cause{By: "operator", ID: "ann"})
	require.NoError(t, err)
	require.Equal(t, store.StateExpired, s.Booking.State)
	other := r
	other.Attempt, other.UserID = "b", "user_8"
	w.checkout(other)

	_, err = w.stripe.SettleDelayed(c.SessionID, true)
	require.NoError(t, err)
	s = w.mustDeliver(asyncSucceeded, c.SessionID)
	assert.Equal(t, booking.OutcomeConflicted, s.Outcome)
	assert.Equal(t, booking.ReasonSeats, s.Booking.Reason)
	assert.Equal(t, store.StatusSucceeded, s.Payment.Status)
}

// A balance that was paid elsewhere with our metadata is settled.
func TestBalance(t *testing.T) {
	w := newWorld(t)
	c := w.checkout(w.request("a"))
	w.paid(c.SessionID)
	b := w.mustDeliver(completed, c.SessionID).Booking
	o := booking.OrderOf(*b)
	o.Purpose, o.Now = store.PurposeBalance, b.Due
	metadata, err := booking.Marked{}.Encode(o)
	require.NoError(t, err)
	ss, err := w.stripe.CreateSession(stripetest.SessionParams{Amount: b.Due, Metadata: metadata})
	require.NoError(t, err)
	w.paid(ss.ID)
	s := w.mustDeliver(completed, ss.ID)
	assert.Equal(t, booking.OutcomeConfirmed, s.Outcome)
	assert.Zero(t, s.Booking.Due)
	assert.Equal(t, int64(9000), s.Booking.Paid)
	assert.Len(t, w.payments("user_7"), 2)
}

func TestFreeSessions(t *testing.T) {
	w := newWorld(t)
	for range 3 {
		ss, err := w.stripe.CreateSession(stripetest.SessionParams{Amount: 0, Metadata: map[string]string{
			"userId": "user_7", "serviceId": "svc_3", "serviceName": "Trial", "amountToPay": "0", "paymentOption": "full",
		}})
		require.NoError(t, err)
		ss = w.paid(ss.ID)
		s := w.mustDeliver(completed, ss.ID)
		assert.Equal(t, booking.OutcomeConfirmed, s.Outcome)
		assert.Nil(t, s.Payment)
		s, err = w.pay.Confirm(ctxOf(t), ss.ID, "user_7")
		require.NoError(t, err)
		assert.Equal(t, booking.OutcomeAlready, s.Outcome)
		v, err := w.pay.Verify(ctxOf(t), ss.ID, "user_7", 0)
		require.NoError(t, err)
		assert.Equal(t, Processed, v.Status)
	}
	assert.Len(t, w.bookings("user_7"), 3)
	assert.Empty(t, w.payments("user_7"))
}

// A replay with a key of its own changes nothing, and still finds the booking.
func TestReplayKey(t *testing.T) {
	w := newWorld(t)
	ss := w.paid(w.plainSession(false).ID)
	first := w.mustDeliver(completed, ss.ID)
	late := w.event(intentSucceeded, ss.PaymentIntent)
	for _, e := range []Event{w.event(completed, ss.ID), late, late} {
		f, err := w.pay.FactsOf(ctxOf(t), e)
		require.NoError(t, err)
		s, err := w.pay.Settle(ctxOf(t), f, Cause{By: "replay", ID: "ann", Key: e.ID + "/replay/1", Event: &store.Event{
			ID: e.ID, Type: e.Type, ReceivedAt: start, UpdatedAt: start, State: store.EventDone,
		}})
		require.NoError(t, err)
		assert.Equal(t, booking.OutcomeAlready, s.Outcome)
		require.NotNil(t, s.Booking)
		assert.Equal(t, first.Booking.ID, s.Booking.ID)
		assert.Equal(t, first.Booking.Version, s.Booking.Version)
	}
}

func TestSettleErrors(t *testing.T) {
	w := newWorld(t)
	ss := w.paid(w.plainSession(true).ID)
	away := errors.New("database away")

	w.store.fail(func(store.Change) error { return away }, nil)
	_, err := w.deliver(w.event(completed, ss.ID))
	require.ErrorIs(t, err, away)
	assert.True(t, store.IsTransient(err))
	assert.Contains(t, err.Error(), "payment: settle: ")

	// It was written, and nobody heard of it: the next delivery finds out.
	w.store.fail(nil, func(store.Change) error { return away })
	_, err = w.deliver(w.event(completed, ss.ID))
	require.ErrorIs(t, err, away)
	w.store.fail(nil, nil)
	s := w.mustDeliver(completed, ss.ID)
	assert.Equal(t, booking.OutcomeAlready, s.Outcome)
	assert.Len(t, w.bookings("user_7"), 1)

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	f, err := w.pay.FactsOf(ctxOf(t), w.event(completed, ss.ID))
	require.NoError(t, err)
	_, err = w.pay.Settle(ctx, f, Cause{By: "reconcile", ID: "x"})
	require.ErrorIs(t, err, context.Canceled)
}

// Races that are lost again and again end, as something to try later.
func TestEndlessConflict(t *testing.T) {
	w := newWorld(t)
	ss := w.paid(w.plainSession(true).ID)
	w.store.fail(func(store.Change) error { return store.ErrConflict }, nil)
	_, err := w.deliver(w.event(completed, ss.ID))
	require.ErrorIs(t, err, store.ErrConflict)
	assert.True(t, store.IsTransient(err))
	assert.Equal(t, maxPlans, w.store.applies)
}

func TestStripeAway(t *testing.T) {
	w := newWorld(t)
	ss := w.paid(w.plainSession(false).ID)
	e := w.event(intentSucceeded, ss.PaymentIntent)
	for _, f := range []stripetest.Fault{{Status: 500}, {Status: 503}, {Status: 429}, {Cut: true}} {
		n := 2
		if f.Status == 429 {
			n = 1 // not repeated
		}
		w.stripe.FailNext(n, listRoute, f)
		_, err := w.deliver(e)
		require.ErrorIs(t, err, ErrStripe, "%+v", f)
		assert.True(t, store.IsTransient(err))
		assert.NotContains(t, err.Error(), w.stripe.SecretKey)
	}
	s, err := w.deliver(e)
	require.NoError(t, err)
	assert.Equal(t, booking.OutcomeConfirmed, s.Outcome)
}

// A call to Stripe ends with the caller's deadline, or with the service's own.
func TestStripeTimeout(t *testing.T) {
	gate := make(chan struct{})
	defer close(gate)
	w := newWorld(t, func(c *Config) { c.Timeout = 50 * time.Millisecond })
	id := w.plainSession(false).ID
	w.stripe.FailNext(4, retrieveRoute, stripetest.Fault{Gate: gate})
	_, err := w.pay.Confirm(ctxOf(t), id, "user_7")
	require.ErrorIs(t, err, ErrStripe)

	w.pay.stripe.(*client).timeout = time.Minute
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err = w.pay.Confirm(ctx, id, "user_7")
	require.ErrorIs(t, err, ErrStripe)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestConfirm(t *testing.T) {
	w := newWorld(t)
	ctx := ctxOf(t)
	open := w.plainSession(false)
	done := w.paid(w.plainSession(false).ID)
	bare, err := w.stripe.CreateSession(stripetest.SessionParams{Amount: 4500})
	require.NoError(t, err)
	broken := w.plainSession(false, func(p *stripetest.SessionParams) {
		p.Metadata = map[string]string{"userId": "user_7", "amountToPay": "x"}
	})
	gone := w.plainSession(false)
	_, err = w.stripe.Expire(gone.ID)
	require.NoError(t, err)

	// The first check that fails decides.
	for name, c := range map[string]struct {
		id, user string
		want     error
	}{
		"unknown":                   {"cs_test_unknown", "user_7", ErrNoSession},
		"not a session's id":        {"pi_1", "user_7", ErrNoSession},
		"path":                      {"cs_test_../../events", "user_7", ErrNoSession},
		"another mode's":            {"cs_live_1", "user_7", ErrNoSession},
		"without metadata":          {bare.ID, "user_7", booking.ErrNotOurs},
		"broken metadata":           {broken.ID, "user_8", booking.ErrMetadata},
		"another's, and not paid":   {open.ID, "user_8", ErrNotOwner},
		"another's":                 {done.ID, "user_8", ErrNotOwner},
		"nobody's":                  {done.ID, "", ErrNotOwner},
		"the user in other letters": {done.ID, "USER_7", ErrNotOwner},
		"open":                      {open.ID, "user_7", ErrNotPaid},
		"expired":                   {gone.ID, "user_7", ErrNotPaid},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.pay.Confirm(ctx, c.id, c.user)
			require.ErrorIs(t, err, c.want)
			_, err = w.pay.Verify(ctx, c.id, c.user, 0)
			if c.want == ErrNotPaid {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, c.want)
			}
		})
	}
	assert.Empty(t, w.bookings("user_7"))
	assert.Zero(t, w.store.applies, "a confirm that fails its checks writes nothing")

	s, err := w.pay.Confirm(ctx, done.ID, "user_7")
	require.NoError(t, err)
	assert.Equal(t, booking.OutcomeConfirmed, s.Outcome)
	assert.Equal(t, "card", s.Payment.PaymentMethod)
	s, err = w.pay.Confirm(ctx, done.ID, "user_7")
	require.NoError(t, err)
	assert.Equal(t, booking.OutcomeAlready, s.Outcome)
	assert.Equal(t, store.StateConfirmed, s.Booking.State)
	lines, err := w.store.History(ctx, s.Booking.ID)
	require.NoError(t, err)
	require.Len(t, lines, 1)
	assert.Equal(t, store.Cause{By: "confirm", ID: done.ID}, lines[0].Cause)
}

// A session that names somebody's booking and another's user gives nothing away.
func TestConfirmStolenBooking(t *testing.T) {
	w := newWorld(t)
	c := w.checkout(w.request("a"))
	held, _ := w.stripe.Session(c.SessionID)
	metadata := map[string]string{}
	for k, v := range held.Metadata {
		metadata[k] = v
	}
	metadata["userId"] = "user_8"
	ss, err := w.stripe.CreateSession(stripetest.SessionParams{Amount: 4500, Metadata: metadata})
	require.NoError(t, err)
	w.paid(ss.ID)
	s, err := w.pay.Confirm(ctxOf(t), ss.ID, "user_8")
	require.ErrorIs(t, err, ErrNotOwner)
	assert.Nil(t, s.Booking)
	// The money is recorded, and the booking shows that somebody must look.
	b := w.booking(c.BookingID)
	assert.Equal(t, store.StateConflicted, b.State)
	assert.Equal(t, booking.ReasonOwner, b.Reason)
	_, err = w.pay.Verify(ctxOf(t), ss.ID, "user_8", 0)
	require.ErrorIs(t, err, ErrNotOwner)
}
