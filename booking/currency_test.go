package booking_test

import (
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/booking"
)

// The forms that https://docs.stripe.com/currencies names, one by one; any other
// currency on it has two decimals.
func TestCurrencyForms(t *testing.T) {
	type form struct {
		exponent int
		step     int64
	}
	special := map[string]form{"isk": {2, 100}, "ugx": {2, 100}}
	for _, code := range []string{"bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"} {
		special[code] = form{0, 1}
	}
	for _, code := range []string{"bhd", "jod", "kwd", "omr", "tnd"} {
		special[code] = form{3, 10}
	}
	seen := map[string]bool{}
	for _, code := range booking.Currencies() {
		require.Len(t, code, 3)
		require.False(t, seen[code], "%s is listed twice", code)
		seen[code] = true

		want, ok := special[code]
		if !ok {
			want = form{2, 1}
		}
		for _, c := range []string{code, strings.ToUpper(code)} {
			exponent, step, minimum, known := booking.Form(c)
			assert.True(t, known, c)
			assert.Equal(t, want, form{exponent, step}, c)
			assert.Positive(t, minimum, c)
			assert.Zero(t, minimum%step, "%s: the minimum can be charged", c)
		}
	}
	assert.Len(t, seen, 139)
	for code := range special {
		assert.True(t, seen[code], code)
	}
	for _, code := range []string{"usd", "eur", "gbp", "bdt", "inr", "huf", "twd", "idr", "xcg", "sle"} {
		assert.True(t, seen[code], code)
	}
	for _, code := range []string{"", "u", "us", "usdx", "xxx", "bgn", "hrk", "u d", " us", "sd ", "ed a", "usd ", "\u212awd", "ud\u0131"} {
		_, _, _, known := booking.Form(code)
		assert.False(t, known, "%q", code)
	}
}

func TestMinimumCharge(t *testing.T) {
	for code, want := range map[string]string{
		"usd": "0.50", "aed": "2.00", "ars": "0.50", "aud": "0.50", "brl": "0.50", "cad": "0.50", "chf": "0.50", "cop": "0.50",
		"czk": "15.00", "dkk": "2.50", "eur": "0.50", "gbp": "0.30", "hkd": "4.00", "huf": "175.00", "idr": "0.50", "ils": "0.50",
		"inr": "0.50", "jpy": "50", "krw": "50", "mxn": "10.00", "myr": "2.00", "nok": "3.00", "nzd": "0.50", "php": "0.50",
		"pln": "2.00", "ron": "2.00", "rub": "0.50", "sek": "3.00", "sgd": "0.50", "thb": "10.00", "zar": "0.50",
		// none named: one step
		"bdt": "0.01", "isk": "1.00", "ugx": "1.00", "vnd": "1", "kwd": "0.010",
	} {
		_, _, minimum, _ := booking.Form(code)
		assert.Equal(t, want, booking.FormatAmount(minimum, code), code)
	}
}

func TestParseAmount(t *testing.T) {
	good := []struct {
		text, currency string
		want           int64
	}{
		{"12.50", "usd", 1250},
		{"12.5", "usd", 1250},
		{"12", "usd", 1200},
		{"12.500000", "usd", 1250},
		{"0012.50", "usd", 1250},
		{"0", "usd", 0},
		{"0.00", "usd", 0},
		{"0.29", "usd", 29}, // 28.999999999999996 as a float times 100
		{"12.50", "USD", 1250},
		{"500", "jpy", 500},
		{"500.00", "jpy", 500},
		{"5", "isk", 500},
		{"5.00", "ugx", 500},
		{"5.12", "kwd", 5120},
		{"5.120", "kwd", 5120},
		{"92233720368547758.07", "usd", math.MaxInt64},
		{"9223372036854775807", "jpy", math.MaxInt64},
	}
	for _, c := range good {
		got, err := booking.ParseAmount(c.text, c.currency)
		assert.NoError(t, err, "%q %s", c.text, c.currency)
		assert.Equal(t, c.want, got, "%q %s", c.text, c.currency)
	}

	bad := []struct{ text, currency, why string }{
		{"", "usd", "not digits"},
		{".", "usd", "not digits"},
		{".5", "usd", "not digits"},
		{"5.", "usd", "not digits"},
		{"1.2.3", "usd", "not digits"},
		{"-1", "usd", "not digits"},
		{"+1", "usd", "not digits"},
		{"1e3", "usd", "not digits"},
		{"0x10", "usd", "not digits"},
		{"1_000", "usd", "not digits"},
		{"1,000.00", "usd", "not digits"},
		{"12,50", "usd", "not digits"},
		{" 1", "usd", "not digits"},
		{"1 ", "usd", "not digits"},
		{"1\n", "usd", "not digits"},
		{"1.5\x00", "usd", "not digits"},
		{"$5", "usd", "not digits"},
		{"NaN", "usd", "not digits"},
		{"Infinity", "usd", "not digits"},
		{"\u09e7\u09e8", "bdt", "not digits"}, // Bengali 12
		{"12.345", "usd", "more than 2 decimals"},
		{"0.001", "usd", "more than 2 decimals"},
		{"33.333333333333336", "usd", "more than 2 decimals"},
		{"500.5", "jpy", "more than 0 decimals"},
		{"5.1234", "kwd", "more than 3 decimals"},
		{"5.124", "kwd", "not a multiple of 0.010"},
		{"5.50", "isk", "not a multiple of 1.00"},
		{"0.01", "ugx", "not a multiple of 1.00"},
		{"92233720368547758.08", "usd", "too large"},
		{"9223372036854775808", "jpy", "too large"},
		{strings.Repeat("9", 500), "usd", "too large"},
		{"5", "xxx", "unknown currency"},
		{"5", "", "unknown currency"},
	}
	for _, c := range bad {
		got, err := booking.ParseAmount(c.text, c.currency)
		assert.ErrorIs(t, err, booking.ErrAmount, "%q %s", c.text, c.currency)
		assert.ErrorContains(t, err, c.why, "%q %s", c.text, c.currency)
		assert.Zero(t, got, "%q %s", c.text, c.currency)
	}
}

func TestFormatAmount(t *testing.T) {
	for _, c := range []struct {
		minor          int64
		currency, want string
	}{
		{0, "usd", "0.00"},
		{1, "usd", "0.01"},
		{29, "usd", "0.29"},
		{1250, "usd", "12.50"},
		{1250, "USD", "12.50"},
		{1250, "jpy", "1250"},
		{1250, "kwd", "1.250"},
		{500, "isk", "5.00"},
		{1250, "xxx", "12.50"},
		{1250, "", "12.50"},
		{-1, "usd", "-0.01"},
		{-500, "jpy", "-500"},
		{math.MaxInt64, "usd", "92233720368547758.07"},
		{math.MinInt64, "usd", "-92233720368547758.08"},
	} {
		assert.Equal(t, c.want, booking.FormatAmount(c.minor, c.currency), "%d %s", c.minor, c.currency)
	}
}

// What ParseAmount reads is what the text says, exactly; FormatAmount writes it so
// that it is read again, and so it does with every other amount.
func FuzzAmount(f *testing.F) {
	for _, text := range []string{"12.50", "0012.500", "0", "5.12", "1e3", "-1", ".5", "5.", "99999999999999999999", "92233720368547758.07"} {
		f.Add(text, "usd", uint8(0), uint64(1250))
	}
	f.Add("5.120", "KWD", uint8(138), uint64(math.MaxInt64))
	f.Add("5.00", "isk", uint8(7), uint64(math.MaxUint64))
	f.Fuzz(func(t *testing.T, text, currency string, pick uint8, n uint64) {
		codes := booking.Currencies()
		for _, code := range []string{currency, codes[int(pick)%len(codes)]} {
			exponent, step, _, known := booking.Form(code)
			minor, err := booking.ParseAmount(text, code)
			if err != nil {
				require.ErrorIs(t, err, booking.ErrAmount)
				require.Zero(t, minor)
			} else {
				require.True(t, known)
				require.Zero(t, minor%step)
				want, ok := new(big.Rat).SetString(text)
				require.True(t, ok)
				scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(exponent)), nil)
				require.Zero(t, want.Mul(want, new(big.Rat).SetInt(scale)).Cmp(new(big.Rat).SetInt64(minor)), "%q is not %d", text, minor)
			}
			if known {
				minor = int64(n>>1) / step * step
				again, err := booking.ParseAmount(booking.FormatAmount(minor, code), code)
				require.NoError(t, err)
				require.Equal(t, minor, again)
			}
		}
	})
}
