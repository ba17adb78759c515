package mysql

import (
	"testing"

	"github.com/carevia/stripebooking/internal/integration/sqltest"
)

func TestThreeSteps(t *testing.T) { sqltest.TestThreeSteps(t, prepared, 32) }

func BenchmarkConfirm(b *testing.B) {
	for _, w := range []sqltest.Way{interpolated, prepared} {
		b.Run(w.Name, func(b *testing.B) { sqltest.BenchmarkConfirm(b, w) })
	}
}
