package mongo

import (
	"testing"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/carevia/stripebooking/internal/integration/servers"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/mongostore"
	"github.com/carevia/stripebooking/storetest"
)

// named remembers where its records are, for those who open it again.
type named struct {
	*mongostore.Store
	database string
}

// The contract holds. Each case has a database of its own: FerretDB reads all of a
// collection where a real MongoDB has an index. Cases about joining are added where
// the server has transactions, which FerretDB has not.
func TestConformance(t *testing.T) {
	server := servers.MongoDB(t)
	uri := server.URI(server.Addr)
	client, again := connect(t, uri), connect(t, uri)
	open := func(t testing.TB, client *mongo.Client, database string) store.Store {
		return named{newStore(t, client.Database(database)), database}
	}
	h := storetest.Harness{
		Open:   func(t testing.TB) store.Store { return open(t, client, server.NewDatabase(t)) },
		Reopen: func(t testing.TB, s store.Store) store.Store { return open(t, again, s.(named).database) },
	}
	if hasTransactions(t, client) {
		h.Join = func(t testing.TB, s store.Store) (store.Store, func() error, func() error) {
			return join(t, client, s)
		}
	}
	storetest.Run(t, h)
}
