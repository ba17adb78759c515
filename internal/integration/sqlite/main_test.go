// Package sqlite tests sqlstore on SQLite.
package sqlite

import (
	"database/sql"
	"os"
	"testing"

	"github.com/carevia/stripebooking/internal/integration/faults"
	"github.com/carevia/stripebooking/internal/integration/sqlitetest"
	"github.com/carevia/stripebooking/internal/integration/sqltest"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/sqlstore"
)

func TestMain(m *testing.M) {
	faults.Child(func(file string) (store.Store, error) {
		db, err := sql.Open("sqlite", sqlitetest.DSN(file))
		if err != nil {
			return nil, err
		}
		return sqlstore.New(sqlstore.Config{DB: db, Dialect: sqlstore.SQLite})
	})
	sqltest.Child(sqlstore.SQLite)
	os.Exit(m.Run())
}

var (
	recommended = sqltest.Way{Name: "immediate", Dialect: sqlstore.SQLite, Driver: "sqlite", NewDSN: func(t testing.TB) string {
		return sqlitetest.DSN(sqlitetest.File(t))
	}}
	// unlocked begins transactions without a lock.
	unlocked = sqltest.Way{Name: "deferred", Dialect: sqlstore.SQLite, Driver: "sqlite", NewDSN: func(t testing.TB) string {
		return deferred(sqlitetest.DSN(sqlitetest.File(t)))
	}}
)
