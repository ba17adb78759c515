package mysql

import (
	"database/sql"
	"testing"

	"github.com/carevia/stripebooking/internal/integration/sqltest"
)

func TestInTx(t *testing.T)                   { sqltest.TestInTx(t, prepared) }
func TestInTxErrorOfAnotherCall(t *testing.T) { sqltest.TestInTxErrorOfAnotherCall(t, prepared) }
func TestWithRunsInTx(t *testing.T)           { sqltest.TestWithRunsInTx(t, prepared) }
func TestWithWithinInTx(t *testing.T)         { sqltest.TestWithWithinInTx(t, prepared) }
func TestSeatFreedSince(t *testing.T)         { sqltest.TestSeatFreedSince(t, prepared, sql.LevelDefault) }
func TestWithFromManyGoroutines(t *testing.T) { sqltest.TestWithFromManyGoroutines(t, prepared) }

func TestWith(t *testing.T) {
	for _, c := range []struct {
		sqltest.Way
		level sql.IsolationLevel
	}{
		{prepared, sql.LevelDefault},
		{foundRows, sql.LevelReadCommitted},
		{interpolated, sql.LevelRepeatableRead},
		{prepared, sql.LevelSerializable},
	} {
		t.Run(c.Name+", "+c.level.String(), func(t *testing.T) { sqltest.TestWith(t, c.Way, c.level) })
	}
}
