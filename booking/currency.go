package booking

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrAmount: the text is no amount of money in that currency.
var ErrAmount = errors.New("booking: invalid amount")

// The currencies that Stripe charges in, by the form of their amounts, as of
// July 2026: https://docs.stripe.com/currencies. Stripe's forms are not those of
// ISO 4217, which has no decimals for ISK and UGX.
//
// HUF and TWD are in whole units only for payouts; charges have cents. The page
// names UGX among the zero-decimal currencies too, but then says that 5 UGX are
// an amount of 500, and that is what counts. Its words on three-decimal
// currencies (the last digit must be 0) are gone since, the currencies are not;
// the rule is kept, since amounts that follow it are right either way. BGN is
// not here: the euro took its place in 2026.
const (
	twoDecimals = "usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bmd bnd bob brl bsd bwp byn bzd " +
		"cad cdf chf cny cop crc cve czk dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gtq gyd " +
		"hkd hnl htg huf idr ils inr jmd kes kgs khr kyd kzt lak lbp lkr lrd lsl mad mdl mkd mmk mnt mop mur mvr mwk mxn myr mzn " +
		"nad ngn nio nok npr nzd pab pen pgk php pkr pln qar ron rsd rub sar sbd scr sek sgd shp sle sos srd std szl " +
		"thb tjs top try ttd twd tzs uah uyu uzs wst xcd xcg yer zar zmw"
	wholeUnits    = "isk ugx" // two decimals, both always 0
	zeroDecimals  = "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf"
	threeDecimals = "bhd jod kwd omr tnd" // the last of them always 0
)

// maxAmount is the largest amount that Stripe takes by any means, in minor units.
// Some means of payment take less, down to 99999999; Stripe then says so itself.
// https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts
const maxAmount = 999_999_999_999

// form is how Stripe writes amounts of a currency: a major unit is 10^exponent
// minor ones, and amounts are multiples of step.
type form struct {
	exponent int
	step     int64
}

// formOf returns the form of a currency's amounts, and for a code that is not in
// Stripe's list false and the form of most: the page says that a currency has
// two decimals unless told otherwise.
func formOf(code string) (form, bool) {
	code = lower(code)
	in := func(list string) bool { return strings.Contains(list, code) }
	switch {
	case !isCode(code):
	case in(twoDecimals):
		return form{2, 1}, true
	case in(wholeUnits):
		return form{2, 100}, true
	case in(zeroDecimals):
		return form{0, 1}, true
	case in(threeDecimals):
		return form{3, 10}, true
	}
	return form{2, 1}, false
}

// minimumOf returns the least that Stripe charges in a currency, in minor units,
// as of July 2026; one step where Stripe names none. It is exact for an account
// that is paid out in the currency; with another, Stripe asks for what that
// one's minimum is worth, and refuses less at checkout.
// https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts
func minimumOf(code string) int64 {
	switch lower(code) {
	case "usd", "ars", "aud", "brl", "cad", "chf", "cop", "eur", "idr", "ils", "inr", "jpy", "krw",
		"nzd", "php", "rub", "sgd", "zar":
		return 50
	case "gbp":
		return 30
	case "aed", "myr", "pln", "ron":
		return 200
	case "dkk":
		return 250
	case "nok", "sek":
		return 300
	case "hkd":
		return 400
	case "mxn", "thb":
		return 1000
	case "czk":
		return 1500
	case "huf":
		return 17500
	}
	f, _ := formOf(code)
	return f.step
}

// isCode reports whether code is three lower-case letters.
func isCode(code string) bool {
	return len(code) == 3 && strings.Trim(code, "abcdefghijklmnopqrstuvwxyz") == ""
}

// lower is strings.ToLower for ASCII alone, where no sign turns into a letter.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// ParseAmount reads decimal text in major units, such as "12.50", as an amount
// in Stripe's minor unit of the currency: 1250 for "usd". It takes digits and at
// most one point with digits on both sides, and no more decimals than the
// currency has, zeros at the end aside: no sign, exponent, blank or separator of
// thousands. Every error wraps ErrAmount; the text is never in it. The currency
// must be one of Stripe's (in either case), and the amount one that can be
// charged in it, a multiple of its step: "5.50" is no amount in "isk".
func ParseAmount(text, currency string) (int64, error) {
	f, known := formOf(currency)
	if !known {
		return 0, fmt.Errorf("%w: unknown currency", ErrAmount)
	}
	minor, wrong := f.parse(text)
	if wrong != "" {
		return 0, fmt.Errorf("%w: %s", ErrAmount, wrong)
	}
	if minor%f.step != 0 {
		return 0, fmt.Errorf("%w: not a multiple of %s", ErrAmount, f.format(f.step))
	}
	return minor, nil
}

// FormatAmount writes an amount in Stripe's minor unit of the currency as
// decimal text in major units, always with all of the currency's decimals: 1250
// is "12.50" in "usd", "1250" in "jpy" and "1.250" in "kwd". In a currency that
// is not in Stripe's list it has two decimals, as Stripe's currencies have
// unless told otherwise.
func FormatAmount(minor int64, currency string) string {
	f, _ := formOf(currency)
	return f.format(minor)
}

// parse is ParseAmount without the step; wrong says what is wrong with the text.
func (f form) parse(text string) (minor int64, wrong string) {
	whole, fraction, point := strings.Cut(text, ".")
	if !isDigits(whole) || point && !isDigits(fraction) {
		return 0, "not digits with at most one point between them"
	}
	fraction = strings.TrimRight(fraction, "0")
	if len(fraction) > f.exponent {
		return 0, fmt.Sprintf("more than %d decimals", f.exponent)
	}
	digits := whole + fraction + strings.Repeat("0", f.exponent-len(fraction))
	minor, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return 0, "too large"
	}
	return minor, ""
}

func (f form) format(minor int64) string {
	sign, abs := "", uint64(minor)
	if minor < 0 {
		sign, abs = "-", -abs
	}
	digits := fmt.Sprintf("%0*d", f.exponent+1, abs)
	if f.exponent == 0 {
		return sign + digits
	}
	point := len(digits) - f.exponent
	return sign + digits[:point] + "." + digits[point:]
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
