package stripetest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/client"
	"github.com/stripe/stripe-go/v76/webhook"

	"github.com/carevia/stripebooking/payment/stripetest"
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
