package booking_test

import (
	"math"
	"math/rand"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/store"
)

func TestNewQuote(t *testing.T) {
	const full, half = store.OptionFull, store.OptionHalf
	good := []struct {
		total        int64
		currency     string
		option       store.Option
		now, balance int64
	}{
		{5000, "usd", full, 5000, 0},
		{5000, "usd", half, 2500, 2500},
		{5001, "usd", half, 2501, 2500}, // half, rounded up
		{0, "usd", full, 0, 0},          // free
		{50, "usd", full, 50, 0},        // the least
		{100, "usd", half, 50, 50},
		{101, "usd", half, 51, 50},
		{501, "jpy", half, 251, 250},
		{1500, "isk", half, 800, 700}, // 15 krónur
		{10010, "kwd", half, 5010, 5000},
		{99999999, "usd", full, 99999999, 0},
		{booking.MaxAmount, "idr", full, booking.MaxAmount, 0},
		{5000, "USD", half, 2500, 2500},
	}
	for _, c := range good {
		q, err := booking.NewQuote(c.total, c.currency, c.option)
		require.NoError(t, err, "%+v", c)
		assert.Equal(t, c.now, q.Now, "%+v", c)
		assert.Equal(t, c.balance, q.Balance, "%+v", c)
		assert.Equal(t, c.total, q.Total, "%+v", c)
		assert.Equal(t, c.option, q.Option, "%+v", c)
		assert.NoError(t, q.Validate())
	}
	q, err := booking.NewQuote(5000, "USD", full)
	require.NoError(t, err)
	assert.Equal(t, "usd", q.Currency)

	bad := []struct {
		total    int64
		currency string
		option   store.Option
		why      []string
	}{
		{5000, "xxx", full, []string{`no currency "xxx"`}},
		{5000, "", full, []string{`no currency ""`}},
		{5000, "usd", "third", []string{`option "third"`}},
		{5000, "usd", "", []string{`option ""`}},
		{5000, "usd", "Full", []string{`option "Full"`}},
		{-1, "usd", full, []string{"negative"}},
		{math.MinInt64, "usd", half, []string{"negative"}},
		{booking.MaxAmount + 1, "usd", full, []string{"larger than Stripe takes"}},
		{math.MaxInt64, "usd", half, []string{"larger than Stripe takes"}},
		{1550, "isk", full, []string{"15.50 is not a multiple of 1.00"}},
		{5124, "kwd", half, []string{"5.124 is not a multiple of 0.010"}},
		{0, "usd", half, []string{"0 has no half"}},
		{49, "usd", full, []string{"0.49 at checkout is below the 0.50"}},
		{99, "usd", half, []string{"balance of 0.49 is below the 0.50"}},
		{98, "usd", half, []string{"0.49 at checkout is below the 0.50", "balance of 0.49 is below the 0.50"}},
		{1, "bdt", half, []string{"balance of 0.00 is below the 0.01"}},
		{49, "jpy", full, []string{"49 at checkout is below the 50"}},
		{-1, "xxx", "", []string{"no currency", "option", "negative"}}, // all at once
	}
	for _, c := range bad {
		q, err := booking.NewQuote(c.total, c.currency, c.option)
		assert.ErrorIs(t, err, booking.ErrQuote, "%+v", c)
		assert.Zero(t, q)
		for _, why := range c.why {
			assert.ErrorContains(t, err, why, "%+v", c)
		}
	}
}

func TestQuoteValidate(t *testing.T) {
	good, err := booking.NewQuote(5000, "usd", store.OptionHalf)
	require.NoError(t, err)
	require.NoError(t, good.Validate())
	for name, change := range map[string]func(*booking.Quote){
		"less at checkout": func(q *booking.Quote) { q.Now = 1 },
		"another balance":  func(q *booking.Quote) { q.Balance = 0 },
		"another total":    func(q *booking.Quote) { q.Total = 6000 },
		"another option":   func(q *booking.Quote) { q.Option = store.OptionFull },
		"another currency": func(q *booking.Quote) { q.Currency = "xxx" },
		"upper case":       func(q *booking.Quote) { q.Currency = "USD" },
		"nothing":          func(q *booking.Quote) { *q = booking.Quote{} },
	} {
		q := good
		change(&q)
		assert.ErrorIs(t, q.Validate(), booking.ErrQuote, name)
	}
}

// In every currency, whatever the total: the parts make the total, each can be
// charged, and the deposit is the balance or one step more.
func TestQuoteParts(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	for _, code := range booking.Currencies() {
		_, step, minimum, _ := booking.Form(code)
		for range 200 {
			total := (2*minimum/step + rng.Int63n(1_000_000)) * step
			for _, option := range []store.Option{store.OptionFull, store.OptionHalf} {
				q, err := booking.NewQuote(total, code, option)
				require.NoError(t, err, "%d %s", total, code)
				require.Equal(t, total, q.Now+q.Balance, "%d %s", total, code)
				require.Zero(t, q.Now%step, "%d %s", total, code)
				require.Zero(t, q.Balance%step, "%d %s", total, code)
				require.GreaterOrEqual(t, q.Now, minimum, "%d %s", total, code)
				if option == store.OptionHalf {
					require.GreaterOrEqual(t, q.Balance, minimum, "%d %s", total, code)
					require.Contains(t, []int64{0, step}, q.Now-q.Balance, "%d %s", total, code)
				} else {
					require.Zero(t, q.Balance)
				}
				require.NoError(t, q.Validate())
				require.Equal(t, q, booking.QuoteOf(store.Booking{Total: total, Currency: code, Option: option}))
			}
		}
	}
}

// The same for any total, currency and option: a quote has all that TestQuoteParts
// says, or there is none.
func FuzzQuote(f *testing.F) {
	for _, total := range []int64{0, 1, 49, 50, 99, 100, 5001, 10010, booking.MaxAmount, math.MaxInt64, math.MinInt64} {
		f.Add(total, "usd", "half", uint8(0))
		f.Add(total, "KWD", "full", uint8(138))
	}
	f.Fuzz(func(t *testing.T, total int64, currency, option string, pick uint8) {
		codes := booking.Currencies()
		for _, code := range []string{currency, codes[int(pick)%len(codes)]} {
			for _, o := range []store.Option{store.Option(option), store.OptionFull, store.OptionHalf} {
				stored := booking.QuoteOf(store.Booking{Total: max(total, 0), Currency: code, Option: o})
				require.Equal(t, stored.Total, stored.Now+stored.Balance)
				require.True(t, stored.Balance >= 0 && stored.Now >= 0, "%+v", stored)

				q, err := booking.NewQuote(total, code, o)
				if err != nil {
					require.ErrorIs(t, err, booking.ErrQuote)
					require.Zero(t, q)
					continue
				}
				_, step, minimum, known := booking.Form(code)
				require.True(t, known)
				require.Equal(t, stored, q)
				require.Equal(t, total, q.Now+q.Balance)
				require.Zero(t, q.Now%step)
				require.Zero(t, q.Balance%step)
				require.True(t, total == 0 || q.Now >= minimum)
				if o == store.OptionHalf {
					require.GreaterOrEqual(t, q.Balance, minimum)
					require.Contains(t, []int64{0, step}, q.Now-q.Balance)
				} else {
					require.Zero(t, q.Balance)
				}
				require.NoError(t, q.Validate())
			}
		}
	})
}

// A price that is no multiple of the step is refused, never rounded.
func TestQuoteStep(t *testing.T) {
	for _, code := range booking.Currencies() {
		_, step, minimum, _ := booking.Form(code)
		for off := int64(1); off < step; off++ {
			_, err := booking.NewQuote(4*minimum+off, code, store.OptionFull)
			require.ErrorIs(t, err, booking.ErrQuote, "%d %s", off, code)
		}
	}
}

func TestQuoteOfWhatCame(t *testing.T) {
	for _, b := range []store.Booking{
		{Total: 1, Currency: "usd", Option: store.OptionFull},
		{Total: 5000, Currency: "xxx", Option: store.OptionHalf},
		{Total: 0, Currency: "usd", Option: store.OptionHalf},
		{Total: math.MaxInt64, Currency: "usd", Option: store.OptionHalf},
	} {
		q := booking.QuoteOf(b)
		assert.Equal(t, b.Total, q.Now+q.Balance, "%+v", b)
		assert.GreaterOrEqual(t, q.Now, q.Balance, "%+v", b)
	}
}
