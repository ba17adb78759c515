package sqlite

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/faults"
	"github.com/carevia/stripebooking/internal/integration/sqlitetest"
	"github.com/carevia/stripebooking/store"
)

// A connection that breaks, or a caller that stands still, at any statement.
func TestFaults(t *testing.T) {
	file := sqlitetest.File(t)
	faults.Run(t, faults.Target{
		Direct: sqlitetest.Store(t, sqlitetest.OpenDB(t, sqlitetest.DSN(file)), nil),
		Open: func(t *testing.T, line *faults.Line) store.Store {
			return sqlitetest.Store(t, sqlitetest.Intercept(t, sqlitetest.DSN(file), line.Statement), nil)
		},
	})
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
