package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/sample"
	"github.com/carevia/stripebooking/internal/integration/sqltest"
	"github.com/carevia/stripebooking/store/sqlstore"
)

func TestMigrateFromEveryVersion(t *testing.T) { sqltest.TestMigrateFromEveryVersion(t, prepared) }
func TestMigrateRefusesANewerSchema(t *testing.T) {
	sqltest.TestMigrateRefusesANewerSchema(t, prepared)
}
func TestMigratePrefixAndOwnTool(t *testing.T) { sqltest.TestMigratePrefixAndOwnTool(t, prepared) }
func TestMigrateFromManyAtOnce(t *testing.T)   { sqltest.TestMigrateFromManyAtOnce(t, prepared) }

// The connection breaks before and after each statement of a migration in turn:
// another Migrate, which need not wait for it, completes what is there.
func TestMigrateCutShort(t *testing.T) {
	ctx := context.Background()
	whole := tables(t, migratedDB(t))
	require.Len(t, whole, 8)
	for _, answered := range []bool{false, true} {
		for at := 1; ; at++ {
			require.Less(t, at, 50)
			dsn := interpolated.NewDSN(t) // the driver prepares nothing by itself
			n := 0
			s := prepared.Unmigrated(t, sqlstore.Config{DB: intercept(t, dsn, func(q string, _ []driver.NamedValue, run func() error) error {
				if q == "CONNECT" {
					return run()
				}
				if n++; n != at {
					return run()
				}
				if answered {
					require.NoError(t, run())
				}
				return driver.ErrBadConn // which has it closed
			})})
			err := s.Migrate(ctx)
			if n < at {
				require.NoError(t, err)
				require.Greater(t, at, 11, "lock, settings, eight tables, what is done")
				break
			}
			require.ErrorIs(t, err, driver.ErrBadConn)
			db := prepared.Open(t, dsn)
			s = prepared.Store(t, db, nil)
			assert.Equal(t, whole, tables(t, db), "statement %d", at)
			_, err = s.Apply(ctx, sample.Paid("a"))
			require.NoError(t, err)
		}
	}
}

func intercept(t *testing.T, dsn string, around sqltest.Around) *sql.DB {
	t.Helper()
	config, err := mysql.ParseDSN(dsn)
	require.NoError(t, err)
	connector, err := mysql.NewConnector(config)
	require.NoError(t, err)
	return sqltest.Intercept(t, connector, around)
}

func migratedDB(t *testing.T) *sql.DB {
	t.Helper()
	db := prepared.New(t)
	prepared.Store(t, db, nil)
	return db
}

// tables are the statements that would make the tables of a database.
func tables(t *testing.T, db *sql.DB) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, name := range sqltest.Column(t, db, "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()") {
		var create string
		require.NoError(t, db.QueryRow("SHOW CREATE TABLE "+name).Scan(&name, &create))
		found[name] = create
	}
	return found
}

// Every column of text compares byte by byte and does not pad, though the server's
// default does neither.
func TestEveryKeyIsBinary(t *testing.T) {
	db := migratedDB(t)
	collations := sqltest.Column(t, db, `SELECT c.collation_name FROM information_schema.columns c
		WHERE c.table_schema = DATABASE() AND c.collation_name IS NOT NULL AND c.table_name <> 'stripebooking_migrations'`)
	require.Greater(t, len(collations), 40)
	for _, c := range collations {
		assert.Contains(t, []string{"utf8mb4_nopad_bin", "utf8mb4_0900_bin"}, c)
	}
	engines := sqltest.Column(t, db, "SELECT t.engine FROM information_schema.tables t WHERE t.table_schema = DATABASE()")
	require.Len(t, engines, 8)
	for _, e := range engines {
		assert.Equal(t, "InnoDB", e)
	}
}
