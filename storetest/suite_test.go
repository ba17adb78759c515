package storetest

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/memory"
)

// TestSound runs every case, those for joined transactions too, on a store that
// has nothing wrong.
func TestSound(t *testing.T) {
	Run(t, Harness{
		Open:   func(testing.TB) store.Store { return &journal{Store: new(memory.Store)} },
		Reopen: func(_ testing.TB, s store.Store) store.Store { return s },
		Join: func(_ testing.TB, s store.Store) (store.Store, func() error, func() error) {
			return s.(*journal).join()
		},
	})
}

// TestMutants runs the cases on stores with one thing wrong each, and expects
// each of the named cases to notice.
func TestMutants(t *testing.T) {
	byName := map[string]testCase{}
	for _, c := range cases() {
		require.NotContains(t, byName, c.name, "two cases with one name")
		byName[c.name] = c
	}
	catches := map[string]bool{}
	names := map[string]bool{}
	for _, m := range mutants() {
		require.False(t, names[m.name], "two mutants with the name %q", m.name)
		names[m.name] = true
		by := strings.Fields(m.caught)
		require.NotEmpty(t, by, "no case catches the mutant %q", m.name)
		for _, name := range by {
			c, ok := byName[name]
			require.True(t, ok, "no case %q", name)
			catches[name] = true
			t.Run(m.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				h := hooks{open: m.open, reopen: m.reopen, join: m.join}
				if h.reopen == nil {
					h.reopen = func(s store.Store) store.Store { return s }
				}
				r := observe(c, h)
				require.True(t, r.Failed(), "the case does not notice")
				require.Contains(t, r.log.String(), c.reason, "a failure tells the reason")
				require.NotContains(t, r.log.String(), "panic", "a case fails, it does not panic")
			})
		}
	}
	for name := range byName {
		require.True(t, catches[name], "no mutant shows what case %q is good for", name)
	}
}

// TestRecorder checks the means of TestMutants: a sound store passes under it.
func TestRecorder(t *testing.T) {
	for _, c := range cases() {
		if c.join {
			continue
		}
		r := observe(c, hooks{
			open:   func() store.Store { return over(func(*broken, store.Store) {})() },
			reopen: func(s store.Store) store.Store { return s },
		})
		require.False(t, r.Failed(), "%s: %s", c.name, &r.log)
	}
}

// TestPanics: a store that panics fails its case, also within a race, and the
// cases after it run.
func TestPanics(t *testing.T) {
	panics := func(context.Context, store.Change) (store.Result, error) { panic("not written yet") }
	open := over(func(s *broken, _ store.Store) { s.apply = panics })
	for _, name := range []string{"change-whole", "change-readers", "race-key", "race-strangers"} {
		i := slices.IndexFunc(cases(), func(c testCase) bool { return c.name == name })
		r := observe(cases()[i], hooks{open: open})
		require.True(t, r.Failed(), name)
		require.Contains(t, r.log.String(), "panic: not written yet", name)
		require.Contains(t, r.log.String(), "suite_test.go", "where it panicked")
	}
}

// recorder takes notes instead of failing a test.
type recorder struct {
	mu     sync.Mutex
	failed bool
	log    strings.Builder
}

// observe runs a case in a goroutine of its own, which FailNow ends.
func observe(c testCase, h hooks) *recorder {
	r := &recorder{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				r.Errorf("panic: %v", p)
			}
		}()
		c.against(r, h)
	}()
	<-done
	return r
}

func (r *recorder) Helper() {}

func (r *recorder) Logf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(&r.log, format+"\n", args...)
}

func (r *recorder) Errorf(format string, args ...any) {
	r.Logf(format, args...)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = true
}

func (r *recorder) FailNow() {
	r.mu.Lock()
	r.failed = true
	r.mu.Unlock()
	runtime.Goexit()
}

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}
