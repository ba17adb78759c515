package mongostore

import (
	"crypto/rand"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/carevia/stripebooking/store"
)

// document is one document of the journal. It is a Change, an entry of the ledger
// alone, a part of the Change that comes with it, or what voids such a part.
//
// Each of the pairs BookingID and Version, EventID and Entry, Claim and Round is
// unique, and so is Tx. Where a document has none of a pair, its own random id
// stands in, which is of another type than the ids that users give.
type document struct {
	ID          any           `bson:"_id"` // a Change's key; else a random id
	Tx          bson.ObjectID `bson:"tx"`  // random, for each attempt to insert; what voids one has the attempt's
	Fingerprint string        `bson:"fingerprint,omitempty"`

	BookingID any   `bson:"bookingId"`
	Version   int64 `bson:"version"`
	EventID   any   `bson:"eventId"`
	Entry     int64 `bson:"entry"`
	Claim     any   `bson:"claim"`
	Round     int64 `bson:"round"`

	// Of is the Tx of the Change that a part belongs to. The part counts once that
	// is there, and never will once Void is there instead.
	Of   bson.ObjectID `bson:"of,omitempty"`
	Void bool          `bson:"void,omitempty"`

	// What is stored with this document: all of the booking, the payment, ... as it is
	// after the Change.
	Booking  *bookingDoc  `bson:"booking,omitempty"`
	Payments []paymentDoc `bson:"payments,omitempty"`
	History  *historyDoc  `bson:"history,omitempty"`
	Event    *eventDoc    `bson:"event,omitempty"`
	Taken    []byte       `bson:"taken,omitempty"` // the slot's seats: bit n-1 of a big-endian number is seat n

	// The places in lists.
	BookingPlace *bookingPlace `bson:"bookingPlace,omitempty"`
	PaymentPlace *paymentPlace `bson:"paymentPlace,omitempty"`
	EventPlace   *eventPlace   `bson:"eventPlace,omitempty"` // is taken away when the next entry is there
}

// bookingPlace is there where a booking begins to have this user, or this session.
type bookingPlace struct {
	User    string    `bson:"user,omitempty"`
	At      time.Time `bson:"at,omitempty"`
	ID      string    `bson:"id,omitempty"`
	Session string    `bson:"session,omitempty"`
}

// paymentPlace is there where a payment begins to have this user, session and id.
type paymentPlace struct {
	User    string    `bson:"user"`
	At      time.Time `bson:"at"`
	ID      string    `bson:"id"`
	Intent  string    `bson:"intent"`
	Booking string    `bson:"booking"`
	Session string    `bson:"session,omitempty"`
}

type eventPlace struct {
	State store.EventState `bson:"state"`
	Type  string           `bson:"type"`
	At    time.Time        `bson:"at"`
	ID    string           `bson:"id"`
	Entry int64            `bson:"entry"`
}

// newDocument has nothing but ids.
func newDocument() (*document, error) {
	var id bson.ObjectID
	if _, err := rand.Read(id[:]); err != nil {
		return nil, err
	}
	return &document{ID: id, Tx: id, BookingID: id, EventID: id, Claim: id}, nil
}

// The records as documents: what package store has, with names. A field that is
// added there does not compile here until it has one.

type bookingDoc struct {
	ID              string            `bson:"id"`
	UserID          string            `bson:"userId"`
	ServiceID       string            `bson:"serviceId,omitempty"`
	ServiceName     string            `bson:"serviceName,omitempty"`
	Option          store.Option      `bson:"option"`
	Total           int64             `bson:"total"`
	Paid            int64             `bson:"paid"`
	Due             int64             `bson:"due"`
	Currency        string            `bson:"currency"`
	State           store.State       `bson:"state"`
	Reason          string            `bson:"reason,omitempty"`
	Version         int64             `bson:"version"`
	PaymentIntentID string            `bson:"paymentIntentId,omitempty"`
	SessionID       string            `bson:"sessionId,omitempty"`
	Details         map[string]string `bson:"details,omitempty"`
	Claims          []store.SeatClaim `bson:"claims,omitempty"`
	Seats           []store.Seat      `bson:"seats,omitempty"`
	HoldUntil       time.Time         `bson:"holdUntil,omitempty"`
	Livemode        bool              `bson:"livemode"`
	Account         string            `bson:"account,omitempty"`
	CreatedAt       time.Time         `bson:"createdAt"`
	UpdatedAt       time.Time         `bson:"updatedAt"`
}

type paymentDoc struct {
	ID              string            `bson:"id"`
	BookingID       string            `bson:"bookingId"`
	UserID          string            `bson:"userId"`
	PaymentIntentID string            `bson:"paymentIntentId"`
	SessionID       string            `bson:"sessionId,omitempty"`
	Amount          int64             `bson:"amount"`
	Subtotal        int64             `bson:"subtotal,omitempty"`
	Tax             int64             `bson:"tax,omitempty"`
	Shipping        int64             `bson:"shipping,omitempty"`
	Discount        int64             `bson:"discount,omitempty"`
	Currency        string            `bson:"currency"`
	Status          store.Status      `bson:"status"`
	CapturedAt      time.Time         `bson:"capturedAt,omitempty"`
	FailureCode     string            `bson:"failureCode,omitempty"`
	PaymentMethod   string            `bson:"paymentMethod,omitempty"`
	Purpose         store.Purpose     `bson:"purpose"`
	Refunds         []store.Refund    `bson:"refunds,omitempty"`
	Refunded        int64             `bson:"refunded,omitempty"`
	Dispute         string            `bson:"dispute,omitempty"`
	Metadata        map[string]string `bson:"metadata,omitempty"`
	Livemode        bool              `bson:"livemode"`
	Account         string            `bson:"account,omitempty"`
	CreatedAt       time.Time         `bson:"createdAt"`
	UpdatedAt       time.Time         `bson:"updatedAt"`
}

type historyDoc struct {
	BookingID string      `bson:"bookingId"`
	Version   int64       `bson:"version"`
	From      store.State `bson:"from,omitempty"`
	To        store.State `bson:"to"`
	Reason    string      `bson:"reason,omitempty"`
	Cause     store.Cause `bson:"cause"`
	At        time.Time   `bson:"at,omitempty"`
}

type eventDoc struct {
	ID         string           `bson:"id"`
	Type       string           `bson:"type"`
	ObjectID   string           `bson:"objectId,omitempty"`
	Account    string           `bson:"account,omitempty"`
	Livemode   bool             `bson:"livemode"`
	APIVersion string           `bson:"apiVersion,omitempty"`
	Created    time.Time        `bson:"created,omitempty"`
	ReceivedAt time.Time        `bson:"receivedAt"`
	State      store.EventState `bson:"state"`
	Reason     string           `bson:"reason,omitempty"`
	Attempts   int              `bson:"attempts"`
	Handlers   []string         `bson:"handlers,omitempty"`
	BookingID  string           `bson:"bookingId,omitempty"`
	Payload    []byte           `bson:"payload,omitempty"`
	UpdatedAt  time.Time        `bson:"updatedAt"`
}

// booking and payments are what the document of a Change has; none: of no document.
func (d *document) booking() store.Booking {
	if d == nil {
		return store.Booking{}
	}
	return store.Booking(*d.Booking)
}

func (d *document) payments() []store.Payment {
	if d == nil {
		return nil
	}
	var list []store.Payment
	for _, p := range d.Payments {
		list = append(list, store.Payment(p))
	}
	return list
}

// event is that of the document; nil: of no document.
func (d *document) event() *store.Event {
	if d == nil {
		return nil
	}
	e := store.Event(*d.Event)
	return &e
}

// setEvent makes e the entry of the ledger that comes after old, which is nil for
// the first.
func (d *document) setEvent(old *document, e store.Event) {
	d.EventID, d.Entry = e.ID, 1
	if old != nil {
		d.Entry = old.Entry + 1
	}
	stored := eventDoc(e)
	d.Event = &stored
	d.EventPlace = &eventPlace{State: e.State, Type: e.Type, At: e.ReceivedAt, ID: e.ID, Entry: d.Entry}
}

// registry writes maps of the user's as arrays of pairs, since a field's name may
// not hold everything that a key may.
func registry() *bson.Registry {
	type pair struct{ Key, Value string }
	r := bson.NewRegistry()
	asMap, asPairs := reflect.TypeOf(map[string]string{}), reflect.TypeOf([]pair{})
	r.RegisterTypeEncoder(asMap, bson.ValueEncoderFunc(func(ec bson.EncodeContext, w bson.ValueWriter, v reflect.Value) error {
		pairs := []pair{}
		for key, value := range v.Interface().(map[string]string) {
			pairs = append(pairs, pair{key, value})
		}
		slices.SortFunc(pairs, func(a, b pair) int { return strings.Compare(a.Key, b.Key) })
		enc, err := ec.LookupEncoder(asPairs)
		if err != nil {
			return err
		}
		return enc.EncodeValue(ec, w, reflect.ValueOf(pairs))
	}))
	r.RegisterTypeDecoder(asMap, bson.ValueDecoderFunc(func(dc bson.DecodeContext, r bson.ValueReader, v reflect.Value) error {
		dec, err := dc.LookupDecoder(asPairs)
		if err != nil {
			return err
		}
		pairs := reflect.New(asPairs).Elem()
		if err := dec.DecodeValue(dc, r, pairs); err != nil {
			return err
		}
		m := map[string]string{}
		for _, p := range pairs.Interface().([]pair) {
			m[p.Key] = p.Value
		}
		v.Set(reflect.ValueOf(m))
		return nil
	}))
	return r
}
