package postgres

import (
	"context"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/servers"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/sqlstore"
	"github.com/carevia/stripebooking/storetest"
)

// keylessVar names, for a child process, the tables that are to lose their key.
const keylessVar = "STRIPEBOOKING_TEST_KEYLESS"

// The suite notices each unique key that a schema lacks: the cases that are about
// it fail.
func TestSuiteNoticesALostKey(t *testing.T) {
	for _, c := range []struct{ tables, cases string }{
		{"changes", "key-replay race-key"},
		{"history bookings", "race-new-booking race-version nothing-left-new-booking"},
		{"payments", "intent-owner race-intent nothing-left-intent"},
		{"seats", "race-last-seat seats-all-or-none"},
		{"events", "event-merged race-event"},
		{"event_handlers", "handled-recorded"},
	} {
		t.Run(c.tables, func(t *testing.T) {
			server := servers.Postgres(t)
			cases := strings.Fields(c.cases)
			cmd := exec.Command(os.Args[0], "-test.v", "-test.run", "^TestKeyless$/^("+strings.Join(cases, "|")+")$")
			cmd.Env = append(os.Environ(), keylessVar+"="+c.tables, "TEST_POSTGRES_DSN="+server.DSN("postgres", server.Addr))
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
func TestKeyless(t *testing.T) {
	tables := strings.Fields(os.Getenv(keylessVar))
	if len(tables) == 0 {
		return
	}
	storetest.Run(t, storetest.Harness{
		Open: func(t testing.TB) store.Store { return keyless(t, tables) },
		Reopen: func(t testing.TB, s store.Store) store.Store {
			t.Fatal("none of these cases opens a store again")
			return nil
		},
	})
}

// keyless is a store whose tables have an index where their key was.
func keyless(t testing.TB, tables []string) *sqlstore.Store {
	t.Helper()
	db := pgx.open(t, pgx.newDSN(t))
	s := newStore(t, db, nil)
	for _, table := range tables {
		_, err := db.Exec("ALTER TABLE stripebooking_" + table + " DROP CONSTRAINT stripebooking_" + table + "_pkey")
		require.NoError(t, err)
	}
	return s
}

// Without one of its unique keys, a Change that needs a transaction does not go
// in: the database refuses the statement, rather than let two through.
func TestEveryUniqueKeyIsNeeded(t *testing.T) {
	c := paid("a")
	c.Claim = []store.SeatClaim{{Slot: "mon", Capacity: 1, Count: 1}}
	c.Event.Handlers = []string{"h"}
	for _, table := range []string{"changes", "history", "bookings", "payments", "seats", "events", "event_handlers"} {
		t.Run(table, func(t *testing.T) {
			db := pgx.open(t, pgx.newDSN(t))
			s := newStore(t, db, nil)
			_, err := db.Exec("ALTER TABLE stripebooking_" + table + " DROP CONSTRAINT stripebooking_" + table + "_pkey")
			require.NoError(t, err)
			_, err = s.Apply(context.Background(), c)
			require.ErrorContains(t, err, "ON CONFLICT")
			assert.Equal(t, [5]int{}, counts(t, db))
		})
	}
}
