package mysql

import (
	"database/sql"
	"fmt"
	"testing"

	"github.com/carevia/stripebooking/internal/integration/faults"
	"github.com/carevia/stripebooking/internal/integration/servers"
)

// A connection that breaks, or a caller that stands still, at any round trip: of
// the one statement, and, with InTx, of the transactions.
func TestFaults(t *testing.T) {
	server := servers.MariaDB(t)
	for _, c := range []struct {
		params string
		inTx   bool
	}{{"&interpolateParams=true", false}, {"&interpolateParams=true", true}, {"", false}} {
		t.Run(fmt.Sprintf("InTx %t%s", c.inTx, c.params), func(t *testing.T) {
			faults.RunServer(t, prepared, server, server.Addr, c.params, blocked, c.inTx)
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
	faults.Kill(t, prepared.Store(t, prepared.Open(t, dsn), nil), prepared.Driver, dsn)
}
