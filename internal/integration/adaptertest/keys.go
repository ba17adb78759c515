package adaptertest

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

// keylessVar names, for a child process, the unique keys that are to be lost.
const keylessVar = "STRIPEBOOKING_TEST_KEYLESS"

// TestSuiteNoticesALostKey: the suite notices each unique key that a store lacks, since
// the cases that are about it, which stand by its name, fail. It runs the test
// TestKeyless of the package, in a process of its own with env added to its environment.
func TestSuiteNoticesALostKey(t *testing.T, env string, cases map[string]string) {
	for keys, cases := range cases {
		t.Run(keys, func(t *testing.T) {
			cases := strings.Fields(cases)
			cmd := exec.Command(os.Args[0], "-test.v", "-test.run", "^TestKeyless$/^("+strings.Join(cases, "|")+")$")
			cmd.Env = append(os.Environ(), keylessVar+"="+keys, env)
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
// open opens a store without the keys.
func TestKeyless(t *testing.T, open func(t testing.TB, keys []string) store.Store) {
	keys := strings.Fields(os.Getenv(keylessVar))
	if len(keys) == 0 {
		return
	}
	storetest.Run(t, storetest.Harness{
		Open: func(t testing.TB) store.Store { return open(t, keys) },
		Reopen: func(t testing.TB, s store.Store) store.Store {
			t.Fatal("none of these cases opens a store again")
			return nil
		},
	})
}
