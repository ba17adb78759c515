package mongostore

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/carevia/stripebooking/store"
)

// by is an order, or the key of an index: of these fields, with "-" before those that
// descend.
func by(fields ...string) bson.D {
	var d bson.D
	for _, f := range fields {
		direction := 1
		if name, descends := strings.CutPrefix(f, "-"); descends {
			f, direction = name, -1
		}
		d = append(d, bson.E{Key: f, Value: direction})
	}
	return d
}

// batch is more documents than most reads find, so that they take one command.
const batch = 1000

// find reads the documents of a filter, with these fields (none: all).
func (s *Store) find(ctx context.Context, filter bson.M, o *options.FindOptionsBuilder, fields ...string) ([]*document, error) {
	if len(fields) > 0 {
		o.SetProjection(by(fields...))
	}
	cursor, err := s.journal.Find(ctx, filter, o.SetBatchSize(batch))
	if err != nil {
		return nil, err
	}
	var docs []*document
	err = cursor.All(ctx, &docs)
	return docs, err
}

// first reads the first document of a filter in an order, or nil.
func (s *Store) first(ctx context.Context, filter bson.M, order bson.D, fields ...string) (*document, error) {
	docs, err := s.find(ctx, filter, options.Find().SetSort(order).SetLimit(1), fields...)
	if err != nil || len(docs) == 0 {
		return nil, err
	}
	return docs[0], nil
}

// chain is documents with one id, numbered from 1, each of which takes the place of
// the one before: the versions of a booking, the entries of an event.
type chain struct{ id, number string }

var (
	versions = chain{"bookingId", "version"}
	entries  = chain{"eventId", "entry"}
)

func (c chain) of(d *document) (id any, number int64) {
	switch {
	case d == nil:
		return nil, 0
	case c == versions:
		return d.BookingID, d.Version
	}
	return d.EventID, d.Entry
}

// newer is the newer of two documents of the chain, either of which may be nil.
func (c chain) newer(a, b *document) *document {
	_, n := c.of(a)
	if _, m := c.of(b); m > n {
		return b
	}
	return a
}

// newest reads the newest document of a chain, or nil.
func (s *Store) newest(ctx context.Context, c chain, id string, fields ...string) (*document, error) {
	return s.first(ctx, bson.M{c.id: id}, by("-"+c.number), fields...)
}

// newestOf reads the newest document of each of several chains, by id. Of more than
// one it reads all, for find can't leave out the others.
func (s *Store) newestOf(ctx context.Context, c chain, ids []string, fields ...string) (map[any]*document, error) {
	slices.Sort(ids)
	if ids = slices.Compact(ids); len(ids) == 1 {
		d, err := s.newest(ctx, c, ids[0], fields...)
		return map[any]*document{ids[0]: d}, err
	}
	docs, err := s.find(ctx, bson.M{c.id: bson.M{"$in": ids}}, options.Find(), append(fields, c.id, c.number)...)
	newest := map[any]*document{}
	for _, d := range docs {
		id, _ := c.of(d)
		newest[id] = c.newer(newest[id], d)
	}
	return newest, err
}

// notAReplicaSet is the code by which a server alone, which is always the primary,
// refuses to prove it.
const notAReplicaSet = 123

// look reads what a Change touches. A Change of several documents is looked up even
// before a first attempt, since a replay of it would leave parts behind.
func (s *Store) look(ctx context.Context, c store.Change, how look) (*known, error) {
	if how == last && s.latest != nil && !inTransaction(ctx) { // which can't have such reads
		// Nor can a session that is causally consistent.
		k, err := s.latest.look(mongo.NewSessionContext(ctx, nil), c, how)
		var e mongo.ServerError
		if !errors.As(err, &e) || !e.HasErrorCode(notAReplicaSet) {
			return k, err
		}
	}
	k := &known{how: how, claims: map[string]claim{}}
	taken := slots(c)
	if how == full || how == quick && (c.Booking != nil && c.Booking.Version > 0 || len(c.Payments)+len(taken) > 1) {
		if err := s.lookAround(ctx, c, k); err != nil || k.key != nil {
			return k, err
		}
	}
	var names []string
	if how != quick {
		names = k.intents(c)
	}
	for _, slot := range taken {
		names = append(names, slotClaim(slot))
	}
	for _, name := range names {
		at, err := s.claim(ctx, name)
		if err != nil {
			return k, err
		}
		k.claims[name] = at
	}
	if how == last {
		return k, s.lookAround(ctx, c, k)
	}
	return k, nil
}

// lookAround finds the key, the booking and the event of a Change, by one command.
func (s *Store) lookAround(ctx context.Context, c store.Change, k *known) error {
	bookingID, eventID := ids(c)
	or := bson.A{bson.M{"_id": c.Key}}
	if bookingID != "" {
		since := bson.M{"bookingId": bookingID}
		if c.Booking.Version > 0 {
			since["version"] = bson.M{"$gte": c.Booking.Version}
		}
		or = append(or, since)
	}
	if eventID != "" {
		or = append(or, bson.M{"eventId": eventID})
	}
	docs, err := s.find(ctx, bson.M{"$or": or}, options.Find())
	if err != nil {
		return err
	}
	for _, d := range docs {
		if d.ID == c.Key {
			k.key = d
		}
		if bookingID != "" && d.BookingID == bookingID {
			k.booking = versions.newer(k.booking, d)
		}
		if eventID != "" && d.EventID == eventID {
			k.event = entries.newer(k.event, d)
		}
	}
	if bookingID != "" && c.Booking.Version > 0 && k.booking == nil { // planned from what never was
		k.booking, err = s.newest(ctx, versions, bookingID)
	}
	return err
}

// claim finds out who holds a claim.
func (s *Store) claim(ctx context.Context, name string) (at claim, err error) {
	filter := bson.M{"claim": name}
	for {
		d, err := s.first(ctx, filter, by("-round"), "tx", "of", "round", "taken", "paymentPlace")
		if err != nil || d == nil {
			return at, err
		}
		at.round = max(at.round, d.Round)
		if counts, err := s.counts(ctx, d); err != nil {
			return at, err
		} else if counts {
			at.holder = d
			return at, nil
		}
		filter["round"] = bson.M{"$lt": d.Round}
	}
}

// How often to look for the Change of a part, and how long to wait after the first
// time, and twice as long after each other. The server needs no time between the two.
const (
	looks     = 4
	firstWait = 5 * time.Millisecond
)

// counts reports whether a claim counts: a part's does if its Change is there. If that
// does not come it is kept from coming: what voids it has the same unique Tx.
func (s *Store) counts(ctx context.Context, d *document) (bool, error) {
	if d.Of.IsZero() {
		return true, nil
	}
	for n, wait := 1, firstWait; ; n, wait = n+1, min(2*wait, longestWait) {
		is, err := s.first(ctx, bson.M{"tx": d.Of}, by("tx"), "void")
		if err != nil {
			return false, err
		}
		if is != nil {
			return !is.Void, nil
		}
		if n >= looks {
			if err := s.void(ctx, d.Of); err == nil || !isRival(err) {
				return false, err
			}
		}
		if err := sleep(ctx, wait); err != nil {
			return false, err
		}
	}
}

// Booking returns one booking, or ErrNotFound.
func (s *Store) Booking(ctx context.Context, id string) (b store.Booking, err error) {
	defer annotate(ctx, "booking", &err)
	d, err := s.newest(ctx, versions, id, "booking")
	return found(d.booking(), d != nil, err)
}

func found[T any](rec T, ok bool, err error) (T, error) {
	if err == nil && !ok {
		err = store.ErrNotFound
	}
	return rec, err
}

// BookingBySession returns the booking of a checkout session, or ErrNotFound.
func (s *Store) BookingBySession(ctx context.Context, sessionID string) (b store.Booking, err error) {
	defer annotate(ctx, "booking by session", &err)
	places, err := s.find(ctx, bson.M{"$or": bson.A{
		bson.M{"bookingPlace.session": sessionID}, bson.M{"paymentPlace.session": sessionID},
	}}, options.Find(), "bookingId", "bookingPlace", "paymentPlace")
	if err != nil || len(places) == 0 {
		return found(b, false, err)
	}
	var ids []string
	for _, d := range places {
		if d.BookingPlace != nil && d.BookingPlace.Session == sessionID {
			ids = append(ids, d.BookingID.(string))
		}
		if d.PaymentPlace != nil && d.PaymentPlace.Session == sessionID {
			ids = append(ids, d.PaymentPlace.Booking)
		}
	}
	docs, err := s.newestOf(ctx, versions, ids, "booking", "payments")
	if err != nil {
		return b, err
	}
	// A booking's own session goes before a payment's, and the newest before others.
	var own bool
	var at store.Cursor
	take := func(d *document, itsOwn bool, created time.Time, id string) {
		if b.ID == "" || itsOwn && !own || itsOwn == own && !at.Before(created, id) {
			b, own, at = d.booking(), itsOwn, store.Cursor{At: created, ID: id}
		}
	}
	for _, d := range docs {
		if booking := d.booking(); booking.SessionID == sessionID {
			take(d, true, booking.CreatedAt, booking.ID)
		}
		for _, p := range d.payments() {
			if p.SessionID == sessionID {
				take(d, false, p.CreatedAt, p.ID)
			}
		}
	}
	return found(b, b.ID != "", nil)
}

// History returns the history of a booking, newest version first.
func (s *Store) History(ctx context.Context, bookingID string) (list []store.History, err error) {
	defer annotate(ctx, "history", &err)
	docs, err := s.find(ctx, bson.M{"bookingId": bookingID}, options.Find().SetSort(by("-version")), "history")
	for _, d := range docs {
		list = append(list, store.History(*d.History))
	}
	return list, err
}

// Payment returns the payment of a payment intent, or ErrNotFound.
func (s *Store) Payment(ctx context.Context, paymentIntentID string) (p store.Payment, err error) {
	defer annotate(ctx, "payment", &err)
	claimed, err := s.first(ctx, bson.M{"claim": intentClaim(paymentIntentID)}, by("-round"), "paymentPlace")
	if err != nil || claimed == nil {
		return found(p, false, err)
	}
	d, err := s.newest(ctx, versions, claimed.PaymentPlace.Booking, "payments")
	p, ok := paymentOf(d, paymentIntentID)
	return found(p, ok, err)
}

func paymentOf(d *document, intent string) (store.Payment, bool) {
	payments := d.payments()
	if i := indexOf(payments, intent); i >= 0 {
		return payments[i], true
	}
	return store.Payment{}, false
}

// Event returns one ledger row, or ErrNotFound.
func (s *Store) Event(ctx context.Context, id string) (e store.Event, err error) {
	defer annotate(ctx, "event", &err)
	d, err := s.newest(ctx, entries, id, "event")
	if d != nil {
		e = *d.event()
	}
	return found(e, d != nil, err)
}

// BookingsByUser lists a user's bookings, newest first.
func (s *Store) BookingsByUser(ctx context.Context, userID string, p store.Page) (list []store.Booking, next string, err error) {
	defer annotate(ctx, "bookings by user", &err)
	return listing[store.Booking]{
		place: "bookingPlace", filter: bson.M{"bookingPlace.user": userID}, order: by("-bookingPlace.at", "-bookingPlace.id"),
		at: func(d *document) (store.Cursor, string) {
			return store.Cursor{At: d.BookingPlace.At, ID: d.BookingPlace.ID}, d.BookingPlace.ID
		},
		chain: versions, fields: []string{"booking"},
		record: func(_, newest *document) (store.Booking, bool) {
			b := newest.booking()
			return b, b.UserID == userID
		},
	}.page(ctx, s, p)
}

// PaymentsByUser lists a user's payments, newest first.
func (s *Store) PaymentsByUser(ctx context.Context, userID string, p store.Page) (list []store.Payment, next string, err error) {
	defer annotate(ctx, "payments by user", &err)
	return listing[store.Payment]{
		place: "paymentPlace", filter: bson.M{"paymentPlace.user": userID}, order: by("-paymentPlace.at", "-paymentPlace.id"),
		at: func(d *document) (store.Cursor, string) {
			return store.Cursor{At: d.PaymentPlace.At, ID: d.PaymentPlace.ID}, d.PaymentPlace.Booking
		},
		chain: versions, fields: []string{"payments"},
		record: func(place, newest *document) (store.Payment, bool) {
			p, ok := paymentOf(newest, place.PaymentPlace.Intent)
			return p, ok && p.UserID == userID && p.ID == place.PaymentPlace.ID && p.CreatedAt.Equal(place.PaymentPlace.At)
		},
	}.page(ctx, s, p)
}

// PaymentsByBooking lists a booking's payments, newest first.
func (s *Store) PaymentsByBooking(ctx context.Context, bookingID string, p store.Page) (list []store.Payment, next string, err error) {
	defer annotate(ctx, "payments by booking", &err)
	limit, after, err := p.Parse()
	if err != nil {
		return nil, "", err
	}
	d, err := s.newest(ctx, versions, bookingID, "payments")
	if err != nil {
		return nil, "", err
	}
	payments := d.payments() // oldest first
	slices.Reverse(payments)
	for _, p := range payments {
		if after != nil && !after.Before(p.CreatedAt, p.ID) {
			continue
		}
		if len(list) == limit {
			last := list[limit-1]
			return list, store.Cursor{At: last.CreatedAt, ID: last.ID}.String(), nil
		}
		list = append(list, p)
	}
	return list, "", nil
}

// Events lists ledger rows, newest first.
func (s *Store) Events(ctx context.Context, f store.EventFilter, p store.Page) (list []store.Event, next string, err error) {
	defer annotate(ctx, "events", &err)
	filter, received := bson.M{}, bson.M{}
	if f.State != "" {
		filter["eventPlace.state"] = f.State
	}
	if f.Type != "" {
		filter["eventPlace.type"] = f.Type
	}
	// A stored time has whole milliseconds: it is at or after From exactly if
	// it is at or after the next whole one.
	if !f.From.IsZero() {
		received["$gte"] = ceilMillis(f.From)
	}
	if !f.To.IsZero() {
		received["$lt"] = ceilMillis(f.To)
	}
	filter["eventPlace.at"] = received
	return listing[store.Event]{
		// Of an event's entries the older first: it may be taken away, once the newer is there.
		place: "eventPlace", filter: filter, order: by("-eventPlace.at", "-eventPlace.id", "eventPlace.entry"),
		at: func(d *document) (store.Cursor, string) {
			return store.Cursor{At: d.EventPlace.At, ID: d.EventPlace.ID}, d.EventPlace.ID
		},
		chain: entries, fields: []string{"event"},
		record: func(_, newest *document) (store.Event, bool) {
			e := *newest.event()
			return e, (f.State == "" || e.State == f.State) && (f.Type == "" || e.Type == f.Type)
		},
	}.page(ctx, s, p)
}

func ceilMillis(t time.Time) bson.DateTime {
	ms := t.UnixMilli()
	if t.After(time.UnixMilli(ms)) {
		ms++
	}
	return bson.DateTime(ms)
}

// listing is a list by the places that documents have in it. A place may be out of
// date, so each record is what the newest document of its chain says.
type listing[T any] struct {
	place  string // the field
	filter bson.M
	order  bson.D // newest first
	at     func(place *document) (where store.Cursor, id string)
	chain  chain
	fields []string
	record func(place, newest *document) (rec T, belongs bool)
}

func (l listing[T]) page(ctx context.Context, s *Store, p store.Page) (list []T, next string, err error) {
	limit, after, err := p.Parse()
	if err != nil {
		return nil, "", err
	}
	// At or before a time, and before the id if it is that very time; or from the
	// end of time on.
	ms, id := bson.DateTime(math.MaxInt64), ""
	if after != nil {
		ms, id = bson.NewDateTimeFromTime(after.At), after.ID
	}
	var last store.Cursor
	for {
		times, ok := l.filter[l.place+".at"].(bson.M)
		if !ok {
			times = bson.M{}
			l.filter[l.place+".at"] = times
		}
		times["$lte"] = ms
		l.filter["$or"] = bson.A{bson.M{l.place + ".at": bson.M{"$lt": ms}}, bson.M{l.place + ".id": bson.M{"$lt": id}}}
		places, err := s.find(ctx, l.filter, options.Find().SetSort(l.order).SetLimit(int64(limit)+1), l.place)
		if err != nil || len(places) == 0 {
			return list, "", err
		}
		ids := make([]string, len(places))
		for i, d := range places {
			_, ids[i] = l.at(d)
		}
		newest, err := s.newestOf(ctx, l.chain, ids, l.fields...)
		if err != nil {
			return nil, "", err
		}
		for _, d := range places {
			where, id := l.at(d)
			if newest[id] == nil || len(list) > 0 && where == last {
				continue
			}
			rec, belongs := l.record(d, newest[id])
			if !belongs {
				continue
			}
			if len(list) == limit {
				return list, last.String(), nil
			}
			list, last = append(list, rec), where
		}
		if len(places) <= limit {
			return list, "", nil
		}
		where, _ := l.at(places[len(places)-1])
		ms, id = bson.NewDateTimeFromTime(where.At), where.ID
	}
}
