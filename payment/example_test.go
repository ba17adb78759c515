package payment_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/payment"
	"github.com/carevia/stripebooking/payment/stripetest"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/memory"
)

// service is one that talks to a stand-in for Stripe.
func service() (*payment.Service, *stripetest.Server) {
	stripe := stripetest.NewServer(stripetest.Config{})
	payments, err := payment.New(payment.Config{
		Store:      &memory.Store{},
		SecretKey:  stripe.SecretKey,
		Mode:       payment.Test,
		APIBase:    stripe.URL, // leave out for Stripe itself
		SuccessURL: "https://example.com/payment/success",
		CancelURL:  "https://example.com/",
	})
	if err != nil {
		panic(err)
	}
	return payments, stripe
}

func book(payments *payment.Service) payment.Checkout {
	quote, err := booking.NewQuote(12000, "usd", store.OptionHalf) // the price comes from the server
	if err != nil {
		panic(err)
	}
	c, err := payments.Checkout(context.Background(), payment.CheckoutRequest{
		Attempt: "order-form-41", UserID: "ann", ServiceID: "cleaning", ServiceName: "Home cleaning", Quote: quote,
	})
	if err != nil {
		panic(err)
	}
	return c
}

// pay is the customer.
func pay(stripe *stripetest.Server, c payment.Checkout) {
	if _, err := stripe.Pay(c.SessionID); err != nil {
		panic(err)
	}
}

func ExampleNew() {
	_, err := payment.New(payment.Config{Store: &memory.Store{}, SecretKey: "sk_live_abc", Mode: payment.Test})
	fmt.Println(err)
	// Output: payment: config: SecretKey is a live key and Mode is "test"
}

func ExampleService_Checkout() {
	payments, stripe := service()
	defer stripe.Close()

	first := book(payments)
	again := book(payments) // a double click
	fmt.Println("state:", first.Booking.State, "- same session:", first.SessionID == again.SessionID)
	// Output: state: held - same session: true
}

func ExampleService_Confirm() {
	payments, stripe := service()
	defer stripe.Close()
	ctx := context.Background()

	c := book(payments)
	_, err := payments.Confirm(ctx, c.SessionID, "ann")
	fmt.Println(err)
	pay(stripe, c)
	for range 2 {
		s, err := payments.Confirm(ctx, c.SessionID, "ann")
		fmt.Println(s.Outcome, s.Booking.State, err)
	}
	_, err = payments.Confirm(ctx, c.SessionID, "bob")
	fmt.Println(err)
	// Output:
	// payment: confirm: payment: not completed
	// confirmed confirmed <nil>
	// already confirmed <nil>
	// payment: confirm: payment: it belongs to another user
}

// What a webhook does, in short; package webhook does it all.
func ExampleService_Settle() {
	payments, stripe := service()
	defer stripe.Close()
	ctx := context.Background()

	c := book(payments)
	pay(stripe, c)
	for _, raw := range stripe.Events() {
		e, err := payment.DecodeEvent(raw.Payload)
		if err != nil || !payment.Settles(e.Type) {
			continue
		}
		facts, err := payments.FactsOf(ctx, e)
		if err != nil {
			panic(err)
		}
		s, err := payments.Settle(ctx, facts, payment.Cause{By: "webhook", ID: e.ID, Key: e.ID})
		fmt.Println(e.Type, "->", s.Outcome, err)
	}
	rows, _, _ := payments.PaymentsByUser(ctx, "ann", store.Page{})
	fmt.Println("payments:", len(rows), rows[0].Status, rows[0].Amount)
	// Output:
	// payment_intent.succeeded -> confirmed <nil>
	// checkout.session.completed -> already <nil>
	// payments: 1 succeeded 6000
}

func ExampleService_VerifyHandler() {
	payments, stripe := service()
	defer stripe.Close()
	handler := payments.VerifyHandler(func(r *http.Request) (string, bool) {
		return "ann", true // your session's user
	})

	c := book(payments)
	pay(stripe, c)
	r := httptest.NewRequest(http.MethodPost, "/api/payment/verify", strings.NewReader(`{"sessionId":"`+c.SessionID+`"}`))
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	fmt.Print(w.Code, " ", w.Body)
	// Output: 200 {"data":{"processed":false},"message":"Payment successful, processing...","success":true}
}
