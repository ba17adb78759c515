package mysql

import (
	"database/sql"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/sqltest"
)

// openCounted opens a database on one connection whose round trips are counted.
func openCounted(t testing.TB, dsn string) (*sql.DB, *sqltest.Trips) {
	t.Helper()
	trips := new(sqltest.Trips)
	config, err := mysql.ParseDSN(dsn)
	require.NoError(t, err)
	config.DialFunc = trips.Dial
	connector, err := mysql.NewConnector(config)
	require.NoError(t, err)
	db := sql.OpenDB(connector)
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	return db, trips
}
