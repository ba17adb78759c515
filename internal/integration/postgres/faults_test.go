package postgres

import (
	"fmt"
	"testing"

	"github.com/carevia/stripebooking/internal/integration/faults"
	"github.com/carevia/stripebooking/internal/integration/servers"
	"github.com/carevia/stripebooking/internal/integration/sqltest"
)

// A connection that breaks, or a caller that stands still, at any round trip: of
// the one statement, and, with InTx, of the transactions.
func TestFaults(t *testing.T) {
	server := servers.Postgres(t)
	for _, c := range []struct {
		sqltest.Way
		inTx bool
	}{{pgx, false}, {pgx, true}, {libpq, false}} {
		t.Run(fmt.Sprintf("%s, InTx %t", c.Name, c.inTx), func(t *testing.T) {
			faults.RunServer(t, c.Way, server, server.Addr, "", blocked, c.inTx)
		})
	}
}

func TestKilled(t *testing.T) {
	dsn := pgx.NewDSN(t)
	faults.Kill(t, pgx.Store(t, pgx.Open(t, dsn), nil), pgx.Driver, dsn)
}
