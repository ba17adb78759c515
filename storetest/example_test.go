package storetest_test

import (
	"testing"

	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/memory"
	"github.com/carevia/stripebooking/storetest"
)

// The whole test of an adapter, here of store/memory, which has nothing to open
// again: the database is the store.
func ExampleRun() {
	TestStore := func(t *testing.T) {
		storetest.Run(t, storetest.Harness{
			Open:   func(t testing.TB) store.Store { return new(memory.Store) },
			Reopen: func(t testing.TB, s store.Store) store.Store { return s },
		})
	}
	_ = TestStore // go test calls it
}
