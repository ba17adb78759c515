package mysql

import (
	"testing"

	"github.com/carevia/stripebooking/internal/integration/sqltest"
)

func TestThreeSteps(t *testing.T) { sqltest.TestThreeSteps(t, prepared, 32) }

func BenchmarkStore(b *testing.B) { eachWay(b, sqltest.BenchmarkStore) }

func BenchmarkThreeStatements(b *testing.B) { eachWay(b, sqltest.BenchmarkThreeStatements) }

func eachWay(b *testing.B, bench func(*testing.B, sqltest.Way)) {
	for _, w := range []sqltest.Way{interpolated, prepared} {
		b.Run(w.Name, func(b *testing.B) { bench(b, w) })
	}
}
