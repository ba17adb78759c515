package webhook_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/payment"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/memory"
	"github.com/carevia/stripebooking/webhook"
	"github.com/carevia/stripebooking/webhook/webhooktest"
	"github.com/stretchr/testify/require"
)

// The webhook in a server of one's own. Stripe delivers an event twice; there is
// one booking.
func Example() {
	var st memory.Store
	payments, err := payment.New(payment.Config{
		Store: &st, SecretKey: "sk_test_example", Mode: payment.Test,
		Codecs: []booking.Codec{booking.Marked{}, booking.Plain{}},
	})
	if err != nil {
		panic(err)
	}
	h, err := webhook.New(webhook.Config{
		Secrets: []string{"whsec_example"}, Store: &st, Payments: payments, Mode: payment.Test,
	})
	if err != nil {
		panic(err)
	}
	h.Handle("checkout.session.completed", func(_ context.Context, e webhook.Event) error {
		if e.Booking == nil || e.Booking.State != store.StateConfirmed {
			return nil // not paid yet, or not as agreed
		}
		fmt.Println("a mail, which says that the booking is", e.Booking.State)
		return nil
	})
	mux := http.NewServeMux()
	mux.Handle("/api/payment/webhook", h) // and http.ListenAndServe(addr, mux)

	event := webhooktest.SessionCompleted(webhooktest.Session{EventID: "evt_1", Amount: 5000, Metadata: map[string]string{
		"userId": "u1", "serviceId": "s1", "serviceName": "Care", "amountToPay": "50.00", "paymentOption": "full",
	}})
	for range 2 {
		w := webhooktest.Deliver(h, event, "whsec_example")
		fmt.Println(w.Code, w.Body)
	}
	bookings, _, _ := st.BookingsByUser(context.Background(), "u1", store.Page{})
	fmt.Println("bookings:", len(bookings))
	// Output:
	// a mail, which says that the booking is confirmed
	// 200 {"success":true,"message":"event processed"}
	// 200 {"success":true,"message":"event processed"}
	// bookings: 1
}

// Without a payment service the Handler keeps the ledger and runs your handlers.
func ExampleHandler_Handle() {
	h, err := webhook.New(webhook.Config{Secrets: []string{"whsec_example"}, Store: &memory.Store{}, Mode: payment.Test})
	if err != nil {
		panic(err)
	}
	h.Handle("customer.created", func(_ context.Context, e webhook.Event) error {
		fmt.Println("hello", e.ObjectID)
		return nil
	})
	event := webhooktest.Event("evt_1", "customer.created", map[string]any{"id": "cus_1"})
	fmt.Println(webhooktest.Deliver(h, event, "whsec_example").Code)
	fmt.Println(webhooktest.Deliver(h, event, "whsec_wrong").Code)
	// Output:
	// hello cus_1
	// 200
	// 400
}

// A handler that failed is run again by a replay.
func ExampleHandler_Replay() {
	ctx := context.Background()
	h, err := webhook.New(webhook.Config{Secrets: []string{"whsec_example"}, Store: &memory.Store{}, Mode: payment.Test})
	if err != nil {
		panic(err)
	}
	working := false
	h.HandleAll(func(context.Context, webhook.Event) error {
		if !working {
			return fmt.Errorf("the mail server is away")
		}
		return nil
	})
	w := webhooktest.Deliver(h, webhooktest.Event("evt_1", "customer.created", map[string]any{"id": "cus_1"}), "whsec_example")
	row, _ := h.Event(ctx, "evt_1")
	fmt.Println(w.Code, row.State, "-", row.Reason)

	working = true
	n, err := h.ReplayAll(ctx, store.EventFilter{State: store.EventFailed}, "alice")
	row, _ = h.Event(ctx, "evt_1")
	fmt.Println(n, err, row.State)
	// Output:
	// 503 failed - handler *: the mail server is away
	// 1 <nil> done
}

// TestREADME: the first program in the README compiles against this library.
func TestREADME(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(readme), "```go\n")
	program, _, closed := strings.Cut(rest, "```")
	require.True(t, found && closed, "the README shows a program")
	require.True(t, strings.HasPrefix(program, "package main"), "its first Go block is a whole program")
	file := filepath.Join(t.TempDir(), "main.go")
	require.NoError(t, os.WriteFile(file, []byte(program), 0o600))
	out, err := exec.Command("go", "build", "-o", os.DevNull, file).CombinedOutput()
	require.NoError(t, err, string(out))
}
