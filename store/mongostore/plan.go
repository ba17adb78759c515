package mongostore

import (
	"cmp"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/carevia/stripebooking/store"
)

// look says how much is read before a Change is planned.
type look int

const (
	// quick is for a first attempt: what is needed to plan the Change if nothing is in
	// its way. A new booking is taken to be new, its event and intents as well.
	quick look = iota
	// full is for another: all that may have been in its way, the key first, since that
	// is what most often is.
	full
	// last is to say for sure that a Change lost: the key is read after what it lost to,
	// since that may be what had the key, and all of it as only the primary knows it,
	// since a seat may be free, or a version there, that another server misses.
	last
)

// known is what has been read of what a Change touches.
type known struct {
	how     look
	key     *document // the Change that has the key
	booking *document // the newest version of the booking
	event   *document // the newest entry of the event
	claims  map[string]claim
}

// claim is where a payment intent or a slot stands.
type claim struct {
	holder *document // the newest document that counts; nil: none
	round  int64     // the newest round that is used up, by one that counts or not
}

// The names of claims.
func intentClaim(intent string) string { return "intent " + intent }
func slotClaim(slot string) string     { return "slot " + slot }

// intents are the claims for payments that the booking has not had so far.
func (k *known) intents(c store.Change) (names []string) {
	had := k.booking.payments()
	for _, p := range c.Payments {
		if indexOf(had, p.PaymentIntentID) < 0 {
			names = append(names, intentClaim(p.PaymentIntentID))
		}
	}
	return names
}

// ids are those of a Change's booking and event, empty without.
func ids(c store.Change) (bookingID, eventID string) {
	if c.Booking != nil {
		bookingID = c.Booking.ID
	}
	if c.Event != nil {
		eventID = c.Event.ID
	}
	return bookingID, eventID
}

// moves is how much has happened to what a Change may lose to and try again.
func (k *known) moves() int64 {
	_, n := entries.of(k.event)
	for _, at := range k.claims {
		n += at.round
	}
	return n
}

// slots are those whose seats a Change gives up or takes.
func slots(c store.Change) (list []string) {
	for _, s := range c.Release {
		list = append(list, s.Slot)
	}
	for _, s := range c.Claim {
		list = append(list, s.Slot)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func indexOf(payments []store.Payment, intent string) int {
	return slices.IndexFunc(payments, func(p store.Payment) bool { return p.PaymentIntentID == intent })
}

// lostError says why a Change is not to be inserted.
type lostError struct {
	conflict  store.Conflict // empty: the key has been applied
	bookingID string         // the booking that is in the way
}

func (e *lostError) Error() string { return "lost: " + string(e.conflict) }

// final reports whether err, of plan of c, is what the Change is told, whatever else
// there is to be read. What is stored stays, so a newer version needs no other look.
func (k *known) final(c store.Change, err error) bool {
	var lost *lostError
	_, stored := versions.of(k.booking)
	return k.how == last || k.key != nil ||
		errors.As(err, &lost) && lost.conflict == store.ConflictVersion && stored > c.Booking.Version
}

// plan turns a valid Change into what is inserted for it, the parts before the
// Change itself, and what that leaves behind; or says why not, in the order in which
// a conflict is judged. It does no I/O.
func (k *known) plan(c store.Change) ([]*document, store.Result, error) {
	if k.key != nil {
		return nil, store.Result{}, &lostError{}
	}
	self, err := newDocument()
	if err != nil {
		return nil, store.Result{}, err
	}
	self.ID, self.Fingerprint = c.Key, c.Fingerprint
	docs := []*document{self}
	res := store.Result{Applied: true}
	if c.Booking != nil {
		if docs, err = k.planBooking(c, self, &res); err != nil {
			return nil, store.Result{}, err
		}
	}
	if c.Event != nil {
		e := store.MergeEvent(k.event.event(), *c.Event)
		self.setEvent(k.event, e)
		res.Event = &e
	}
	return docs, res, nil
}

func (k *known) planBooking(c store.Change, self *document, res *store.Result) ([]*document, error) {
	next, stored, payments := c.Next(), k.booking.booking(), k.booking.payments()
	if stored.Version != c.Booking.Version {
		return nil, &lostError{store.ConflictVersion, next.ID}
	}
	if next.Version > 1 {
		next.CreatedAt = stored.CreatedAt
	}

	// What is claimed or has a place, of which a document holds one each. Slots go
	// first, into the Change's own document, where they are read by one command.
	var rest, paid []document
	for _, p := range c.Payments {
		p = p.Clone()
		var d document
		if i := indexOf(payments, p.PaymentIntentID); i < 0 {
			name := intentClaim(p.PaymentIntentID)
			if holder := k.claims[name].holder; holder != nil {
				return nil, &lostError{store.ConflictIntent, holder.PaymentPlace.Booking}
			}
			d.Claim, d.Round = name, k.claims[name].round+1
			payments = append(payments, p)
		} else {
			old := payments[i]
			p.CreatedAt = old.CreatedAt
			payments[i] = p
			if old.UserID == p.UserID && old.SessionID == p.SessionID && old.ID == p.ID {
				continue
			}
		}
		d.PaymentPlace = &paymentPlace{
			User: p.UserID, At: p.CreatedAt, ID: p.ID,
			Intent: p.PaymentIntentID, Booking: next.ID, Session: p.SessionID,
		}
		paid = append(paid, d)
	}
	if err := c.CheckSeats(stored.Seats); err != nil {
		return nil, err
	}
	for _, slot := range slots(c) {
		d, seats, err := k.planSlot(c, slot)
		if err != nil {
			return nil, err
		}
		next.Seats = append(next.Seats, seats...)
		rest = append(rest, d)
	}

	booking, line := bookingDoc(next), historyDoc(*c.History)
	line.BookingID, line.Version, line.At = next.ID, next.Version, store.Time(line.At)
	self.BookingID, self.Version = next.ID, next.Version
	self.Booking, self.History, self.BookingPlace = &booking, &line, placeOf(stored, next)
	slices.SortFunc(payments, func(p, q store.Payment) int {
		return cmp.Or(p.CreatedAt.Compare(q.CreatedAt), strings.Compare(p.ID, q.ID))
	})
	for _, p := range payments {
		self.Payments = append(self.Payments, paymentDoc(p))
	}
	res.Booking, res.Payments = &next, payments
	return spread(self, append(rest, paid...))
}

// planSlot gives up and takes seats of one slot, the lowest that are free.
func (k *known) planSlot(c store.Change, slot string) (d document, seats []store.Seat, err error) {
	name := slotClaim(slot)
	at := k.claims[name]
	var taken big.Int
	if at.holder != nil {
		taken.SetBytes(at.holder.Taken)
	}
	for _, s := range c.Release {
		if s.Slot != slot {
			continue
		}
		if taken.Bit(s.Number-1) == 0 {
			return d, nil, fmt.Errorf("seat %d is the booking's, but not taken in its slot", s.Number)
		}
		taken.SetBit(&taken, s.Number-1, 0)
	}
	for _, claim := range c.Claim {
		if claim.Slot != slot {
			continue
		}
		for n := 1; n <= claim.Capacity && len(seats) < claim.Count; n++ {
			if taken.Bit(n-1) == 0 {
				taken.SetBit(&taken, n-1, 1)
				seats = append(seats, store.Seat{Slot: slot, Number: n})
			}
		}
		if len(seats) < claim.Count {
			return d, nil, &lostError{store.ConflictSeats, c.Booking.ID}
		}
	}
	return document{Claim: name, Round: at.round + 1, Taken: taken.Bytes()}, seats, nil
}

// placeOf is where the booking is listed from this version on; nil: where it was.
func placeOf(stored, next store.Booking) *bookingPlace {
	var p bookingPlace
	if next.Version == 1 || stored.UserID != next.UserID {
		p.User, p.At, p.ID = next.UserID, next.CreatedAt, next.ID
	}
	if stored.SessionID != next.SessionID {
		p.Session = next.SessionID
	}
	if p == (bookingPlace{}) {
		return nil
	}
	return &p
}

// spread puts the first of rest into the Change's own document, and each other into
// a part of its own, before it.
func spread(self *document, rest []document) (docs []*document, err error) {
	for i, r := range rest {
		d := self
		if i > 0 {
			if d, err = newDocument(); err != nil {
				return nil, err
			}
			d.Of = self.Tx
			docs = append(docs, d)
		}
		if r.Claim != nil {
			d.Claim, d.Round, d.Taken = r.Claim, r.Round, r.Taken
		}
		d.PaymentPlace = r.PaymentPlace
	}
	return append(docs, self), nil
}
