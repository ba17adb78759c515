package postgres

import (
	"testing"

	"github.com/carevia/stripebooking/internal/integration/sqltest"
)

func TestThreeSteps(t *testing.T) { sqltest.TestThreeSteps(t, pgx, 32) }

func BenchmarkStore(b *testing.B) { sqltest.BenchmarkStore(b, pgx) }

func BenchmarkThreeStatements(b *testing.B) { sqltest.BenchmarkThreeStatements(b, pgx) }
