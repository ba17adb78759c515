// Command quickstart makes one booking from checkout to confirmed, on a SQLite
// file and a stand-in for Stripe, while Stripe's events arrive in the wrong
// order, three times each and partly at once. It tells what happens, counts in
// the database, and ends with exit status 0 only if the count is right.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	_ "modernc.org/sqlite" // written in Go: no C compiler needed

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/payment"
	"github.com/carevia/stripebooking/payment/stripetest"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/sqlstore"
	"github.com/carevia/stripebooking/webhook"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) (err error) {
	say := func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }

	// The database.
	dir, err := os.MkdirTemp("", "stripebooking-quickstart-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(filepath.Join(dir, "bookings.db"))+
		"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_txlock=immediate")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	bookings, err := sqlstore.New(sqlstore.Config{DB: db, Dialect: sqlstore.SQLite})
	if err != nil {
		return err
	}
	if err := bookings.Migrate(ctx); err != nil {
		return err
	}
	say("1. A new SQLite database, in a temporary folder.")

	// Stripe, or rather the stand-in for it, and what talks to it.
	stripe := stripetest.NewServer(stripetest.Config{})
	defer stripe.Close()
	payments, err := payment.New(payment.Config{
		Store:      bookings,
		SecretKey:  stripe.SecretKey,
		Mode:       payment.Test,
		SuccessURL: "https://example.com/payment/success",
		CancelURL:  "https://example.com/",
		APIBase:    stripe.URL,
	})
	if err != nil {
		return err
	}

	// The webhook, mounted in a server of ours.
	hook, err := webhook.New(webhook.Config{
		Secrets:  []string{stripe.WebhookSecret},
		Store:    bookings,
		Payments: payments,
		Mode:     payment.Test,
	})
	if err != nil {
		return err
	}
	address, stop, err := serve(hook)
	if err != nil {
		return err
	}
	defer stop()
	if err := stripe.AddEndpoint(address, "", "payment_intent.succeeded", "checkout.session.completed"); err != nil {
		return err
	}
	stripe.Hold() // its events leave when we say so
	say("2. A stand-in for Stripe, and a server with our webhook.")

	// A customer books and pays.
	quote, err := booking.NewQuote(4500, "usd", store.OptionHalf)
	if err != nil {
		return err
	}
	checkout, err := payments.Checkout(ctx, payment.CheckoutRequest{
		Attempt:     "first click",
		UserID:      "ada",
		ServiceID:   "elderly-care",
		ServiceName: "Elderly care visit",
		Quote:       quote,
	})
	if err != nil {
		return err
	}
	say("3. Ada books an elderly care visit for %s USD and chooses to pay half in advance.", booking.FormatAmount(quote.Total, "usd"))
	say("   Her booking %s is held until she has paid.", checkout.BookingID)
	if _, err := stripe.Pay(checkout.SessionID); err != nil {
		return err
	}
	say("4. Ada pays %s USD. Stripe has the money; its events are late, as they often are.", booking.FormatAmount(quote.Now, "usd"))

	v, err := payments.Verify(ctx, checkout.SessionID, "ada", 0)
	if err != nil {
		return err
	}
	say("   The page she comes back to asks: is it %q yet? It is %q.", payment.Processed, v.Status)
	var intent, session string // the two events, by id
	for _, e := range stripe.Events() {
		switch e.Type {
		case "payment_intent.succeeded":
			intent = e.ID
		case "checkout.session.completed":
			session = e.ID
		}
	}

	// Everything at once, in the wrong order.
	deliver := func(event string) func() error {
		return func() error {
			deliveries, err := stripe.Deliver(event)
			for _, d := range deliveries {
				if !d.OK() {
					err = errors.Join(err, fmt.Errorf("a delivery of %s was answered with %d %s", d.EventType, d.Status, d.Err))
				}
			}
			return err
		}
	}
	confirm := func() error {
		s, err := payments.Confirm(ctx, checkout.SessionID, "ada")
		if err == nil && (s.Booking == nil || s.Booking.ID != checkout.BookingID) {
			err = errors.New("confirm made another booking")
		}
		return err
	}
	verify := func() error {
		_, err := payments.Verify(ctx, checkout.SessionID, "ada", 0)
		return err
	}
	say("5. payment_intent.succeeded comes first, though it should be second: twice at the same time,")
	say("   while Ada's page calls confirm and verify.")
	if err := atOnce(deliver(intent), deliver(intent), confirm, verify); err != nil {
		return err
	}
	say("6. payment_intent.succeeded a third time, together with checkout.session.completed twice, and confirm again.")
	if err := atOnce(deliver(intent), deliver(session), deliver(session), confirm, verify); err != nil {
		return err
	}
	say("7. checkout.session.completed a third time, when all is long done.")
	if err := deliver(session)(); err != nil {
		return err
	}

	// What came of it.
	v, err = payments.Verify(ctx, checkout.SessionID, "ada", 0)
	if err != nil {
		return err
	}
	if v.Status != payment.Processed || v.Booking == nil {
		return fmt.Errorf("verify says %q", v.Status)
	}
	b := *v.Booking
	say("8. The page asks again: it is %q. The booking is %q, with %s USD paid and %s USD to pay at the visit.",
		v.Status, b.State, booking.FormatAmount(b.Paid, "usd"), booking.FormatAmount(b.Due, "usd"))
	history, err := bookings.History(ctx, b.ID)
	if err != nil {
		return err
	}
	say("   Why it is so, from its history:")
	for i := len(history) - 1; i >= 0; i-- {
		say("   - version %d: %s, by %s %s", history[i].Version, history[i].To, history[i].Cause.By, history[i].Cause.ID)
	}
	say("9. Counted in the database:")

	var nBookings, nPayments int
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM "+sqlstore.DefaultPrefix+"bookings").Scan(&nBookings); err != nil {
		return err
	}
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM "+sqlstore.DefaultPrefix+"payments").Scan(&nPayments); err != nil {
		return err
	}
	nDeliveries := len(stripe.Deliveries())
	say("bookings=%d payments=%d deliveries=%d", nBookings, nPayments, nDeliveries)

	switch {
	case nBookings != 1 || nPayments != 1 || nDeliveries != 6:
		return errors.New("expected 1 booking, 1 payment and 6 deliveries")
	case b.ID != checkout.BookingID || b.State != store.StateConfirmed || b.Reason != "":
		return fmt.Errorf("booking %s is %q %s", b.ID, b.State, b.Reason)
	case b.Paid != quote.Now || b.Due != quote.Balance:
		return fmt.Errorf("booking %s has %d paid and %d due", b.ID, b.Paid, b.Due)
	}
	return nil
}

// serve mounts the webhook on a free port of this machine.
func serve(hook http.Handler) (address string, stop func(), err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/api/payment/webhook", hook)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(ln) // always ErrServerClosed, after stop
	}()
	return "http://" + ln.Addr().String() + "/api/payment/webhook", func() { _ = server.Close(); <-done }, nil
}

// atOnce runs all of the functions at the same time.
func atOnce(funcs ...func() error) error {
	errs := make([]error, len(funcs))
	var wg sync.WaitGroup
	for i, f := range funcs {
		wg.Go(func() { errs[i] = f() })
	}
	wg.Wait()
	return errors.Join(errs...)
}
