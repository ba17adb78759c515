// Command bookingserver is a small booking site on top of stripebooking: choose a
// service, pay on Stripe's page, get a booking. It is an example to read and to
// copy from; README.md beside it says how to run it.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Getenv, os.Stderr, func(string) {})
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bookingserver:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends, and then finishes the requests in flight. It calls
// ready with the site's address once it can be reached.
func run(ctx context.Context, args []string, getenv func(string) string, out io.Writer, ready func(url string)) (err error) {
	flags := flag.NewFlagSet("bookingserver", flag.ContinueOnError)
	flags.SetOutput(out)
	addr := flags.String("addr", "127.0.0.1:8080", "address to listen on")
	storeURL := flags.String("store", "", "where bookings are kept: "+storeForms()+" (default $BOOKING_STORE, or sqlite:bookings.db)")
	mode := flags.String("mode", modeWebhook, "what makes a booking: webhook, confirm (for testing only) or both")
	mailer := flags.String("mailer", "", "how confirmations are sent: log (only written to the log); empty: not at all")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return errors.New("unexpected argument; all settings are flags") // it may be a URL with a password
	}
	log := slog.New(slog.NewTextHandler(out, nil))
	cfg := config{Mode: *mode, Logger: log}
	switch *mailer {
	case "":
	case "log":
		cfg.Mailer = logMailer{log}
	default:
		return fmt.Errorf("unknown -mailer %q; there is: log", *mailer)
	}
	if !slices.Contains([]string{modeWebhook, modeConfirm, modeBoth}, *mode) {
		return fmt.Errorf("unknown -mode %q; there are: webhook, confirm, both", *mode)
	}
	if *mode != modeWebhook {
		log.Warn("the confirm call is mounted: it is for testing, since a booking is lost when the browser closes before it is made", "mode", *mode)
	}

	st, err := openStore(ctx, cmp.Or(*storeURL, getenv("BOOKING_STORE"), "sqlite:bookings.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.close()) }()
	cfg.Store = st.store

	// The socket is opened before the site is built, since the links that
	// Stripe sends customers back to need its port. Connections wait till then.
	ln, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	defer ln.Close()
	cfg.BaseURL = baseURL(*addr, ln.Addr())

	closeStripe, err := connectStripe(&cfg, getenv)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeStripe()) }()

	site, err := newSite(cfg)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           site.routes(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second, // longer than any call to Stripe or wait for a webhook
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	log.Info("open "+cfg.BaseURL, "store", st.name, "mode", *mode)
	ready(cfg.BaseURL)

	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	log.Info("stopping: requests in flight finish, new ones are refused")
	grace, cancel := context.WithTimeout(context.Background(), 25*time.Second)
	defer cancel()
	return server.Shutdown(grace)
}

// baseURL is where a browser on this machine reaches the listener.
func baseURL(addr string, actual net.Addr) string {
	host, _, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err != nil || host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	_, port, _ := net.SplitHostPort(actual.String())
	return "http://" + net.JoinHostPort(host, port)
}

// secrets splits a comma-separated list; there are two while a secret is rolled.
func secrets(list string) []string {
	var out []string
	for _, s := range strings.Split(list, ",") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}
