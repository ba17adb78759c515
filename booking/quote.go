package booking

import (
	"errors"
	"fmt"
	"strings"

	"github.com/carevia/stripebooking/store"
)

// ErrQuote: there can be no such price. The text says everything that is wrong
// with it.
var ErrQuote = errors.New("booking: invalid quote")

// Quote is a price, made on the server. Amounts are in Stripe's minor unit.
type Quote struct {
	Option   store.Option
	Currency string // three lower-case letters
	Total    int64
	Now      int64 // what is paid at checkout: the total, or the deposit
	Balance  int64 // Total - Now
}

// NewQuote prices a booking whose whole costs total, in Stripe's minor unit of
// the currency. With store.OptionFull all of it is paid at checkout; with
// store.OptionHalf a deposit of one half, rounded up to what can be charged in
// the currency, and the balance later. Now + Balance is always Total.
//
// A total of 0 is a free booking and is only possible in full. Refused with an
// error that wraps ErrQuote: another option, a currency that Stripe does not
// charge in, a total that is negative, larger than Stripe takes or not a
// multiple of the currency's step, and a part that is below the least that
// Stripe charges in the currency. The code of the currency may be in either
// case. See https://docs.stripe.com/currencies
func NewQuote(total int64, currency string, option store.Option) (Quote, error) {
	var wrong []string
	complain := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }

	f, known := formOf(currency)
	if !known {
		complain("Stripe charges in no currency %.10q", currency)
	}
	if option != store.OptionFull && option != store.OptionHalf {
		complain("the payment option %.20q is neither %q nor %q", option, store.OptionFull, store.OptionHalf)
	}
	switch {
	case total < 0:
		complain("the total is negative")
	case total > maxAmount:
		complain("the total is larger than Stripe takes: %d minor units", int64(maxAmount))
	case total%f.step != 0:
		complain("the total of %s is not a multiple of %s", f.format(total), f.format(f.step))
	}
	if total == 0 && option == store.OptionHalf {
		complain("a total of 0 has no half")
	}
	if len(wrong) == 0 && total > 0 {
		q, least := split(total, currency, option), minimumOf(currency)
		if q.Now < least {
			complain("%s at checkout is below the %s that Stripe charges at least", f.format(q.Now), f.format(least))
		}
		if option == store.OptionHalf && q.Balance < least {
			complain("a balance of %s is below the %s that Stripe charges at least", f.format(q.Balance), f.format(least))
		}
	}
	if len(wrong) > 0 {
		return Quote{}, fmt.Errorf("%w: %s", ErrQuote, strings.Join(wrong, "; "))
	}
	return split(total, currency, option), nil
}

// Validate returns an error that wraps ErrQuote unless q is what NewQuote makes
// of its total, currency and option.
func (q Quote) Validate() error {
	made, err := NewQuote(q.Total, q.Currency, q.Option)
	if err == nil && made != q {
		err = fmt.Errorf("%w: the parts are not those of the total", ErrQuote)
	}
	return err
}

// QuoteOf is the quote that a stored booking was made with, worked out again
// from its total, currency and option. It refuses nothing: what is stored was
// agreed, or came from Stripe.
func QuoteOf(b store.Booking) Quote {
	return split(b.Total, b.Currency, b.Option)
}

// split divides a total. Counted in steps, half of it rounded up is the deposit.
func split(total int64, currency string, option store.Option) Quote {
	q := Quote{Option: option, Currency: lower(currency), Total: total, Now: total}
	if option == store.OptionHalf {
		f, _ := formOf(currency)
		steps := total / f.step
		q.Now = (steps/2 + steps%2) * f.step
		q.Balance = total - q.Now
	}
	return q
}
