// Package sqltest is what the tests of sqlstore have in common on all databases: ways
// to look at connections and tables, and the tests that are the same for each dialect.
package sqltest

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/sample"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/sqlstore"
)

// Way is one way to one kind of database: a driver with its settings.
type Way struct {
	Name    string
	Dialect *sqlstore.Dialect
	Driver  string

	// NewDSN is the data source name of a new, empty database.
	NewDSN func(t testing.TB) string
}

// Open opens a database until the test ends.
func (w Way) Open(t testing.TB, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open(w.Driver, dsn)
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(40)
	db.SetMaxIdleConns(40)
	return db
}

// New opens a new database.
func (w Way) New(t testing.TB) *sql.DB {
	t.Helper()
	return w.Open(t, w.NewDSN(t))
}

// bind gives a statement with "?" the placeholders of the database.
func (w Way) bind(statement string) string {
	if w.Dialect != sqlstore.Postgres {
		return statement
	}
	for n := 1; strings.Contains(statement, "?"); n++ {
		statement = strings.Replace(statement, "?", "$"+strconv.Itoa(n), 1)
	}
	return statement
}

// InTx is what a Config's InTx is.
type InTx = func(context.Context, *sql.Tx, store.Change) error

// Store is a store over db, migrated.
func (w Way) Store(t testing.TB, db *sql.DB, hook InTx) *sqlstore.Store {
	t.Helper()
	return w.StoreOf(t, sqlstore.Config{DB: db, InTx: hook})
}

// StoreOf is a migrated store with settings of its own.
func (w Way) StoreOf(t testing.TB, cfg sqlstore.Config) *sqlstore.Store {
	t.Helper()
	s := w.Unmigrated(t, cfg)
	require.NoError(t, s.Migrate(context.Background()))
	return s
}

// Unmigrated is a store whose tables may be missing.
func (w Way) Unmigrated(t testing.TB, cfg sqlstore.Config) *sqlstore.Store {
	t.Helper()
	cfg.Dialect = w.Dialect
	s, err := sqlstore.New(cfg)
	require.NoError(t, err)
	return s
}

// Opener is what opens a store on a database in a place: a driver and the data source
// name.
func Opener(d *sqlstore.Dialect) func(place []string) (*sqlstore.Store, error) {
	return func(place []string) (*sqlstore.Store, error) {
		db, err := sql.Open(place[0], place[1])
		if err != nil {
			return nil, err
		}
		return sqlstore.New(sqlstore.Config{DB: db, Dialect: d})
	}
}

// Refused fails unless whatever db's store is asked to write is refused, since its
// settings are wrong.
func (w Way) Refused(t *testing.T, db *sql.DB, want string) {
	t.Helper()
	ctx := context.Background()
	s := w.Unmigrated(t, sqlstore.Config{DB: db})
	require.ErrorContains(t, s.Migrate(ctx), want)
	_, err := s.Apply(ctx, sample.Paid("a"))
	require.ErrorContains(t, err, want, "also without Migrate")
	tx, err := db.Begin()
	require.NoError(t, err)
	_, err = s.With(tx).Apply(ctx, sample.Paid("a"))
	require.ErrorContains(t, err, want, "also joined")
	require.NoError(t, tx.Rollback())
}
