package mongostore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// index is one of the journal's.
type index struct {
	name   string
	unique bool
	key    bson.D
}

// indexes are all but that of _id. The unique ones decide every race; the others find
// what has a place, and are sparse since most documents have none.
var indexes = []index{
	{"tx", true, by("tx")},
	{"versions", true, by("bookingId", "version")},
	{"entries", true, by("eventId", "entry")},
	{"claims", true, by("claim", "round")},

	{"bookings_by_user", false, by("bookingPlace.user", "-bookingPlace.at", "-bookingPlace.id")},
	{"bookings_by_session", false, by("bookingPlace.session")},
	{"payments_by_user", false, by("paymentPlace.user", "-paymentPlace.at", "-paymentPlace.id")},
	{"payments_by_session", false, by("paymentPlace.session")},
	{"events_by_time", false, by("-eventPlace.at", "-eventPlace.id", "eventPlace.entry")},
	{"events_by_state", false, by("eventPlace.state", "-eventPlace.at", "-eventPlace.id", "eventPlace.entry")},
	{"events_by_type", false, by("eventPlace.type", "-eventPlace.at", "-eventPlace.id", "eventPlace.entry")},
	{"events_by_state_type", false, by("eventPlace.state", "eventPlace.type", "-eventPlace.at", "-eventPlace.id", "eventPlace.entry")},
}

// Migrate makes the collection, its indexes and, where the server has views, the
// views, and does nothing when they are there. Call it when the program starts: any
// number of processes may do so at once. It refuses indexes that have the right name
// and do something else.
func (s *Store) Migrate(ctx context.Context) (err error) {
	defer annotate(ctx, "migrate", &err)
	ctx = mongo.NewSessionContext(ctx, nil) // no transaction can do this
	have, err := s.indexes(ctx)
	if err != nil {
		return err
	}
	for _, i := range indexes {
		if _, is := have[i.name]; is {
			continue
		}
		o := options.Index().SetName(i.name)
		if i.unique {
			o.SetUnique(true)
		} else {
			o.SetSparse(true)
		}
		// One by one: FerretDB trips over several of which another process has made some.
		if _, err := s.journal.Indexes().CreateOne(ctx, mongo.IndexModel{Keys: i.key, Options: o}); err != nil {
			return fmt.Errorf("index %s: %w", i.name, err)
		}
	}
	if err := s.verify(ctx, func(index) bool { return true }); err != nil {
		return err
	}
	return s.createViews(ctx)
}

// check looks once, before the first write, whether the unique indexes are there.
func (s *Store) check(ctx context.Context) error {
	if s.checked.Load() {
		return nil
	}
	if err := s.verify(mongo.NewSessionContext(ctx, nil), func(i index) bool { return i.unique }); err != nil {
		return err
	}
	s.checked.Store(true)
	return nil
}

// verify returns an error that names each index which is missing or does something
// else than it must.
func (s *Store) verify(ctx context.Context, needed func(index) bool) error {
	have, err := s.indexes(ctx)
	if err != nil {
		return err
	}
	var errs []error
	wrong := func(name, what string) {
		errs = append(errs, fmt.Errorf("index %s of collection %s %s", name, s.journal.Name(), what))
	}
	for name, is := range have {
		if !is.Expire.IsZero() {
			wrong(name, "deletes documents: drop it")
		}
	}
	if have["_id_"].Collation != nil {
		wrong("_id_", "has a collation, but ids must compare byte for byte: make the collection without one")
	}
	for _, want := range indexes {
		is, found := have[want.name]
		switch {
		case !needed(want):
		case !found:
			wrong(want.name, "is missing: call Migrate")
		case !sameKey(want.key, is.Key) || is.Unique != want.unique || is.Partial != nil || is.Collation != nil || is.Hidden:
			wrong(want.name, "is not as it must be: drop it and call Migrate")
		}
	}
	return errors.Join(errs...)
}

// stored is an index as the server has it.
type stored struct {
	Name      string        `bson:"name"`
	Key       bson.D        `bson:"key"`
	Unique    bool          `bson:"unique"`
	Hidden    bool          `bson:"hidden"`
	Partial   bson.Raw      `bson:"partialFilterExpression"`
	Collation bson.Raw      `bson:"collation"`
	Expire    bson.RawValue `bson:"expireAfterSeconds"`
}

// indexes are those of the collection, by name; none when there is no collection.
func (s *Store) indexes(ctx context.Context) (map[string]stored, error) {
	cursor, err := s.journal.Indexes().List(ctx)
	if err != nil {
		return nil, err
	}
	var list []stored
	err = cursor.All(ctx, &list)
	have := map[string]stored{}
	for _, i := range list {
		have[i.Name] = i
	}
	return have, err
}

// sameKey compares keys, whatever kind of number a tool wrote into them.
func sameKey(a, b bson.D) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Key != b[i].Key || fmt.Sprint(a[i].Value) != fmt.Sprint(b[i].Value) {
			return false
		}
	}
	return true
}

// The codes of errors that don't matter when a view is made.
const (
	namespaceExists = 48
	notImplemented  = 238
)

// createViews makes what people look at: the journal's newest bookings, and their
// payments.
func (s *Store) createViews(ctx context.Context) error {
	bookings, payments := viewPipelines()
	for name, pipeline := range map[string]mongo.Pipeline{"bookings": bookings, "payments": payments} {
		err := s.journal.Database().CreateView(ctx, s.prefix+name, s.journal.Name(), pipeline)
		var e mongo.ServerError
		if errors.As(err, &e) && (e.HasErrorCode(namespaceExists) || e.HasErrorCode(notImplemented)) {
			continue
		}
		if err != nil {
			return fmt.Errorf("view %s%s: %w", s.prefix, name, err)
		}
	}
	return nil
}

func viewPipelines() (bookings, payments mongo.Pipeline) {
	stage := func(name string, value any) bson.D { return bson.D{{Key: name, Value: value}} }
	newest := mongo.Pipeline{
		stage("$match", bson.M{"version": bson.M{"$gt": 0}}),
		stage("$sort", by("bookingId", "-version")),
		stage("$group", bson.M{"_id": "$bookingId", "booking": bson.M{"$first": "$booking"}, "payments": bson.M{"$first": "$payments"}}),
	}
	root := func(field string) bson.D { return stage("$replaceRoot", bson.M{"newRoot": field}) }
	return append(slices.Clip(newest), root("$booking")),
		append(slices.Clip(newest), stage("$unwind", "$payments"), root("$payments"))
}
