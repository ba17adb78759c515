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
	harness := storetest.Harness{
		Open:   func(t testing.TB) store.Store { return new(memory.Store) },
		Reopen: func(t testing.TB, s store.Store) store.Store { return s },
	}
	TestStore := func(t *testing.T) { storetest.Run(t, harness) }
	BenchmarkStore := func(b *testing.B) { storetest.Bench(b, harness) }
	_, _ = TestStore, BenchmarkStore // go test calls them
}
