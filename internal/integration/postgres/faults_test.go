package postgres

import (
	"database/sql"
	"fmt"
	"testing"

	"github.com/carevia/stripebooking/internal/integration/faults"
	"github.com/carevia/stripebooking/internal/integration/servers"
	"github.com/carevia/stripebooking/internal/integration/sqltest"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/sqlstore"
)

// A connection that breaks, or a caller that stands still, at any round trip: of
// the one statement, and, with InTx, of the transactions.
func TestFaults(t *testing.T) {
	for _, c := range []struct {
		sqltest.Way
		inTx bool
	}{{pgx, false}, {pgx, true}, {libpq, false}} {
		t.Run(fmt.Sprintf("%s, InTx %t", c.Name, c.inTx), func(t *testing.T) {
			server := servers.Postgres(t)
			name := server.NewDatabase(t)
			db := c.Open(t, server.DSN(name, server.Addr))
			c.Store(t, db, nil) // makes the tables
			faults.RunSQL(t, faults.SQL{
				DB: db, Store: c.Store, Blocked: blocked, InTx: c.inTx,
				Open: func(t *testing.T, line *faults.Line) *sql.DB {
					return c.Open(t, server.DSN(name, line.Proxy(t, server.Addr, nil)))
				},
			})
		})
	}
}

func TestKilled(t *testing.T) {
	server := servers.Postgres(t)
	dsn := server.DSN(server.NewDatabase(t), server.Addr)
	faults.Kill(t, dsn, pgx.Store(t, pgx.Open(t, dsn), nil))
}

// openStore is that of the process which is killed.
func openStore(dsn string) (store.Store, error) {
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		return nil, err
	}
	return sqlstore.New(sqlstore.Config{DB: db, Dialect: sqlstore.Postgres})
}
