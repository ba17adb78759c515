package payment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/form"
)

// stripeAPI is all that this package asks of Stripe.
type stripeAPI interface {
	// createSession makes a checkout session; the same key again gives the same
	// session for 24 hours.
	createSession(ctx context.Context, p sessionParams, key string) (session, error)
	// session returns one session with its intent; ErrNoSession.
	session(ctx context.Context, id string) (session, error)
	// sessionsOf lists the sessions of a payment intent, newest first.
	sessionsOf(ctx context.Context, intentID string) ([]session, error)
	// sessionsSince lists the sessions made at or after a time that keep
	// accepts, newest first.
	sessionsSince(ctx context.Context, since time.Time, keep func(session) bool) ([]session, error)
	// expire ends an open session.
	expire(ctx context.Context, id string) (session, error)
}

// sessionParams is what a checkout session is made from.
type sessionParams struct {
	reference  string
	currency   string
	amount     int64
	product    string
	email      string
	successURL string
	cancelURL  string
	expiresAt  time.Time
	metadata   map[string]string // of the session and of its intent
}

// stripeError is an answer of Stripe's that is an error. Its text has Stripe's
// code and parameter, which say nothing about a customer, and not the message,
// which may.
type stripeError struct {
	kind   error // ErrStripe, ErrRefused or ErrNoSession
	op     string
	status int
	typ    stripe.ErrorType
	code   stripe.ErrorCode
	param  string
}

func (e *stripeError) Error() string {
	text := fmt.Sprintf("%s: %s: status %d", e.kind, e.op, e.status)
	for _, part := range []string{string(e.typ), string(e.code), e.param} {
		if part != "" {
			text += " " + part
		}
	}
	return text
}

func (e *stripeError) Unwrap() error { return e.kind }

// client is stripeAPI over stripe-go.
type client struct {
	backend stripe.Backend
	key     string
	account string
	timeout time.Duration
}

func newStripe(cfg Config) *client {
	hc := cfg.HTTPClient
	if hc == nil {
		hc = &http.Client{Timeout: cfg.Timeout}
		if t, ok := http.DefaultTransport.(*http.Transport); ok { // else another was put in its place, to watch calls, say
			t = t.Clone()
			t.MaxIdleConnsPerHost = 32 // all calls go to one host
			hc.Transport = t
		}
	}
	base := stripe.APIURL
	if cfg.APIBase != "" {
		base = cfg.APIBase
	}
	return &client{
		key: cfg.SecretKey, account: cfg.Account, timeout: cfg.Timeout,
		backend: stripe.GetBackendWithConfig(stripe.APIBackend, &stripe.BackendConfig{
			URL:               &base,
			HTTPClient:        hc,
			MaxNetworkRetries: stripe.Int64(1), // stripe-go's default would outlast a webhook's deadline
			EnableTelemetry:   stripe.Bool(false),
			LeveledLogger:     &stripe.LeveledLogger{Level: stripe.LevelNull},
		}),
	}
}

// answer takes any of Stripe's answers as it came.
type answer struct{ stripe.APIResource }

func (c *client) createSession(ctx context.Context, p sessionParams, key string) (session, error) {
	params := &stripe.CheckoutSessionParams{
		Mode:              stripe.String(string(stripe.CheckoutSessionModePayment)),
		ClientReferenceID: &p.reference,
		SuccessURL:        &p.successURL,
		ExpiresAt:         stripe.Int64(p.expiresAt.Unix()),
		LineItems: []*stripe.CheckoutSessionLineItemParams{{
			Quantity: stripe.Int64(1),
			PriceData: &stripe.CheckoutSessionLineItemPriceDataParams{
				Currency:    &p.currency,
				UnitAmount:  &p.amount,
				ProductData: &stripe.CheckoutSessionLineItemPriceDataProductDataParams{Name: &p.product},
			},
		}},
		Metadata:          p.metadata,
		PaymentIntentData: &stripe.CheckoutSessionPaymentIntentDataParams{Metadata: p.metadata},
	}
	if p.cancelURL != "" {
		params.CancelURL = &p.cancelURL
	}
	if p.email != "" {
		params.CustomerEmail = &p.email
	}
	params.SetIdempotencyKey(key)
	body := &form.Values{}
	form.AppendTo(body, params)
	res, err := c.call(ctx, "create a session", http.MethodPost, "/v1/checkout/sessions", body, &params.Params)
	var se *stripeError
	if errors.As(err, &se) && errors.Is(se.kind, ErrNoSession) {
		se.kind = ErrRefused // something else is missing
	}
	if err != nil {
		return session{}, err
	}
	ss, err := decodeSession(res.RawJSON, "")
	ss.replayed = res.Header.Get("Idempotent-Replayed") == "true"
	return c.own(ss), unreadable(err)
}

func (c *client) session(ctx context.Context, id string) (session, error) {
	params := &stripe.CheckoutSessionParams{}
	params.AddExpand("payment_intent.latest_charge")
	body := &form.Values{}
	form.AppendTo(body, params)
	res, err := c.call(ctx, "retrieve a session", http.MethodGet, stripe.FormatURLPath("/v1/checkout/sessions/%s", id), body, &params.Params)
	if err != nil {
		return session{}, err
	}
	ss, err := decodeSession(res.RawJSON, "")
	return c.own(ss), unreadable(err)
}

func (c *client) expire(ctx context.Context, id string) (session, error) {
	params := &stripe.CheckoutSessionExpireParams{}
	res, err := c.call(ctx, "expire a session", http.MethodPost, stripe.FormatURLPath("/v1/checkout/sessions/%s/expire", id), nil, &params.Params)
	if err != nil {
		return session{}, err
	}
	ss, err := decodeSession(res.RawJSON, "")
	return c.own(ss), unreadable(err)
}

func (c *client) sessionsOf(ctx context.Context, intentID string) ([]session, error) {
	sessions, err := c.list(ctx, &stripe.CheckoutSessionListParams{PaymentIntent: &intentID}, func(session) bool { return true })
	if errors.Is(err, ErrNoSession) {
		return nil, nil // no such intent, so no session of it
	}
	return sessions, err
}

func (c *client) sessionsSince(ctx context.Context, since time.Time, keep func(session) bool) ([]session, error) {
	return c.list(ctx, &stripe.CheckoutSessionListParams{
		CreatedRange: &stripe.RangeQueryParams{GreaterThanOrEqual: since.Unix()},
	}, keep)
}

// list goes through all pages. ctx ends it when there are too many.
func (c *client) list(ctx context.Context, params *stripe.CheckoutSessionListParams, keep func(session) bool) ([]session, error) {
	var kept []session
	params.Limit = stripe.Int64(100)
	for {
		body := &form.Values{}
		form.AppendTo(body, params)
		res, err := c.call(ctx, "list sessions", http.MethodGet, "/v1/checkout/sessions", body, params.GetParams())
		if err != nil {
			return nil, err
		}
		var page struct {
			Data    []json.RawMessage `json:"data"`
			HasMore bool              `json:"has_more"`
		}
		if err := unmarshal(res.RawJSON, &page); err != nil {
			return nil, unreadable(err)
		}
		for _, raw := range page.Data {
			ss, err := decodeSession(raw, "")
			if err != nil {
				return nil, unreadable(err)
			}
			if ss = c.own(ss); keep(ss) {
				kept = append(kept, ss)
			}
			params.StartingAfter = &ss.facts.SessionID
		}
		if !page.HasMore || len(page.Data) == 0 {
			return kept, nil
		}
	}
}

// own marks what was asked for in an account's name as that account's.
func (c *client) own(ss session) session {
	ss.facts.Account = c.account
	return ss
}

func (c *client) call(ctx context.Context, op, method, path string, body *form.Values, params *stripe.Params) (*stripe.APIResponse, error) {
	short, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	params.Context = short
	if c.account != "" {
		params.SetStripeAccount(c.account)
	}
	var res answer
	if err := c.backend.CallRaw(method, path, c.key, body, params, &res); err != nil {
		return nil, classify(ctx, op, err)
	}
	return res.LastResponse, nil
}

// classify makes one of this package's errors of one of stripe-go's, whose text
// can quote what Stripe sent.
func classify(ctx context.Context, op string, err error) error {
	var se *stripe.Error
	var ue *url.Error
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %s: %w", ErrStripe, op, ctx.Err())
	case errors.As(err, &se):
		e := &stripeError{kind: ErrRefused, op: op, status: se.HTTPStatusCode, typ: se.Type, code: se.Code, param: se.Param}
		switch {
		case e.status == http.StatusNotFound && e.code == stripe.ErrorCodeResourceMissing:
			e.kind = ErrNoSession
		case e.status >= 500, e.status == http.StatusTooManyRequests, e.status == http.StatusConflict:
			e.kind = ErrStripe
		}
		return e
	case errors.As(err, &ue):
		return fmt.Errorf("%w: %s: %w", ErrStripe, op, ue.Err)
	}
	return fmt.Errorf("%w: %s: the answer can't be read", ErrStripe, op)
}

// unreadable is for an answer that is not what was asked for, such as a proxy's.
func unreadable(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrStripe, err)
}
