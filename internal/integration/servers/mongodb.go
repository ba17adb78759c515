package servers

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// MongoDBServer is a server that speaks MongoDB's protocol.
type MongoDBServer struct {
	Addr string // host:port, of the one that tests with a proxy go to
	// Ferret says that it is FerretDB, which knows little of indexes, and nothing of
	// transactions, views and concerns.
	Ferret bool
	url    url.URL
	client *mongo.Client
}

var mongoDB = sync.OnceValues(startMongoDB)

// MongoDB is the server of this test binary: the one that TEST_MONGODB_URI names
// (mongodb://user:password@host:port/, of a user who may make and drop databases), or
// FerretDB, which is built and started.
func MongoDB(t testing.TB) *MongoDBServer {
	t.Helper()
	s, err := mongoDB()
	return got(t, s, err)
}

func startMongoDB() (*MongoDBServer, error) {
	if uri := os.Getenv("TEST_MONGODB_URI"); uri != "" {
		u, err := url.Parse(uri)
		if err != nil || u.Host == "" || u.Scheme != "mongodb" {
			return nil, errors.New("TEST_MONGODB_URI is not like mongodb://user:password@host:port/")
		}
		return newMongoDB(*u)
	}
	goTool, err := program("go")
	if err != nil {
		return nil, err
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "stripebooking-ferretdb-")
	if err != nil {
		return nil, err
	}
	_, file, _, _ := runtime.Caller(0)
	build := exec.Command(goTool, "build", "-o", dir, ".")
	build.Dir = filepath.Join(filepath.Dir(file), "ferretdb")
	if out, err := build.CombinedOutput(); err != nil {
		os.RemoveAll(dir)
		return nil, fmt.Errorf("building FerretDB: %w: %s", err, out)
	}
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		return nil, err
	}
	s, err := newMongoDB(url.URL{Scheme: "mongodb", Host: addr, Path: "/"})
	if err != nil {
		return nil, err
	}
	s.Ferret = true
	return s, start(exec.Command(filepath.Join(dir, "ferretdb"), addr, data), dir, syscall.SIGTERM, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		return s.client.Ping(ctx, nil)
	})
}

func newMongoDB(u url.URL) (*MongoDBServer, error) {
	client, err := mongo.Connect(options.Client().ApplyURI(u.String()))
	host, _, _ := strings.Cut(u.Host, ",")
	return &MongoDBServer{Addr: host, url: u, client: client}, err
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
// whatever stands before it, by which the driver then finds no other server.
func (s *MongoDBServer) URI(addr string) string {
	u := s.url
	u.Host = addr
	q := u.Query()
	q.Set("directConnection", "true")
	q.Del("replicaSet")
	u.RawQuery = q.Encode()
	return u.String()
}
