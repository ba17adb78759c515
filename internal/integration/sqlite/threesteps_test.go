package sqlite

import (
	"testing"

	"github.com/carevia/stripebooking/internal/integration/sqltest"
)

// So few connections that nobody's busy timeout runs out.
func TestThreeSteps(t *testing.T) { sqltest.TestThreeSteps(t, recommended, 8) }
