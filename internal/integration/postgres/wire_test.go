package postgres

import (
	"context"
	"database/sql"
	"net"
	"testing"
	"time"

	pgxdriver "github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/lib/pq"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/sqltest"
)

// dialer is sqltest.Trips for lib/pq.
type dialer struct{ *sqltest.Trips }

func (d dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return d.Trips.Dial(ctx, network, addr)
}

func (d dialer) Dial(network, addr string) (net.Conn, error) {
	return d.Trips.Dial(context.Background(), network, addr)
}

func (d dialer) DialTimeout(network, addr string, _ time.Duration) (net.Conn, error) {
	return d.Trips.Dial(context.Background(), network, addr)
}

// openCounted opens a database on one connection whose round trips are counted.
func openCounted(t testing.TB, w sqltest.Way, dsn string) (*sql.DB, *sqltest.Trips) {
	t.Helper()
	c := new(sqltest.Trips)
	var db *sql.DB
	if w.Driver == "pgx" {
		cfg, err := pgxdriver.ParseConfig(dsn)
		require.NoError(t, err)
		cfg.DialFunc = c.Dial
		db = stdlib.OpenDB(*cfg)
	} else {
		connector, err := pq.NewConnector(dsn)
		require.NoError(t, err)
		connector.Dialer(dialer{c})
		db = sql.OpenDB(connector)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	return db, c
}
