// Package storetest is the conformance suite of package store: what every adapter
// must pass. This is an adapter's whole test, in its own package:
//
//	var harness = storetest.Harness{
//		Open:   func(t testing.TB) store.Store { return New(emptyDatabase(t)) },
//		Reopen: func(t testing.TB, s store.Store) store.Store { return New(s.(*Store).db) },
//	}
//
//	func TestStore(t *testing.T) { storetest.Run(t, harness) }
//
//	func BenchmarkStore(b *testing.B) { storetest.Bench(b, harness) }
//
// Each case has a name and a reason, which is printed when it fails. The names are
// the subtests', so that one case is run again with
//
//	go test -run '^TestStore$/^race-intent$'
//
// The page CASES.md lists them all, each with its mutants: stores with one thing
// wrong, which it is known to notice. The suite's own test runs every case on its
// mutants, some three hundred in all, and fails when one is not noticed or when a
// case has none.
//
// A Harness may have capabilities beyond the two functions above; each adds cases,
// and none takes one away. How an adapter is written, and the traps on the way, are
// in docs/adapters.md.
//
// The suite looks only at what the contract says. It does not care which seats an
// adapter picks of those that are free, nor in which order a booking has them, nor
// what an error says beside what errors.Is finds in it. It has no opinion on speed,
// but a case whose store hangs for five minutes fails. Most cases write a few dozen
// rows, some a few hundred, so that a suite on a disk that syncs takes seconds.
//
// Run it with the race detector, and on the settings that are recommended to users:
// a guarantee that holds without syncing, or on one connection, is not yet one.
// What it cannot show is a process that dies: kill one and look.
package storetest
