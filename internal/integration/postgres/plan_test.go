package postgres

import (
	"context"
	"database/sql"
	"strings"
	"sync"
	"testing"

	pgxdriver "github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/adaptertest"
	"github.com/carevia/stripebooking/internal/integration/sample"
)

// statements notes every statement that pgx is asked for, with its arguments.
type statements struct {
	mu   sync.Mutex
	seen map[string][]any
}

func (s *statements) TraceQueryStart(ctx context.Context, _ *pgxdriver.Conn, data pgxdriver.TraceQueryStartData) context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[data.SQL] = data.Args
	return ctx
}

func (s *statements) TraceQueryEnd(context.Context, *pgxdriver.Conn, pgxdriver.TraceQueryEndData) {}

// Every statement that reads, changes or deletes rows finds them by an index,
// and the lists come sorted from it, whether the server plans it for its arguments
// or, as it may for one that is prepared, for any. The statements are the ones that
// the calls send, so that a new one is looked at too, on tables with rows enough
// for the server to have a choice.
func TestEveryReadUsesAnIndex(t *testing.T) {
	dsn := pgx.NewDSN(t)
	cfg, err := pgxdriver.ParseConfig(dsn)
	require.NoError(t, err)
	tracer := &statements{seen: map[string][]any{}}
	cfg.Tracer = tracer
	traced := stdlib.OpenDB(*cfg)
	t.Cleanup(func() { traced.Close() })
	s := pgx.Store(t, traced, nil)
	db := pgx.Open(t, dsn)
	fill(t, db)
	clear(tracer.seen) // those of the migrations

	adaptertest.EveryCall(t, s, sample.T0)

	looked, rare := 0, 0
	for q, args := range tracer.seen {
		verb, _, _ := strings.Cut(q, " ")
		if verb != "SELECT" && verb != "UPDATE" && verb != "DELETE" || strings.Contains(q, "current_setting") {
			continue
		}
		looked++
		for kind, plan := range map[string]string{"its arguments": planFor(t, db, q, args), "any arguments": genericPlan(t, db, q)} {
			text := "planned for " + kind + ": " + q + "\n" + plan
			assert.Contains(t, plan, "Index", text)
			assert.NotContains(t, plan, "Seq Scan", text)
			assert.NotContains(t, plan, "Sort", text)
			if kind == "its arguments" && (strings.Contains(q, "e.state = $1 AND e.received_at <= $2") || strings.Contains(q, "e.type = $2 AND e.received_at <= $3")) {
				rare++
				assert.Contains(t, plan, "events_by_state", text) // a rare state is found at once
			}
		}
	}
	assert.Greater(t, looked, 30)
	assert.Equal(t, 2, rare)
}

// fill writes 20,000 rows into each table that is read.
func fill(t *testing.T, db *sql.DB) {
	t.Helper()
	const at = "1772366400000 + n * 1000"
	for _, q := range []string{
		`INSERT INTO stripebooking_bookings SELECT 'bk_' || n, 'user_' || n % 500, 'svc', 'Home cleaning', 'full', 5000, 5000, 0,
			'usd', 'confirmed', '', 1, 'pi_' || n, 'cs_' || n, NULL, NULL, NULL, NULL, true, '', ` + at + `, ` + at,
		`INSERT INTO stripebooking_payments SELECT 'pi_' || n, 'pay_' || n, 'bk_' || n, 'user_' || n % 500, 'cs_' || n, 5000, 5000, 0,
			0, 0, 'usd', 'succeeded', ` + at + `, '', 'card', 'full', NULL, 0, '', NULL, true, '', ` + at + `, ` + at,
		`INSERT INTO stripebooking_history SELECT 'bk_' || n, 1, '', 'confirmed', '', 'webhook', 'evt_' || n, ` + at,
		`INSERT INTO stripebooking_changes SELECT 'evt_' || n, '', 'bk_' || n`,
		`INSERT INTO stripebooking_seats SELECT 'slot_' || n / 20, n % 20 + 1, 'bk_' || n`,
		`INSERT INTO stripebooking_events SELECT 'evt_' || n, (ARRAY['checkout.session.completed', 'payment_intent.succeeded',
			'charge.refunded', 'customer.created'])[n % 4 + 1], 'cs_' || n, '', true, '', NULL, ` + at + `,
			CASE WHEN n % 997 = 0 THEN 'failed' ELSE 'done' END, '', 1, 'bk_' || n, ` + at + `, '{}'`,
		`INSERT INTO stripebooking_event_handlers SELECT 'evt_' || n, 'mail'`,
	} {
		_, err := db.Exec(q + " FROM generate_series(1, 20000) n")
		require.NoError(t, err)
	}
	_, err := db.Exec("VACUUM ANALYZE")
	require.NoError(t, err)
}

func planFor(t *testing.T, db *sql.DB, q string, args []any) string {
	t.Helper()
	return explain(t, db, "EXPLAIN "+q, args...)
}

func genericPlan(t *testing.T, db *sql.DB, q string) string {
	t.Helper()
	c, err := db.Conn(context.Background())
	require.NoError(t, err)
	defer c.Close()
	for _, setup := range []string{"SET plan_cache_mode = force_generic_plan", "PREPARE looked AS " + q} {
		_, err = c.ExecContext(context.Background(), setup)
		require.NoError(t, err, setup)
	}
	defer c.ExecContext(context.Background(), "DEALLOCATE looked")
	args := strings.Count(q, "$")
	if args == 0 {
		return explain(t, c, "EXPLAIN EXECUTE looked")
	}
	return explain(t, c, "EXPLAIN EXECUTE looked("+strings.TrimSuffix(strings.Repeat("NULL, ", args), ", ")+")")
}

func explain(t *testing.T, c interface {
	QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error)
}, q string, args ...any,
) string {
	t.Helper()
	rows, err := c.QueryContext(context.Background(), q, args...)
	require.NoError(t, err, q)
	defer rows.Close()
	var plan []string
	for rows.Next() {
		var line string
		require.NoError(t, rows.Scan(&line))
		plan = append(plan, line)
	}
	require.NoError(t, rows.Err())
	return strings.Join(plan, "\n")
}
