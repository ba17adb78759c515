package payment

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/store"
)

// Mode says which of Stripe's two worlds a service is for.
type Mode string

const (
	Test Mode = "test"
	Live Mode = "live"
)

type Config struct {
	Store      store.Store     // required
	SecretKey  string          // required: sk_… or rk_… of the Mode
	Mode       Mode            // required
	Account    string          // the account id that events must carry; empty: the platform's own
	Codecs     []booking.Codec // how metadata is read; first is how Checkout writes it; default booking.Marked
	SuccessURL string          // required for Checkout: session_id={CHECKOUT_SESSION_ID} is added
	CancelURL  string
	Hold       time.Duration // 31 min to 24 h, default 1 h
	Timeout    time.Duration // for one call to Stripe; default 8 s
	APIBase    string        // default Stripe's
	HTTPClient *http.Client
	Now        func() time.Time // default time.Now
	Logger     *slog.Logger     // nil: silent
}

type Service struct{ cfg Config }

func New(cfg Config) (*Service, error) { panic("not written yet") }

// With returns the service over another store, such as a joined transaction's.
func (s *Service) With(st store.Store) *Service { panic("not written yet") }

// CheckoutRequest ... see the issue.
type CheckoutRequest struct {
	Attempt                        string // the caller's name for this attempt
	BookingID                      string // of a held booking to pay for again; empty: a new booking, id derived from UserID and Attempt
	UserID, ServiceID, ServiceName string
	Quote                          booking.Quote
	Details                        map[string]string
	Seats                          []store.SeatClaim
	CustomerEmail                  string
}

type Checkout struct {
	BookingID string
	SessionID string
	URL       string // where to send the customer; empty when Booking is settled already
	ExpiresAt time.Time
	Booking   store.Booking
}

func (s *Service) Checkout(ctx context.Context, r CheckoutRequest) (Checkout, error) {
	panic("not written yet")
}

// Cause is what brings facts to Settle.
type Cause struct {
	By    string       // "webhook", "confirm", "reconcile", "replay", "operator"
	ID    string       // the event's id, the session's id, the operator's name
	Key   string       // the idempotency key; empty: Event.ID, else By/session-or-intent id
	Event *store.Event // the ledger row to write with it, with the State it gets when the Change applies (done or applied); nil without an event
}

// Settlement is what Settle found or made.
type Settlement struct {
	Outcome booking.Outcome
	Reason  string
	Applied bool           // this call made it so
	Booking *store.Booking // as stored now; nil when there is none
	Payment *store.Payment // of the facts' payment intent; nil when there is none
	Event   *store.Event   // the ledger row as stored; nil without an event
}

// Settle is the one way in.
func (s *Service) Settle(ctx context.Context, f booking.Facts, c Cause) (Settlement, error) {
	panic("not written yet")
}

// Event is one event of Stripe's, decoded as far as the library reads it.
type Event struct {
	ID, Type, Account, APIVersion string
	Livemode                      bool
	Created                       time.Time
	ObjectID                      string
	Object                        []byte // data.object, raw
	Raw                           []byte // all of it
}

// DecodeEvent is the one reading of an event's JSON. ErrNotEvent if it is none.
func DecodeEvent(raw []byte) (Event, error) { panic("not written yet") }

// Settles reports whether FactsOf knows events of this type.
func Settles(eventType string) bool { panic("not written yet") }

// FactsOf returns what an event says, asking the store and then Stripe where the event alone does not tell
// (payment_intent.succeeded without our metadata). booking.ErrNotOurs, booking.ErrMetadata, or transient.
func (s *Service) FactsOf(ctx context.Context, e Event) (booking.Facts, error) {
	panic("not written yet")
}

// EventSink takes events found by other ways than a delivery; webhook.Handler implements it.
type EventSink interface {
	ProcessEvent(ctx context.Context, raw []byte) error
}

func (s *Service) Confirm(ctx context.Context, sessionID, userID string) (Settlement, error) {
	panic("not written yet")
}

type VerifyStatus string

const (
	Processed      VerifyStatus = "processed"
	Pending        VerifyStatus = "pending"
	Unpaid         VerifyStatus = "unpaid"
	Expired        VerifyStatus = "expired"
	NeedsAttention VerifyStatus = "needs_attention"
)

type Verification struct {
	Status  VerifyStatus
	Booking *store.Booking
	Payment *store.Payment
}

// Verify only reads. wait > 0: asks again until processed or the time is up.
func (s *Service) Verify(ctx context.Context, sessionID, userID string, wait time.Duration) (Verification, error) {
	panic("not written yet")
}

type Inspection struct {
	Verification
	StatusText  string // "pending_webhook", ...
	ProcessedBy string // "webhook", "confirm", ...
}

func (s *Service) Inspect(ctx context.Context, sessionID string) (Inspection, error) {
	panic("not written yet")
}

func (s *Service) Payment(ctx context.Context, paymentIntentID string) (store.Payment, error) {
	panic("not written yet")
}
func (s *Service) PaymentsByUser(ctx context.Context, userID string, p store.Page) ([]store.Payment, string, error) {
	panic("not written yet")
}
func (s *Service) PaymentsByBooking(ctx context.Context, bookingID string, p store.Page) ([]store.Payment, string, error) {
	panic("not written yet")
}

// Caller finds who makes a request; ok false: nobody (401).
type Caller func(r *http.Request) (userID string, ok bool)

func (s *Service) ConfirmHandler(c Caller) http.Handler { panic("not written yet") }
func (s *Service) VerifyHandler(c Caller) http.Handler  { panic("not written yet") }

var (
	ErrNotEvent      = errors.New("payment: not an event")
	ErrNoSession     = errors.New("payment: no such checkout session")
	ErrNotOwner      = errors.New("payment: the session belongs to another user")
	ErrNotPaid       = errors.New("payment: not completed")
	ErrConflicted    = errors.New("payment: paid, but not as agreed")
	ErrAttemptReused = errors.New("payment: the attempt was used for another checkout")
	ErrSoldOut       = errors.New("payment: not enough seats are free")
	ErrSettled       = errors.New("payment: the booking waits for no payment")
	ErrStripe        = errors.New("payment: Stripe can't be reached")
)
