package booking_test

import (
	"errors"
	"fmt"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/store"
)

func ExampleNewQuote() {
	q, err := booking.NewQuote(4999, "usd", store.OptionHalf)
	if err != nil {
		panic(err)
	}
	fmt.Println("now", booking.FormatAmount(q.Now, q.Currency))
	fmt.Println("later", booking.FormatAmount(q.Balance, q.Currency))

	_, err = booking.NewQuote(60, "usd", store.OptionHalf)
	fmt.Println(err)
	// Output:
	// now 25.00
	// later 24.99
	// booking: invalid quote: 0.30 at checkout is below the 0.50 that Stripe charges at least; a balance of 0.30 is below the 0.50 that Stripe charges at least
}

func ExampleQuoteOf() {
	q := booking.QuoteOf(store.Booking{Total: 4999, Currency: "usd", Option: store.OptionHalf})
	fmt.Println(q.Now, q.Balance)
	// Output: 2500 2499
}

func ExampleParseAmount() {
	for _, currency := range []string{"usd", "jpy", "isk", "kwd"} {
		n, err := booking.ParseAmount("12", currency)
		fmt.Println(currency, n, err)
	}
	_, err := booking.ParseAmount("12.50", "jpy")
	fmt.Println(err)
	// Output:
	// usd 1200 <nil>
	// jpy 12 <nil>
	// isk 1200 <nil>
	// kwd 12000 <nil>
	// booking: invalid amount: more than 0 decimals
}

func ExampleFormatAmount() {
	fmt.Println(booking.FormatAmount(1250, "usd"), booking.FormatAmount(1250, "jpy"), booking.FormatAmount(1250, "kwd"))
	// Output: 12.50 1250 1.250
}

func ExampleMarked() {
	order := booking.Order{
		BookingID: "bk_1", Version: 1, UserID: "user-1", ServiceID: "cleaning", ServiceName: "Deep cleaning",
		Option: store.OptionHalf, Purpose: store.PurposeDeposit, Total: 5000, Now: 2500, Currency: "usd",
		Details: map[string]string{"date": "2026-03-01"},
	}
	metadata, err := booking.Marked{}.Encode(order)
	if err != nil {
		panic(err)
	}
	fmt.Println(metadata)

	back, err := booking.Marked{}.Decode(booking.Facts{Metadata: metadata})
	fmt.Println(back.BookingID, back.Now, back.Total, back.Details["date"], err)
	// Output:
	// map[amountToPay:25.00 bookingId:bk_1 bookingVersion:1 currency:usd date:2026-03-01 paymentOption:half purpose:deposit serviceId:cleaning serviceName:Deep cleaning stripebooking:1 total:50.00 userId:user-1]
	// bk_1 2500 5000 2026-03-01 <nil>
}

// A site that makes its own checkout sessions puts these keys on them.
func ExamplePlain() {
	facts := booking.Facts{
		PaymentIntentID: "pi_1",
		Currency:        "usd",
		Metadata: map[string]string{
			"userId": "user-1", "serviceId": "cleaning", "serviceName": "Deep cleaning",
			"amountToPay": "25.00", "paymentOption": "half", "date": "2026-03-01",
		},
	}
	order, err := booking.Plain{}.Decode(facts)
	if err != nil {
		panic(err)
	}
	fmt.Println(order.BookingID)
	fmt.Println(order.Purpose, order.Now, "of", order.Total, order.Details)

	facts.Metadata["amountToPay"] = "a lot"
	_, err = booking.Plain{}.Decode(facts)
	fmt.Println(errors.Is(err, booking.ErrMetadata), err)

	facts.Metadata = map[string]string{"orderId": "7"}
	_, err = booking.Plain{}.Decode(facts)
	fmt.Println(errors.Is(err, booking.ErrNotOurs))
	// Output:
	// bk_sqosbz6n27n7lb6nna34xmgp
	// deposit 2500 of 5000 map[date:2026-03-01]
	// true booking: invalid metadata: "amountToPay" is no amount: not digits with at most one point between them
	// true
}

func ExampleDeriveID() {
	a := booking.DeriveID("bk", "user-1", "attempt-1")
	b := booking.DeriveID("bk", "user-1", "attempt-1")
	c := booking.DeriveID("bk", "user-1", "attempt-2")
	fmt.Println(len(a), a == b, a == c)
	// Output: 27 true false
}

func ExampleCanMove() {
	fmt.Println(booking.CanMove(store.StateHeld, store.StateConfirmed))
	fmt.Println(booking.CanMove(store.StateRefunded, store.StateConfirmed))
	// Output:
	// true
	// false
}

func ExamplePaymentStatus() {
	fmt.Println(booking.PaymentStatus(store.Payment{Amount: 5000, FailureCode: "card_declined"}))
	fmt.Println(booking.PaymentStatus(store.Payment{Amount: 5000, Refunded: 2000}))
	// Output:
	// failed
	// partially_refunded
}
