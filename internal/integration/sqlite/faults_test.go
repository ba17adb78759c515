package sqlite

import (
	"context"
	"database/sql"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/faults"
	"github.com/carevia/stripebooking/internal/integration/sqlitetest"
	"github.com/carevia/stripebooking/store"
)

// A connection that breaks, or a caller that stands still, at any statement.
func TestFaults(t *testing.T) {
	for _, joined := range []bool{false, true} {
		name := map[bool]string{false: "alone", true: "InTx"}[joined]
		t.Run(name, func(t *testing.T) {
			dsn := sqlitetest.DSN(sqlitetest.File(t))
			db := sqlitetest.OpenDB(t, dsn)
			var target faults.Target
			var hook func(context.Context, *sql.Tx, store.Change) error
			sqlitetest.Store(t, db, nil) // makes the tables
			if joined {
				hook, target.Check = faults.Outbox(t, db)
			}
			target.Direct = sqlitetest.Store(t, db, hook)
			target.Blocked = sqlitetest.Blocked(t, dsn)
			target.Open = func(t *testing.T, line *faults.Line) store.Store {
				return sqlitetest.Store(t, sqlitetest.Intercept(t, dsn, line.Statement), hook)
			}
			faults.Run(t, target)
		})
	}
}

// A process that is killed at work leaves the file sound as well.
func TestKilled(t *testing.T) {
	file := sqlitetest.File(t)
	db := sqlitetest.OpenDB(t, sqlitetest.DSN(file))
	faults.Kill(t, file, sqlitetest.Store(t, db, nil))
	var check string
	require.NoError(t, db.QueryRow("PRAGMA integrity_check").Scan(&check))
	assert.Equal(t, "ok", check)
}
