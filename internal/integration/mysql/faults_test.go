package mysql

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
	}{{interpolated, false}, {interpolated, true}, {prepared, false}} {
		t.Run(fmt.Sprintf("%s, InTx %t", c.Name, c.inTx), func(t *testing.T) {
			server := servers.MariaDB(t)
			name := server.NewDatabase(t)
			params := map[string]string{interpolated.Name: "&interpolateParams=true"}[c.Name]
			db := c.Open(t, server.DSN(name, server.Addr)+params)
			c.Store(t, db, nil) // makes the tables
			faults.RunSQL(t, faults.SQL{
				DB: db, Store: c.Store, Blocked: blocked, InTx: c.inTx,
				Open: func(t *testing.T, line *faults.Line) *sql.DB {
					return c.Open(t, server.DSN(name, line.Proxy(t, server.Addr, nil))+params)
				},
			})
		})
	}
}

// blocked reports whether anybody on the server waits for a lock. The views that tell
// who are looked up no more than ten times a second, by the server.
func blocked(db *sql.DB) bool {
	var name string
	var waits int
	err := db.QueryRow("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'").Scan(&name, &waits)
	return err == nil && waits > 0
}

func TestKilled(t *testing.T) {
	dsn := prepared.NewDSN(t)
	faults.Kill(t, dsn, prepared.Store(t, prepared.Open(t, dsn), nil))
}

// openStore is that of the process which is killed.
func openStore(dsn string) (store.Store, error) {
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		return nil, err
	}
	return sqlstore.New(sqlstore.Config{DB: db, Dialect: sqlstore.MySQL})
}
