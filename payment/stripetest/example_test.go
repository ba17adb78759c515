package stripetest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/client"
	"github.com/stripe/stripe-go/v76/webhook"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/payment"
	"github.com/carevia/stripebooking/payment/stripetest"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/memory"
	bookinghook "github.com/carevia/stripebooking/webhook"
)

// A service makes a checkout session through Stripe's own client, the customer pays, and the signed event arrives.
func Example() {
	srv := stripetest.NewServer(stripetest.Config{})
	defer srv.Close()

	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		event, err := webhook.ConstructEvent(body, r.Header.Get("Stripe-Signature"), srv.WebhookSecret)
		if err != nil {
			http.Error(w, "bad signature", http.StatusBadRequest)
			return
		}
		fmt.Println(event.Type, event.Data.Object["payment_status"])
	}))
	defer site.Close()
	if err := srv.AddEndpoint(site.URL, "", "checkout.session.completed"); err != nil {
		fmt.Println(err)
	}

	backend := stripe.GetBackendWithConfig(stripe.APIBackend, &stripe.BackendConfig{URL: stripe.String(srv.URL)})
	sc := client.New(srv.SecretKey, &stripe.Backends{API: backend})
	session, err := sc.CheckoutSessions.New(&stripe.CheckoutSessionParams{
		Mode:       stripe.String("payment"),
		SuccessURL: stripe.String("https://example.com/success?session_id={CHECKOUT_SESSION_ID}"),
		LineItems: []*stripe.CheckoutSessionLineItemParams{{
			Quantity: stripe.Int64(1),
			PriceData: &stripe.CheckoutSessionLineItemPriceDataParams{
				Currency:    stripe.String("usd"),
				UnitAmount:  stripe.Int64(4500),
				ProductData: &stripe.CheckoutSessionLineItemPriceDataProductDataParams{Name: stripe.String("Elder care")},
			},
		}},
		Metadata: map[string]string{"userId": "u1"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(session.Status, session.PaymentStatus, session.AmountTotal)

	if _, err := srv.Pay(session.ID); err != nil {
		fmt.Println(err)
	}
	if err := srv.Wait(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// open unpaid 4500
	// checkout.session.completed paid
}

// The whole way with packages payment and webhook: a booking is held, its customer pays, the event arrives, and the page
// that asks is told so. All three share the clock.
func Example_booking() {
	clock := stripetest.NewClock(time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC))
	srv := stripetest.NewServer(stripetest.Config{Clock: clock})
	defer srv.Close()
	db := &memory.Store{}
	payments, err := payment.New(payment.Config{
		Store: db, Mode: payment.Test, SecretKey: srv.SecretKey, APIBase: srv.URL, Now: clock.Now,
		SuccessURL: "https://example.com/success", CancelURL: "https://example.com/",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	hook, err := bookinghook.New(bookinghook.Config{
		Store: db, Mode: payment.Test, Payments: payments, Secrets: []string{srv.WebhookSecret}, Now: clock.Now,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	site := httptest.NewServer(hook)
	defer site.Close()
	if err := srv.AddEndpoint(site.URL, ""); err != nil {
		fmt.Println(err)
	}

	ctx := context.Background()
	quote, _ := booking.NewQuote(4500, "usd", store.OptionFull)
	checkout, err := payments.Checkout(ctx, payment.CheckoutRequest{
		Attempt: "1", UserID: "ada", ServiceID: "care", ServiceName: "Elder care", Quote: quote,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	verify := func() {
		v, err := payments.Verify(ctx, checkout.SessionID, "ada", 0)
		fmt.Println(v.Status, err)
	}
	verify()
	if _, err := srv.Pay(checkout.SessionID); err != nil {
		fmt.Println(err)
	}
	if err := srv.Wait(ctx); err != nil {
		fmt.Println(err)
	}
	verify()
	// Output:
	// unpaid <nil>
	// processed <nil>
}

// With Hold the test decides what arrives, when and how often.
func ExampleStripe_Deliver() {
	srv := stripetest.NewServer(stripetest.Config{})
	defer srv.Close()
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
	defer site.Close()
	if err := srv.AddEndpoint(site.URL, "", "payment_intent.succeeded", "checkout.session.completed"); err != nil {
		fmt.Println(err)
	}

	srv.Hold()
	session, _ := srv.CreateSession(stripetest.SessionParams{Amount: 4500, Metadata: map[string]string{"userId": "u1"}})
	_, _ = srv.Pay(session.ID)
	events := srv.Events()
	for i := len(events) - 1; i >= 0; i-- { // the last one first, each twice
		for range 2 {
			attempts, _ := srv.Deliver(events[i].ID)
			for _, a := range attempts {
				fmt.Println(a.EventType, a.Attempt, a.Status)
			}
		}
	}
	// Output:
	// checkout.session.completed 1 200
	// checkout.session.completed 2 200
	// payment_intent.succeeded 1 200
	// payment_intent.succeeded 2 200
}

// The connection breaks after Stripe has made the session. The client tries again with its idempotency key.
func ExampleStripe_Fail() {
	srv := stripetest.NewServer(stripetest.Config{})
	defer srv.Close()
	srv.Fail("POST /v1/checkout/sessions", stripetest.Fault{Cut: true, Done: true})

	backend := stripe.GetBackendWithConfig(stripe.APIBackend, &stripe.BackendConfig{URL: stripe.String(srv.URL), LeveledLogger: &stripe.LeveledLogger{}})
	sc := client.New(srv.SecretKey, &stripe.Backends{API: backend})
	_, err := sc.CheckoutSessions.New(&stripe.CheckoutSessionParams{
		Mode:       stripe.String("payment"),
		SuccessURL: stripe.String("https://example.com/"),
		LineItems: []*stripe.CheckoutSessionLineItemParams{{
			Quantity: stripe.Int64(1),
			PriceData: &stripe.CheckoutSessionLineItemPriceDataParams{
				Currency:    stripe.String("usd"),
				UnitAmount:  stripe.Int64(4500),
				ProductData: &stripe.CheckoutSessionLineItemPriceDataProductDataParams{Name: stripe.String("Elder care")},
			},
		}},
	})
	fmt.Println(err, srv.Count("POST /v1/checkout/sessions"), len(srv.Sessions()))
	// Output: <nil> 2 1
}

// With a Clock, three days take no time. The shop is down for six hours; what it missed arrives.
func ExampleClock() {
	opening := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	clock := stripetest.NewClock(opening)
	srv := stripetest.NewServer(stripetest.Config{Clock: clock})
	defer srv.Close()
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if clock.Now().Before(opening.Add(6 * time.Hour)) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer site.Close()
	if err := srv.AddEndpoint(site.URL, "", "checkout.session.completed"); err != nil {
		fmt.Println(err)
	}

	session, _ := srv.CreateSession(stripetest.SessionParams{Amount: 4500})
	_, _ = srv.Pay(session.ID)
	clock.Advance(24 * time.Hour)
	for _, d := range srv.Deliveries() {
		fmt.Println(d.At.Sub(opening), d.Status)
	}
	// Output:
	// 0s 503
	// 5m0s 503
	// 15m0s 503
	// 35m0s 503
	// 1h15m0s 503
	// 2h35m0s 503
	// 5h15m0s 503
	// 10h35m0s 200
}

// On a bad day much goes wrong on the way, and in the end every event has arrived. A failure message should have
// srv.Seed, which reproduces the run when it is the Config's.
func ExampleBadDay() {
	clock := stripetest.NewClock(time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC))
	srv := stripetest.NewServer(stripetest.Config{Clock: clock, Chaos: stripetest.BadDay(), Seed: 1})
	defer srv.Close()
	var paid sync.Map
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		event, err := webhook.ConstructEventWithOptions(body, r.Header.Get("Stripe-Signature"), srv.WebhookSecret, webhook.ConstructEventOptions{IgnoreTolerance: true})
		if err != nil {
			http.Error(w, "bad signature", http.StatusBadRequest)
			return
		}
		paid.Store(event.Data.Object["id"], true)
	}))
	defer site.Close()
	if err := srv.AddEndpoint(site.URL, "", "checkout.session.completed"); err != nil {
		fmt.Println(err)
	}

	for n := range 100 {
		session, _ := srv.CreateSession(stripetest.SessionParams{Amount: 4500, ClientReferenceID: fmt.Sprint("booking ", n)})
		_, _ = srv.Pay(session.ID)
	}
	clock.Advance(4 * 24 * time.Hour)

	arrived, wrong := 0, 0
	paid.Range(func(any, any) bool { arrived++; return true })
	for _, d := range srv.Deliveries() {
		if !d.OK() {
			wrong++
		}
	}
	fmt.Println(arrived, wrong > 10)
	// Output: 100 true
}
