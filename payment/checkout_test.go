package payment

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/payment/stripetest"
	"github.com/carevia/stripebooking/store"
)

func TestCheckout(t *testing.T) {
	w := newWorld(t)
	c := w.checkout(w.request("a"))
	ss, ok := w.stripe.Session(c.SessionID)
	require.True(t, ok)
	assert.Equal(t, ss.URL, c.URL)
	assert.Equal(t, c.BookingID, ss.ClientReferenceID)
	assert.Equal(t, int64(4500), ss.AmountTotal)
	assert.Equal(t, "usd", ss.Currency)
	assert.Equal(t, "someone@example.com", ss.CustomerEmail)
	assert.Equal(t, start.Add(DefaultHold), ss.ExpiresAt)
	assert.Equal(t, ss.ExpiresAt, c.ExpiresAt)
	assert.Contains(t, string(ss.JSON), `"success_url": "https://example.com/success?session_id={CHECKOUT_SESSION_ID}"`)
	assert.Contains(t, string(ss.JSON), `"cancel_url": "https://example.com/cancel"`)
	assert.Equal(t, c.BookingID, ss.Metadata["bookingId"])
	assert.Equal(t, "45.00", ss.Metadata["amountToPay"])
	assert.Equal(t, "Dhaka", ss.Metadata["city"])

	b := w.booking(c.BookingID)
	assert.Equal(t, store.StateHeld, b.State)
	assert.Equal(t, c.SessionID, b.SessionID)
	assert.Equal(t, start.Add(DefaultHold), b.HoldUntil)
	assert.Equal(t, c.Booking, b)

	ss = w.paid(ss.ID)
	f, err := decodeIntent(w.event(intentSucceeded, ss.PaymentIntent).Object)
	require.NoError(t, err)
	assert.Equal(t, ss.Metadata, f.Metadata, "the metadata is on the intent too")

	// Paid, before the webhook: the retried attempt settles it.
	c = w.checkout(w.request("a"))
	assert.Empty(t, c.URL)
	assert.Equal(t, store.StateConfirmed, c.Booking.State)
	lines, err := w.store.History(ctxOf(t), b.ID)
	require.NoError(t, err)
	assert.Equal(t, "checkout", lines[0].Cause.By)
}

func TestSuccessURL(t *testing.T) {
	for in, want := range map[string]string{
		"https://a.example":                                   "https://a.example?session_id={CHECKOUT_SESSION_ID}",
		"https://a.example/x?y=1":                             "https://a.example/x?y=1&session_id={CHECKOUT_SESSION_ID}",
		"https://a.example/x?":                                "https://a.example/x?session_id={CHECKOUT_SESSION_ID}",
		"https://a.example/x?y=1&":                            "https://a.example/x?y=1&session_id={CHECKOUT_SESSION_ID}",
		"https://a.example/x#part":                            "https://a.example/x?session_id={CHECKOUT_SESSION_ID}#part",
		"https://a.example/x?id={CHECKOUT_SESSION_ID}&lang=b": "https://a.example/x?id={CHECKOUT_SESSION_ID}&lang=b",
	} {
		assert.Equal(t, want, withSession(in))
	}
}

// A double click from 32 places at once.
func TestDoubleClick(t *testing.T) {
	w := newWorld(t)
	r := w.request("a")
	r.Seats = []store.SeatClaim{{Slot: "monday", Capacity: 10, Count: 1}}
	got := make([]Checkout, 32)
	errs := make([]error, 32)
	w.pay.after = func(time.Duration) <-chan time.Time { return time.After(time.Millisecond) }
	together(32, func(i int) { got[i], errs[i] = w.pay.Checkout(context.Background(), r) })
	for i := range got {
		require.NoError(t, errs[i])
		assert.Equal(t, got[0].BookingID, got[i].BookingID)
		assert.Equal(t, got[0].SessionID, got[i].SessionID)
		assert.Equal(t, got[0].URL, got[i].URL)
		assert.NotEmpty(t, got[i].URL)
	}
	assert.Len(t, w.stripe.Sessions(), 1)
	require.Len(t, w.bookings("user_7"), 1)
	assert.Len(t, w.bookings("user_7")[0].Seats, 1)
}

// A click while the call of the first is still on its way to Stripe.
func TestBusy(t *testing.T) {
	w := newWorld(t)
	gate := make(chan struct{})
	var once sync.Once
	w.pay.after = func(time.Duration) <-chan time.Time {
		once.Do(func() { close(gate) }) // somebody was told to wait
		return time.After(time.Millisecond)
	}
	w.stripe.Fail(createRoute, stripetest.Fault{Gate: gate})
	got := make([]Checkout, 2)
	errs := make([]error, 2)
	together(2, func(i int) { got[i], errs[i] = w.pay.Checkout(context.Background(), w.request("a")) })
	require.NoError(t, errors.Join(errs...))
	assert.Equal(t, got[0].URL, got[1].URL)
	assert.Len(t, w.stripe.Sessions(), 1)
}

// 32 attempts at one booking with two prices: in the end one session is open.
func TestManyAttempts(t *testing.T) {
	w := newWorld(t)
	first := w.checkout(w.request("a"))
	errs := make([]error, 32)
	together(32, func(i int) {
		r := w.request(fmt.Sprint("again", i))
		if i%2 == 0 {
			r = w.full(fmt.Sprint("again", i))
		}
		r.BookingID = first.BookingID
		_, errs[i] = w.pay.Checkout(context.Background(), r)
	})
	for _, err := range errs {
		if err != nil { // those that lost too often are to try again
			require.ErrorIs(t, err, store.ErrConflict)
		}
	}
	assert.Len(t, w.bookings("user_7"), 1)
	last := w.checkout(func() CheckoutRequest { r := w.full("last"); r.BookingID = first.BookingID; return r }())
	assert.NotEmpty(t, last.URL)
	assert.Equal(t, 1, w.open())
	ss := w.paid(last.SessionID)
	assert.Equal(t, booking.OutcomeConfirmed, w.mustDeliver(intentSucceeded, ss.PaymentIntent).Outcome)
}

// The process dies, or loses its connection, before or after any step; then the
// customer clicks again. One booking and one session, every time.
func TestCrashPoints(t *testing.T) {
	crash := errors.New("crash")
	writes := []string{"checkout/", "session/"}
	for _, key := range writes {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprint(key, " after=", after), func(t *testing.T) {
				w := newWorld(t)
				die := func(c store.Change) error {
					if strings.HasPrefix(c.Key, key) {
						return crash
					}
					return nil
				}
				if after {
					w.store.fail(nil, die)
				} else {
					w.store.fail(die, nil)
				}
				_, err := w.pay.Checkout(ctxOf(t), w.request("a"))
				require.ErrorIs(t, err, crash)
				w.store.fail(nil, nil)
				c := w.checkout(w.request("a"))
				assert.NotEmpty(t, c.URL)
				assert.Len(t, w.stripe.Sessions(), 1)
				assert.Len(t, w.bookings("user_7"), 1)
				ss := w.paid(c.SessionID)
				assert.Equal(t, booking.OutcomeConfirmed, w.mustDeliver(completed, ss.ID).Outcome)
			})
		}
	}

	for name, c := range map[string]struct {
		fault stripetest.Fault
		n     int
		// sessions that exist in the end, of which one is open
		sessions int
	}{
		"cut before the work":                {stripetest.Fault{Cut: true}, 2, 1},
		"cut after the work":                 {stripetest.Fault{Cut: true, Done: true}, 2, 1},
		"500, stored, without the work":      {stripetest.Fault{Status: 500}, 1, 1},
		"500, stored, with the work":         {stripetest.Fault{Status: 500, Done: true}, 1, 1},
		"503, with the work":                 {stripetest.Fault{Status: 503, Done: true}, 2, 1},
		"503, never arrived":                 {stripetest.Fault{Status: 503}, 2, 1},
		"rate limit":                         {stripetest.Fault{Status: 429}, 1, 1},
		"500 again with the new key as well": {stripetest.Fault{Status: 500}, 2, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.stripe.FailNext(c.n, createRoute, c.fault)
			first, err := w.pay.Checkout(ctxOf(t), w.request("a"))
			if err != nil {
				require.ErrorIs(t, err, ErrStripe)
				assert.True(t, store.IsTransient(err))
			}
			again := w.checkout(w.request("a"))
			assert.NotEmpty(t, again.URL)
			if err == nil {
				assert.Equal(t, first.SessionID, again.SessionID)
			}
			assert.Len(t, w.stripe.Sessions(), c.sessions)
			assert.Equal(t, 1, w.open())
			assert.Len(t, w.bookings("user_7"), 1)
			ss := w.paid(again.SessionID)
			assert.Equal(t, booking.OutcomeConfirmed, w.mustDeliver(intentSucceeded, ss.PaymentIntent).Outcome)
		})
	}
}

// After a 5xx that stays, while the list can't be read either.
func TestListFails(t *testing.T) {
	w := newWorld(t)
	w.stripe.Fail(createRoute, stripetest.Fault{Status: 500, Done: true})
	w.stripe.FailNext(2, listRoute, stripetest.Fault{Status: 500})
	_, err := w.pay.Checkout(ctxOf(t), w.request("a"))
	require.ErrorIs(t, err, ErrStripe)
	c := w.checkout(w.request("a"))
	assert.NotEmpty(t, c.URL)
	assert.Len(t, w.stripe.Sessions(), 1)
}

// A session that was made and never attached is found although its hold has
// become too short for another.
func TestShortHold(t *testing.T) {
	t.Run("with a session", func(t *testing.T) {
		w := newWorld(t)
		w.crashBeforeAttach(w.request("a"))
		w.clock.pass(45 * time.Minute)
		c := w.checkout(w.request("a"))
		assert.Len(t, w.stripe.Sessions(), 1, "adopted")
		assert.Equal(t, w.stripe.Sessions()[0].ID, c.SessionID)
	})
	t.Run("without", func(t *testing.T) {
		w := newWorld(t)
		w.stripe.FailNext(2, createRoute, stripetest.Fault{Cut: true})
		_, err := w.pay.Checkout(ctxOf(t), w.request("a"))
		require.ErrorIs(t, err, ErrStripe)
		w.clock.pass(45 * time.Minute)
		c := w.checkout(w.request("a"))
		assert.Equal(t, start.Add(105*time.Minute), c.ExpiresAt)
		assert.Equal(t, c.ExpiresAt, c.Booking.HoldUntil)
	})
}

// Stripe forgets keys after 24 hours.
func TestAfterADay(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Hold = MaxHold })
	w.stripe.FailNext(2, createRoute, stripetest.Fault{Cut: true, Done: true})
	_, err := w.pay.Checkout(ctxOf(t), w.request("a"))
	require.ErrorIs(t, err, ErrStripe)
	require.Equal(t, 1, w.open())
	w.clock.pass(25 * time.Hour)
	c := w.checkout(w.request("a"))
	assert.NotEmpty(t, c.URL)
	assert.Equal(t, 1, w.open())
	// The end of the first, heard of late, is not the end of the hold.
	old := w.stripe.Sessions()[0]
	require.Equal(t, "expired", old.Status)
	s := w.mustDeliver(expired, old.ID)
	assert.Equal(t, store.StateHeld, s.Booking.State)
}

func TestNewAttempt(t *testing.T) {
	t.Run("equal quote: the open session", func(t *testing.T) {
		w := newWorld(t)
		first := w.checkout(w.request("a"))
		r := w.request("b")
		r.BookingID = first.BookingID
		second := w.checkout(r)
		assert.Equal(t, first.SessionID, second.SessionID)
		assert.Equal(t, first.URL, second.URL)
		assert.Len(t, w.stripe.Sessions(), 1)
	})
	t.Run("another quote: a new session, and one open", func(t *testing.T) {
		w := newWorld(t)
		first := w.checkout(w.request("a"))
		r := w.full("b")
		r.BookingID = first.BookingID
		second := w.checkout(r)
		assert.NotEqual(t, first.SessionID, second.SessionID)
		old, _ := w.stripe.Session(first.SessionID)
		assert.Equal(t, "expired", old.Status)
		assert.Equal(t, 1, w.open())
		assert.Equal(t, store.OptionFull, second.Booking.Option)
		// What the expiry brings does not end the hold.
		s := w.mustDeliver(expired, first.SessionID)
		assert.Equal(t, store.StateHeld, s.Booking.State)
		w.paid(second.SessionID)
		s = w.mustDeliver(completed, second.SessionID)
		assert.Equal(t, booking.OutcomeConfirmed, s.Outcome)
		assert.Equal(t, int64(9000), s.Booking.Paid)
	})
	t.Run("another quote, and the customer paid the old one", func(t *testing.T) {
		w := newWorld(t)
		first := w.checkout(w.request("a"))
		w.paid(first.SessionID)
		r := w.full("b")
		r.BookingID = first.BookingID
		second := w.checkout(r)
		assert.Empty(t, second.URL)
		assert.Equal(t, store.StateConfirmed, second.Booking.State)
		assert.Equal(t, store.OptionHalf, second.Booking.Option, "on the terms that were paid")
	})
	t.Run("another quote, paid while the session is let go of", func(t *testing.T) {
		w := newWorld(t)
		first := w.checkout(w.request("a"))
		paid := false
		w.store.fail(nil, func(c store.Change) error {
			if strings.HasPrefix(c.Key, "renew/") && !paid {
				paid = true
				w.paid(first.SessionID)
			}
			return nil
		})
		r := w.full("b")
		r.BookingID = first.BookingID
		second := w.checkout(r)
		assert.True(t, paid)
		assert.Empty(t, second.URL)
		assert.Equal(t, store.StateConfirmed, second.Booking.State, second.Booking.Reason)
		assert.Len(t, w.stripe.Sessions(), 1)
	})
	t.Run("a crash between the steps", func(t *testing.T) {
		crash := errors.New("crash")
		for n := 1; n <= 3; n++ { // let go, renew, attach
			for _, after := range []bool{false, true} {
				w := newWorld(t)
				first := w.checkout(w.request("a"))
				count := 0
				die := func(c store.Change) error {
					if c.Booking == nil {
						return nil
					}
					if count++; count == n {
						return crash
					}
					return nil
				}
				if after {
					w.store.fail(nil, die)
				} else {
					w.store.fail(die, nil)
				}
				r := w.full("b")
				r.BookingID = first.BookingID
				_, err := w.pay.Checkout(ctxOf(t), r)
				require.ErrorIs(t, err, crash)
				w.store.fail(nil, nil)
				second := w.checkout(r)
				assert.NotEmpty(t, second.URL)
				assert.Equal(t, 1, w.open(), "step %d after=%v", n, after)
				assert.Len(t, w.stripe.Sessions(), 2)
			}
		}
	})
	t.Run("paid", func(t *testing.T) {
		w := newWorld(t)
		first := w.checkout(w.request("a"))
		w.paid(first.SessionID)
		w.mustDeliver(completed, first.SessionID)
		r := w.request("b")
		r.BookingID = first.BookingID
		second := w.checkout(r)
		assert.Empty(t, second.URL)
		assert.Equal(t, store.StateConfirmed, second.Booking.State)
	})
	t.Run("a delayed payment is on its way", func(t *testing.T) {
		w := newWorld(t)
		first := w.checkout(w.request("a"))
		_, err := w.stripe.PayDelayed(first.SessionID)
		require.NoError(t, err)
		r := w.full("b")
		r.BookingID = first.BookingID
		second := w.checkout(r)
		assert.Empty(t, second.URL)
		assert.Equal(t, store.StateHeld, second.Booking.State)
		assert.Zero(t, w.open())
	})
	t.Run("expired", func(t *testing.T) {
		w := newWorld(t)
		first := w.checkout(w.request("a"))
		w.clock.pass(2 * time.Hour)
		_, err := w.pay.Checkout(ctxOf(t), w.request("a"))
		require.ErrorIs(t, err, ErrHoldEnded)
		assert.Equal(t, store.StateExpired, w.booking(first.BookingID).State)
		_, err = w.pay.Checkout(ctxOf(t), w.request("a"))
		require.ErrorIs(t, err, ErrHoldEnded)
		assert.NotEqual(t, first.BookingID, w.checkout(w.request("b")).BookingID)
	})
	t.Run("another's, unknown, changed", func(t *testing.T) {
		w := newWorld(t)
		first := w.checkout(w.request("a"))
		r := w.request("b")
		r.BookingID, r.UserID = first.BookingID, "user_8"
		_, err := w.pay.Checkout(ctxOf(t), r)
		require.ErrorIs(t, err, ErrNotOwner)
		r = w.request("b")
		r.BookingID = "bk_unknown"
		_, err = w.pay.Checkout(ctxOf(t), r)
		require.ErrorIs(t, err, store.ErrNotFound)
		for _, change := range []func(*CheckoutRequest){
			func(r *CheckoutRequest) { r.ServiceID = "svc_cheap" },
			func(r *CheckoutRequest) { r.ServiceName = "Palace" },
			func(r *CheckoutRequest) { r.Details = map[string]string{"city": "Rome"} },
			func(r *CheckoutRequest) { r.Seats = []store.SeatClaim{{Slot: "x", Capacity: 1, Count: 1}} },
		} {
			r = w.request("b")
			r.BookingID = first.BookingID
			change(&r)
			_, err = w.pay.Checkout(ctxOf(t), r)
			require.ErrorIs(t, err, ErrInvalid)
		}
	})
}

func TestAttemptReused(t *testing.T) {
	w := newWorld(t)
	first := w.checkout(w.request("a"))
	for name, change := range map[string]func(*CheckoutRequest){
		"price":   func(r *CheckoutRequest) { r.Quote = w.full("").Quote },
		"service": func(r *CheckoutRequest) { r.ServiceID = "svc_4" },
		"details": func(r *CheckoutRequest) { r.Details = nil },
		"seats":   func(r *CheckoutRequest) { r.Seats = []store.SeatClaim{{Slot: "x", Capacity: 1, Count: 1}} },
		"email":   func(r *CheckoutRequest) { r.CustomerEmail = "other@example.com" },
		"booking": func(r *CheckoutRequest) { r.BookingID = first.BookingID },
	} {
		t.Run(name, func(t *testing.T) {
			r := w.request("a")
			change(&r)
			_, err := w.pay.Checkout(ctxOf(t), r)
			require.ErrorIs(t, err, ErrAttemptReused)
		})
	}
	// Another user's attempt of the same name is another attempt.
	r := w.request("a")
	r.UserID = "user_8"
	assert.NotEqual(t, first.BookingID, w.checkout(r).BookingID)
	// Names can't be glued together.
	assert.NotEqual(t, hash("ab", "c"), hash("a", "bc"))
}

// Two people, one seat, at the same time.
func TestLastSeat(t *testing.T) {
	w := newWorld(t)
	errs := make([]error, 32)
	together(32, func(i int) {
		r := w.request("a")
		r.UserID = fmt.Sprint("user_", i)
		r.Seats = []store.SeatClaim{{Slot: "monday", Capacity: 1, Count: 1}}
		_, errs[i] = w.pay.Checkout(context.Background(), r)
	})
	sold := 0
	for _, err := range errs {
		if err == nil {
			sold++
			continue
		}
		require.ErrorIs(t, err, ErrSoldOut)
	}
	assert.Equal(t, 1, sold)
	assert.Len(t, w.stripe.Sessions(), 1)
}

// The config or the e-mail address changed since the key was used.
func TestOtherParameters(t *testing.T) {
	w := newWorld(t)
	w.crashBeforeAttach(w.request("a"))
	w.pay.cfg.CancelURL = "https://example.com/elsewhere"
	c := w.checkout(w.request("a"))
	assert.Len(t, w.stripe.Sessions(), 1, "the session that exists is adopted")
	assert.NotEmpty(t, c.URL)
}

// Stripe does not take the session: the hold ends, and its seats are free.
func TestRefused(t *testing.T) {
	w := newWorld(t)
	r := w.request("a")
	r.Quote = quoteOf(t, 100_000_000_000) // more than the stand-in takes, as Stripe for most methods
	r.Seats = []store.SeatClaim{{Slot: "monday", Capacity: 1, Count: 1}}
	_, err := w.pay.Checkout(ctxOf(t), r)
	require.ErrorIs(t, err, ErrRefused)
	b := w.bookings("user_7")[0]
	assert.Equal(t, store.StateExpired, b.State)
	assert.Empty(t, b.Seats)
}

// It is the key that Stripe does not take: once it is right again, the same
// attempt goes on.
func TestRefusedKey(t *testing.T) {
	wrong := true
	w := newWorld(t, func(c *Config) {
		c.HTTPClient = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			if wrong {
				r.Header.Set("Authorization", "Bearer sk_test_wrong")
			}
			return http.DefaultTransport.RoundTrip(r)
		})}
	})
	_, err := w.pay.Checkout(ctxOf(t), w.request("a"))
	require.ErrorIs(t, err, ErrRefused)
	assert.NotContains(t, err.Error(), "sk_test")
	assert.Equal(t, store.StateHeld, w.bookings("user_7")[0].State)
	wrong = false
	assert.NotEmpty(t, w.checkout(w.request("a")).URL)
}

// Our clock is ahead of Stripe's, and the hold as long as may be.
func TestLongestHold(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		now := c.Now
		c.Now = func() time.Time { return now().Add(20 * time.Second) }
		c.Hold = MaxHold
	})
	c := w.checkout(w.request("a"))
	assert.WithinDuration(t, start.Add(MaxHold), c.ExpiresAt, time.Minute)
}

// Our clock is behind Stripe's, by more than is allowed for, when just enough of the hold
// is left by ours.
func TestClockBehind(t *testing.T) {
	for name, hold := range map[string]time.Duration{"a longer hold helps": time.Hour, "no hold is long enough": MinHold} {
		t.Run(name, func(t *testing.T) {
			behind := 20 * time.Second
			w := newWorld(t, func(c *Config) {
				now := c.Now
				c.Now = func() time.Time { return now().Add(-behind) }
				c.Hold = hold
			})
			w.stripe.FailNext(2, createRoute, stripetest.Fault{Cut: true})
			_, err := w.pay.Checkout(ctxOf(t), w.request("a"))
			require.ErrorIs(t, err, ErrStripe)
			w.clock.pass(hold - minLife - slack - time.Second)
			if hold == MinHold {
				behind = 2 * time.Minute
				_, err := w.pay.Checkout(ctxOf(t), w.request("a"))
				require.ErrorIs(t, err, ErrRefused)
				assert.Equal(t, store.StateExpired, w.bookings("user_7")[0].State)
				return
			}
			c := w.checkout(w.request("a"))
			assert.Len(t, w.stripe.Sessions(), 1)
			assert.Equal(t, c.ExpiresAt, c.Booking.HoldUntil)
		})
	}
}

func quoteOf(t *testing.T, total int64) booking.Quote {
	t.Helper()
	q, err := booking.NewQuote(total, "usd", store.OptionFull)
	require.NoError(t, err)
	return q
}

// The booking of a connected account has one open session at the most, too.
func TestAccountHasOneSession(t *testing.T) {
	for _, account := range []string{"", "acct_1"} {
		t.Run(account, func(t *testing.T) {
			w := newWorld(t, func(c *Config) { c.Account = account })
			first := w.checkout(w.request("a"))
			r := w.full("b")
			r.BookingID = first.BookingID
			assert.NotEqual(t, first.SessionID, w.checkout(r).SessionID)
			assert.Equal(t, 1, w.open())
		})
	}
}

// A new quote lets go of a session that the customer pays by a delayed method in
// that very instant: while that money may come, there is no second session.
func TestDelayedPaymentOfReplacedSession(t *testing.T) {
	for name, replace := range map[string]func(w *world, first Checkout, r CheckoutRequest){
		"while it is let go": func(w *world, first Checkout, r CheckoutRequest) {
			once := true
			w.store.fail(nil, func(c store.Change) error {
				if once && strings.HasPrefix(c.Key, "renew/") {
					once = false
					_, err := w.stripe.PayDelayed(first.SessionID)
					return err
				}
				return nil
			})
		},
		"while Stripe's list is away": func(w *world, first Checkout, r CheckoutRequest) {
			w.stripe.FailNext(2, listRoute, stripetest.Fault{Status: 503})
			_, err := w.pay.Checkout(ctxOf(w.t), r)
			require.ErrorIs(w.t, err, ErrStripe)
			_, err = w.stripe.PayDelayed(first.SessionID)
			require.NoError(w.t, err)
			w.mustDeliver(completed, first.SessionID)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			first := w.checkout(w.request("a"))
			r := w.full("b")
			r.BookingID = first.BookingID
			replace(w, first, r)
			c := w.checkout(r)
			assert.Empty(t, c.URL)
			assert.Equal(t, first.SessionID, c.SessionID)
			assert.Zero(t, w.open())
			_, err := w.stripe.SettleDelayed(first.SessionID, true)
			require.NoError(t, err)
			s := w.mustDeliver(asyncSucceeded, first.SessionID)
			assert.Equal(t, booking.OutcomeConfirmed, s.Outcome)
			assert.Empty(t, s.Booking.Reason)
		})
	}
}

// Stripe will not expire a session, and it is still open: no second one is made.
func TestExpireRefused(t *testing.T) {
	w := newWorld(t)
	first := w.checkout(w.request("a"))
	w.pay.stripe = stubborn{w.pay.stripe}
	r := w.full("b")
	r.BookingID = first.BookingID
	_, err := w.pay.Checkout(ctxOf(t), r)
	require.ErrorIs(t, err, ErrRefused)
	assert.Equal(t, 1, w.open())
}

// A click that stood still before its session was made, while another renewed the
// booking, and that can't end what it made too late: the next call does.
func TestSessionMadeTooLate(t *testing.T) {
	w := newWorld(t)
	reached, gate := make(chan struct{}), make(chan struct{})
	var once sync.Once
	w.store.fail(nil, func(store.Change) error {
		wait := false
		once.Do(func() { wait = true })
		if wait {
			close(reached)
			<-gate
		}
		return nil
	})
	slow := make(chan error)
	go func() {
		_, err := w.pay.Checkout(context.Background(), w.request("a"))
		slow <- err
	}()
	<-reached
	w.stripe.FailNext(2, createRoute, stripetest.Fault{Status: 503})
	given := w.checkout(w.request("a"))
	w.stripe.Fail(expireRoute, stripetest.Fault{Status: 500}) // which is the answer to the same call again, too
	close(gate)
	require.ErrorIs(t, <-slow, ErrStripe)
	require.Equal(t, 2, w.open())

	w.stripe.FailNext(2, listRoute, stripetest.Fault{Status: 503})
	again := w.checkout(w.request("a"))
	assert.Equal(t, given.SessionID, again.SessionID, "it can wait")
	assert.Equal(t, 2, w.open())

	again = w.checkout(w.request("a"))
	assert.Equal(t, given.SessionID, again.SessionID)
	assert.Equal(t, 1, w.open())
	assert.Equal(t, "open", w.session(given.SessionID).Status)
}

type stubborn struct{ stripeAPI }

func (stubborn) expire(context.Context, string) (session, error) {
	return session{}, &stripeError{kind: ErrRefused, op: "expire", status: 400, typ: "invalid_request_error"}
}

// Another session's place in the store can't be mistaken for this one's: the
// stand-in was restarted, or the key is another account's.
func TestSessionUnknownAtStripe(t *testing.T) {
	w := newWorld(t)
	c := w.checkout(w.request("a"))
	other := stripetest.NewServer(stripetest.Config{Now: w.clock.now, Seed: 8})
	defer other.Close()
	cfg := w.pay.cfg
	cfg.APIBase = other.URL
	pay, err := New(cfg)
	require.NoError(t, err)
	again, err := pay.Checkout(ctxOf(t), w.request("a"))
	require.NoError(t, err)
	assert.Equal(t, c.BookingID, again.BookingID)
	assert.NotEqual(t, c.SessionID, again.SessionID)
	assert.Len(t, other.Sessions(), 1)
}

func TestCheckoutRequest(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.HTTPClient = tripwire(t) })
	_, err := w.pay.Checkout(ctxOf(t), CheckoutRequest{
		Quote:         booking.Quote{Total: 10, Now: 1, Currency: "usd", Option: store.OptionFull},
		CustomerEmail: "nobody", Seats: []store.SeatClaim{{Slot: "a", Capacity: 1, Count: 2}, {Slot: "a", Capacity: 1, Count: 1}},
	})
	require.ErrorIs(t, err, ErrInvalid)
	require.ErrorIs(t, err, booking.ErrQuote)
	for _, word := range []string{"Attempt", "UserID", "ServiceName", "Quote", "CustomerEmail", "2 seats of 1", "two claims"} {
		assert.Contains(t, err.Error(), word, "all problems are named at once")
	}
	assert.NotContains(t, err.Error(), "nobody")

	r := w.request("a")
	r.Details = map[string]string{"note": strings.Repeat("x", 501)}
	_, err = w.pay.Checkout(ctxOf(t), r)
	require.ErrorIs(t, err, booking.ErrMetadata)
	r.Details = map[string]string{"userId": "user_8"}
	_, err = w.pay.Checkout(ctxOf(t), r)
	require.ErrorIs(t, err, booking.ErrMetadata)
	assert.Zero(t, w.store.applies)

	w.pay.cfg.SuccessURL = ""
	_, err = w.pay.Checkout(ctxOf(t), w.request("a"))
	require.ErrorIs(t, err, ErrInvalid)
}
