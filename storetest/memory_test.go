package storetest_test

import (
	"testing"

	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/memory"
	"github.com/carevia/stripebooking/storetest"
)

// TestMemory is all that an adapter's test takes.
func TestMemory(t *testing.T) {
	storetest.Run(t, storetest.Harness{
		Open:   func(*testing.T) store.Store { return new(memory.Store) },
		Reopen: func(_ *testing.T, s store.Store) store.Store { return s },
	})
}
