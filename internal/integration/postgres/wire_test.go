package postgres

import (
	"context"
	"database/sql"
	"net"
	"sync/atomic"
	"testing"
	"time"

	pgxdriver "github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/lib/pq"
	"github.com/stretchr/testify/require"
)

// trips counts the round trips of a database's connections: how often an answer
// came after something was said.
type trips struct{ n atomic.Int64 }

func (c *trips) during(do func()) int64 {
	before := c.n.Load()
	do()
	return c.n.Load() - before
}

func (c *trips) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	return &countedConn{Conn: conn, trips: c}, err
}

// DialContext, Dial and DialTimeout are for lib/pq.
func (c *trips) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return c.dial(ctx, network, addr)
}

func (c *trips) Dial(network, addr string) (net.Conn, error) {
	return c.dial(context.Background(), network, addr)
}

func (c *trips) DialTimeout(network, addr string, _ time.Duration) (net.Conn, error) {
	return c.dial(context.Background(), network, addr)
}

type countedConn struct {
	net.Conn
	trips *trips
	said  atomic.Bool
}

func (c *countedConn) Write(b []byte) (int, error) {
	c.said.Store(true)
	return c.Conn.Write(b)
}

func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && c.said.Swap(false) {
		c.trips.n.Add(1)
	}
	return n, err
}

// openCounted opens a database on one connection whose round trips are counted.
func (w way) openCounted(t testing.TB, dsn string) (*sql.DB, *trips) {
	t.Helper()
	c := new(trips)
	var db *sql.DB
	if w.driver == "pgx" {
		cfg, err := pgxdriver.ParseConfig(dsn)
		require.NoError(t, err)
		cfg.DialFunc = c.dial
		db = stdlib.OpenDB(*cfg)
	} else {
		connector, err := pq.NewConnector(dsn)
		require.NoError(t, err)
		connector.Dialer(c)
		db = sql.OpenDB(connector)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	return db, c
}
