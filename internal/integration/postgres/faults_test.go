package postgres

import (
	"database/sql"
	"testing"

	"github.com/carevia/stripebooking/internal/integration/faults"
	"github.com/carevia/stripebooking/internal/integration/servers"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/sqlstore"
)

// A connection that breaks, or a caller that stands still, at any round trip: of
// the one statement, and, with InTx, of the transactions.
func TestFaults(t *testing.T) {
	server := servers.Postgres(t)
	for _, w := range []way{pgx, {name: "lib pq", driver: "postgres"}} {
		for _, joined := range []bool{false, true} {
			name := w.name
			if joined {
				name += ", InTx"
			}
			if joined && w != pgx {
				continue // no other statements than pgx's
			}
			t.Run(name, func(t *testing.T) {
				database := server.NewDatabase(t)
				direct := w.open(t, server.DSN(database, server.Addr)+w.params)
				target := faults.Target{
					Direct: newStore(t, direct, nil),
					Blocked: func() (waits bool) {
						err := direct.QueryRow("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')").Scan(&waits)
						return err == nil && waits
					},
				}
				var hook inTx
				if joined {
					hook, target.Check = faults.Outbox(t, direct)
					target.Direct = newStore(t, direct, hook)
				}
				target.Open = func(t *testing.T, line *faults.Line) store.Store {
					return newStore(t, w.open(t, server.DSN(database, line.Proxy(t, server.Addr, nil))+w.params), hook)
				}
				faults.Run(t, target)
			})
		}
	}
}

func TestKilled(t *testing.T) {
	server := servers.Postgres(t)
	dsn := server.DSN(server.NewDatabase(t), server.Addr)
	faults.Kill(t, dsn, newStore(t, pgx.open(t, dsn), nil))
}

// openStore is that of the process which is killed.
func openStore(dsn string) (store.Store, error) {
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		return nil, err
	}
	return sqlstore.New(sqlstore.Config{DB: db, Dialect: sqlstore.Postgres})
}
