package sqlite

import (
	"context"
	"database/sql/driver"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/adaptertest"
	"github.com/carevia/stripebooking/internal/integration/sample"
	"github.com/carevia/stripebooking/internal/integration/sqlitetest"
)

// Every statement that reads, changes or deletes rows finds them by an index,
// and the lists come sorted from it. The statements are the ones that the calls
// send, so that a new one is looked at too.
func TestEveryReadUsesAnIndex(t *testing.T) {
	var mu sync.Mutex
	seen := map[string][]any{}
	db := sqlitetest.Intercept(t, sqlitetest.DSN(sqlitetest.File(t)),
		func(q string, args []driver.NamedValue, run func() error) error {
			verb, _, _ := strings.Cut(q, " ")
			if verb == "SELECT" || verb == "UPDATE" || verb == "DELETE" {
				var values []any
				for _, a := range args {
					values = append(values, a.Value)
				}
				mu.Lock()
				seen[q] = values
				mu.Unlock()
			}
			return run()
		})
	s := sqlitetest.Store(t, db, nil)
	clear(seen) // those of the migrations

	adaptertest.EveryCall(t, s, sample.T0)

	statements := map[string][]any{}
	for q, args := range seen {
		statements[q] = args
	}
	require.Greater(t, len(statements), 30)
	for q, args := range statements {
		rows, err := db.Query("EXPLAIN QUERY PLAN "+q, args...)
		require.NoError(t, err, q)
		var plan []string
		for rows.Next() {
			var id, parent, unused int
			var detail string
			require.NoError(t, rows.Scan(&id, &parent, &unused, &detail))
			plan = append(plan, detail)
		}
		require.NoError(t, rows.Err())
		require.NoError(t, rows.Close())
		text := strings.Join(plan, "\n")
		assert.Contains(t, text, "SEARCH", q)
		assert.NotContains(t, text, "SCAN", q)
		assert.NotContains(t, text, "TEMP B-TREE", q)
		if strings.HasPrefix(q, "SELECT") && strings.Contains(q, "state = ?") && strings.Contains(q, "type = ?") && !strings.Contains(q, "received_at >= ?") {
			assert.Contains(t, text, "events_by_state_type", "a rare state of a frequent type is found at once: %s", q)
		}
	}
}

// What a Change costs: a replay writes no row, and a new booking is not read
// before it is written.
func TestCost(t *testing.T) {
	ctx := context.Background()
	var log []string
	db := sqlitetest.Intercept(t, sqlitetest.DSN(sqlitetest.File(t)),
		func(q string, _ []driver.NamedValue, run func() error) error {
			verb, _, _ := strings.Cut(q, " ")
			log = append(log, verb)
			return run()
		})
	db.SetMaxOpenConns(1)
	s := sqlitetest.Store(t, db, nil)
	_, err := s.Apply(ctx, sample.Paid("warm"))
	require.NoError(t, err)

	log = nil
	_, err = s.Apply(ctx, sample.Paid("a"))
	require.NoError(t, err)
	assert.Equal(t, "BEGIN INSERT INSERT INSERT INSERT INSERT COMMIT", strings.Join(log, " "))

	changed := func() (n int) {
		require.NoError(t, db.QueryRow("SELECT total_changes()").Scan(&n))
		return n
	}
	before := changed()
	log = nil
	_, err = s.Apply(ctx, sample.Paid("a"))
	require.NoError(t, err)
	assert.Equal(t, "BEGIN INSERT SELECT SELECT SELECT", strings.Join(log, " "))
	assert.Equal(t, before, changed())
}
