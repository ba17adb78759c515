package mongo

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/carevia/stripebooking/internal/integration/sample"
	"github.com/carevia/stripebooking/internal/integration/servers"
	"github.com/carevia/stripebooking/store"
)

// intercepted is a new database whose commands pass an interceptor.
func intercepted(t *testing.T) (*mongo.Database, *interceptor, *commands) {
	t.Helper()
	var i interceptor
	var c commands
	server := servers.MongoDB(t)
	return connect(t, server.URI(i.listen(t)), c.monitor()).Database(server.NewDatabase(t)), &i, &c
}

func inserts(name string) bool { return name == "insert" }

// The driver sends an insert again whose answer was lost, and is then told that it is
// there already. It was this call that made it.
func TestOwnInsertIsNoReplay(t *testing.T) {
	ctx := context.Background()
	db, line, _ := intercepted(t)
	s := newStore(t, db)
	seated := sample.Held("b", sample.Seats("mon", 3, 2), sample.Seats("tue", 2, 1)) // of two documents
	for name, c := range map[string]store.Change{"one document": sample.Paid("a"), "two documents": seated, "no booking": {Key: "k"}} {
		t.Run(name, func(t *testing.T) {
			line.set(nil, inserts)
			res, err := s.Apply(ctx, c)
			require.NoError(t, err)
			assert.True(t, res.Applied)
			line.set(nil, nil)
			again, err := s.Apply(ctx, c)
			require.NoError(t, err)
			assert.False(t, again.Applied)
			assert.Equal(t, again.Booking, res.Booking)
			assert.Equal(t, again.Payments, res.Payments)
			assert.Equal(t, again.Event, res.Event)
		})
	}
	line.set(nil, inserts)
	require.NoError(t, s.RecordFailure(ctx, *sample.Paid("c").Event, "timeout", false))
	require.NoError(t, s.RecordHandled(ctx, "evt_c", []string{"mail"}, false, sample.T0))
	line.set(nil, nil)
	e, err := s.Event(ctx, "evt_c")
	require.NoError(t, err)
	assert.Equal(t, 1, e.Attempts, "counted once")
	assert.Equal(t, []string{"mail"}, e.Handlers)
}

// A rival's document is in the way before a majority has it, so before reads show it.
// What it means is said only then.
func TestRivalThatCanNotBeSeenYet(t *testing.T) {
	ctx := context.Background()
	db, line, seen := intercepted(t)
	s := newStore(t, db)
	_, err := s.Apply(ctx, sample.Paid("a"))
	require.NoError(t, err)
	require.NoError(t, s.RecordFailure(ctx, *sample.Paid("f").Event, "timeout", false))

	hidden := 0
	hide := func(times int) {
		hidden = times
		line.set(func(name string, body bson.D) bson.D {
			if name == "find" && hidden > 0 {
				hidden--
				for i := range body {
					if body[i].Key == "filter" {
						body[i].Value = bson.M{"_id": "nothing"}
					}
				}
			}
			return body
		}, nil)
	}
	for name, c := range map[string]struct {
		change   store.Change
		conflict store.Conflict
	}{
		"the same":                       {sample.Paid("a"), ""},
		"another event for the booking":  {func() store.Change { c := sample.Paid("a"); c.Key = "evt_other"; return c }(), store.ConflictVersion},
		"another booking for the intent": {sample.WithIntent("b", "a"), store.ConflictIntent},
	} {
		t.Run(name, func(t *testing.T) {
			hide(5)
			_, names := seen.during(func() {
				res, err := s.Apply(ctx, c.change)
				assert.False(t, res.Applied)
				if assert.Equal(t, c.conflict, res.Conflict) && c.conflict != "" {
					assert.ErrorIs(t, err, store.ErrConflict)
				} else {
					assert.NoError(t, err)
				}
				require.NotNil(t, res.Booking)
				assert.Equal(t, "bk_a", res.Booking.ID)
			})
			assert.Zero(t, hidden)
			assert.Contains(t, names[2:], "insert", "it tried again")
		})
	}
	hide(3)
	require.NoError(t, s.RecordFailure(ctx, *sample.Paid("f").Event, "timeout", false))
	e, err := s.Event(ctx, "evt_f")
	require.NoError(t, err)
	assert.Equal(t, 2, e.Attempts)

	// If it never shows, the call ends, with an error that is worth a 503.
	hide(1 << 20)
	_, err = s.Apply(ctx, sample.Paid("a"))
	require.Error(t, err)
	assert.True(t, store.IsTransient(err))
	assert.NotErrorIs(t, err, store.ErrConflict)
	assert.NotContains(t, err.Error(), "_a")
}

// Of two plans with one key, which differ in all else, the later is a replay, also when
// the other comes in while it looks what is in its way.
func TestKeyGoesFirst(t *testing.T) {
	ctx := context.Background()
	db, line, _ := intercepted(t)
	s := newStore(t, db)
	server := servers.MongoDB(t)
	direct := newStore(t, connect(t, server.URI(server.Addr)).Database(db.Name()))
	_, err := s.Apply(ctx, sample.Held("full", sample.Seats("mon", 1, 1)))
	require.NoError(t, err)

	other := sample.Paid("other")
	mine := sample.WithIntent("mine", "other")
	mine.Key, mine.Event = other.Key, nil
	mine.Claim = []store.SeatClaim{sample.Seats("mon", 1, 1)} // in vain, so that it looks at all there is
	line.before(func(name string, body bson.D) bool {
		for _, e := range body {
			if filter, ok := e.Value.(bson.D); ok && e.Key == "filter" && filter[0].Value == "intent pi_other" {
				return true
			}
		}
		return false
	}, func() {
		_, err := direct.Apply(ctx, other)
		assert.NoError(t, err)
	})
	res, err := s.Apply(ctx, mine)
	require.NoError(t, err)
	assert.False(t, res.Applied)
	assert.Equal(t, "bk_other", res.Booking.ID)
}
