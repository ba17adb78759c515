package store

import (
	"context"
	"errors"
	"time"
)

// Store keeps bookings, payments and the ledger of events. All methods may be
// called from many goroutines at once. See the package's guarantees.
type Store interface {
	// Apply makes a Change visible whole, or not at all.
	//
	// With Result.Applied the Change is in, now and for good (within a joined
	// transaction: once the caller commits). Without it and without an error
	// the Key had been applied before. The errors are ErrInvalid, ErrMismatch,
	// ErrConflict (Result then says what is in the way) and the driver's own;
	// after one of those last the outcome may be unknown, and the same Change
	// again finds out.
	Apply(ctx context.Context, c Change) (Result, error)

	// RecordFailure keeps a failed attempt at an event: it writes or updates
	// the ledger row as MergeFailure says, or returns ErrInvalid when that does
	// not validate. It names no key, so that the event can still be applied. Of e
	// the state, reason, attempts and handlers are not read.
	RecordFailure(ctx context.Context, e Event, reason string, dead bool) error

	// RecordHandled notes that handlers of the user's have succeeded for an
	// event, and with done that none is left, which moves the row to EventDone
	// as MergeHandled says. Names are added to those already there, also
	// when several callers add at once, and UpdatedAt becomes at. ErrNotFound
	// without such an event, ErrInvalid for a name that CheckID refuses.
	RecordHandled(ctx context.Context, eventID string, handlers []string, done bool, at time.Time) error

	// Booking returns one booking, or ErrNotFound.
	Booking(ctx context.Context, id string) (Booking, error)

	// BookingBySession returns the booking whose SessionID this is, else the
	// one that has a payment with this SessionID, else ErrNotFound.
	BookingBySession(ctx context.Context, sessionID string) (Booking, error)

	// BookingsByUser lists a user's bookings, newest CreatedAt first, and the
	// cursor of the next page, empty after the last. A user without any has an
	// empty list.
	BookingsByUser(ctx context.Context, userID string, p Page) ([]Booking, string, error)

	// History returns the whole history of a booking, newest version first;
	// empty when there is no such booking.
	History(ctx context.Context, bookingID string) ([]History, error)

	// Payment returns the payment of a payment intent, or ErrNotFound.
	Payment(ctx context.Context, paymentIntentID string) (Payment, error)

	// PaymentsByBooking lists a booking's payments, newest CreatedAt first.
	PaymentsByBooking(ctx context.Context, bookingID string, p Page) ([]Payment, string, error)

	// PaymentsByUser lists a user's payments, newest CreatedAt first.
	PaymentsByUser(ctx context.Context, userID string, p Page) ([]Payment, string, error)

	// Event returns one ledger row, or ErrNotFound.
	Event(ctx context.Context, id string) (Event, error)

	// Events lists ledger rows that match f, newest ReceivedAt first.
	Events(ctx context.Context, f EventFilter, p Page) ([]Event, string, error)
}

// Change is one unit of work on at most one booking. Without a booking it
// writes the key and the ledger row.
type Change struct {
	// Key is the idempotency key: the event's id, or the name of the command.
	Key string

	// Fingerprint is a hash of a command's operation and parameters, so that
	// a key that is used for another command is noticed (ErrMismatch). It is
	// empty for events.
	Fingerprint string

	// Booking is the booking as it must become, but for three things:
	// Version is the version that it was read at (0: it must not exist) and is
	// stored one higher; Seats are those that it was read with (CheckSeats), and
	// Claim and Release work on them; of a stored booking CreatedAt stays.
	Booking *Booking

	// Payments are written or replaced by PaymentIntentID. One that is stored
	// for another booking is a conflict. Those not named stay as they are; of
	// one that is replaced CreatedAt stays.
	Payments []Payment

	// Claim takes free seats for the booking, all or none.
	Claim []SeatClaim

	// Release frees these of the booking's seats, before Claim takes any.
	Release []Seat

	// Event is the ledger row, merged with a stored one as MergeEvent says.
	Event *Event

	// History is required with a Booking. Its BookingID and Version are the
	// booking's; what they hold is not read.
	History *History
}

// Result is what Apply found or left behind.
type Result struct {
	// Applied is true for the one call that made the Change.
	Applied bool

	// Booking, with all its Payments (oldest first), is what is stored. After
	// a Change that applied and after a replay: the booking of the Change that
	// first had the key, as it is now; nil if that one had none. On
	// ErrConflict: the booking that is in the way (over an intent, the one that
	// owns it; else the Change's own), nil if there is none.
	Booking  *Booking
	Payments []Payment

	// Event is the stored ledger row with the id of Change.Event; nil without.
	Event *Event

	// Conflict says what an ErrConflict was about.
	Conflict Conflict
}

// Conflict is what the loser of a race lost.
type Conflict string

// The kinds of conflict.
const (
	ConflictVersion Conflict = "version" // the booking is not at the version it was read at
	ConflictIntent  Conflict = "intent"  // a payment intent belongs to another booking
	ConflictSeats   Conflict = "seats"   // too few seats are free
)

// EventFilter selects ledger rows. A zero field selects all.
type EventFilter struct {
	State EventState
	Type  string
	From  time.Time // ReceivedAt at or after
	To    time.Time // ReceivedAt before
}

var (
	// ErrNotFound: there is no such record.
	ErrNotFound = errors.New("store: not found")
	// ErrConflict: another Change won; Result.Conflict says over what.
	ErrConflict = errors.New("store: conflict")
	// ErrMismatch: the key was used before, for something else.
	ErrMismatch = errors.New("store: key was used with another fingerprint")
	// ErrInvalid: the arguments can't be stored; the text says which and why.
	ErrInvalid = errors.New("store: invalid")
)

// IsTransient reports whether trying again later can help: true for ErrConflict
// (with a new plan), for a context that ended and for every error of a driver,
// since a server that is away and a schema that lags behind are both mended
// while Stripe keeps delivering. False for nil, ErrNotFound, ErrMismatch and
// ErrInvalid.
func IsTransient(err error) bool {
	return err != nil &&
		!errors.Is(err, ErrNotFound) && !errors.Is(err, ErrMismatch) && !errors.Is(err, ErrInvalid)
}
