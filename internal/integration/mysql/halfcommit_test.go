package mysql

import (
	"testing"

	"github.com/carevia/stripebooking/internal/integration/sqltest"
)

func TestNoHalfCommit(t *testing.T) { sqltest.TestNoHalfCommit(t, prepared, rows) }
