package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carevia/stripebooking/store"
)

// DefaultPrefix starts the names of the tables when Config.TablePrefix is empty.
const DefaultPrefix = "stripebooking_"

// maxPrefix leaves room for the rest of the longest name within PostgreSQL's 63
// bytes.
const maxPrefix = 32

// Config says where a Store keeps its records.
type Config struct {
	// DB is the database; required. The caller opens it, with a driver of its
	// choice, and closes it.
	DB *sql.DB

	// Dialect is the kind of database; required.
	Dialect *Dialect

	// TablePrefix starts the name of every table and index: a lower-case
	// letter, then lower-case letters, digits and underscores, 32 in all.
	// Empty stands for DefaultPrefix.
	TablePrefix string

	// InTx, when set, runs within the transaction of every Change that applies,
	// after all that the store writes and just before the commit, so that the
	// caller's own tables change with it or not at all. It does not run for a
	// replay or a conflict. A booking takes several Changes: look at
	// c.Booking.State and c.History.From for the one that is meant. It may run
	// again, in a new transaction, when the one before could not commit. Its error
	// undoes the Change and comes back wrapped from Apply, but never as one of
	// package store's own, which would speak of the Change. It must return every
	// error of tx, must not end the transaction, and must use no other connection to write to the same SQLite
	// database, nor to read from a pool that has one only: With(tx) reads what
	// the Change left behind.
	InTx func(ctx context.Context, tx *sql.Tx, c store.Change) error
}

// Store keeps the records in an SQL database. It implements [store.Store].
type Store struct {
	reader
	current    *schema // of writes in a transaction of the caller's
	db         *sql.DB
	inTx       func(ctx context.Context, tx *sql.Tx, c store.Change) error
	checked    atomic.Bool
	noApplyNew atomic.Bool // the server can't
	savepoints atomic.Int64
	turn       chan struct{} // of the dialect's oneWriter; holds whoever writes
}

var _ store.Store = (*Store)(nil)

// New returns a store over an open database. It does not connect yet. The error
// names everything that is wrong with the Config.
func New(cfg Config) (*Store, error) {
	var errs []error
	if cfg.DB == nil {
		errs = append(errs, errors.New("DB is required"))
	}
	if cfg.Dialect == nil {
		errs = append(errs, errors.New("Dialect is required"))
	}
	prefix, err := prefixOf(cfg.TablePrefix)
	if err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("sqlstore: config: %w", errors.Join(errs...))
	}
	return &Store{
		reader:  reader{schema: newSchema(cfg.Dialect, prefix), conn: cfg.DB},
		current: newLockingSchema(cfg.Dialect, prefix, cfg.Dialect.current),
		db:      cfg.DB,
		inTx:    cfg.InTx,
		turn:    make(chan struct{}, 1),
	}, nil
}

func prefixOf(prefix string) (string, error) {
	if prefix == "" {
		return DefaultPrefix, nil
	}
	for i, c := range []byte(prefix) {
		letter := 'a' <= c && c <= 'z'
		if !letter && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return "", fmt.Errorf("TablePrefix %q: a lower-case letter, then lower-case letters, digits and underscores are allowed", prefix)
		}
	}
	if len(prefix) > maxPrefix {
		return "", fmt.Errorf("TablePrefix has %d bytes, at most %d are allowed", len(prefix), maxPrefix)
	}
	return prefix, nil
}

// Apply makes a Change visible whole, or not at all. See [store.Store].
func (s *Store) Apply(ctx context.Context, c store.Change) (res store.Result, err error) {
	defer annotate(ctx, "apply", &err)
	if err := c.Validate(); err != nil {
		return store.Result{}, err
	}
	c = inOrder(c)
	done, err := s.applyNew(ctx, c, &res)
	if !done && err == nil {
		err = s.write(ctx, func(tx *sql.Tx) (err error) {
			res, err = writer{s.schema, tx}.apply(ctx, c, s.hook(tx))
			return err
		})
	}
	var lost *lostError
	if errors.As(err, &lost) {
		return s.explain(ctx, c, lost)
	}
	if err != nil {
		return store.Result{}, err
	}
	return res, nil
}

// errNoApplyNew is what the dialect's applyNew says of a server that can't.
var errNoApplyNew = errors.New("the server can't apply a new booking in one statement")

// applyNew takes the one-statement way where the dialect has one and the Change
// fits it.
func (s *Store) applyNew(ctx context.Context, c store.Change, res *store.Result) (bool, error) {
	if s.dialect.applyNew == nil || s.noApplyNew.Load() || s.inTx != nil || !isNew(c) {
		return false, nil
	}
	if err := s.check(ctx, s.db); err != nil {
		return false, err
	}
	ok, err := s.dialect.applyNew(ctx, s.db, s.schema, c)
	if errors.Is(err, errNoApplyNew) {
		s.noApplyNew.Store(true)
		err = nil
	}
	if ok {
		*res = newResult(c)
	}
	s.replaced(err)
	return ok, err
}

// RecordFailure keeps a failed attempt at an event. See [store.Store].
func (s *Store) RecordFailure(ctx context.Context, e store.Event, reason string, dead bool) (err error) {
	defer annotate(ctx, "record failure", &err)
	return s.write(ctx, func(tx *sql.Tx) error {
		return writer{s.schema, tx}.recordFailure(ctx, e, reason, dead)
	})
}

// RecordHandled notes that the user's handlers have succeeded. See [store.Store].
func (s *Store) RecordHandled(ctx context.Context, eventID string, handlers []string, done bool, at time.Time) (err error) {
	defer annotate(ctx, "record handled", &err)
	return s.write(ctx, func(tx *sql.Tx) error {
		return writer{s.schema, tx}.recordHandled(ctx, eventID, handlers, done, at)
	})
}

// hook binds InTx to a transaction.
func (s *Store) hook(tx *sql.Tx) func(context.Context, store.Change) error {
	if s.inTx == nil {
		return func(context.Context, store.Change) error { return nil }
	}
	return func(ctx context.Context, c store.Change) error {
		if err := s.inTx(context.WithValue(ctx, withinKey{s}, true), tx, c); err != nil {
			if !ofDriver(err) { // of another call: it says nothing of this Change
				return fmt.Errorf("InTx: %v", err)
			}
			return fmt.Errorf("InTx: %w", err)
		}
		if s.isOver(ctx, tx) { // InTx has hidden an error
			return errOver
		}
		return nil
	}
}

// check looks at the connection's settings until they have once been right.
func (s *Store) check(ctx context.Context, c conn) error {
	if s.dialect.check == nil || s.checked.Load() {
		return nil
	}
	if err := s.dialect.check(ctx, c, s.prefix); err != nil {
		return err
	}
	s.checked.Store(true)
	return nil
}

// replaced reports whether err says that another server has taken the place of this
// one, which is then looked at.
func (s *Store) replaced(err error) bool {
	is := s.dialect.readOnly != nil && s.dialect.readOnly(err)
	if is {
		s.checked.Store(false)
	}
	return is
}

var errOver = errors.New("the transaction is over: the database has ended it")

func (s *Store) isOver(ctx context.Context, tx *sql.Tx) bool {
	return s.dialect.isOver != nil && s.dialect.isOver(ctx, tx)
}

// How often, for how long and how soon a transaction is run again that failed for
// nothing but the company it had. Of those who are in each other's way at least one
// gets through each time; chance keeps the others from meeting again.
const (
	maxTries     = 20
	maxTime      = 5 * time.Second
	firstPause   = 5 * time.Millisecond
	longestPause = 50 * time.Millisecond
)

// write runs fn in a transaction of its own.
func (s *Store) write(ctx context.Context, fn func(*sql.Tx) error) error {
	if err := s.check(ctx, s.db); err != nil {
		return err
	}
	end := time.Now().Add(maxTime)
	for try, pause := 1, firstPause; ; try, pause = try+1, min(2*pause, longestPause) {
		err := s.writeOnce(ctx, fn)
		if err == nil || s.dialect.again == nil || !s.dialect.again(err) ||
			try == maxTries || time.Now().After(end) || !sleep(ctx, rand.N(pause)) {
			return err
		}
	}
}

// sleep reports whether it lasted: ctx may end it.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *Store) writeOnce(ctx context.Context, fn func(*sql.Tx) error) error {
	done, err := s.takeTurn(ctx)
	if err != nil {
		return err
	}
	defer done()
	c, tx, err := s.begin(ctx)
	if err != nil {
		return err
	}
	ok, undo := false, tx.Rollback
	defer func() {
		if !ok { // also when fn panics
			_ = s.end(ctx, c, undo) // fn's error is the news
		}
	}()
	if err := fn(tx); err != nil {
		if s.replaced(err) {
			undo = func() error { return errors.Join(tx.Rollback(), err) } // the next one is to have another connection
		}
		return err
	}
	ok = true
	err = s.end(ctx, c, tx.Commit)
	s.replaced(err)
	return err
}

// begin begins a transaction on a connection that is pinned for it.
func (s *Store) begin(ctx context.Context) (*sql.Conn, *sql.Tx, error) {
	for try := 1; ; try++ {
		c, err := s.db.Conn(ctx)
		if err != nil {
			return nil, nil, err
		}
		tx, err := c.BeginTx(ctx, s.dialect.txOptions)
		if err == nil {
			return c, tx, nil
		}
		discard(c)
		if try == 3 || !errors.Is(err, driver.ErrBadConn) { // as the pool does by itself
			return nil, nil, err
		}
	}
}

// end ends a transaction and gives its connection back, by itself if ctx ends first,
// for not every driver's commit stops with it: the outcome is then unknown.
func (s *Store) end(ctx context.Context, c *sql.Conn, how func() error) error {
	if s.dialect.oneWriter { // whose turn it is stays until it is over
		return end(c, how)
	}
	ended := make(chan error, 1)
	go func() { ended <- end(c, how) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// end closes the connection if the transaction could not be ended: it may be open
// still, and whoever is given the connection next would commit it.
func end(c *sql.Conn, how func() error) error {
	err := how()
	if err != nil {
		discard(c)
	}
	c.Close()
	return err
}

// discard closes a connection in a state that must not go back to the pool.
func discard(c *sql.Conn) {
	// When ctx ends, database/sql undoes the transaction by itself and may close the
	// connection just now, for which Raw is not prepared: it meets a nil.
	defer func() { _ = recover() }()
	_ = c.Raw(func(any) error { return driver.ErrBadConn })
}

// withinKey marks the ctx of an InTx with its Store.
type withinKey struct{ s *Store }

// takeTurn lets this process's writers go to the database one after the other,
// first come, first served, where it has room for one only. What is right does
// not depend on it: other processes don't stand in this line, and the database
// decides. But a busy timeout is a race of sleepers, which a few of a thousand
// writers would lose.
func (s *Store) takeTurn(ctx context.Context) (done func(), err error) {
	if !s.dialect.oneWriter {
		return func() {}, nil
	}
	if ctx.Value(withinKey{s}) != nil {
		return nil, errors.New("called within InTx, whose transaction is the only one that can write: use With(tx)")
	}
	select {
	case s.turn <- struct{}{}:
		return func() { <-s.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// With returns a store that works within the caller's transaction: what it
// writes is final, and visible to others, once the caller commits. It neither
// commits nor rolls back. A call that fails or loses leaves nothing behind in
// the transaction, and all that the caller wrote before stays, since each runs
// under a savepoint. Only when the database has undone the whole transaction, as
// SQLite does on a full disk and MySQL at a deadlock, all calls fail from then on. InTx
// runs within the caller's transaction as well.
//
// On SQLite begin the transaction with _txlock=immediate in the data source
// name, or write before you read: a transaction that has read first cannot
// write any more once another connection has written (SQLITE_BUSY_SNAPSHOT).
//
// Make one joined store for a transaction and use it for all calls in it; only
// within InTx, make another from the transaction that it is given.
func (s *Store) With(tx *sql.Tx) store.Store {
	mu := new(sync.Mutex)
	return &joined{reader: reader{schema: s.schema, conn: tx, mu: mu}, outer: s, tx: tx, mu: mu}
}

// joined is a store within the caller's transaction. mu keeps one caller's
// statements from between the savepoint of another and its release.
type joined struct {
	reader
	outer *Store
	tx    *sql.Tx
	mu    *sync.Mutex
}

func (j *joined) Apply(ctx context.Context, c store.Change) (res store.Result, err error) {
	defer annotate(ctx, "apply (joined)", &err)
	if err := c.Validate(); err != nil {
		return store.Result{}, err
	}
	c = inOrder(c)
	j.mu.Lock()
	defer j.mu.Unlock()
	err = j.write(ctx, func() (err error) {
		res, err = writer{j.outer.current, j.tx}.apply(ctx, c, j.outer.hook(j.tx))
		return err
	})
	var lost *lostError
	if errors.As(err, &lost) {
		return reader{schema: j.outer.current, conn: j.tx}.explain(ctx, c, lost)
	}
	if err != nil {
		return store.Result{}, err
	}
	return res, nil
}

func (j *joined) RecordFailure(ctx context.Context, e store.Event, reason string, dead bool) (err error) {
	defer annotate(ctx, "record failure (joined)", &err)
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.write(ctx, func() error {
		return writer{j.outer.current, j.tx}.recordFailure(ctx, e, reason, dead)
	})
}

func (j *joined) RecordHandled(ctx context.Context, eventID string, handlers []string, done bool, at time.Time) (err error) {
	defer annotate(ctx, "record handled (joined)", &err)
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.write(ctx, func() error {
		return writer{j.outer.current, j.tx}.recordHandled(ctx, eventID, handlers, done, at)
	})
}

// write runs fn under a savepoint, which it undoes when fn fails or panics.
func (j *joined) write(ctx context.Context, fn func() error) (err error) {
	if err := j.outer.check(ctx, j.tx); err != nil {
		return err
	}
	if j.outer.isOver(ctx, j.tx) {
		return errOver
	}
	// A name for each, since InTx may come back here, and MySQL forgets the older of two
	// with one name.
	savepoint := "stripebooking_" + strconv.FormatInt(j.outer.savepoints.Add(1), 10)
	if _, err := j.tx.ExecContext(ctx, "SAVEPOINT "+savepoint); err != nil {
		return err
	}
	ok := false
	defer func() {
		if ok {
			return
		}
		// Also when ctx has ended: the caller may go on with another.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
		defer cancel()
		_, undo := j.tx.ExecContext(ctx, "ROLLBACK TO SAVEPOINT "+savepoint)
		if undo == nil {
			_, undo = j.tx.ExecContext(ctx, "RELEASE SAVEPOINT "+savepoint)
		}
		if undo != nil && err != nil {
			// Never ErrConflict or a replay while a part of the Change is in.
			err = fmt.Errorf("the transaction must be rolled back: %w (after: %v)", undo, withoutValue(err))
		}
	}()
	if err := fn(); err != nil {
		return err
	}
	if _, err := j.tx.ExecContext(ctx, "RELEASE SAVEPOINT "+savepoint); err != nil {
		return err
	}
	ok = true
	return nil
}

// undoTime is how long what must be undone after ctx has ended may take.
const undoTime = 5 * time.Second

// annotate names the operation in its error, and makes sure that the error of a
// call whose ctx has ended says so, whatever the driver made of it, and that none
// tells what was stored.
func annotate(ctx context.Context, op string, err *error) {
	if *err == nil {
		return
	}
	e := withoutValue(*err)
	if over := ctx.Err(); over != nil && !errors.Is(e, over) && ofDriver(e) {
		*err = fmt.Errorf("sqlstore: %s: %w: %w", op, over, e)
		return
	}
	*err = fmt.Errorf("sqlstore: %s: %w", op, e)
}

func ofDriver(err error) bool {
	for _, known := range []error{store.ErrNotFound, store.ErrConflict, store.ErrMismatch, store.ErrInvalid} {
		if errors.Is(err, known) {
			return false
		}
	}
	return true
}
