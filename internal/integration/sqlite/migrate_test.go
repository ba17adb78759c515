package sqlite

import (
	"context"
	"database/sql/driver"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/sqlitetest"
	"github.com/carevia/stripebooking/store/sqlstore"
)

func migrated(t *testing.T, file string) []string {
	t.Helper()
	rows, err := sqlitetest.OpenDB(t, sqlitetest.DSN(file)).Query("SELECT name FROM stripebooking_migrations ORDER BY version")
	require.NoError(t, err)
	defer rows.Close()
	var names []string
	for rows.Next() {
		var n string
		require.NoError(t, rows.Scan(&n))
		names = append(names, n)
	}
	require.NoError(t, rows.Err())
	return names
}

func wantMigrations(t *testing.T) []string {
	t.Helper()
	list, err := sqlstore.Migrations(sqlstore.SQLite, "")
	require.NoError(t, err)
	var names []string
	for _, m := range list {
		names = append(names, m.Name)
	}
	return names
}

func TestMigrateAgain(t *testing.T) {
	file := sqlitetest.File(t)
	s := sqlitetest.Store(t, sqlitetest.OpenDB(t, sqlitetest.DSN(file)), nil)
	_, err := s.Apply(context.Background(), paid("a"))
	require.NoError(t, err)
	require.NoError(t, s.Migrate(context.Background()))
	assert.Equal(t, wantMigrations(t), migrated(t, file))
	_, err = s.Booking(context.Background(), "bk_a")
	assert.NoError(t, err)
}

// Ten processes and ten pools of this one start on a file that does not exist.
func TestMigrateFromManyAtOnce(t *testing.T) {
	const n = 10
	file := sqlitetest.File(t)
	var start, wait []func() error
	for range n {
		cmd, in, out := process(t, "migrate", file)
		require.True(t, out.Scan(), "the process is ready")
		start, wait = append(start, in.Close), append(wait, cmd.Wait)
	}
	gun, errs := make(chan struct{}), make(chan error, n)
	for range n {
		s, err := sqlstore.New(sqlstore.Config{DB: sqlitetest.OpenDB(t, sqlitetest.DSN(file)), Dialect: sqlstore.SQLite})
		require.NoError(t, err)
		go func() {
			<-gun
			errs <- s.Migrate(context.Background())
		}()
	}
	close(gun)
	for _, start := range start {
		require.NoError(t, start())
	}
	for range n {
		assert.NoError(t, <-errs)
	}
	for _, wait := range wait {
		assert.NoError(t, wait())
	}
	assert.Equal(t, wantMigrations(t), migrated(t, file))
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

func TestMigrateRefusesANewerSchema(t *testing.T) {
	ctx := context.Background()
	db := sqlitetest.OpenDB(t, sqlitetest.DSN(sqlitetest.File(t)))
	s := sqlitetest.Store(t, db, nil)
	_, err := db.Exec("INSERT INTO stripebooking_migrations (version, name) VALUES (99, '0099_tomorrow')")
	require.NoError(t, err)
	assert.ErrorContains(t, s.Migrate(ctx), "the schema is at version 99")
}

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

// Two prefixes are two stores in one database, and the rendered files make the
// same schema in another tool's hands.
func TestMigratePrefixAndOwnTool(t *testing.T) {
	ctx := context.Background()
	db := sqlitetest.OpenDB(t, sqlitetest.DSN(sqlitetest.File(t)))
	one := sqlitetest.Store(t, db, nil)
	list, err := sqlstore.Migrations(sqlstore.SQLite, "other_")
	require.NoError(t, err)
	for _, m := range list {
		_, err := db.Exec(m.SQL)
		require.NoError(t, err)
	}
	two, err := sqlstore.New(sqlstore.Config{DB: db, Dialect: sqlstore.SQLite, TablePrefix: "other_"})
	require.NoError(t, err)
	for _, s := range []*sqlstore.Store{one, two} {
		res, err := s.Apply(ctx, paid("a"))
		require.NoError(t, err)
		assert.True(t, res.Applied)
	}
}
