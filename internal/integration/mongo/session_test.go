package mongo

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/carevia/stripebooking/internal/integration/sample"
	"github.com/carevia/stripebooking/store"
)

// inSession is a store all of whose calls have a session of the caller's.
type inSession struct {
	store.Store
	session *mongo.Session
}

func (s inSession) in(ctx context.Context) context.Context {
	return mongo.NewSessionContext(ctx, s.session)
}

func (s inSession) Apply(ctx context.Context, c store.Change) (store.Result, error) {
	return s.Store.Apply(s.in(ctx), c)
}

func (s inSession) RecordFailure(ctx context.Context, e store.Event, reason string, dead bool) error {
	return s.Store.RecordFailure(s.in(ctx), e, reason, dead)
}

func (s inSession) RecordHandled(ctx context.Context, id string, handlers []string, done bool, at time.Time) error {
	return s.Store.RecordHandled(s.in(ctx), id, handlers, done, at)
}

func (s inSession) Booking(ctx context.Context, id string) (store.Booking, error) {
	return s.Store.Booking(s.in(ctx), id)
}

func (s inSession) BookingBySession(ctx context.Context, id string) (store.Booking, error) {
	return s.Store.BookingBySession(s.in(ctx), id)
}

func (s inSession) BookingsByUser(ctx context.Context, id string, p store.Page) ([]store.Booking, string, error) {
	return s.Store.BookingsByUser(s.in(ctx), id, p)
}

func (s inSession) History(ctx context.Context, id string) ([]store.History, error) {
	return s.Store.History(s.in(ctx), id)
}

func (s inSession) Payment(ctx context.Context, id string) (store.Payment, error) {
	return s.Store.Payment(s.in(ctx), id)
}

func (s inSession) PaymentsByBooking(ctx context.Context, id string, p store.Page) ([]store.Payment, string, error) {
	return s.Store.PaymentsByBooking(s.in(ctx), id, p)
}

func (s inSession) PaymentsByUser(ctx context.Context, id string, p store.Page) ([]store.Payment, string, error) {
	return s.Store.PaymentsByUser(s.in(ctx), id, p)
}

func (s inSession) Event(ctx context.Context, id string) (store.Event, error) {
	return s.Store.Event(s.in(ctx), id)
}

func (s inSession) Events(ctx context.Context, f store.EventFilter, p store.Page) ([]store.Event, string, error) {
	return s.Store.Events(s.in(ctx), f, p)
}

// join begins a transaction and returns a store that works in it, and what ends it.
func join(t testing.TB, client *mongo.Client, s store.Store) (joined store.Store, commit, rollback func() error) {
	t.Helper()
	ctx := context.Background()
	session, err := client.StartSession()
	require.NoError(t, err)
	t.Cleanup(func() { session.EndSession(ctx) })
	require.NoError(t, session.StartTransaction(options.Transaction().
		SetReadConcern(readconcern.Majority()).SetWriteConcern(writeconcern.Majority())))
	return inSession{s, session},
		func() error { return session.CommitTransaction(ctx) },
		func() error { return session.AbortTransaction(ctx) }
}

// hasTransactions reports whether the server is one of a replica set or a cluster.
func hasTransactions(t *testing.T, client *mongo.Client) bool {
	t.Helper()
	var hello bson.M
	require.NoError(t, client.Database("admin").RunCommand(context.Background(), bson.M{"hello": 1}).Decode(&hello))
	return hello["setName"] != nil || hello["msg"] == "isdbgrid"
}

// What the store asks of a transaction of the caller's. On FerretDB there is none: an
// interceptor takes what makes one out of the commands, so that this is about which
// commands there are, and not about what becomes of them. On a server of a replica set
// TestConformance has the cases about joining.
func TestCommandsInATransaction(t *testing.T) {
	ctx := context.Background()
	db, line, sent := intercepted(t)
	client := db.Client()
	newStore(t, db)
	s := newStore(t, db) // it has not looked at its indexes, which a transaction can't
	line.set(outside, nil)
	joined, commit, _ := join(t, client, s)

	var res store.Result
	apply := func(c store.Change) (names []string, err error) {
		seen, names := sent.during(func() { res, err = joined.Apply(ctx, c) })
		for _, e := range seen {
			_, none := e.Command.LookupErr("autocommit")
			assert.Equal(t, e.CommandName == "listIndexes", none != nil, "%s is in the transaction", e.CommandName)
		}
		return names, err
	}
	paid := sample.Paid("a")
	paid.Event.State = store.EventApplied
	names, err := apply(paid)
	require.NoError(t, err)
	assert.True(t, res.Applied)
	assert.Equal(t, []string{"listIndexes", "find", "find", "insert"}, names, "the intent and the key are looked up before")
	b, err := joined.Booking(ctx, "bk_a")
	require.NoError(t, err)
	assert.Equal(t, *res.Booking, b)

	// A duplicate key would end the transaction, so none is risked.
	names, err = apply(paid)
	require.NoError(t, err)
	assert.False(t, res.Applied)
	assert.NotContains(t, names, "insert")
	late := paid
	late.Key = "evt_other"
	names, err = apply(late)
	require.ErrorIs(t, err, store.ErrConflict)
	assert.Equal(t, store.ConflictVersion, res.Conflict)
	assert.NotContains(t, names, "insert")
	names, err = apply(sample.WithIntent("b", "a"))
	require.ErrorIs(t, err, store.ErrConflict)
	assert.Equal(t, store.ConflictIntent, res.Conflict)
	assert.NotContains(t, names, "insert")

	// Nor is a document touched that others touch as well.
	_, names = sent.during(func() {
		require.NoError(t, joined.RecordFailure(ctx, *paid.Event, "timeout", false))
		require.NoError(t, joined.RecordHandled(ctx, "evt_a", []string{"mail"}, true, sample.T0))
	})
	assert.Equal(t, []string{"find", "insert", "find", "insert"}, names)
	require.NoError(t, commit())

	// What is left in the lists is skipped.
	for state, want := range map[store.EventState]int{store.EventApplied: 0, store.EventFailed: 0, store.EventDone: 1, "": 1} {
		list, _, err := s.Events(ctx, store.EventFilter{State: state}, store.Page{})
		require.NoError(t, err)
		assert.Len(t, list, want, "%q", state)
	}

	// A rival that the transaction can't see ends it: what the server said comes back at
	// once, so that the caller, or WithTransaction, can begin again.
	line.set(func(name string, body bson.D) bson.D {
		for i := range body {
			if name == "find" && body[i].Key == "filter" {
				body[i].Value = bson.M{"_id": "nothing"}
			}
		}
		return outside(name, body)
	}, nil)
	joined, _, _ = join(t, client, s)
	names, err = apply(paid)
	require.Error(t, err)
	assert.NotErrorIs(t, err, store.ErrConflict)
	assert.True(t, store.IsTransient(err))
	var of mongo.ServerError
	require.ErrorAs(t, err, &of)
	assert.True(t, of.HasErrorCode(11000))
	assert.NotContains(t, err.Error(), "E11000")
	assert.Equal(t, []string{"find", "find", "insert"}, names)
}

// outside makes of a command in a transaction one that is in none.
func outside(name string, body bson.D) bson.D {
	if name == "commitTransaction" || name == "abortTransaction" {
		return bson.D{{Key: "ping", Value: 1}, {Key: "$db", Value: "admin"}}
	}
	return slices.DeleteFunc(body, func(e bson.E) bool {
		return e.Key == "startTransaction" || e.Key == "autocommit" || e.Key == "txnNumber"
	})
}
