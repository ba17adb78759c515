package postgres

import (
	"database/sql"
	"testing"

	"github.com/carevia/stripebooking/internal/integration/sqltest"
)

func TestInTx(t *testing.T)                   { sqltest.TestInTx(t, pgx) }
func TestInTxErrorOfAnotherCall(t *testing.T) { sqltest.TestInTxErrorOfAnotherCall(t, pgx) }
func TestWithRunsInTx(t *testing.T)           { sqltest.TestWithRunsInTx(t, pgx) }
func TestWithWithinInTx(t *testing.T)         { sqltest.TestWithWithinInTx(t, pgx) }
func TestSeatFreedSince(t *testing.T)         { sqltest.TestSeatFreedSince(t, pgx, sql.LevelRepeatableRead) }
func TestWithFromManyGoroutines(t *testing.T) { sqltest.TestWithFromManyGoroutines(t, pgx) }

func TestWith(t *testing.T) {
	for _, c := range []struct {
		sqltest.Way
		level sql.IsolationLevel
	}{
		{pgx, sql.LevelDefault},
		{pgx, sql.LevelReadCommitted},
		{pgx, sql.LevelRepeatableRead},
		{pgx, sql.LevelSerializable},
		{libpq, sql.LevelDefault},
		{libpq, sql.LevelSerializable},
		{bounced("pgx", "pgx", "&default_query_exec_mode=exec"), sql.LevelDefault},
	} {
		t.Run(c.Name+", "+c.level.String(), func(t *testing.T) { sqltest.TestWith(t, c.Way, c.level) })
	}
}
