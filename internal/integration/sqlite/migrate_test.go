package sqlite

import (
	"context"
	"database/sql/driver"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/sqlitetest"
	"github.com/carevia/stripebooking/internal/integration/sqltest"
	"github.com/carevia/stripebooking/store/sqlstore"
)

func TestMigrateFromEveryVersion(t *testing.T) { sqltest.TestMigrateFromEveryVersion(t, recommended) }
func TestMigrateFromManyAtOnce(t *testing.T)   { sqltest.TestMigrateFromManyAtOnce(t, recommended) }
func TestMigrateRefusesANewerSchema(t *testing.T) {
	sqltest.TestMigrateRefusesANewerSchema(t, recommended)
}
func TestMigratePrefixAndOwnTool(t *testing.T) { sqltest.TestMigratePrefixAndOwnTool(t, recommended) }

// SQLite turns connections away that come while another one switches a new file
// to WAL. They come again.
func TestMigrateConnectsAgain(t *testing.T) {
	refuse := 2
	db := sqlitetest.Intercept(t, sqlitetest.DSN(sqlitetest.File(t)),
		func(q string, _ []driver.NamedValue, run func() error) error {
			if q == "CONNECT" && refuse > 0 {
				refuse--
				return busyError{}
			}
			return run()
		})
	s, err := sqlstore.New(sqlstore.Config{DB: db, Dialect: sqlstore.SQLite})
	require.NoError(t, err)
	require.NoError(t, s.Migrate(context.Background()))
	assert.Zero(t, refuse)
}

type busyError struct{}

func (busyError) Error() string { return "database is locked" }
func (busyError) Code() int     { return 5 }

// A migration that fails leaves nothing behind, and its connection is good for
// the next caller.
func TestMigrateAllOrNothing(t *testing.T) {
	ctx := context.Background()
	db := sqlitetest.OpenDB(t, sqlitetest.DSN(sqlitetest.File(t)))
	db.SetMaxOpenConns(1)
	_, err := db.Exec("CREATE TABLE stripebooking_events (id TEXT)") // in the way of a later statement
	require.NoError(t, err)
	s, err := sqlstore.New(sqlstore.Config{DB: db, Dialect: sqlstore.SQLite})
	require.NoError(t, err)
	require.ErrorContains(t, s.Migrate(ctx), "0001_records")
	var tables int
	require.NoError(t, db.QueryRow("SELECT COUNT(*) FROM sqlite_master WHERE type = 'table'").Scan(&tables))
	assert.Equal(t, 1, tables)
	_, err = db.Exec("DROP TABLE stripebooking_events")
	require.NoError(t, err)
	assert.NoError(t, s.Migrate(ctx))
}
