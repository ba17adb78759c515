package booking_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/memory"
)

var (
	planTime  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	planCause = store.Cause{By: "webhook", ID: "evt_1"}
)

func order() booking.Order {
	return booking.Order{
		BookingID: "bk_1", UserID: "u_1", ServiceID: "s_1", ServiceName: "Massage",
		Option: store.OptionFull, Purpose: store.PurposeFull, Total: 5000, Now: 5000, Currency: "usd",
	}
}

// session is a checkout session that is complete and paid, as agreed.
func session() booking.Facts {
	return booking.Facts{
		SessionID: "cs_1", PaymentIntentID: "pi_1", Mode: "payment", SessionStatus: "complete", PaymentStatus: "paid",
		Currency: "usd", Amount: 5000, Subtotal: 5000, PaymentMethod: "card",
	}
}

// intent is the same payment, seen from its intent alone.
func intent() booking.Facts {
	return booking.Facts{
		PaymentIntentID: "pi_1", IntentStatus: "succeeded",
		Currency: "usd", Amount: 5000, Subtotal: 5000, PaymentMethod: "card",
	}
}

func with(f booking.Facts, change func(*booking.Facts)) booking.Facts {
	change(&f)
	return f
}

// stored is a booking in a state, as it comes to be there; the paid ones rest on
// the intent pi_0.
func stored(state store.State) booking.Stored {
	if state == "" {
		return booking.Stored{}
	}
	b := &store.Booking{
		ID: "bk_1", UserID: "u_1", ServiceName: "Massage", Option: store.OptionFull, Total: 5000, Due: 5000,
		Currency: "usd", State: state, Version: 2, SessionID: "cs_1", CreatedAt: planTime, UpdatedAt: planTime,
	}
	st := booking.Stored{Booking: b}
	switch state {
	case store.StateConfirmed, store.StateConflicted, store.StateRefunded:
		b.Paid, b.Due, b.PaymentIntentID = 5000, 0, "pi_0"
		if state == store.StateConflicted {
			b.Reason = booking.ReasonAmount
		}
		st.Payments = []store.Payment{{
			ID: "pay_0", BookingID: "bk_1", UserID: "u_1", PaymentIntentID: "pi_0", SessionID: "cs_0", Amount: 5000,
			Subtotal: 5000, Currency: "usd", Status: store.StatusSucceeded, CapturedAt: planTime,
			Purpose: store.PurposeFull, CreatedAt: planTime, UpdatedAt: planTime,
		}}
	}
	return st
}

// TestSettle is the rule book: what is stored, what Stripe says, what follows.
// The state "" is no booking at all.
func TestSettle(t *testing.T) {
	paid := session()
	other := func(f func(*booking.Facts)) booking.Facts { return with(session(), f) }
	amount := other(func(f *booking.Facts) { f.Amount, f.Subtotal = 4999, 4999 })
	currency := other(func(f *booking.Facts) { f.Currency = "eur" })
	taxed := other(func(f *booking.Facts) { f.Amount, f.Tax, f.Shipping, f.Discount = 5900, 900, 500, 500 })
	free := other(func(f *booking.Facts) {
		f.PaymentIntentID, f.PaymentStatus, f.Amount, f.Discount = "", "no_payment_required", 0, 5000
	})
	open := other(func(f *booking.Facts) { f.SessionStatus, f.PaymentStatus, f.PaymentIntentID = "open", "unpaid", "" })
	openFree := with(free, func(f *booking.Facts) { f.SessionStatus = "open" })
	expired := with(open, func(f *booking.Facts) { f.SessionStatus = "expired" })
	replaced := with(expired, func(f *booking.Facts) { f.SessionID = "cs_old" })
	unpaid := other(func(f *booking.Facts) { f.PaymentStatus = "unpaid" })
	failed := with(unpaid, func(f *booking.Facts) { f.FailureCode = "async_payment_failed" })
	declined := with(intent(), func(f *booking.Facts) { f.IntentStatus, f.FailureCode = "requires_payment_method", "card_declined" })
	setup := other(func(f *booking.Facts) { f.Mode = "setup" })

	const none = store.State("")
	for _, c := range []struct {
		name    string
		from    store.State
		facts   booking.Facts
		outcome booking.Outcome
		to      store.State // "": the plan leaves the booking alone
		reason  string
		status  store.Status // of the payment that is written; "": none is
	}{
		{"paid, nothing stored", none, paid, booking.OutcomeConfirmed, store.StateConfirmed, "", store.StatusSucceeded},
		{"paid by intent, nothing stored", none, intent(), booking.OutcomeConfirmed, store.StateConfirmed, "", store.StatusSucceeded},
		{"paid, held", store.StateHeld, paid, booking.OutcomeConfirmed, store.StateConfirmed, "", store.StatusSucceeded},
		{"paid by intent, held", store.StateHeld, intent(), booking.OutcomeConfirmed, store.StateConfirmed, "", store.StatusSucceeded},
		{"paid with tax, shipping and discount", store.StateHeld, taxed, booking.OutcomeConfirmed, store.StateConfirmed, "", store.StatusSucceeded},
		{"paid late", store.StateExpired, paid, booking.OutcomeConfirmed, store.StateConfirmed, "", store.StatusSucceeded},
		{"paid after it was cancelled", store.StateCancelled, paid, booking.OutcomeConflicted, store.StateConflicted, booking.ReasonCancelled, store.StatusSucceeded},
		{"another amount, nothing stored", none, amount, booking.OutcomeConflicted, store.StateConflicted, booking.ReasonAmount, store.StatusSucceeded},
		{"another amount, held", store.StateHeld, amount, booking.OutcomeConflicted, store.StateConflicted, booking.ReasonAmount, store.StatusSucceeded},
		{"another amount, late", store.StateExpired, amount, booking.OutcomeConflicted, store.StateConflicted, booking.ReasonAmount, store.StatusSucceeded},
		{"another currency, nothing stored", none, currency, booking.OutcomeConflicted, store.StateConflicted, booking.ReasonCurrency, store.StatusSucceeded},
		{"another currency, held", store.StateHeld, currency, booking.OutcomeConflicted, store.StateConflicted, booking.ReasonCurrency, store.StatusSucceeded},
		{"a second payment, confirmed", store.StateConfirmed, paid, booking.OutcomeOverpaid, store.StateConfirmed, booking.ReasonOverpaid, store.StatusSucceeded},
		{"a second payment as agreed, conflicted", store.StateConflicted, paid, booking.OutcomeOverpaid, store.StateConfirmed, booking.ReasonOverpaid, store.StatusSucceeded},
		{"a second payment not as agreed, conflicted", store.StateConflicted, amount, booking.OutcomeOverpaid, store.StateConflicted, booking.ReasonAmount, store.StatusSucceeded},
		{"a second payment, refunded", store.StateRefunded, paid, booking.OutcomeOverpaid, store.StateRefunded, booking.ReasonOverpaid, store.StatusSucceeded},

		{"free, nothing stored", none, free, booking.OutcomeConfirmed, store.StateConfirmed, "", ""},
		{"free, held", store.StateHeld, free, booking.OutcomeConfirmed, store.StateConfirmed, "", ""},
		{"free, confirmed before", store.StateConfirmed, free, booking.OutcomeAlready, "", "", ""},
		{"free, but still open", store.StateHeld, openFree, booking.OutcomePending, "", "", ""},

		{"open, nothing stored", none, open, booking.OutcomePending, "", "", ""},
		{"open, held", store.StateHeld, open, booking.OutcomePending, "", "", ""},
		{"complete but unpaid, nothing stored", none, unpaid, booking.OutcomePending, "", "", ""},
		{"complete but unpaid, held", store.StateHeld, unpaid, booking.OutcomePending, store.StateHeld, "", store.StatusProcessing},
		{"delayed payment failed, nothing stored", none, failed, booking.OutcomeFailed, "", "async_payment_failed", ""},
		{"delayed payment failed, held", store.StateHeld, failed, booking.OutcomeFailed, store.StateExpired, booking.ReasonPaymentFailed, store.StatusFailed},
		{"declined, nothing stored", none, declined, booking.OutcomeFailed, "", "card_declined", ""},
		{"declined, held", store.StateHeld, declined, booking.OutcomeFailed, store.StateHeld, "card_declined", store.StatusFailed},
		{"declined, confirmed by another intent", store.StateConfirmed, declined, booking.OutcomeFailed, store.StateConfirmed, "card_declined", store.StatusFailed},

		{"expired, nothing stored", none, expired, booking.OutcomeExpired, "", "", ""},
		{"expired, held", store.StateHeld, expired, booking.OutcomeExpired, store.StateExpired, booking.ReasonNotPaid, ""},
		{"a replaced session expired", store.StateHeld, replaced, booking.OutcomeExpired, "", "", ""},
		{"expired, confirmed", store.StateConfirmed, expired, booking.OutcomeExpired, "", "", ""},
		{"expired, cancelled", store.StateCancelled, expired, booking.OutcomeExpired, "", "", ""},
		{"not a one-off payment", none, setup, booking.OutcomeIgnored, "", booking.ReasonNotPayment, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			st := stored(c.from)
			p, err := booking.Settle(st, order(), c.facts, planCause, planTime, false)
			require.NoError(t, err)
			assert.Equal(t, c.outcome, p.Outcome)
			assert.Equal(t, c.reason, p.Reason)
			if c.to == "" {
				assert.Nil(t, p.Change.Booking)
				assert.Empty(t, p.Change.Payments)
				return
			}
			b := p.Change.Booking
			require.NotNil(t, b)
			assert.Equal(t, c.to, b.State)
			h := p.Change.History
			require.NotNil(t, h)
			assert.Equal(t, store.History{From: c.from, To: c.to, Reason: b.Reason, Cause: planCause, At: planTime}, *h)
			if c.status == "" {
				assert.Empty(t, p.Change.Payments)
			} else {
				require.Len(t, p.Change.Payments, 1)
				got := p.Change.Payments[0]
				assert.Equal(t, c.status, got.Status)
				assert.Equal(t, c.facts.Amount, got.Amount, "what Stripe took is recorded as it came")
				assert.Equal(t, c.facts.Currency, got.Currency)
				assert.NotEmpty(t, b.PaymentIntentID, "a booking with a payment names one")
			}
			p.Change.Key = "k"
			assert.NoError(t, p.Change.Validate())
		})
	}
}

func TestSettleAmounts(t *testing.T) {
	half := order()
	half.Option, half.Purpose, half.Now = store.OptionHalf, store.PurposeDeposit, 2500
	deposit := with(session(), func(f *booking.Facts) { f.Amount, f.Subtotal = 2500, 2500 })

	p, err := booking.Settle(booking.Stored{}, half, deposit, planCause, planTime, false)
	require.NoError(t, err)
	b := p.Change.Booking
	assert.Equal(t, store.StateConfirmed, b.State)
	assert.Equal(t, []int64{5000, 2500, 2500}, []int64{b.Total, b.Paid, b.Due})
	assert.Equal(t, store.PurposeDeposit, p.Change.Payments[0].Purpose)

	b.Version = 1
	balance := half
	balance.Purpose, balance.Now = store.PurposeBalance, 2500
	rest := with(deposit, func(f *booking.Facts) { f.SessionID, f.PaymentIntentID = "cs_2", "pi_2" })
	st := booking.Stored{Booking: b, Payments: p.Change.Payments}
	p, err = booking.Settle(st, balance, rest, planCause, planTime, false)
	require.NoError(t, err)
	assert.Equal(t, booking.OutcomeConfirmed, p.Outcome)
	assert.Equal(t, []int64{5000, 0}, []int64{p.Change.Booking.Paid, p.Change.Booking.Due})
	assert.Equal(t, "pi_1", p.Change.Booking.PaymentIntentID, "the booking still rests on its deposit")

	st = booking.Stored{Booking: p.Change.Booking, Payments: append(st.Payments, p.Change.Payments...)}
	again := with(rest, func(f *booking.Facts) { f.SessionID, f.PaymentIntentID = "cs_3", "pi_3" })
	p, err = booking.Settle(st, balance, again, planCause, planTime, false)
	require.NoError(t, err)
	assert.Equal(t, booking.OutcomeOverpaid, p.Outcome, "the balance paid twice")
	assert.Equal(t, int64(7500), p.Change.Booking.Paid)
	assert.Zero(t, p.Change.Booking.Due)
}

func TestSettleOwner(t *testing.T) {
	o := order()
	o.UserID = "somebody else"
	p, err := booking.Settle(stored(store.StateHeld), o, session(), planCause, planTime, false)
	require.NoError(t, err)
	assert.Equal(t, booking.OutcomeConflicted, p.Outcome)
	assert.Equal(t, booking.ReasonOwner, p.Change.Booking.Reason)
	assert.Equal(t, "u_1", p.Change.Booking.UserID)
	assert.Equal(t, "u_1", p.Change.Payments[0].UserID)
}

func TestSettleSeats(t *testing.T) {
	seat := store.Seat{Slot: "mon", Number: 1}
	claim := store.SeatClaim{Slot: "mon", Capacity: 2, Count: 1}
	held := stored(store.StateHeld)
	held.Booking.Claims, held.Booking.Seats = []store.SeatClaim{claim}, []store.Seat{seat}

	p, err := booking.Settle(held, order(), session(), planCause, planTime, false)
	require.NoError(t, err)
	assert.Empty(t, p.Change.Claim, "a held booking has its seats")
	assert.Empty(t, p.Change.Release)

	gone := with(session(), func(f *booking.Facts) { f.SessionStatus, f.PaymentStatus = "expired", "unpaid" })
	p, err = booking.Settle(held, order(), gone, planCause, planTime, false)
	require.NoError(t, err)
	assert.Equal(t, []store.Seat{seat}, p.Change.Release)

	late := stored(store.StateExpired)
	late.Booking.Claims = []store.SeatClaim{claim}
	p, err = booking.Settle(late, order(), session(), planCause, planTime, false)
	require.NoError(t, err)
	assert.Equal(t, booking.OutcomeConfirmed, p.Outcome)
	assert.Equal(t, []store.SeatClaim{claim}, p.Change.Claim)

	p, err = booking.Settle(late, order(), session(), planCause, planTime, true)
	require.NoError(t, err)
	assert.Equal(t, booking.OutcomeConflicted, p.Outcome)
	assert.Equal(t, booking.ReasonSeats, p.Change.Booking.Reason)
	assert.Empty(t, p.Change.Claim)
	assert.Len(t, p.Change.Payments, 1, "the money is recorded even so")
}

// A conflict over the seats, or of a cancelled booking, is not settled by another
// payment, and one over the amount only if the seats can be had.
func TestSettleConflicted(t *testing.T) {
	for reason, to := range map[string]store.State{
		booking.ReasonAmount: store.StateConfirmed, booking.ReasonCurrency: store.StateConfirmed,
		booking.ReasonSeats: store.StateConflicted, booking.ReasonCancelled: store.StateConflicted, booking.ReasonOwner: store.StateConflicted,
	} {
		st := stored(store.StateConflicted)
		st.Booking.Reason = reason
		st.Booking.Claims = []store.SeatClaim{{Slot: "mon", Capacity: 2, Count: 1}}
		p, err := booking.Settle(st, order(), session(), planCause, planTime, false)
		require.NoError(t, err)
		assert.Equal(t, to, p.Change.Booking.State, reason)
		assert.Equal(t, to == store.StateConfirmed, len(p.Change.Claim) == 1, reason)
		p, err = booking.Settle(st, order(), session(), planCause, planTime, true)
		require.NoError(t, err)
		assert.Equal(t, store.StateConflicted, p.Change.Booking.State, reason)
		assert.Equal(t, reason, p.Change.Booking.Reason)
		assert.Empty(t, p.Change.Claim)
		assert.Len(t, p.Change.Payments, 1)
	}
}

// TestSettleAnyOrder applies the same news in many orders, some of it more than
// once, and always comes to the same end.
func TestSettleAnyOrder(t *testing.T) {
	paid := session()
	declined := with(intent(), func(f *booking.Facts) { f.IntentStatus, f.FailureCode = "requires_payment_method", "card_declined" })
	unpaid := with(paid, func(f *booking.Facts) { f.PaymentStatus = "unpaid" })
	open := with(paid, func(f *booking.Facts) { f.SessionStatus, f.PaymentStatus, f.PaymentIntentID = "open", "unpaid", "" })
	expired := with(open, func(f *booking.Facts) { f.SessionStatus = "expired" })
	asyncFailed := with(unpaid, func(f *booking.Facts) { f.FailureCode = "async_payment_failed" })
	for name, c := range map[string]struct {
		news []booking.Facts
		hold bool
	}{
		"no hold":              {[]booking.Facts{paid, intent(), declined, unpaid, open}, false},
		"held":                 {[]booking.Facts{paid, intent(), declined, unpaid, open}, true},
		"held, news of an end": {[]booking.Facts{paid, intent(), expired, asyncFailed}, true},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := int64(0); seed < 200; seed++ {
				rng := rand.New(rand.NewSource(seed))
				news := append([]booking.Facts(nil), c.news...)
				for range 4 {
					news = append(news, c.news[rng.Intn(len(c.news))])
				}
				rng.Shuffle(len(news), func(i, j int) { news[i], news[j] = news[j], news[i] })

				s := &memory.Store{}
				ctx := context.Background()
				if c.hold {
					q, err := booking.NewQuote(5000, "usd", store.OptionFull)
					require.NoError(t, err)
					p, err := booking.Hold(order(), q, nil, planTime.Add(time.Hour), false, "", store.Cause{By: "checkout"}, planTime)
					require.NoError(t, err)
					p.Change.Key = "hold"
					_, err = s.Apply(ctx, p.Change)
					require.NoError(t, err)
				}
				for i, f := range news {
					st := booking.Stored{}
					if b, err := s.Booking(ctx, "bk_1"); err == nil {
						st.Booking = &b
						st.Payments, _, err = s.PaymentsByBooking(ctx, "bk_1", store.Page{})
						require.NoError(t, err)
					} else {
						require.True(t, errors.Is(err, store.ErrNotFound))
					}
					o := order()
					o.Version = 1
					p, err := booking.Settle(st, o, f, planCause, planTime, false)
					require.NoError(t, err, "seed %d", seed)
					if p.Change.Booking == nil {
						continue
					}
					p.Change.Key = fmt.Sprint("news", i)
					_, err = s.Apply(ctx, p.Change)
					require.NoError(t, err, "seed %d", seed)
				}
				b, err := s.Booking(ctx, "bk_1")
				require.NoError(t, err)
				assert.Equal(t, store.StateConfirmed, b.State, "seed %d", seed)
				assert.Empty(t, b.Reason, "seed %d", seed)
				assert.Equal(t, []int64{5000, 5000, 0}, []int64{b.Total, b.Paid, b.Due}, "seed %d", seed)
				assert.Equal(t, "cs_1", b.SessionID, "seed %d", seed)
				ps, _, err := s.PaymentsByBooking(ctx, "bk_1", store.Page{})
				require.NoError(t, err)
				require.Len(t, ps, 1, "seed %d", seed)
				assert.Equal(t, store.StatusSucceeded, ps[0].Status, "seed %d", seed)
				assert.Equal(t, "cs_1", ps[0].SessionID, "seed %d", seed)
				assert.Equal(t, int64(5000), ps[0].Amount, "seed %d", seed)
			}
		})
	}
}

func TestHoldAttachRenew(t *testing.T) {
	q, err := booking.NewQuote(5000, "usd", store.OptionHalf)
	require.NoError(t, err)
	claims := []store.SeatClaim{{Slot: "mon", Capacity: 2, Count: 1}}
	until := planTime.Add(time.Hour)
	cause := store.Cause{By: "checkout", ID: "a"}
	p, err := booking.Hold(order(), q, claims, until, true, "", cause, planTime)
	require.NoError(t, err)
	b := p.Change.Booking
	assert.Equal(t, store.StateHeld, b.State)
	assert.Equal(t, claims, p.Change.Claim)
	assert.Equal(t, store.OptionHalf, b.Option)
	assert.Equal(t, until, b.HoldUntil)
	assert.True(t, b.Livemode)

	b.Version = 1
	o := booking.OrderOf(*b)
	assert.Equal(t, int64(2500), o.Now)
	assert.Equal(t, store.PurposeDeposit, o.Purpose)
	assert.Equal(t, int64(1), o.Version)

	p, err = booking.Attach(booking.Stored{Booking: b}, "cs_1", cause, planTime)
	require.NoError(t, err)
	b = p.Change.Booking
	assert.Equal(t, "cs_1", b.SessionID)
	p, err = booking.Attach(booking.Stored{Booking: b}, "cs_1", cause, planTime)
	require.NoError(t, err)
	assert.Nil(t, p.Change.Booking, "nothing to write twice")

	full, err := booking.NewQuote(6000, "usd", store.OptionFull)
	require.NoError(t, err)
	p, err = booking.Renew(booking.Stored{Booking: b}, full, until.Add(time.Hour), cause, planTime)
	require.NoError(t, err)
	assert.Empty(t, p.Change.Booking.SessionID)
	assert.Equal(t, int64(6000), p.Change.Booking.Due)
	assert.Equal(t, until.Add(time.Hour), p.Change.Booking.HoldUntil)

	for _, state := range []store.State{"", store.StateConfirmed, store.StateExpired} {
		_, err = booking.Attach(stored(state), "cs_2", cause, planTime)
		require.Error(t, err)
		_, err = booking.Renew(stored(state), full, until, cause, planTime)
		require.Error(t, err)
	}
}
