package storetest

import (
	"context"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/carevia/stripebooking/store"
)

// Harness is how the suite gets at an adapter, for Run and for Bench.
type Harness struct {
	// Open returns a store on a database of its own, empty and with its schema
	// in place. Whatever must be closed is closed with t.Cleanup. Required.
	Open func(t testing.TB) store.Store

	// Reopen returns another handle on the database of s, a store that Open or
	// Reopen returned, as a process that starts later would open it: nothing
	// that lives in s may be shared. s stays in use beside it. A store that
	// forgets when the process ends returns s itself. Required.
	Reopen func(t testing.TB, s store.Store) store.Store

	// Join begins a transaction of the caller's on the database of s and
	// returns a store that works in it, and what ends it. It adds the cases
	// named join-…; leave it nil where there is no transaction to join. While
	// the transaction is open the suite uses no other handle.
	Join func(t testing.TB, s store.Store) (joined store.Store, commit, rollback func() error)
}

// Run runs every case against the adapter, each as a subtest on a database of
// its own. A case that fails prints why it matters.
func Run(t *testing.T, h Harness) {
	t.Helper()
	if h.Open == nil || h.Reopen == nil {
		t.Fatal("storetest: the Harness needs Open and Reopen")
	}
	for _, c := range cases() {
		if c.join && h.Join == nil {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			c.against(t, hooks{
				open:   func() store.Store { return h.Open(t) },
				reopen: func(s store.Store) store.Store { return h.Reopen(t, s) },
				join: func(s store.Store) (store.Store, func() error, func() error) {
					return h.Join(t, s)
				},
			})
		})
	}
}

// testCase is one thing that an adapter must do.
type testCase struct {
	name   string
	reason string // what goes wrong for a user when it fails
	join   bool   // needs Harness.Join
	run    func(e *env)
}

// caseTimeout ends a case whose store hangs. It is no measure of speed.
const caseTimeout = 5 * time.Minute

// against runs the case. The tests of the suite itself run it on broken stores,
// with a tb that only takes notes.
func (c testCase) against(t tb, h hooks) {
	t.Helper()
	failed := true
	defer func() {
		// One case that trips over what a store returned does not end the others.
		if p := recover(); p != nil {
			t.Errorf("panic: %v\n%s", p, debug.Stack())
		}
		if f, ok := t.(interface{ Failed() bool }); ok {
			failed = f.Failed()
		}
		if failed {
			t.Logf("storetest: case %s: %s", c.name, c.reason)
		}
		if t, ok := t.(testing.TB); ok && failed {
			t.Logf("storetest: once more, alone: go test -run '^%s$'", strings.ReplaceAll(regexp.QuoteMeta(t.Name()), "/", "$/^"))
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), caseTimeout)
	defer cancel()
	c.run(&env{tb: t, Store: h.open(), hooks: h, ctx: ctx})
	failed = false
}

// tb is the part of testing.TB that the cases use.
type tb interface {
	Helper()
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	FailNow()
}

// hooks is a Harness whose testing.TB is already filled in.
type hooks struct {
	open   func() store.Store
	reopen func(store.Store) store.Store
	join   func(store.Store) (store.Store, func() error, func() error)
}

// env is what a case works with: the test, and the store under test.
type env struct {
	tb
	store.Store
	hooks hooks
	ctx   context.Context
}

// cases is the whole suite, in the order of the guarantees.
func cases() []testCase {
	var all []testCase
	for _, group := range [][]testCase{
		changeCases(), keyCases(), raceCases(), intentCases(), idCases(), seatCases(),
		readCases(), pageCases(), eventCases(), contextCases(), recordCases(), reopenCases(), joinCases(),
	} {
		all = append(all, group...)
	}
	return all
}
