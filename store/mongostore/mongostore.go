package mongostore

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/carevia/stripebooking/store"
)

// DefaultPrefix starts the names of the collection and the views when Config.Prefix
// is empty.
const DefaultPrefix = "stripebooking_"

var goodPrefix = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)

// Config says where a Store keeps its records.
type Config struct {
	// Database is required. The caller connects its client, and disconnects it. What
	// the client says of concerns, read preference and BSON does not matter here.
	Database *mongo.Database

	// Prefix starts the names of the collection and the views: a lower-case letter,
	// then lower-case letters, digits and underscores, 32 in all. Empty stands for
	// DefaultPrefix.
	Prefix string
}

// Store keeps the records in MongoDB. It implements [store.Store].
type Store struct {
	journal *mongo.Collection
	prefix  string
	checked atomic.Bool

	// latest is over the same journal, with reads that only the primary can answer: a server
	// that no longer is one, and may not know it yet, has no majority to prove it with. nil
	// in latest itself.
	latest *Store
}

var _ store.Store = (*Store)(nil)

// New returns a store over a database. It does not connect yet. The error names
// everything that is wrong with the Config.
func New(cfg Config) (*Store, error) {
	var errs []error
	if cfg.Database == nil {
		errs = append(errs, errors.New("a Database is required"))
	}
	if cfg.Prefix == "" {
		cfg.Prefix = DefaultPrefix
	}
	if !goodPrefix.MatchString(cfg.Prefix) {
		errs = append(errs, fmt.Errorf("the Prefix %q: a lower-case letter, then lower-case letters, digits and underscores are allowed, 32 in all", cfg.Prefix))
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("mongostore: config: %w", errors.Join(errs...))
	}
	onDisk := true
	journal := cfg.Database.Collection(cfg.Prefix+"journal", options.Collection().
		SetWriteConcern(&writeconcern.WriteConcern{W: "majority", Journal: &onDisk}).
		SetReadConcern(readconcern.Majority()).
		SetReadPreference(readpref.Primary()).
		SetBSONOptions(&options.BSONOptions{}).
		SetRegistry(registry()))
	latest := journal.Clone(options.Collection().SetReadConcern(readconcern.Linearizable()))
	return &Store{prefix: cfg.Prefix, journal: journal, latest: &Store{journal: latest}}, nil
}

// Apply makes a Change visible whole, or not at all. See [store.Store].
func (s *Store) Apply(ctx context.Context, c store.Change) (res store.Result, err error) {
	defer annotate(ctx, "apply", &err)
	if err := c.Validate(); err != nil {
		return store.Result{}, err
	}
	if err := s.check(ctx); err != nil {
		return store.Result{}, err
	}
	how := quick
	if inTransaction(ctx) { // which an insert that loses would end
		how = last
	}
	var mine attempts
	for {
		k, err := s.look(ctx, c, how)
		if err != nil {
			return store.Result{}, err
		}
		docs, res, err := k.plan(c)
		if err != nil && !k.final(c, err) {
			how = last
			continue
		}
		if err != nil {
			return s.explain(ctx, c, k, err, &mine)
		}
		tx := docs[len(docs)-1].Tx
		mine.txs = append(mine.txs, tx)
		err = s.insert(ctx, docs...)
		if err == nil {
			s.supersede(ctx, k.event)
			return res, nil
		}
		if !isRival(err) || inTransaction(ctx) {
			return store.Result{}, err
		}
		if len(docs) > 1 { // its parts are in the way of all others
			if err := s.void(ctx, tx); err != nil && !isRival(err) {
				return store.Result{}, err
			}
		}
		how = full
		if err := mine.pause(ctx, k.moves()); err != nil {
			return store.Result{}, err
		}
	}
}

// explain turns what k says into what the caller of a Change that was not inserted
// is told.
func (s *Store) explain(ctx context.Context, c store.Change, k *known, err error, mine *attempts) (store.Result, error) {
	var lost *lostError
	if !errors.As(err, &lost) {
		return store.Result{}, err
	}
	bookingID := lost.bookingID
	if k.key != nil {
		if k.key.Fingerprint != "" && c.Fingerprint != "" && k.key.Fingerprint != c.Fingerprint {
			return store.Result{}, store.ErrMismatch
		}
		bookingID, _ = k.key.BookingID.(string)
	}
	res := store.Result{Event: k.event.event(), Conflict: lost.conflict}
	found := k.booking
	if own, _ := ids(c); bookingID != "" && bookingID != own {
		if found, err = s.newest(ctx, versions, bookingID, "booking", "payments"); err != nil {
			return store.Result{}, err
		}
	}
	if bookingID != "" && found != nil {
		b := found.booking()
		res.Booking, res.Payments = &b, found.payments()
	}
	if lost.conflict != "" {
		return res, fmt.Errorf("%w over the %s", store.ErrConflict, lost.conflict)
	}
	res.Applied = mine.made(k.key)
	return res, nil
}

// RecordFailure keeps a failed attempt at an event. See [store.Store].
func (s *Store) RecordFailure(ctx context.Context, e store.Event, reason string, dead bool) (err error) {
	defer annotate(ctx, "record failure", &err)
	if err := store.MergeFailure(nil, e, reason, dead).Validate(); err != nil {
		return err
	}
	return s.enter(ctx, e.ID, func(old *store.Event) (store.Event, error) {
		return store.MergeFailure(old, e, reason, dead), nil
	})
}

// RecordHandled notes that the user's handlers have succeeded. See [store.Store].
func (s *Store) RecordHandled(ctx context.Context, eventID string, handlers []string, done bool, at time.Time) (err error) {
	defer annotate(ctx, "record handled", &err)
	for _, h := range handlers {
		if err := store.CheckID("handler", h); err != nil {
			return err
		}
	}
	return s.enter(ctx, eventID, func(old *store.Event) (store.Event, error) {
		if old == nil {
			return store.Event{}, store.ErrNotFound
		}
		e := store.MergeHandled(*old, handlers, done)
		e.UpdatedAt = store.Time(at)
		return e, nil
	})
}

// enter writes the next entry of an event, as merge makes it of the one before.
func (s *Store) enter(ctx context.Context, eventID string, merge func(old *store.Event) (store.Event, error)) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	var mine attempts
	for {
		all, err := s.find(ctx, bson.M{"eventId": eventID}, options.Find())
		if err != nil {
			return err
		}
		if slices.ContainsFunc(all, mine.made) {
			return nil
		}
		var newest *document
		for _, d := range all {
			newest = entries.newer(newest, d)
		}
		e, err := merge(newest.event())
		if err != nil {
			return err
		}
		d, err := newDocument()
		if err != nil {
			return err
		}
		d.setEvent(newest, e)
		mine.txs = append(mine.txs, d.Tx)
		err = s.insert(ctx, d)
		if err == nil {
			s.supersede(ctx, newest)
			return nil
		}
		if !isRival(err) || inTransaction(ctx) {
			return err
		}
		if err := mine.pause(ctx, d.Entry); err != nil {
			return err
		}
	}
}

// supersede takes an entry of the ledger that has a successor out of the lists, and
// its payload, which the successor has as well, out of the journal. Lists are right
// without, but would have to skip it.
func (s *Store) supersede(ctx context.Context, d *document) {
	if d != nil && !inTransaction(ctx) {
		_, _ = s.journal.UpdateByID(ctx, d.ID, bson.M{"$unset": bson.M{"eventPlace": "", "event.payload": ""}})
	}
}

// insert is the only way by which documents get into the journal. It makes them in
// their order, and none after one that can't be made.
func (s *Store) insert(ctx context.Context, docs ...*document) error {
	_, err := s.journal.InsertMany(ctx, docs)
	if mongo.IsDuplicateKeyError(err) {
		err = &rivalError{err}
	}
	return err
}

// void keeps the Change with this Tx, of which only parts are there, from coming in.
func (s *Store) void(ctx context.Context, tx bson.ObjectID) error {
	d, err := newDocument()
	if err != nil {
		return err
	}
	d.Tx, d.Void = tx, true
	return s.insert(ctx, d)
}

// rivalError is a duplicate key. What the server says of one has ids in it.
type rivalError struct{ err error }

func (e *rivalError) Error() string { return "a rival was faster" }
func (e *rivalError) Unwrap() error { return e.err }

func isRival(err error) bool {
	var e *rivalError
	return errors.As(err, &e)
}

// attempts are those of one call to insert what it has planned.
type attempts struct {
	txs       []bson.ObjectID // the Tx of each
	moves     int64
	fruitless int
}

// made reports whether d is of one of these attempts, though that was told that it
// was too late: the driver repeats an insert whose answer is lost.
func (a *attempts) made(d *document) bool { return slices.Contains(a.txs, d.Tx) }

// How often in a row an attempt may fail while nothing can be seen that is in the
// way, and the longest pause between two: some three seconds, for a rival to get to a
// majority of servers.
const (
	maxFruitless = 40
	longestWait  = 100 * time.Millisecond
)

// pause is between two attempts, since the first of which there have been this many
// moves of rivals that explain the failure.
func (a *attempts) pause(ctx context.Context, moves int64) error {
	if moves != a.moves {
		a.moves, a.fruitless = moves, 0
	}
	a.fruitless++
	if a.fruitless == maxFruitless {
		return errors.New("the server refuses the documents for a unique key, and nothing that is stored tells which: an index of another's, or servers that lag behind")
	}
	if a.fruitless == 1 {
		return nil
	}
	return sleep(ctx, min(time.Millisecond<<(a.fruitless-2), longestWait))
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// inTransaction reports whether ctx has a session of the caller's with a transaction.
func inTransaction(ctx context.Context) bool {
	session := mongo.SessionFromContext(ctx)
	return session != nil && session.TransactionRunning()
}

// annotate names the operation in its error, and makes sure that the error of a
// call whose ctx has ended says so, whatever the driver made of it.
func annotate(ctx context.Context, op string, err *error) {
	e := *err
	if e == nil {
		return
	}
	if over := ctx.Err(); over != nil && !errors.Is(e, over) && store.IsTransient(e) && !errors.Is(e, store.ErrConflict) {
		e = fmt.Errorf("%w: %w", over, e)
	}
	*err = fmt.Errorf("mongostore: %s: %w", op, e)
}
