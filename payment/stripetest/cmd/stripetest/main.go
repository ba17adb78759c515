// Command stripetest runs the stand-in for Stripe of package stripetest alone, so that a service in any language can
// be tested with it, and Stripe's own command-line tool can drive it:
//
//	go run github.com/carevia/stripebooking/payment/stripetest/cmd/stripetest -webhook http://127.0.0.1:8080/webhook
//
// Outside a module that requires this one, append @latest or a version. In CI, build it and stop its own process.
//
// It prints where it listens, its keys and the form of the pay page's address, then a line per request and delivery.
// GET /healthz is 200 when it is ready. Everything is forgotten when it ends. See the documentation of package
// stripetest for what it answers, with examples for curl and for Stripe's tool.
//
// The flags:
//
//	-addr     where to listen (127.0.0.1:12111); with port 0 a free one, which it prints; a loopback address, unless -remote
//	-webhook  a URL that every event is sent to; can be given several times
//	-key      the secret key that requests must carry (sk_test_stripetest): sk_test_… or rk_test_…
//	-secret   what deliveries are signed with (whsec_stripetest)
//	-url      the address it is reached at, for the links to the pay page (http:// and -addr)
//	-seed     a number, not 0: the same ids and the same chaos every time
//	-chaos    let much go wrong, in the network and in the API, and nothing get lost; it prints the seed
//	-remote   allow a webhook, or an -addr, that is not on this machine alone
package main

import (
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
	"syscall"
	"time"

	"github.com/carevia/stripebooking/payment/stripetest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("stripetest", flag.ContinueOnError)
	flags.SetOutput(stderr)
	addr := flags.String("addr", "127.0.0.1:12111", "where to listen")
	public := flags.String("url", "", "the address it is reached at, for the links to the pay page (default http:// and -addr)")
	key := flags.String("key", stripetest.DefaultSecretKey, "the secret key that requests must carry: sk_test_… or rk_test_…")
	secret := flags.String("secret", stripetest.DefaultWebhookSecret, "what deliveries are signed with")
	seed := flags.Int64("seed", 0, "not 0: the same ids and the same chaos every time")
	bad := flags.Bool("chaos", false, "let much go wrong, in the network and in the API, and nothing get lost")
	remote := flags.Bool("remote", false, "allow a webhook, or an -addr, that is not on this machine alone")
	var webhooks []string
	flags.Func("webhook", "a URL that every event is sent to; can be given several times", func(url string) error {
		webhooks = append(webhooks, url)
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("stripetest: %q is no flag", flags.Arg(0))
	}

	if host, _, err := net.SplitHostPort(*addr); err != nil {
		return fmt.Errorf("stripetest: -addr: %w", err)
	} else if ip := net.ParseIP(host); !*remote && host != "localhost" && !ip.IsLoopback() {
		return errors.New("stripetest: -addr must be a loopback address, unless -remote is given")
	}
	l, err := net.Listen("tcp", *addr)
	if err != nil {
		return fmt.Errorf("stripetest: %w", err)
	}
	defer l.Close()
	base := "http://" + l.Addr().String()
	if *public == "" {
		*public = base
	}
	cfg := stripetest.Config{
		SecretKey: *key, WebhookSecret: *secret, PublicURL: *public, Seed: *seed, AllowRemote: *remote,
		Logger: slog.New(slog.NewTextHandler(stderr, nil)),
	}
	if *bad {
		cfg.Chaos = stripetest.BadDay()
		cfg.Chaos.Delay = 5 * time.Second // somebody waits
	}
	s, err := stripetest.New(cfg)
	if err != nil {
		return err
	}
	defer s.Close()
	for _, url := range webhooks {
		if err := s.AddEndpoint(url, ""); err != nil {
			return err
		}
	}

	fmt.Fprintf(stdout, "Stripe's stand-in, API version %s\n\n", stripetest.APIVersion)
	fmt.Fprintf(stdout, "  API             %s\n", base)
	fmt.Fprintf(stdout, "  secret key      %s\n", s.SecretKey)
	fmt.Fprintf(stdout, "  signing secret  %s\n", s.WebhookSecret)
	for _, url := range webhooks {
		fmt.Fprintf(stdout, "  webhook         %s\n", url)
	}
	if *bad {
		fmt.Fprintf(stdout, "  seed            %d\n", s.Seed)
	}
	fmt.Fprintf(stdout, "  pay page        %s/pay/SESSION\n\n", *public)
	fmt.Fprintf(stdout, "stripe trigger checkout.session.completed --api-key %s --api-base %s\n\n", s.SecretKey, base)

	srv := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	select {
	case err := <-served:
		return fmt.Errorf("stripetest: %w", err)
	case <-ctx.Done():
		return srv.Close()
	}
}
