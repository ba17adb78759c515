package servers

import (
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// MongoDBServer is a server that speaks MongoDB's protocol.
type MongoDBServer struct {
	Addr   string // host:port
	Ferret bool   // it is FerretDB, which uses no index to read, and has no transactions and views
	url    url.URL
	client *mongo.Client
}

var mongoDB = sync.OnceValues(startMongoDB)

// MongoDB is the server of this test binary: the one that TEST_MONGODB_URI names
// (mongodb://user:password@host:port/, of a user who may make and drop databases; of a
// replica set its primary; without TLS), or FerretDB, which is built and started.
func MongoDB(t testing.TB) *MongoDBServer {
	t.Helper()
	s, err := mongoDB()
	return got(t, s, err)
}

// MongoDBExample is that of MongoDB, for examples.
func MongoDBExample() (*MongoDBServer, error) { return mongoDB() }

func startMongoDB() (*MongoDBServer, error) {
	if uri := os.Getenv("TEST_MONGODB_URI"); uri != "" {
		u, err := url.Parse(uri)
		if err != nil || u.Scheme != "mongodb" || u.Port() == "" {
			return nil, errors.New("TEST_MONGODB_URI is not like mongodb://user:password@host:port/")
		}
		s, err := newMongoDB(*u)
		if err != nil {
			return nil, err
		}
		return s, s.greet()
	}
	// A program of its own, without the race detector.
	ferret, err := build("internal/integration/servers/ferretdb")
	if err != nil {
		return nil, err
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	s, err := newMongoDB(url.URL{Scheme: "mongodb", Host: addr, Path: "/"})
	if err != nil {
		return nil, err
	}
	dir := filepath.Dir(ferret)
	return s, start(exec.Command(ferret, addr, dir), dir, syscall.SIGTERM, s.greet)
}

func newMongoDB(u url.URL) (*MongoDBServer, error) {
	s := &MongoDBServer{Addr: u.Host, url: u}
	var err error
	s.client, err = mongo.Connect(options.Client().ApplyURI(s.URI(s.Addr)))
	return s, err
}

// greet asks the server what it is.
func (s *MongoDBServer) greet() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var info bson.M
	err := s.client.Database("admin").RunCommand(ctx, bson.M{"buildInfo": 1}).Decode(&info)
	s.Ferret = info["ferretdbVersion"] != nil
	return err
}

// NewDatabase returns the name of a database that nobody has, which is dropped when
// the test has ended.
func (s *MongoDBServer) NewDatabase(t testing.TB) string {
	t.Helper()
	name := "test_" + strings.ToLower(rand.Text())
	t.Cleanup(func() {
		if err := s.client.Database(name).Drop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return name
}

// URI is the connection string for the server by an address: its Addr, or that of
// whatever stands before it. By this one the driver finds no other server.
func (s *MongoDBServer) URI(addr string) string {
	u := s.url
	u.Host = addr
	q := u.Query()
	q.Del("replicaSet")
	q.Set("directConnection", "true")
	q.Set("serverMonitoringMode", "poll") // an answer to each request, as proxies expect
	u.RawQuery = q.Encode()
	return u.String()
}
