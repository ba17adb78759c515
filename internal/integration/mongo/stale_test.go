package mongo

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/carevia/stripebooking/internal/integration/sample"
	"github.com/carevia/stripebooking/store"
)

// stale is the edit of an interceptor by which reads of the majority miss these documents, as
// those of a primary may that has been replaced and does not know it yet. What such a
// server can't answer is answered, by any server. With a field, only reads whose filter
// begins with it are stale.
func stale(field string, hidden ...string) func(string, bson.D) bson.D {
	return func(name string, body bson.D) bson.D {
		if name != "find" {
			return body
		}
		linearizable := levelOf(body) == "linearizable"
		for i, e := range body {
			switch {
			case e.Key == "readConcern" && linearizable:
				body[i].Value = bson.D{{Key: "level", Value: "local"}}
			case e.Key == "filter" && !linearizable && (field == "" || e.Value.(bson.D)[0].Key == field):
				body[i].Value = bson.M{"$and": bson.A{e.Value, bson.M{"_id": bson.M{"$nin": hidden}}}}
			}
		}
		return body
	}
}

// levelOf is a command's level of read concern.
func levelOf(body bson.D) string {
	for _, e := range body {
		if e.Key == "readConcern" {
			return e.Value.(bson.D)[0].Value.(string)
		}
	}
	return ""
}

// levels are those of the finds among commands.
func levels(t *testing.T, seen []*event.CommandStartedEvent) (list []string) {
	t.Helper()
	for _, e := range seen {
		if e.CommandName == "find" {
			list = append(list, e.Command.Lookup("readConcern", "level").StringValue())
		}
	}
	return list
}

// The only seat of mon is taken, and given up again by a second version. A server that is the
// primary no more does not see that, or less. Nothing is refused for what it does not see.
func TestNoConflictByAStaleRead(t *testing.T) {
	ctx := context.Background()
	seat := sample.Seats("mon", 1, 1)
	third := func(_ store.Store, a store.Booking) store.Change { return sample.Next("third", a) }
	for name, tt := range map[string]struct {
		field  string
		hidden []string
		change func(s store.Store, a store.Booking) store.Change
		replay bool
	}{
		"a hold, for the seat": {"", []string{"give_a"}, func(store.Store, store.Booking) store.Change { return sample.Held("b", seat) }, false},
		"a payment that came late, for the seat": {"", []string{"give_a"}, func(store.Store, store.Booking) store.Change {
			c := sample.Paid("b")
			c.Claim = []store.SeatClaim{seat}
			return c
		}, false},
		"who has the seat, to give it up": {"claim", []string{"hold_b"}, func(s store.Store, _ store.Booking) store.Change {
			res, err := s.Apply(ctx, sample.Held("b", seat))
			require.NoError(t, err)
			c := sample.Next("give_b", *res.Booking)
			c.Release = res.Booking.Seats
			return c
		}, false},
		"the version that was read": {"", []string{"give_a"}, third, false},
		"any version":               {"", []string{"hold_a", "give_a"}, third, false},
		"the key, which has the seat": {"$or", []string{"hold_b"}, func(s store.Store, _ store.Booking) store.Change {
			_, err := s.Apply(ctx, sample.Held("b", seat))
			require.NoError(t, err)
			return sample.Held("b", seat)
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			db, line, _ := intercepted(t)
			s := newStore(t, db)
			res, err := s.Apply(ctx, sample.Held("a", seat))
			require.NoError(t, err)
			give := sample.Next("give_a", *res.Booking)
			give.Release = res.Booking.Seats
			res, err = s.Apply(ctx, give)
			require.NoError(t, err)
			c := tt.change(s, *res.Booking)
			line.set(stale(tt.field, tt.hidden...), nil)
			got, err := s.Apply(ctx, c)
			require.NoError(t, err)
			assert.Equal(t, !tt.replay, got.Applied)
			assert.Equal(t, c.Next().ID, got.Booking.ID)
			line.set(nil, nil)
			b, err := s.Booking(ctx, c.Booking.ID)
			require.NoError(t, err)
			assert.Equal(t, *got.Booking, b)
		})
	}
}

// A conflict that is one costs no command more than before: the last look, which there was
// always, is one that only the primary can answer. It is outside of the caller's session,
// since those that are causally consistent don't allow that.
func TestConflictIsLookedAtByThePrimary(t *testing.T) {
	ctx := context.Background()
	db, line, sent := intercepted(t)
	line.set(stale("", "nothing"), nil)
	s := newStore(t, db)
	res, err := s.Apply(ctx, sample.Held("a", sample.Seats("mon", 1, 1)))
	require.NoError(t, err)
	never := sample.Next("never", *res.Booking)
	never.Booking.Version = 9
	again := sample.Held("a")
	again.Key = "again"
	session, err := db.Client().StartSession()
	require.NoError(t, err)
	defer session.EndSession(ctx)
	in := mongo.NewSessionContext(ctx, session)
	for _, tt := range []struct {
		change   store.Change
		conflict store.Conflict
		levels   []string
	}{
		{sample.Held("b", sample.Seats("mon", 1, 1)), store.ConflictSeats, []string{"majority", "linearizable", "linearizable"}},
		{never, store.ConflictVersion, []string{"majority", "majority", "linearizable", "linearizable"}},
		{again, store.ConflictVersion, []string{"majority"}}, // what is there stays
	} {
		seen, _ := sent.during(func() { res, err = s.Apply(in, tt.change) })
		require.ErrorIs(t, err, store.ErrConflict)
		assert.Equal(t, tt.conflict, res.Conflict)
		assert.Equal(t, tt.levels, levels(t, seen))
		for _, e := range seen {
			inSession := string(e.Command.Lookup("lsid").Document()) == string(session.ID())
			linearizable := e.CommandName == "find" && e.Command.Lookup("readConcern", "level").StringValue() == "linearizable"
			assert.Equal(t, !linearizable, inSession, e.CommandName)
		}
	}
}

// A server alone, which is always the primary, refuses to prove it.
func TestConflictOnAServerAlone(t *testing.T) {
	ctx := context.Background()
	db, line, sent := intercepted(t)
	line.mu.Lock()
	line.answer = func(_ string, body bson.D) bson.D {
		if levelOf(body) != "linearizable" {
			return nil
		}
		return bson.D{{Key: "ok", Value: 0.0}, {Key: "code", Value: 123}, {Key: "codeName", Value: "NotAReplicaSet"},
			{Key: "errmsg", Value: "node needs to be a replica set member to use read concern"}}
	}
	line.mu.Unlock()
	s := newStore(t, db)
	_, err := s.Apply(ctx, sample.Held("a", sample.Seats("mon", 1, 1)))
	require.NoError(t, err)
	var res store.Result
	seen, _ := sent.during(func() { res, err = s.Apply(ctx, sample.Held("b", sample.Seats("mon", 1, 1))) })
	require.ErrorIs(t, err, store.ErrConflict)
	assert.Equal(t, store.ConflictSeats, res.Conflict)
	assert.Equal(t, []string{"majority", "linearizable", "majority", "majority"}, levels(t, seen))
}
