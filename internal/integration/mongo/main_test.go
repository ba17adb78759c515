// Package mongo tests mongostore on a server that speaks MongoDB's protocol: FerretDB,
// or the one that TEST_MONGODB_URI names.
package mongo

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/carevia/stripebooking/internal/integration/adaptertest"
	"github.com/carevia/stripebooking/internal/integration/faults"
	"github.com/carevia/stripebooking/internal/integration/servers"
	"github.com/carevia/stripebooking/store/mongostore"
)

func TestMain(m *testing.M) {
	faults.Child(open)
	adaptertest.Child(open)
	servers.Main(m)
}

// open is the store of another process, in a place: a URI and the database's name.
func open(place []string) (*mongostore.Store, error) {
	client, err := mongo.Connect(options.Client().ApplyURI(place[0]))
	if err != nil {
		return nil, err
	}
	return mongostore.New(mongostore.Config{Database: client.Database(place[1])})
}

// connect is a client until the test ends.
func connect(t testing.TB, uri string, more ...*options.ClientOptions) *mongo.Client {
	t.Helper()
	client, err := mongo.Connect(append([]*options.ClientOptions{options.Client().ApplyURI(uri)}, more...)...)
	require.NoError(t, err)
	t.Cleanup(func() { client.Disconnect(context.Background()) })
	return client
}

// newDatabase is an empty one, by a client of its own.
func newDatabase(t testing.TB, more ...*options.ClientOptions) *mongo.Database {
	t.Helper()
	server := servers.MongoDB(t)
	return connect(t, server.URI(server.Addr), more...).Database(server.NewDatabase(t))
}

// newStore is a store over a database, migrated.
func newStore(t testing.TB, db *mongo.Database) *mongostore.Store {
	t.Helper()
	s, err := mongostore.New(mongostore.Config{Database: db})
	require.NoError(t, err)
	require.NoError(t, s.Migrate(context.Background()))
	return s
}

// journal is the collection with all documents of a store.
func journal(db *mongo.Database) *mongo.Collection {
	return db.Collection(mongostore.DefaultPrefix + "journal")
}
