package booking

import "strings"

// Currencies is every code of Stripe's list.
func Currencies() []string {
	return strings.Fields(twoDecimals + " " + wholeUnits + " " + zeroDecimals + " " + threeDecimals)
}

// Form is the exponent, the step and the minimum charge of a currency.
func Form(code string) (exponent int, step, minimum int64, known bool) {
	f, known := formOf(code)
	return f.exponent, f.step, minimumOf(code), known
}

const MaxAmount = maxAmount
