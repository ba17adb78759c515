// Package mongo tests mongostore on a server that speaks MongoDB's protocol: FerretDB,
// or the one that TEST_MONGODB_URI names.
package mongo

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/carevia/stripebooking/internal/integration/servers"
	"github.com/carevia/stripebooking/store/mongostore"
)

func TestMain(m *testing.M) {
	servers.Main(m)
}

// connect is a client until the test ends.
func connect(t testing.TB, uri string, more ...*options.ClientOptions) *mongo.Client {
	t.Helper()
	client, err := mongo.Connect(append([]*options.ClientOptions{options.Client().ApplyURI(uri)}, more...)...)
	require.NoError(t, err)
	t.Cleanup(func() { client.Disconnect(context.Background()) })
	return client
}

// newStore is a store over a database, migrated.
func newStore(t testing.TB, db *mongo.Database) *mongostore.Store {
	t.Helper()
	s, err := mongostore.New(mongostore.Config{Database: db})
	require.NoError(t, err)
	require.NoError(t, s.Migrate(context.Background()))
	return s
}
