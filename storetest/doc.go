// Package storetest is the conformance suite of package store: what every adapter
// must pass. An adapter's test takes ten lines:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, storetest.Harness{
//			Open:   func(t testing.TB) store.Store { return mystore.New(emptyDatabase(t)) },
//			Reopen: func(t testing.TB, s store.Store) store.Store { return mystore.New(databaseOf(s)) },
//		})
//	}
//
// Each case has a name and a reason, which is printed when it fails. The names are
// the subtests', so that one case is run again with
//
//	go test -run 'TestStore/race-intent$'
//
// The page CASES.md lists them all. A Harness may have capabilities beyond the two
// functions above; each adds cases, and none takes one away.
//
// The suite looks only at what the contract says. It does not care which seats an
// adapter picks of those that are free, nor in which order a booking has them, nor
// what an error says beside what errors.Is finds in it. It has no opinion on speed,
// but a case whose store hangs for five minutes fails. Most cases write a few dozen
// rows, some a hundred, so that a suite on a disk that syncs takes seconds.
//
// Run it with the race detector, and on the settings that are recommended to users:
// a guarantee that holds without syncing, or on one connection, is not yet one.
// What it cannot show is a process that dies: kill one and look.
//
// The suite is itself tested, on more than two hundred stores with one thing wrong
// each; every case has at least one that it must notice.
package storetest
