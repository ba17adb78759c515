package faults

import (
	"context"
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/sqlstore"
)

// SQL is a sqlstore.Store on a database.
type SQL struct {
	// DB is the database, with the store's tables. Required.
	DB *sql.DB

	// Open opens it so that its commands pass line. Required.
	Open func(t *testing.T, line *Line) *sql.DB

	// Store makes a store. Required.
	Store func(t testing.TB, db *sql.DB, inTx func(context.Context, *sql.Tx, store.Change) error) *sqlstore.Store

	// Blocked reports whether a writer waits for another.
	Blocked func(db *sql.DB) bool

	// InTx makes the store write rows of the caller's as well, one for each Change.
	InTx bool
}

// RunSQL is Run for such a store.
func RunSQL(t *testing.T, s SQL) {
	var target Target
	var inTx func(context.Context, *sql.Tx, store.Change) error
	if s.InTx {
		inTx, target.Check = outbox(t, s.DB)
	}
	target.Direct = s.Store(t, s.DB, inTx)
	target.Blocked = func() bool { return s.Blocked(s.DB) }
	target.Open = func(t *testing.T, line *Line) store.Store { return s.Store(t, s.Open(t, line), inTx) }
	Run(t, target)
}

// outbox makes a table of the caller's in a database, and returns an InTx that adds
// a row to it for each Change and a Check that there is one for each, and no other.
func outbox(t *testing.T, db *sql.DB) (inTx func(context.Context, *sql.Tx, store.Change) error, check func(*testing.T)) {
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
