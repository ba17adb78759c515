package sqltest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/adaptertest"
	"github.com/carevia/stripebooking/store"
)

// TestSuiteNoticesALostKey: the suite notices each unique key that a schema lacks. more
// are cases that fail as well in this dialect, by the tables without a key.
func TestSuiteNoticesALostKey(t *testing.T, env string, more map[string]string) {
	cases := map[string]string{
		"changes":          "key-replay race-key",
		"history bookings": "race-new-booking nothing-left-new-booking",
		"payments":         "intent-owner race-intent nothing-left-intent",
		"seats":            "race-last-seat",
		"events":           "event-merged race-event",
		"event_handlers":   "handled-recorded",
	}
	for tables, names := range more {
		cases[tables] += " " + names
	}
	adaptertest.TestSuiteNoticesALostKey(t, env, cases)
}

// TestKeyless is the child's part. dropKey is a statement that takes a table's key
// away, but leaves an index.
func TestKeyless(t *testing.T, w Way, dropKey func(table string) string) {
	adaptertest.TestKeyless(t, func(t testing.TB, tables []string) store.Store {
		db := w.New(t)
		s := w.Store(t, db, nil)
		for _, table := range tables {
			_, err := db.Exec(dropKey(table))
			require.NoError(t, err)
		}
		return s
	})
}
