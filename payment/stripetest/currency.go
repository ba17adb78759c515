package stripetest

import (
	"fmt"
	"strings"
)

// currencies are the codes that Stripe can charge in.
// https://docs.stripe.com/currencies#presentment-currencies
const currencies = "usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bhd bif bmd bnd bob brl bsd bwp byn bzd " +
	"cad cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq gyd hkd hnl htg huf " +
	"idr ils inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk " +
	"mxn myr mzn nad ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle sos " +
	"srd std szl thb tjs tnd top try ttd twd tzs uah ugx uyu uzs vnd vuv wst xaf xcd xcg xof xpf yer zar zmw"

func knownCurrency(code string) bool {
	return len(code) == 3 && strings.Contains(" "+currencies+" ", " "+code+" ")
}

// exponent is how many decimals Stripe's minor unit of a currency has.
// https://docs.stripe.com/currencies#zero-decimal
func exponent(code string) int {
	switch code {
	case "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf":
		return 0
	case "bhd", "jod", "kwd", "omr", "tnd":
		return 3
	}
	return 2
}

// step is what every amount of a currency must be a multiple of.
// https://docs.stripe.com/currencies#special-cases
func step(code string) int64 {
	switch {
	case code == "isk" || code == "ugx":
		return 100
	case exponent(code) == 3:
		return 10
	}
	return 1
}

// minimum is the least that Stripe charges in a currency, 0 where it names none.
// https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts
func minimum(code string) int64 {
	switch code {
	case "usd", "ars", "aud", "brl", "cad", "chf", "cop", "eur", "idr", "ils", "inr", "jpy", "krw", "nzd", "php", "rub", "sgd", "zar":
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
	return 0
}

// maximum is the most that Stripe charges: eight digits, more for a few currencies of small value.
func maximum(code string) int64 {
	switch code {
	case "idr", "lbp":
		return 999_999_999_999
	case "cop", "huf", "jpy":
		return 9_999_999_999
	case "inr":
		return 999_999_999
	}
	return 99_999_999
}

// format writes an amount for people: "12.50 USD".
func format(minor int64, code string) string {
	return decimal(minor, exponent(code)) + " " + strings.ToUpper(code)
}

func decimal(minor int64, exp int) string {
	if exp == 0 {
		return fmt.Sprint(minor)
	}
	unit := int64(1)
	for range exp {
		unit *= 10
	}
	return fmt.Sprintf("%d.%0*d", minor/unit, exp, minor%unit)
}

// laterMethod is the delayed payment method that a session offers besides cards when the request names no methods; "" for
// a currency that has none without a customer's id, which bank transfers need.
func laterMethod(code string) string {
	switch code {
	case "usd":
		return "us_bank_account"
	case "eur":
		return "sepa_debit"
	case "gbp":
		return "bacs_debit"
	case "cad":
		return "acss_debit"
	case "aud":
		return "au_becs_debit"
	case "brl":
		return "boleto"
	case "jpy":
		return "konbini"
	case "mxn":
		return "oxxo"
	}
	return ""
}

// delayed reports whether a method tells days later whether it paid.
// https://docs.stripe.com/payments/payment-methods#payment-notification
func delayed(method string) bool {
	switch method {
	case "us_bank_account", "sepa_debit", "bacs_debit", "acss_debit", "au_becs_debit", "sofort":
		return true
	}
	return pushed(method)
}

// currenciesOf is what a delayed method can be paid in; nil for another method, of which nothing is said here. See
// "Presentment currencies" of each, such as https://docs.stripe.com/payments/oxxo/accept-a-payment?payment-ui=checkout
func currenciesOf(method string) []string {
	switch method {
	case "us_bank_account":
		return []string{"usd"}
	case "sepa_debit", "sofort", "multibanco":
		return []string{"eur"}
	case "bacs_debit":
		return []string{"gbp"}
	case "acss_debit":
		return []string{"cad", "usd"}
	case "au_becs_debit":
		return []string{"aud"}
	case "boleto":
		return []string{"brl"}
	case "konbini":
		return []string{"jpy"}
	case "oxxo":
		return []string{"mxn"}
	case transfer:
		return []string{"usd", "eur", "gbp", "jpy", "mxn"}
	}
	return nil
}

// pushed reports whether it is the customer who sends the money, days later: with a voucher or by bank transfer. Until
// then the payment intent requires action, and there is no charge.
//
//	https://docs.stripe.com/payments/boleto/accept-a-payment
//	https://docs.stripe.com/payments/konbini/accept-a-payment
//	https://docs.stripe.com/payments/multibanco/accept-a-payment
//	https://docs.stripe.com/payments/oxxo/accept-a-payment
//	https://docs.stripe.com/payments/bank-transfers/accept-a-payment
func pushed(method string) bool {
	switch method {
	case "boleto", "konbini", "multibanco", "oxxo", transfer:
		return true
	}
	return false
}

// transfer is the method of bank transfers. They need a customer's id, and never fail: one that does not come is waited
// for. https://docs.stripe.com/payments/bank-transfers/accept-a-payment
const transfer = "customer_balance"
