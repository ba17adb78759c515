package main

import (
	"errors"
	"strings"

	"github.com/carevia/stripebooking/payment/stripetest"
)

// connectStripe fills in how Stripe is reached, from the environment. Without a
// secret key it starts a stand-in for Stripe; the function that it returns stops it.
func connectStripe(cfg *config, getenv func(string) string) (func() error, error) {
	cfg.SecretKey = getenv("STRIPE_SECRET_KEY")
	cfg.Secrets = secrets(getenv("STRIPE_WEBHOOK_SECRET"))
	cfg.APIBase = strings.TrimRight(getenv("STRIPE_API_BASE"), "/")
	if cfg.SecretKey == "" {
		return startStandIn(cfg)
	}
	switch {
	case strings.HasPrefix(cfg.SecretKey, "sk_live_"), strings.HasPrefix(cfg.SecretKey, "rk_live_"):
		return nil, errors.New("STRIPE_SECRET_KEY is a live key, and this demo takes test keys only: its visitors are not logged in, so any of them could pass for any other")
	case len(cfg.Secrets) == 0 && cfg.Mode != modeConfirm:
		return nil, errors.New("STRIPE_WEBHOOK_SECRET is missing; `stripe listen --forward-to " + strings.TrimPrefix(cfg.BaseURL, "http://") + "/api/payment/webhook` prints it")
	}
	cfg.PayOrigin, cfg.StandIn = cfg.APIBase, cfg.APIBase != ""
	return func() error { return nil }, nil
}

// startStandIn runs the stand-in on a port of its own. It signs its deliveries
// with the first of the secrets that were given, so that deliveries from
// elsewhere, signed with any of them, are good too.
func startStandIn(cfg *config) (func() error, error) {
	if cfg.APIBase != "" {
		cfg.Logger.Warn("STRIPE_API_BASE is ignored, since there is no STRIPE_SECRET_KEY")
	}
	if len(cfg.Secrets) == 0 {
		cfg.Secrets = []string{stripetest.DefaultWebhookSecret}
	}
	standIn := stripetest.NewServer(stripetest.Config{
		WebhookSecret: cfg.Secrets[0],
		AllowRemote:   true, // its one endpoint is this server, wherever that listens
		Logger:        cfg.Logger,
	})
	if cfg.Mode != modeConfirm {
		err := standIn.AddEndpoint(cfg.BaseURL+"/api/payment/webhook", "",
			"checkout.session.*", "payment_intent.succeeded", "payment_intent.payment_failed")
		if err != nil {
			standIn.Close()
			return nil, err
		}
	}
	cfg.SecretKey, cfg.APIBase, cfg.PayOrigin, cfg.StandIn = standIn.SecretKey, standIn.URL, standIn.URL, true
	cfg.Logger.Info("no STRIPE_SECRET_KEY: payments are made on a stand-in for Stripe inside this program, and no card is charged", "at", standIn.URL)
	return func() error { standIn.Close(); return nil }, nil
}
