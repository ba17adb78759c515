package postgres

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/sample"
	"github.com/carevia/stripebooking/internal/integration/servers"
	"github.com/carevia/stripebooking/internal/integration/sqltest"
)

func TestSuiteNoticesALostKey(t *testing.T) {
	server := servers.Postgres(t)
	sqltest.TestSuiteNoticesALostKey(t, "TEST_POSTGRES_DSN="+server.DSN("postgres", server.Addr),
		map[string]string{"history bookings": "race-version", "seats": "seats-all-or-none"})
}

func TestKeyless(t *testing.T) { sqltest.TestKeyless(t, pgx, dropKey) }

func dropKey(table string) string {
	return "ALTER TABLE stripebooking_" + table + " DROP CONSTRAINT stripebooking_" + table + "_pkey"
}

// Without one of its unique keys, a Change that needs a transaction does not go
// in: the database refuses the statement, rather than let two through.
func TestEveryUniqueKeyIsNeeded(t *testing.T) {
	c := sample.Seated("a")
	c.Event.Handlers = []string{"h"}
	for _, table := range []string{"changes", "history", "bookings", "payments", "seats", "events", "event_handlers"} {
		t.Run(table, func(t *testing.T) {
			db := pgx.New(t)
			s := pgx.Store(t, db, nil)
			_, err := db.Exec(dropKey(table))
			require.NoError(t, err)
			_, err = s.Apply(context.Background(), c)
			require.ErrorContains(t, err, "ON CONFLICT")
			assert.Equal(t, [5]int{}, sqltest.Counts(t, db))
		})
	}
}
