package webhooktest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/payment"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/memory"
	"github.com/carevia/stripebooking/webhook"
	"github.com/carevia/stripebooking/webhook/webhooktest"
	stripehook "github.com/stripe/stripe-go/v76/webhook"
)

// service is somebody's own, which this library has no part in.
type service struct {
	secret string
	paid   map[string]int64
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if stripehook.ValidatePayload(body, r.Header.Get("Stripe-Signature"), s.secret) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	var event struct {
		Data struct {
			Object struct {
				ID     string `json:"id"`
				Amount int64  `json:"amount_total"`
			} `json:"object"`
		} `json:"data"`
	}
	_ = json.Unmarshal(body, &event)
	s.paid[event.Data.Object.ID] = event.Data.Object.Amount
}

// The test of a handler, whatever it is made of.
func Example() {
	service := &service{secret: "whsec_test", paid: map[string]int64{}}
	event := webhooktest.SessionCompleted(webhooktest.Session{Amount: 5000})
	w := webhooktest.Deliver(service, event, "whsec_test")
	fmt.Println(w.Code, service.paid)
	// Output:
	// 200 map[cs_test_1:5000]
}

// The test of a handler that is registered with package webhook: it gets the
// booking once the library has made it.
func Example_webhook() {
	st := &memory.Store{}
	payments, err := payment.New(payment.Config{Store: st, SecretKey: "sk_test_x", Mode: payment.Test,
		Codecs: []booking.Codec{booking.Marked{}, booking.Plain{}}})
	if err != nil {
		panic(err)
	}
	handler, err := webhook.New(webhook.Config{Secrets: []string{"whsec_test"}, Store: st, Payments: payments, Mode: payment.Test})
	if err != nil {
		panic(err)
	}
	handler.Handle("checkout.session.completed", func(_ context.Context, e webhook.Event) error {
		if e.Booking == nil || e.Booking.State != store.StateConfirmed {
			return nil // not paid yet, or not as agreed
		}
		fmt.Println("mail to", e.Booking.UserID, "about a", e.Booking.State, "booking")
		return nil
	})

	paid := webhooktest.Session{Amount: 5000, Metadata: map[string]string{"userId": "u1", "amountToPay": "50.00"}}
	w := webhooktest.Deliver(handler, webhooktest.SessionCompleted(paid), "whsec_test")
	fmt.Println(w.Code)
	// Output:
	// mail to u1 about a confirmed booking
	// 200
}

// Whose signature is taken, and whose is not.
func ExampleDeliver() {
	service := &service{secret: "whsec_test", paid: map[string]int64{}}
	event := webhooktest.SessionCompleted(webhooktest.Session{Amount: 5000})
	fmt.Println(webhooktest.Deliver(service, event, "whsec_new", "whsec_test").Code)
	fmt.Println(webhooktest.Deliver(service, event, "whsec_another").Code)
	fmt.Println(webhooktest.Deliver(service, event).Code)
	// Output:
	// 200
	// 400
	// 400
}

// Stripe sends events late, twice and in any order; the outcome has to be the same.
func ExampleShuffle() {
	service := &service{secret: "whsec_test", paid: map[string]int64{}}
	one := webhooktest.SessionCompleted(webhooktest.Session{ID: "cs_1", Intent: "pi_1", Amount: 5000})
	two := webhooktest.SessionCompleted(webhooktest.Session{ID: "cs_2", Intent: "pi_2", Amount: 700})
	for seed := range int64(20) {
		for _, event := range webhooktest.Shuffle(seed, one, two, one) {
			webhooktest.Deliver(service, event, "whsec_test")
		}
	}
	fmt.Println(service.paid)
	// Output:
	// map[cs_1:5000 cs_2:700]
}
