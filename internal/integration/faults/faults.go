// Package faults takes the connection between a store and its database away, at
// every command of every operation in turn, and kills processes at work. It is one
// harness for all adapters: nothing of it knows a database.
//
// What must be stored is not written down here. A [memory.Store], on which nothing
// breaks, does the same, and says what every read must return before and after.
package faults

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/memory"
)

// Target is an adapter on a database.
type Target struct {
	// Open opens a store whose commands pass line. Required.
	Open func(t *testing.T, line *Line) store.Store

	// Direct is another store on the same database, which nothing breaks. Required.
	Direct store.Store

	// Blocked reports whether a writer waits for another, in a database whose
	// writers do: a rival is then not waited for until who stands still goes on.
	Blocked func() bool

	// Check, when set, looks at what no method of a store shows, after each
	// operation that met a fault.
	Check func(t *testing.T)
}

// Run lets each command of each operation meet each fault, with a rival where the
// fault is a standstill.
func Run(t *testing.T, target Target) {
	for _, op := range operations() {
		for _, kind := range []Kind{LostRequest, LostAnswer} {
			t.Run(op.name+"/"+kind.String(), func(t *testing.T) {
				n := eachCommand(t, t, target, kind, op.broken)
				t.Logf("%d commands", n)
			})
		}
		for _, rival := range op.rivals {
			t.Run(op.name+"/"+Standstill.String()+"/"+rival.name, func(t *testing.T) {
				n := eachCommand(t, t, target, Standstill, func(tb tb, r *run) { op.overtaken(tb, r, rival) })
				t.Logf("%d commands", n)
			})
		}
	}
}

// tb is the part of testing.TB that failures are reported with, so that the tests
// of the harness can watch them.
type tb interface {
	Helper()
	Errorf(format string, args ...any)
	Logf(format string, args ...any)
	FailNow()
}

// patience ends a call that hangs. It is no measure of speed.
const patience = 30 * time.Second

// run is one operation that meets one fault.
type run struct {
	world world
	line  *Line
	kind  Kind
	at    int
	store store.Store // behind the line
	other store.Store
	// blocked is the target's.
	blocked func() bool
}

// eachCommand runs one with the fault at the first command, the second and so on,
// until there are no more, and returns how many there are.
func eachCommand(t *testing.T, tb tb, target Target, kind Kind, one func(tb tb, r *run)) int {
	line := new(Line)
	s := target.Open(t, line)
	for at := 1; ; at++ {
		require.Less(tb, at, 200, "the operation does not end")
		warm(tb, s)
		r := &run{newWorld(), line, kind, at, s, target.Direct, target.Blocked}
		one(tb, r)
		met := line.disarm()
		if target.Check != nil {
			target.Check(t)
		}
		if !met {
			require.Greater(tb, at, 1, "no command was seen on the line")
			return at - 1
		}
	}
}

// warm opens a connection, for a connect is not a command of the operation.
func warm(tb tb, s store.Store) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.Eventually(tb, func() bool {
		_, err := s.Booking(ctx, "none")
		return errors.Is(err, store.ErrNotFound)
	}, patience, time.Millisecond, "the store does not come back")
}

// outcome is what an operation returned.
type outcome struct {
	res store.Result
	err error
}

func (do step) start(s store.Store) <-chan outcome {
	ch := make(chan outcome, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		res, err := do(ctx, s)
		ch <- outcome{res, err}
	}()
	return ch
}

func (do step) must(tb tb, s store.Store) {
	tb.Helper()
	require.NoError(tb, (<-do.start(s)).err)
}

// broken: the connection breaks. All of the operation is there or nothing, and
// the same again completes it.
func (op operation) broken(tb tb, r *run) {
	tb.Helper()
	model := new(memory.Store)
	op.prepare(tb, r.world, model)
	before := r.world.snapshot(tb, model)
	planned := op.make(tb, r.world, model)
	planned.must(tb, model)
	once := r.world.snapshot(tb, model)
	planned.must(tb, model)
	twice := r.world.snapshot(tb, model)

	op.prepare(tb, r.world, r.other)
	do := op.make(tb, r.world, r.other)

	r.line.arm(r.kind, r.at)
	got := <-do.start(r.store)
	met := r.line.disarm()

	seen := r.world.snapshot(tb, r.other)
	switch {
	case got.err == nil:
		require.Equal(tb, once, seen, "command %d: what a success leaves behind", r.at)
	case !met:
		require.NoError(tb, got.err, "nothing broke")
	default:
		require.True(tb, transient(got.err), "command %d: not an error to try again after: %v", r.at, got.err)
		require.Contains(tb, []string{before, once}, seen, "command %d: half of the operation", r.at)
	}

	again := <-do.start(r.other)
	require.NoError(tb, again.err, "command %d: the same again", r.at)
	if op.applies {
		require.Equal(tb, seen == before, again.res.Applied, "command %d: the same again applies if it had not", r.at)
	}
	want := once
	if seen == once {
		want = twice
	}
	require.Equal(tb, want, r.world.snapshot(tb, r.other), "command %d: after the same again", r.at)
	r.world.seatsAreNeitherLostNorSpare(tb, r.other)
}

// overtaken: a rival does its work while the operation stands still. The outcome
// is that of one after the other.
func (op operation) overtaken(tb tb, r *run, rival rival) {
	tb.Helper()
	ends := map[bool]string{} // by whether the operation was first
	for _, first := range []bool{true, false} {
		model := new(memory.Store)
		op.prepare(tb, r.world, model)
		steps := []step{op.make(tb, r.world, model), rival.make(tb, r.world, model)}
		if !first {
			slices.Reverse(steps)
		}
		for _, s := range steps {
			<-s.start(model)
		}
		ends[first] = r.world.snapshot(tb, model)
	}

	op.prepare(tb, r.world, r.other)
	do, other := op.make(tb, r.world, r.other), rival.make(tb, r.world, r.other)
	reached := r.line.arm(r.kind, r.at)
	mine := do.start(r.store)
	var got, theirs outcome
	select {
	case <-reached:
		answer := other.start(r.other)
		r.untilDoneOrBlocked(answer)
		r.line.disarm()
		theirs, got = <-answer, <-mine
	case got = <-mine: // it has fewer commands
		theirs = <-other.start(r.other)
	}

	for who, o := range map[string]outcome{"the operation": got, "its rival": theirs} {
		require.True(tb, o.err == nil || errors.Is(o.err, store.ErrConflict), "command %d: %s: %v", r.at, who, o.err)
	}
	seen := r.world.snapshot(tb, r.other)
	if op.applies {
		require.NotEqual(tb, got.res.Applied, theirs.res.Applied, "command %d: exactly one applies", r.at)
		require.Equal(tb, ends[got.res.Applied], seen, "command %d: what the winner leaves behind", r.at)
	} else {
		require.Contains(tb, []string{ends[true], ends[false]}, seen, "command %d", r.at)
	}
	r.world.seatsAreNeitherLostNorSpare(tb, r.other)
}

// untilDoneOrBlocked returns when the rival has answered, or has to wait itself.
func (r *run) untilDoneOrBlocked(answer <-chan outcome) {
	const sure = 5 // looks in a row: at one, it may be the rival that others wait for
	for seen := 0; len(answer) == 0 && seen < sure; time.Sleep(time.Millisecond) {
		if r.blocked != nil && r.blocked() {
			seen++
		} else {
			seen = 0
		}
	}
}

// transient reports whether err is what a broken connection should become.
func transient(err error) bool {
	return store.IsTransient(err) && !errors.Is(err, store.ErrConflict)
}
