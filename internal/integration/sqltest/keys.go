package sqltest

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/storetest"
)

// keylessVar names, for a child process, the tables that are to lose their key.
const keylessVar = "STRIPEBOOKING_TEST_KEYLESS"

// TestSuiteNoticesALostKey: the suite notices each unique key that a schema lacks, since
// the cases that are about it fail. more are cases that fail as well in this dialect, by
// the tables without a key. It runs the test TestKeyless of the package, in a process
// of its own with env added to its environment.
func TestSuiteNoticesALostKey(t *testing.T, env string, more map[string]string) {
	for tables, cases := range map[string]string{
		"changes":          "key-replay race-key",
		"history bookings": "race-new-booking nothing-left-new-booking",
		"payments":         "intent-owner race-intent nothing-left-intent",
		"seats":            "race-last-seat",
		"events":           "event-merged race-event",
		"event_handlers":   "handled-recorded",
	} {
		t.Run(tables, func(t *testing.T) {
			cases := strings.Fields(cases + " " + more[tables])
			cmd := exec.Command(os.Args[0], "-test.v", "-test.run", "^TestKeyless$/^("+strings.Join(cases, "|")+")$")
			cmd.Env = append(os.Environ(), keylessVar+"="+tables, env)
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit, "%s", out)
			for _, name := range cases {
				assert.Regexp(t, regexp.MustCompile(`(?m)^ +--- FAIL: TestKeyless/`+name+` `), string(out))
			}
		})
	}
}

// TestKeyless is the child's part, where it fails; elsewhere there is nothing to it.
// dropKey is a statement that takes a table's key away, but leaves an index.
func TestKeyless(t *testing.T, w Way, dropKey func(table string) string) {
	tables := strings.Fields(os.Getenv(keylessVar))
	if len(tables) == 0 {
		return
	}
	storetest.Run(t, storetest.Harness{
		Open: func(t testing.TB) store.Store {
			db := w.New(t)
			s := w.Store(t, db, nil)
			for _, table := range tables {
				_, err := db.Exec(dropKey(table))
				require.NoError(t, err)
			}
			return s
		},
		Reopen: func(t testing.TB, s store.Store) store.Store {
			t.Fatal("none of these cases opens a store again")
			return nil
		},
	})
}
