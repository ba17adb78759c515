package storetest

import (
	"flag"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/memory"
)

// once makes testing.Benchmark do everything a few times, whatever the machine.
func once(t *testing.T) {
	t.Helper()
	benchtime := flag.Lookup("test.benchtime")
	before := benchtime.Value.String()
	require.NoError(t, benchtime.Value.Set("3x"))
	t.Cleanup(func() { _ = benchtime.Value.Set(before) })
}

func TestBench(t *testing.T) {
	once(t)
	var opened int
	ok := false
	testing.Benchmark(func(b *testing.B) {
		Bench(b, Harness{Open: func(testing.TB) store.Store {
			opened++
			return new(memory.Store)
		}})
		ok = !b.Failed()
	})
	require.True(t, ok)
	require.GreaterOrEqual(t, opened, len(writeBenchmarks())+1, "each has a database of its own")
}

// A benchmark that does not do what it measures fails.
func TestBenchNotices(t *testing.T) {
	once(t)
	neverApplied := func(s *broken, _ store.Store) {
		s.result = func(_ store.Change, r *store.Result) { r.Applied = false }
	}
	other := func(s *broken, _ store.Store) { s.booking = func(b *store.Booking) { b.ID = "b-other" } }
	short := func(s *broken, _ store.Store) {
		s.list = func(p store.Page, fetch fetch) ([]any, string, error) {
			p.After = ""
			return fetch(p)
		}
	}
	sets := map[string]func(s *broken, sound store.Store){
		"new-booking":          neverApplied,
		"new-booking-parallel": neverApplied,
		"hold-and-confirm":     neverApplied,
		"update":               neverApplied,
		"duplicate": func(s *broken, _ store.Store) {
			s.result = func(_ store.Change, r *store.Result) { r.Applied = true }
		},
		"claim-seat": func(s *broken, _ store.Store) {
			s.booking = func(b *store.Booking) { b.Seats = nil }
		},
		"booking":            other,
		"booking-by-session": other,
		"bookings-by-user":   short,
		"events-by-state":    short,
	}
	notices := func(m benchmark, filled bool) {
		require.Contains(t, sets, m.name)
		failed := false
		testing.Benchmark(func(b *testing.B) {
			defer func() { failed = b.Failed() }()
			sound := new(memory.Store)
			if filled {
				fill(b, sound)
			}
			m.measure(b, wrapped(sound, sets[m.name]))
		})
		require.True(t, failed, m.name)
	}
	for _, m := range writeBenchmarks() {
		notices(m, false)
	}
	for _, m := range readBenchmarks() {
		notices(m, true)
	}
}
