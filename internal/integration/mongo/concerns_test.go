package mongo

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/carevia/stripebooking/internal/integration/sample"
	"github.com/carevia/stripebooking/internal/integration/servers"
	"github.com/carevia/stripebooking/store"
)

// Every write is to be on a majority of servers, and every read is of what is, from
// the primary, whatever the client's settings are.
func TestConcerns(t *testing.T) {
	ctx := context.Background()
	i := &interceptor{inReplicaSet: true}
	var sent commands
	careless := options.Client().
		SetWriteConcern(&writeconcern.WriteConcern{W: 1}).
		SetReadConcern(readconcern.Local()).
		SetReadPreference(readpref.SecondaryPreferred()).
		SetBSONOptions(&options.BSONOptions{UseLocalTimeZone: true, NilSliceAsEmpty: true, UseJSONStructTags: true})
	server := servers.MongoDB(t)
	client := connect(t, server.URI(i.listen(t)), sent.monitor(), careless)
	s := newStore(t, client.Database(server.NewDatabase(t)))
	want := sample.Paid("a")
	want.Event.State = store.EventApplied
	seen, _ := sent.during(func() {
		_, err := s.Apply(ctx, want)
		require.NoError(t, err)
		_, err = s.Apply(ctx, want)
		require.NoError(t, err)
		require.NoError(t, s.RecordHandled(ctx, "evt_a", []string{"mail"}, true, sample.T0))
		b, err := s.Booking(ctx, "bk_a")
		require.NoError(t, err)
		assert.Equal(t, want.Next(), b)
		_, _, err = s.Events(ctx, store.EventFilter{}, store.Page{})
		require.NoError(t, err)
	})
	counted := map[string]int{}
	for _, e := range seen {
		counted[e.CommandName]++
		switch e.CommandName {
		case "insert", "update":
			assert.Equal(t, "majority", e.Command.Lookup("writeConcern", "w").StringValue())
			assert.True(t, e.Command.Lookup("writeConcern", "j").Boolean())
			assert.True(t, e.Command.Lookup("ordered").Boolean())
			assert.NotZero(t, e.Command.Lookup("txnNumber").Int64(), "it can be sent again")
		case "find":
			assert.Equal(t, "majority", e.Command.Lookup("readConcern", "level").StringValue())
			// What the driver makes of "primary" when it is told which server to ask.
			assert.Equal(t, "primaryPreferred", e.Command.Lookup("$readPreference", "mode").StringValue())
		}
	}
	assert.Equal(t, map[string]int{"listIndexes": 1, "insert": 3, "find": 5, "update": 1}, counted)
}
