package mysql

import (
	"context"
	"database/sql"
	"testing"

	"github.com/carevia/stripebooking/internal/integration/sqltest"
	"github.com/carevia/stripebooking/store"
)

// The contract holds whatever the driver is told to do with arguments, counts and
// times, whatever collation and isolation a connection has, and without the statement
// that only MariaDB knows.
func TestConformance(t *testing.T) {
	other := serializable
	other.Name += ", other settings"
	other.NewDSN = func(t testing.TB) string {
		return serializable.NewDSN(t) + "&parseTime=true&collation=utf8mb4_unicode_ci&columnsWithAlias=true" +
			"&sql_mode=%27TRADITIONAL,ANSI,NO_BACKSLASH_ESCAPES%27"
	}
	for _, w := range []sqltest.Way{prepared, foundRows, other} {
		t.Run(w.Name, func(t *testing.T) { sqltest.TestConformance(t, w, nil) })
	}
	t.Run("transactions, "+foundRows.Name, func(t *testing.T) {
		sqltest.TestConformance(t, foundRows, func(context.Context, *sql.Tx, store.Change) error { return nil })
	})
}
