package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/payment"
	"github.com/carevia/stripebooking/store"
)

// The defaults of a Config.
const (
	DefaultTolerance = 5 * time.Minute
	DefaultMaxBody   = 1 << 20 // bytes
	DefaultDeadline  = 10 * time.Second
)

const (
	// retryAfter is what a 503 asks for, in seconds.
	retryAfter = "10"
	// grace is how long a failure or a handler's success may take to be noted
	// once the deadline has passed.
	grace = 2 * time.Second
	// allTypes is the name under which the ledger keeps HandleAll's handler.
	allTypes = "*"
	// maxReason is the longest reason that the ledger keeps, in bytes.
	maxReason = 500
)

// Config is what a Handler is made from.
type Config struct {
	// Secrets are the endpoint's signing secrets ("whsec_…"). At least one is
	// required and none may be empty. A delivery is accepted when one of them
	// fits, so that a secret can be rolled: name both while Stripe signs with
	// both. See https://docs.stripe.com/webhooks#roll-endpoint-secrets
	Secrets []string

	// Store keeps the ledger. Required; the same as that of Payments.
	Store store.Store

	// Payments settles the built-in types. With nil the Handler keeps the
	// ledger and runs your own handlers, and that is all.
	Payments *payment.Service

	// Mode is required: events of the other livemode are ignored.
	Mode payment.Mode

	// Account is the connected account whose events are taken; those of any
	// other are ignored. Empty takes only the platform's own.
	Account string

	// Tolerance is how far the signature's time may be from ours, in the past
	// and in the future. 0 stands for DefaultTolerance.
	Tolerance time.Duration

	// MaxBody is the largest body that is read, in bytes. 0 stands for
	// DefaultMaxBody.
	MaxBody int64

	// Deadline limits the processing of one event, calls to Stripe and your
	// handlers included. 0 stands for DefaultDeadline.
	Deadline time.Duration

	// PermanentStatus answers an event that is dead: 200 (also for 0), or 400.
	// Stripe repeats a 400 for up to three days, just as it does a 500.
	PermanentStatus int

	// OnDead is called after an event was recorded as dead: the place to alert
	// somebody. It is called again when a later attempt ends the same way.
	OnDead func(ctx context.Context, e Event, reason string)

	// Logger gets one Info line for each verified event, and an Error with the
	// reason for those that failed. nil is silent.
	Logger *slog.Logger

	// Now is the clock. nil stands for time.Now.
	Now func() time.Time
}

// Event is one of Stripe's events, as handlers get it. Object is data.object as
// it was sent, in the shape of APIVersion; decode it with whichever version of
// stripe-go you use.
type Event struct {
	ID         string // of this event; Stripe may send another that says the same
	Type       string
	ObjectID   string
	Account    string // the connected account; empty for the platform's own
	APIVersion string
	Livemode   bool
	Created    time.Time // whole seconds: not an order
	Object     json.RawMessage

	// Booking and Payment are what a built-in type settled, as they are stored;
	// nil when there is none. A booking may be in any State, such as held while a
	// delayed payment is on its way.
	Booking *store.Booking
	Payment *store.Payment
}

// HandlerFunc is a handler of your own. An error, a panic and a deadline that
// passes all have the event delivered again: it may run more than once for one
// event, and twice at the same time. It must heed ctx. Its error is kept in the
// ledger and logged, so leave secrets and customer data out of it.
type HandlerFunc func(ctx context.Context, e Event) error

// Handler takes Stripe's deliveries. It is made by New and may be used by many
// goroutines at once.
type Handler struct {
	cfg     Config
	log     *slog.Logger
	settler settler // nil without payments
	reg     *registry
}

// settler is the part of payment.Service that is used here.
type settler interface {
	FactsOf(ctx context.Context, e payment.Event) (booking.Facts, error)
	Settle(ctx context.Context, f booking.Facts, c payment.Cause) (payment.Settlement, error)
}

var (
	_ http.Handler      = (*Handler)(nil)
	_ payment.EventSink = (*Handler)(nil)
	_ settler           = (*payment.Service)(nil)
)

// New returns a Handler, or an error that names everything that is wrong with
// cfg.
func New(cfg Config) (*Handler, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("webhook: new: %w", err)
	}
	if cfg.Tolerance == 0 {
		cfg.Tolerance = DefaultTolerance
	}
	if cfg.MaxBody == 0 {
		cfg.MaxBody = DefaultMaxBody
	}
	if cfg.Deadline == 0 {
		cfg.Deadline = DefaultDeadline
	}
	if cfg.PermanentStatus == 0 {
		cfg.PermanentStatus = http.StatusOK
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Secrets = append([]string(nil), cfg.Secrets...)
	h := &Handler{cfg: cfg, log: cfg.Logger, reg: &registry{byType: map[string]HandlerFunc{}}}
	if h.log == nil {
		h.log = slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.Level(math.MaxInt)}))
	}
	if cfg.Payments != nil {
		h.settler = cfg.Payments
	}
	return h, nil
}

func (cfg Config) check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(cfg.Secrets) == 0 {
		bad("Secrets: at least one is required")
	}
	for i, s := range cfg.Secrets {
		// An empty key would let anybody sign.
		if strings.TrimSpace(s) == "" {
			bad("Secrets[%d] is empty", i)
		} else if strings.TrimSpace(s) != s {
			bad("Secrets[%d] has spaces around it", i)
		} else if strings.Contains(s, ",") {
			bad("Secrets[%d] has a comma: each secret is an element of its own", i)
		} else if kind, _, _ := strings.Cut(s, "_"); kind == "sk" || kind == "rk" || kind == "pk" {
			bad("Secrets[%d] is an API key, and not an endpoint's secret", i)
		}
	}
	if cfg.Store == nil {
		bad("Store is required")
	}
	if cfg.Mode != payment.Test && cfg.Mode != payment.Live {
		bad("Mode must be %q or %q", payment.Test, payment.Live)
	} else if cfg.Payments != nil && cfg.Payments.Mode() != cfg.Mode {
		bad("Mode is %q, but that of Payments is %q", cfg.Mode, cfg.Payments.Mode())
	}
	if cfg.Account != "" && store.CheckID("account", cfg.Account) != nil {
		bad("Account is not an account id")
	} else if cfg.Payments != nil && cfg.Payments.Account() != cfg.Account {
		bad("Account is %q, but that of Payments is %q", cfg.Account, cfg.Payments.Account())
	}
	if cfg.Tolerance < 0 {
		bad("Tolerance is negative")
	}
	if cfg.MaxBody < 0 {
		bad("MaxBody is negative")
	}
	if cfg.Deadline < 0 {
		bad("Deadline is negative")
	}
	switch cfg.PermanentStatus {
	case 0, http.StatusOK, http.StatusBadRequest:
	default:
		bad("PermanentStatus must be 200 or 400, not %d", cfg.PermanentStatus)
	}
	return errors.Join(errs...)
}

// With returns the Handler over another store, such as a joined transaction's.
// It shares the registered handlers. What it notes of a failure is gone when the
// caller rolls back.
func (h *Handler) With(st store.Store) *Handler {
	c := *h
	c.cfg.Store = st
	if c.cfg.Payments != nil {
		c.cfg.Payments = c.cfg.Payments.With(st)
		c.settler = c.cfg.Payments
	}
	return &c
}

// registry holds the user's handlers. Handlers of one New and its Withs share it.
type registry struct {
	mu     sync.RWMutex
	byType map[string]HandlerFunc
	all    HandlerFunc
}

// named is a handler and the name that the ledger keeps it under.
type named struct {
	name string
	fn   HandlerFunc
}

// Handle registers fn for one type of event, in addition to what the library
// does with it. It may be called while deliveries come in. Like net/http's, it
// panics when the type is empty or taken, or fn is nil.
func (h *Handler) Handle(eventType string, fn HandlerFunc) {
	if store.CheckID("type", eventType) != nil || eventType == allTypes {
		panic("webhook: invalid event type")
	}
	if fn == nil {
		panic("webhook: nil handler")
	}
	h.reg.mu.Lock()
	defer h.reg.mu.Unlock()
	if _, taken := h.reg.byType[eventType]; taken {
		panic("webhook: multiple handlers for " + eventType)
	}
	h.reg.byType[eventType] = fn
}

// HandleAll registers fn for all types of events; it runs after the one that
// Handle registered. The ledger names it "*". It panics when fn is nil or it was
// called before.
func (h *Handler) HandleAll(fn HandlerFunc) {
	if fn == nil {
		panic("webhook: nil handler")
	}
	h.reg.mu.Lock()
	defer h.reg.mu.Unlock()
	if h.reg.all != nil {
		panic("webhook: multiple handlers for all types")
	}
	h.reg.all = fn
}

// of is the user's handlers for a type, in the order in which they run.
func (r *registry) of(eventType string) []named {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var out []named
	if fn := r.byType[eventType]; fn != nil {
		out = append(out, named{eventType, fn})
	}
	if r.all != nil {
		out = append(out, named{allTypes, r.all})
	}
	return out
}
