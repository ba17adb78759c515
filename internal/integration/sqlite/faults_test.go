package sqlite

import (
	"database/sql"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/faults"
	"github.com/carevia/stripebooking/internal/integration/sqlitetest"
)

// A connection that breaks, or a caller that stands still, at any statement.
func TestFaults(t *testing.T) {
	for _, joined := range []bool{false, true} {
		name := map[bool]string{false: "alone", true: "InTx"}[joined]
		t.Run(name, func(t *testing.T) {
			dsn := recommended.NewDSN(t)
			db := sqlitetest.OpenDB(t, dsn)
			sqlitetest.Store(t, db, nil) // makes the tables
			blocked := sqlitetest.Blocked(t, dsn)
			open := func(t *testing.T, line *faults.Line) *sql.DB { return sqlitetest.Intercept(t, dsn, line.Statement) }
			faults.RunSQL(t, recommended, db, open, func(*sql.DB) bool { return blocked() }, joined)
		})
	}
}

// A process that is killed at work leaves the file sound as well.
func TestKilled(t *testing.T) {
	dsn := recommended.NewDSN(t)
	db := sqlitetest.OpenDB(t, dsn)
	faults.Kill(t, sqlitetest.Store(t, db, nil), recommended.Driver, dsn)
	var check string
	require.NoError(t, db.QueryRow("PRAGMA integrity_check").Scan(&check))
	assert.Equal(t, "ok", check)
}
