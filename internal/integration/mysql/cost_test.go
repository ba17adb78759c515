package mysql

import (
	"context"
	"database/sql"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/sample"
	"github.com/carevia/stripebooking/internal/integration/sqltest"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/sqlstore"
)

// A new booking is one statement on MariaDB, which is one round trip where the driver
// puts the arguments into it, and two where it prepares it first, as it does unless
// told otherwise. Without that statement, as on MySQL and with InTx, there are eight:
// two begin the transaction, five insert, one commits; each of the five takes two
// where it is prepared. A replay is a round trip more for each of its three reads.
func TestRoundTrips(t *testing.T) {
	onlyMariaDB(t)
	for _, c := range []struct {
		sqltest.Way
		one, replay, transaction int64
	}{
		{interpolated, 1, 4, 8},
		{foundRows, 1, 4, 8},
		{prepared, 2, 8, 13},
	} {
		t.Run(c.Name, func(t *testing.T) {
			ctx := context.Background()
			db, trips := openCounted(t, c.NewDSN(t))
			s := c.Store(t, db, nil)
			_, err := s.Apply(ctx, sample.Paid("warm"))
			require.NoError(t, err)

			var res store.Result
			took := trips.During(func() { res, err = s.Apply(ctx, sample.Paid("a")) })
			require.NoError(t, err)
			assert.True(t, res.Applied)
			assert.Equal(t, c.one, took, "a new booking")

			// What the statement says it stored is what is stored, and the replay
			// writes nothing.
			before, tried := rows(t, db), attempts(t, db)
			var again store.Result
			took = trips.During(func() { again, err = s.Apply(ctx, sample.Paid("a")) })
			require.NoError(t, err)
			res.Applied = false
			assert.Equal(t, res, again)
			assert.Equal(t, c.replay, took, "a replay")
			assert.Equal(t, before, rows(t, db))
			tried[0]++ // that of the key, which was taken
			assert.Equal(t, tried, attempts(t, db))

			joined := c.Unmigrated(t, sqlstore.Config{DB: db, InTx: func(context.Context, *sql.Tx, store.Change) error { return nil }})
			_, err = joined.Apply(ctx, sample.Paid("warm"))
			require.NoError(t, err)
			const alive = 2 // of InTx: is the transaction still there?
			took = trips.During(func() { res, err = joined.Apply(ctx, sample.Paid("b")) })
			require.NoError(t, err)
			assert.True(t, res.Applied)
			assert.Equal(t, c.transaction+alive, took, "a new booking with InTx")
			tried = attempts(t, db)
			again, err = joined.Apply(ctx, sample.Paid("b"))
			require.NoError(t, err)
			res.Applied = false
			assert.Equal(t, res, again)
			tried[0]++
			assert.Equal(t, tried, attempts(t, db))
		})
	}
}

// rows is what the tables hold.
func rows(t *testing.T, db *sql.DB) string {
	t.Helper()
	var all []string
	for _, table := range []string{"bookings", "payments", "events", "event_handlers", "history", "changes", "seats"} {
		var name, sum string
		require.NoError(t, db.QueryRow("CHECKSUM TABLE stripebooking_"+table+" EXTENDED").Scan(&name, &sum))
		all = append(all, table+": "+sum)
	}
	return strings.Join(all, "\n")
}

// attempts is how often the connection has tried to insert, update and delete a row,
// other than of a temporary table.
func attempts(t *testing.T, db *sql.DB) (n [3]int) {
	t.Helper()
	for i, kind := range []string{"write", "update", "delete"} {
		var name string
		require.NoError(t, db.QueryRow("SHOW SESSION STATUS LIKE 'Handler_"+kind+"'").Scan(&name, &n[i]))
	}
	return n
}
