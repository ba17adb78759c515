package sqltest

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/adaptertest"
	"github.com/carevia/stripebooking/internal/integration/sample"
	"github.com/carevia/stripebooking/store/sqlstore"
)

func migrated(t *testing.T, db *sql.DB) []string {
	t.Helper()
	return Column(t, db, "SELECT name FROM stripebooking_migrations ORDER BY version")
}

func (w Way) steps(t *testing.T, prefix string) (list []sqlstore.Migration, names []string) {
	t.Helper()
	list, err := sqlstore.Migrations(w.Dialect, prefix)
	require.NoError(t, err)
	for _, m := range list {
		names = append(names, m.Name)
	}
	return list, names
}

// run is a tool that runs scripts.
func run(t *testing.T, db *sql.DB, script string) {
	t.Helper()
	for _, statement := range strings.SplitAfter(script, ";\n") {
		if strings.TrimSpace(statement) != "" {
			_, err := db.Exec(statement)
			require.NoError(t, err)
		}
	}
}

// TestMigrateFromEveryVersion: from an empty database and from every earlier version,
// twice each.
func TestMigrateFromEveryVersion(t *testing.T, w Way) {
	ctx := context.Background()
	list, names := w.steps(t, "")
	for from := range len(list) + 1 {
		db := w.New(t)
		if from > 0 {
			run(t, db, "CREATE TABLE stripebooking_migrations (version INTEGER NOT NULL PRIMARY KEY, name VARCHAR(255) NOT NULL)")
		}
		for _, m := range list[:from] {
			run(t, db, m.SQL)
			run(t, db, fmt.Sprintf("INSERT INTO stripebooking_migrations VALUES (%d, '%s')", m.Version, m.Name))
		}
		for range 2 {
			s := w.Store(t, db, nil)
			_, err := s.Apply(ctx, sample.Paid("a"))
			require.NoError(t, err)
		}
		assert.Equal(t, names, migrated(t, db), "from version %d", from)
		assert.Equal(t, 1, Whole(t, db))
	}
}

// TestMigrateFromManyAtOnce: all start on an empty database.
func TestMigrateFromManyAtOnce(t *testing.T, w Way) {
	dsn := w.NewDSN(t)
	adaptertest.MigrateAtOnce(t, func() *sqlstore.Store {
		return w.Unmigrated(t, sqlstore.Config{DB: w.Open(t, dsn)})
	}, w.Driver, dsn)
	_, names := w.steps(t, "")
	assert.Equal(t, names, migrated(t, w.Open(t, dsn)))
}

// TestMigrateAllOrNothing: a migration that fails leaves nothing behind, and its
// connection is good for the next caller. tables is a query for the names of tables.
func TestMigrateAllOrNothing(t *testing.T, w Way, tables string) {
	ctx := context.Background()
	db := w.New(t)
	db.SetMaxOpenConns(1)
	_, err := db.Exec("CREATE TABLE stripebooking_events (id TEXT)") // in the way of a later statement
	require.NoError(t, err)
	s := w.Unmigrated(t, sqlstore.Config{DB: db})
	require.ErrorContains(t, s.Migrate(ctx), "0001_records")
	assert.Equal(t, []string{"stripebooking_events"}, Column(t, db, tables))
	_, err = db.Exec("DROP TABLE stripebooking_events")
	require.NoError(t, err)
	assert.NoError(t, s.Migrate(ctx))
}

// TestMigrateRefusesANewerSchema: this program is too old for it.
func TestMigrateRefusesANewerSchema(t *testing.T, w Way) {
	db := w.New(t)
	s := w.Store(t, db, nil)
	_, err := db.Exec("INSERT INTO stripebooking_migrations (version, name) VALUES (99, '0099_tomorrow')")
	require.NoError(t, err)
	assert.ErrorContains(t, s.Migrate(context.Background()), "the schema is at version 99")
}

// TestMigratePrefixAndOwnTool: two prefixes are two stores in one database, and the
// rendered files make the same schema in another tool's hands.
func TestMigratePrefixAndOwnTool(t *testing.T, w Way) {
	ctx := context.Background()
	db := w.New(t)
	one := w.Store(t, db, nil)
	list, _ := w.steps(t, "other_")
	for _, m := range list {
		run(t, db, m.SQL)
	}
	two := w.Unmigrated(t, sqlstore.Config{DB: db, TablePrefix: "other_"})
	for _, s := range []*sqlstore.Store{one, two} {
		res, err := s.Apply(ctx, sample.Paid("a"))
		require.NoError(t, err)
		assert.True(t, res.Applied)
	}
}
