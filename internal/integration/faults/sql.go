package faults

import (
	"context"
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/sqltest"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/sqlstore"
)

// RunSQL is Run for a sqlstore.Store on db, which has its tables. open opens the database
// so that its commands pass line, and blocked reports whether a writer waits for
// another. With inTx the store writes rows of the caller's as well, one for each Change.
func RunSQL(t *testing.T, w sqltest.Way, db *sql.DB, open func(t *testing.T, line *Line) *sql.DB, blocked func(*sql.DB) bool, inTx bool) {
	var target Target
	var hook sqltest.InTx
	if inTx {
		hook, target.Check = outbox(t, db)
	}
	target.Direct = w.Store(t, db, hook)
	target.Blocked = func() bool { return blocked(db) }
	target.Open = func(t *testing.T, line *Line) store.Store { return w.Store(t, open(t, line), hook) }
	Run(t, target)
}

// Server makes databases, and names them for whoever reaches it at addr.
type Server interface {
	NewDatabase(t testing.TB) string
	DSN(database, addr string) string
}

// RunServer is RunSQL for a server at addr. params are added to data source names.
func RunServer(t *testing.T, w sqltest.Way, server Server, addr, params string, blocked func(*sql.DB) bool, inTx bool) {
	name := server.NewDatabase(t)
	db := w.Open(t, server.DSN(name, addr)+params)
	w.Store(t, db, nil) // makes the tables
	RunSQL(t, w, db, func(t *testing.T, line *Line) *sql.DB {
		return w.Open(t, server.DSN(name, line.Proxy(t, addr, nil))+params)
	}, blocked, inTx)
}

// outbox makes a table of the caller's in a database, and returns an InTx that adds
// a row to it for each Change and a Check that there is one for each, and no other.
func outbox(t *testing.T, db *sql.DB) (inTx sqltest.InTx, check func(*testing.T)) {
	t.Helper()
	_, err := db.Exec("CREATE TABLE outbox (change_key VARCHAR(255) PRIMARY KEY)")
	require.NoError(t, err)
	inTx = func(ctx context.Context, tx *sql.Tx, c store.Change) error {
		// The harness's keys need no quoting, and databases differ in placeholders.
		_, err := tx.ExecContext(ctx, "INSERT INTO outbox (change_key) VALUES ('"+c.Key+"')")
		return err
	}
	check = func(t *testing.T) {
		t.Helper()
		const changes = sqlstore.DefaultPrefix + "changes"
		var rows, keys, both int
		err := db.QueryRow("SELECT (SELECT COUNT(*) FROM outbox), (SELECT COUNT(*) FROM "+changes+"), "+
			"(SELECT COUNT(*) FROM outbox o JOIN "+changes+" c ON c.change_key = o.change_key)").Scan(&rows, &keys, &both)
		require.NoError(t, err)
		require.Equal(t, []int{keys, keys}, []int{rows, both}, "rows of the caller's, one for each Change")
	}
	return inTx, check
}
