// Package postgres tests sqlstore on PostgreSQL.
package postgres

import (
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "github.com/lib/pq"              // the driver "postgres"

	"github.com/carevia/stripebooking/internal/integration/adaptertest"
	"github.com/carevia/stripebooking/internal/integration/faults"
	"github.com/carevia/stripebooking/internal/integration/servers"
	"github.com/carevia/stripebooking/internal/integration/sqltest"
	"github.com/carevia/stripebooking/store/sqlstore"
)

func TestMain(m *testing.M) {
	open := sqltest.Opener(sqlstore.Postgres)
	faults.Child(open)
	adaptertest.Child(open)
	servers.Main(m)
}

// direct is a way to the server: the driver, and what is added to the data source
// name.
func direct(name, driver, params string) sqltest.Way {
	return sqltest.Way{Name: name, Dialect: sqlstore.Postgres, Driver: driver, NewDSN: func(t testing.TB) string {
		server := servers.Postgres(t)
		return server.DSN(server.NewDatabase(t), server.Addr) + params
	}}
}

// bounced is a way with PgBouncer before the server.
func bounced(name, driver, params string) sqltest.Way {
	return sqltest.Way{Name: "PgBouncer, " + name, Dialect: sqlstore.Postgres, Driver: driver, NewDSN: func(t testing.TB) string {
		server := servers.Postgres(t)
		return server.DSN(server.NewDatabase(t), servers.PgBouncer(t).Addr) + params
	}}
}

var (
	pgx          = direct("pgx", "pgx", "")
	libpq        = direct("lib pq", "postgres", "")
	serializable = direct("serializable", "pgx", "&default_transaction_isolation=serializable")
	ways         = []sqltest.Way{
		pgx,
		direct("pgx, exec", "pgx", "&default_query_exec_mode=exec"),
		direct("pgx, simple protocol", "pgx", "&default_query_exec_mode=simple_protocol"),
		libpq,
		serializable,
		bounced("pgx, exec", "pgx", "&default_query_exec_mode=exec"),
		bounced("lib pq, binary parameters", "postgres", "&binary_parameters=yes"),
	}
)
