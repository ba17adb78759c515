package mysql

import (
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/adaptertest"
	"github.com/carevia/stripebooking/internal/integration/sample"
)

// Every statement that reads, changes or deletes rows finds them by an index, and the
// lists come sorted from it. The statements are the ones that the calls send, so that
// a new one is looked at too, on tables with rows enough for the server to have a
// choice; also those of a joined store, which lock what they read.
func TestEveryReadUsesAnIndex(t *testing.T) {
	dsn := interpolated.NewDSN(t)
	var mu sync.Mutex
	type sent struct {
		statement string
		args      []any
	}
	seen := map[string]sent{}
	watched := intercept(t, dsn, func(q string, args []driver.NamedValue, run func() error) error {
		var values []any
		for _, a := range args {
			values = append(values, a.Value)
		}
		mu.Lock()
		defer mu.Unlock()
		seen[fmt.Sprint(q, values)] = sent{q, values}
		return run()
	})
	s := interpolated.Store(t, watched, nil)
	db := interpolated.Open(t, dsn)
	fill(t, db)
	clear(seen) // those of the migrations

	adaptertest.EveryCall(t, s, sample.T0.Add(4*time.Hour)) // most rows are older
	tx := begin(t, watched)
	_, err := s.With(tx).Apply(t.Context(), sample.Seated("a")) // a replay
	require.NoError(t, err)
	_, err = s.With(tx).Apply(t.Context(), sample.WithIntent("e", "a"))
	require.Error(t, err)
	require.NoError(t, s.With(tx).RecordFailure(t.Context(), *sample.Paid("a").Event, "x", false))
	require.NoError(t, tx.Rollback())

	looked, locking, rare := 0, 0, 0
	for _, c := range seen {
		q := c.statement
		verb, _, _ := strings.Cut(q, " ")
		if verb != "SELECT" && verb != "UPDATE" && verb != "DELETE" || strings.Contains(q, "information_schema") {
			continue
		}
		looked++
		if strings.Contains(q, " LOCK IN SHARE MODE") {
			locking++
		}
		plan := explain(t, db, q, c.args)
		text := q + "\n" + strings.Join(plan, "\n")
		for _, table := range plan {
			assert.Regexp(t, `type=(const|eq_ref|ref|range)\b|of a key that is not there`, table, text)
			assert.NotContains(t, table, "filesort", text)
			assert.NotContains(t, table, "temporary", text)
		}
		if strings.Contains(q, "e.state = ? AND e.received_at <= ?") || strings.Contains(q, "e.state = ? AND e.type = ? AND e.received_at <= ?") {
			rare++
			assert.Contains(t, plan[0], " key=stripebooking_events_by_state", text) // a rare state is found at once
		}
	}
	assert.Greater(t, looked, 60)
	assert.Greater(t, locking, 4)
	assert.Equal(t, 4, rare)
}

// explain is the plan of a statement: a line for each table.
func explain(t *testing.T, db *sql.DB, q string, args []any) (plan []string) {
	t.Helper()
	rows, err := db.Query("EXPLAIN "+q, args...)
	require.NoError(t, err, q)
	defer rows.Close()
	names, err := rows.Columns()
	require.NoError(t, err)
	for rows.Next() {
		values, targets := make([]sql.NullString, len(names)), []any(nil)
		for i := range values {
			targets = append(targets, &values[i])
		}
		require.NoError(t, rows.Scan(targets...))
		var line []string
		for i, name := range names {
			line = append(line, name+"="+values[i].String)
		}
		plan = append(plan, strings.ReplaceAll(strings.Join(line, " "), "Extra=Impossible WHERE noticed after reading const tables", "of a key that is not there"))
	}
	require.NoError(t, rows.Err())
	require.NotEmpty(t, plan)
	return plan
}

// fill writes 16,384 rows into each table that is read. Of the events one in a hundred
// has failed; a few dozen the server would rather sort.
func fill(t *testing.T, db *sql.DB) {
	t.Helper()
	exec := func(q string) {
		_, err := db.Exec(q)
		require.NoError(t, err, q)
	}
	exec("CREATE TABLE numbers (n INTEGER PRIMARY KEY)")
	exec("INSERT INTO numbers VALUES (1)")
	for n := 1; n < 16384; n *= 2 {
		exec(fmt.Sprintf("INSERT INTO numbers SELECT n + %d FROM numbers", n))
	}
	const at = "1772366400000 + n * 1000"
	for table, row := range map[string]string{
		"bookings": `CONCAT('bk_', n), CONCAT('user_', n % 500), 'svc', 'Home cleaning', 'full', 5000, 5000, 0,
			'usd', 'confirmed', '', 1, CONCAT('pi_', n), CONCAT('cs_', n), NULL, NULL, NULL, NULL, true, '', ` + at + `, ` + at,
		"payments": `CONCAT('pi_', n), CONCAT('pay_', n), CONCAT('bk_', n), CONCAT('user_', n % 500), CONCAT('cs_', n), 5000, 5000, 0,
			0, 0, 'usd', 'succeeded', ` + at + `, '', 'card', 'full', NULL, 0, '', NULL, true, '', ` + at + `, ` + at,
		"history": `CONCAT('bk_', n), 1, '', 'confirmed', '', 'webhook', CONCAT('evt_', n), ` + at,
		"changes": `CONCAT('evt_', n), '', CONCAT('bk_', n)`,
		"seats":   `CONCAT('slot_', FLOOR(n / 20)), n % 20 + 1, CONCAT('bk_', n)`,
		"events": `CONCAT('evt_', n), ELT(n % 4 + 1, 'checkout.session.completed', 'payment_intent.succeeded', 'charge.refunded', 'customer.created'),
			CONCAT('cs_', n), '', true, '', NULL, ` + at + `, IF(n % 97 = 0, 'failed', 'done'), '', 1, CONCAT('bk_', n), ` + at + `, '{}'`,
		"event_handlers": `CONCAT('evt_', n), 'mail'`,
	} {
		exec("INSERT INTO stripebooking_" + table + " SELECT " + row + " FROM numbers")
		exec("ANALYZE TABLE stripebooking_" + table)
	}
}
