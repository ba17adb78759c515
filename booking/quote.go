package booking

import "github.com/carevia/stripebooking/store"

// Quote is a price, made on the server. Amounts are in Stripe's minor unit.
type Quote struct {
	Option   store.Option
	Currency string
	Total    int64
	Now      int64 // what is paid at checkout: the total, or the deposit
	Balance  int64 // Total - Now
}
