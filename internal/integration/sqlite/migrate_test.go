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
func TestMigrateAllOrNothing(t *testing.T) {
	sqltest.TestMigrateAllOrNothing(t, recommended, "SELECT name FROM sqlite_master WHERE type = 'table'")
}

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
