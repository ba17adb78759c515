package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/sample"
	"github.com/carevia/stripebooking/internal/integration/sqltest"
	"github.com/carevia/stripebooking/store"
)

// Whatever protocol a driver speaks, with and without the pooler: a new booking
// is confirmed in one statement, which is one round trip where the driver does not
// ask for the types of its arguments first, each time or the first.
func TestEveryProtocol(t *testing.T) {
	for _, c := range []struct {
		sqltest.Way
		trips int64
	}{
		{pgx, 1},
		{direct("pgx, cache_describe", "pgx", "&default_query_exec_mode=cache_describe"), 1},
		{direct("pgx, describe_exec", "pgx", "&default_query_exec_mode=describe_exec"), 2},
		{direct("pgx, exec", "pgx", "&default_query_exec_mode=exec"), 1},
		{direct("pgx, simple_protocol", "pgx", "&default_query_exec_mode=simple_protocol"), 1},
		{libpq, 2},
		{direct("lib pq, binary_parameters", "postgres", "&binary_parameters=yes"), 1},
		{bounced("pgx, cache_describe", "pgx", "&default_query_exec_mode=cache_describe"), 1},
		{bounced("pgx, exec", "pgx", "&default_query_exec_mode=exec"), 1},
		{bounced("pgx, simple_protocol", "pgx", "&default_query_exec_mode=simple_protocol"), 1},
		{bounced("lib pq, binary_parameters", "postgres", "&binary_parameters=yes"), 1},
	} {
		t.Run(c.Name, func(t *testing.T) {
			ctx := context.Background()
			db, trips := openCounted(t, c.Way, c.NewDSN(t))
			s := c.Store(t, db, nil)
			warm, want := sample.Paid("warm"), sample.Paid("a")
			warm.Event.Handlers, want.Event.Handlers = []string{"mail", "crm"}, []string{"mail", "crm"}
			_, err := s.Apply(ctx, warm)
			require.NoError(t, err)

			var res store.Result
			took := trips.During(func() { res, err = s.Apply(ctx, want) })
			require.NoError(t, err)
			assert.True(t, res.Applied)
			assert.Equal(t, c.trips, took, "round trips of a new booking")
			assert.Equal(t, []string{"crm", "mail"}, res.Event.Handlers)

			// What the statement says it stored is what is stored.
			again, err := s.Apply(ctx, want)
			require.NoError(t, err)
			res.Applied = false
			assert.Equal(t, res, again)

			res, err = s.Apply(ctx, sample.WithIntent("b", "a"))
			require.ErrorIs(t, err, store.ErrConflict)
			assert.Equal(t, store.ConflictIntent, res.Conflict)

			// The other statements, with arguments of every kind.
			b, err := s.Booking(ctx, "bk_a")
			require.NoError(t, err)
			claim := sample.Next("claim", b)
			claim.Claim = []store.SeatClaim{{Slot: "mon", Capacity: 3, Count: 2}}
			claim.Payments, claim.Event = want.Payments, want.Event
			res, err = s.Apply(ctx, claim)
			require.NoError(t, err)
			release := sample.Next("release", *res.Booking)
			release.Release = res.Booking.Seats
			_, err = s.Apply(ctx, release)
			require.NoError(t, err)
			require.NoError(t, s.RecordFailure(ctx, *sample.Paid("c").Event, "x", true))
			require.NoError(t, s.RecordHandled(ctx, "evt_c", []string{"h"}, true, sample.T0))
			events, _, err := s.Events(ctx, store.EventFilter{State: store.EventDone, From: sample.T0}, store.Page{Limit: 2})
			require.NoError(t, err)
			assert.Len(t, events, 2)
		})
	}
}

// A replay writes no row, and is told from what the statement did not insert.
func TestReplayWritesNothing(t *testing.T) {
	ctx := context.Background()
	db, trips := openCounted(t, pgx, pgx.NewDSN(t))
	s := pgx.Store(t, db, nil)
	for range 2 {
		_, err := s.Apply(ctx, sample.Paid("a"))
		require.NoError(t, err)
	}
	before := versions(t, db)
	var err error
	took := trips.During(func() { _, err = s.Apply(ctx, sample.Paid("a")) })
	require.NoError(t, err)
	assert.EqualValues(t, 4, took, "the statement, the key, the booking with its payments, the event")
	assert.Equal(t, before, versions(t, db))
}

// versions is what identifies each version of each row.
func versions(t *testing.T, db *sql.DB) string {
	t.Helper()
	var all []string
	for _, table := range []string{"bookings", "payments", "events", "event_handlers", "history", "changes", "seats"} {
		var rows string
		require.NoError(t, db.QueryRow(fmt.Sprintf(
			"SELECT coalesce(string_agg(xmin::text || xmax::text || ctid::text, ' ' ORDER BY ctid), '') FROM stripebooking_%s", table)).Scan(&rows))
		all = append(all, table+": "+rows)
	}
	return strings.Join(all, "\n")
}
