// Package sqlite tests sqlstore on SQLite.
package sqlite

import (
	"os"
	"testing"

	"github.com/carevia/stripebooking/internal/integration/adaptertest"
	"github.com/carevia/stripebooking/internal/integration/faults"
	"github.com/carevia/stripebooking/internal/integration/sqlitetest"
	"github.com/carevia/stripebooking/internal/integration/sqltest"
	"github.com/carevia/stripebooking/store/sqlstore"
)

func TestMain(m *testing.M) {
	open := sqltest.Opener(sqlstore.SQLite)
	faults.Child(open)
	adaptertest.Child(open)
	os.Exit(m.Run())
}

var (
	recommended = sqlitetest.Way
	// unlocked begins transactions without a lock.
	unlocked = sqltest.Way{Name: "deferred", Dialect: sqlstore.SQLite, Driver: "sqlite", NewDSN: func(t testing.TB) string {
		return deferred(recommended.NewDSN(t))
	}}
)
