package postgres

import (
	"testing"

	"github.com/carevia/stripebooking/internal/integration/sqltest"
)

// The contract holds through both drivers, whatever protocol they speak, through a
// pooler that keeps no session together, and where all that does not say otherwise
// is serializable.
func TestConformance(t *testing.T) {
	for _, w := range ways {
		t.Run(w.Name, func(t *testing.T) { sqltest.TestConformance(t, w, nil) })
	}
}
