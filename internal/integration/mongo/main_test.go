// Package mongo tests mongostore on a server that speaks MongoDB's protocol: FerretDB,
// or the one that TEST_MONGODB_URI names.
package mongo

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/carevia/stripebooking/internal/integration/faults"
	"github.com/carevia/stripebooking/internal/integration/servers"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/mongostore"
)

// The test binary runs itself where a test needs a process of its own: the
// variable names the part that the new process plays.
const roleVar = "STRIPEBOOKING_TEST_ROLE"

func TestMain(m *testing.M) {
	faults.Child(func(place string) (store.Store, error) { return open(place) })
	if os.Getenv(roleVar) == "migrate" {
		if err := migrate(os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	servers.Main(m)
}

// migrate does so when the parent closes the input, so that all start at once.
func migrate(place string) error {
	s, err := open(place)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return s.Migrate(context.Background())
}

// open is the store of another process, in a place: a URI and the database's name.
func open(place string) (*mongostore.Store, error) {
	uri, database, _ := strings.Cut(place, " ")
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		return nil, err
	}
	return mongostore.New(mongostore.Config{Database: client.Database(database)})
}

// process starts the test binary in a role. Its output comes line by line.
func process(t *testing.T, role string, args ...string) (*exec.Cmd, io.WriteCloser, *bufio.Scanner) {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), roleVar+"="+role)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill() })
	return cmd, in, bufio.NewScanner(out)
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
