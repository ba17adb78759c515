package postgres

import (
	"testing"

	"github.com/carevia/stripebooking/internal/integration/sqltest"
)

func TestThreeSteps(t *testing.T) { sqltest.TestThreeSteps(t, pgx, 32) }

func BenchmarkConfirm(b *testing.B) { sqltest.BenchmarkConfirm(b, pgx) }
