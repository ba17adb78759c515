package payment

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/store"
)

// Mode says which of Stripe's two worlds a service is for. What comes from the
// other one is ignored.
type Mode string

// The modes.
const (
	Test Mode = "test" // keys sk_test_… and rk_test_…, livemode false
	Live Mode = "live" // keys sk_live_… and rk_live_…, livemode true
)

// What a zero field of a Config stands for, and the limits of Config.Hold.
const (
	DefaultHold    = time.Hour
	DefaultTimeout = 8 * time.Second

	// MinHold is a minute above Stripe's own limit for a session's life, so
	// that there is time to make the session.
	MinHold = 31 * time.Minute
	// MaxHold is Stripe's limit; a hold that long ends a minute earlier, since
	// clocks differ.
	MaxHold = 24 * time.Hour
)

// Config is what a Service is made from.
type Config struct {
	// Store keeps the bookings. Required.
	Store store.Store

	// SecretKey is Stripe's, sk_… or rk_… of the Mode. Required. A restricted
	// key needs: write for Checkout Sessions, read for PaymentIntents and
	// Charges.
	SecretKey string

	// Mode is required: a live key in a test deployment is a mistake that
	// should not start.
	Mode Mode

	// Account is the connected account whose payments these are; empty for the
	// platform's own. Events of another one are ignored.
	Account string

	// Codecs are how metadata is read, in this order. The first is how Checkout
	// writes it and must be booking.Marked. Default: booking.Marked alone. Add
	// booking.Plain for a site that makes its own sessions.
	Codecs []booking.Codec

	// SuccessURL is where Stripe sends a customer who paid. Required for
	// Checkout. "session_id={CHECKOUT_SESSION_ID}" is added to its query unless
	// the placeholder is there; Stripe puts the session's id in.
	SuccessURL string

	// CancelURL is where the pay page's way back leads; empty: there is none.
	CancelURL string

	// Hold is how long a booking waits for its payment and keeps its seats,
	// which is the life of its checkout session: MinHold to MaxHold; 0 stands
	// for DefaultHold.
	Hold time.Duration

	// Timeout is for one call to Stripe, its repetition included; 0 stands for
	// DefaultTimeout. A nearer deadline of the caller's ctx counts.
	Timeout time.Duration

	// APIBase is the address of Stripe's API, for a stand-in or a proxy; empty:
	// Stripe's own.
	APIBase string

	// HTTPClient makes the calls; nil: one of the service's own.
	HTTPClient *http.Client

	// Now tells the time; nil: time.Now.
	Now func() time.Time

	// Logger gets what nobody else is told; nil: silent.
	Logger *slog.Logger
}

// Service is everything that this package does. Its methods may be called from
// many goroutines at once. Make one with New.
type Service struct {
	cfg    Config
	stripe stripeAPI
	seen   *cache
	after  func(time.Duration) <-chan time.Time // a timer, for waiting
}

// New checks cfg and returns the service. The error names everything that is
// wrong, and no secret.
func New(cfg Config) (*Service, error) {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	if cfg.Store == nil {
		bad("Store is missing")
	}
	if cfg.Mode != Test && cfg.Mode != Live {
		bad("Mode must be %q or %q", Test, Live)
	}
	switch mode, ok := modeOf(cfg.SecretKey); {
	case cfg.SecretKey == "":
		bad("SecretKey is empty")
	case !ok:
		bad("SecretKey is not a secret or restricted key: it must begin with sk_test_, sk_live_, rk_test_ or rk_live_")
	case (cfg.Mode == Test || cfg.Mode == Live) && mode != cfg.Mode:
		bad("SecretKey is a %s key and Mode is %q", mode, cfg.Mode)
	}
	if cfg.Account != "" && store.CheckID("Account", cfg.Account) != nil {
		bad("Account is not an account id")
	}
	if len(cfg.Codecs) == 0 {
		cfg.Codecs = []booking.Codec{booking.Marked{}}
	}
	if _, ok := cfg.Codecs[0].(booking.Marked); !ok {
		bad("Codecs must begin with booking.Marked, which is how Checkout writes")
	}
	for _, c := range cfg.Codecs {
		if c == nil {
			bad("Codecs has a nil")
		}
	}
	for _, u := range []struct{ name, value string }{
		{"SuccessURL", cfg.SuccessURL}, {"CancelURL", cfg.CancelURL}, {"APIBase", cfg.APIBase},
	} {
		if u.value != "" && !webAddress(u.value) {
			bad("%s must be an absolute http or https address", u.name)
		}
	}
	if cfg.Hold == 0 {
		cfg.Hold = DefaultHold
	}
	if cfg.Hold < MinHold || cfg.Hold > MaxHold {
		bad("Hold must be %v to %v", MinHold, MaxHold)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.Timeout < 0 {
		bad("Timeout is negative")
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("payment: config: %w", errors.Join(errs...))
	}

	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(silent{})
	}
	return &Service{cfg: cfg, stripe: newStripe(cfg), seen: newCache(cfg.Now), after: time.After}, nil
}

// With returns the service over another store, such as a joined transaction's.
// What it did is final once that transaction commits.
func (s *Service) With(st store.Store) *Service {
	t := *s
	t.cfg.Store = st
	return &t
}

// Mode is the service's mode.
func (s *Service) Mode() Mode { return s.cfg.Mode }

// Account is the connected account that the service is for; empty for the
// platform's own.
func (s *Service) Account() string { return s.cfg.Account }

func (s *Service) livemode() bool { return s.cfg.Mode == Live }

func modeOf(key string) (Mode, bool) {
	for _, kind := range []string{"sk_", "rk_"} {
		for _, mode := range []Mode{Test, Live} {
			if rest, ok := strings.CutPrefix(key, kind+string(mode)+"_"); ok && rest != "" {
				return mode, true
			}
		}
	}
	return "", false
}

func webAddress(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// silent is a slog.Handler that drops everything.
type silent struct{}

func (silent) Enabled(context.Context, slog.Level) bool  { return false }
func (silent) Handle(context.Context, slog.Record) error { return nil }
func (silent) WithAttrs([]slog.Attr) slog.Handler        { return silent{} }
func (silent) WithGroup(string) slog.Handler             { return silent{} }
