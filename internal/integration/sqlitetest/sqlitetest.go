// Package sqlitetest opens SQLite databases in temporary folders, with the
// settings that sqlstore asks for, for the tests of this module.
package sqlitetest

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"modernc.org/sqlite" // the driver "sqlite"

	"github.com/carevia/stripebooking/internal/integration/sqltest"
	"github.com/carevia/stripebooking/store/sqlstore"
)

// DSN is the data source name of a database in a file, as sqlstore's
// documentation recommends it.
func DSN(file string) string {
	return "file:" + file + "?_busy_timeout=5000&_journal_mode=WAL&_synchronous=FULL&_txlock=immediate"
}

// File is a path for a new database, in a folder that goes away with the test.
func File(t testing.TB) string {
	return filepath.Join(t.TempDir(), "bookings.db")
}

// Way is the recommended one.
var Way = sqltest.Way{Name: "immediate", Dialect: sqlstore.SQLite, Driver: "sqlite", NewDSN: func(t testing.TB) string {
	return DSN(File(t))
}}

// OpenDB opens a database until the test ends.
func OpenDB(t testing.TB, dsn string) *sql.DB { return Way.Open(t, dsn) }

// Intercept opens a database whose statements all go through around.
func Intercept(t testing.TB, dsn string, around sqltest.Around) *sql.DB {
	t.Helper()
	c, err := sqlite.NewConnector(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return sqltest.Intercept(t, c, around)
}

// Store is a migrated store over db.
func Store(t testing.TB, db *sql.DB, inTx sqltest.InTx) *sqlstore.Store {
	return Way.Store(t, db, inTx)
}

// New is a store over a new database.
func New(t testing.TB) *sqlstore.Store { return Store(t, Way.New(t), nil) }

// Blocked returns what reports whether somebody writes: all others wait then.
func Blocked(t testing.TB, dsn string) func() bool {
	db := OpenDB(t, strings.Replace(dsn, "_busy_timeout=5000", "_busy_timeout=0", 1))
	return func() bool {
		tx, err := db.Begin() // immediate
		if err != nil {
			return true
		}
		tx.Rollback()
		return false
	}
}
