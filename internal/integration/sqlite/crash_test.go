package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/sqlitetest"
	"github.com/carevia/stripebooking/store"
)

// A process that is killed under load leaves whole Changes only, all that it was
// told are in are in, and the same Changes again complete what is missing.
func TestSQLiteKilledUnderLoad(t *testing.T) {
	const changes, kills = 400, 5
	file := sqlitetest.File(t)
	sqlitetest.Store(t, sqlitetest.OpenDB(t, sqlitetest.DSN(file)), nil)

	confirmed := map[int]bool{}
	read := func(line string) {
		n, err := strconv.Atoi(line)
		require.NoError(t, err)
		confirmed[n] = true
	}
	for kill := range kills {
		cmd, _, out := process(t, "load", file, strconv.Itoa(changes))
		// A replay answers faster, so a later kill has to wait for more lines.
		for left := kill*changes/(kills+1) + 1 + rand.IntN(changes/(kills+1)); left > 0 && out.Scan(); left-- {
			read(out.Text())
		}
		require.NoError(t, cmd.Process.Kill())
		for out.Scan() { // what it still had said
			read(out.Text())
		}
		err := cmd.Wait()
		require.Error(t, err, "it was killed")

		db := sqlitetest.OpenDB(t, sqlitetest.DSN(file))
		s := sqlitetest.Store(t, db, nil)
		n := whole(t, db)
		t.Logf("kill %d: %d bookings, %d confirmed", kill+1, n, len(confirmed))
		require.GreaterOrEqual(t, n, len(confirmed))
		for i := range confirmed {
			_, err := s.Booking(context.Background(), "bk_"+name("n", i))
			require.NoError(t, err, "a confirmed booking")
		}
		require.NoError(t, db.Close())
	}

	cmd, _, out := process(t, "load", file, strconv.Itoa(changes))
	for out.Scan() {
		read(out.Text())
	}
	require.NoError(t, cmd.Wait())
	assert.Len(t, confirmed, changes)
	db := sqlitetest.OpenDB(t, sqlitetest.DSN(file))
	assert.Equal(t, changes, whole(t, db))
	var check string
	require.NoError(t, db.QueryRow("PRAGMA integrity_check").Scan(&check))
	assert.Equal(t, "ok", check)
}

var errBroken = errors.New("the connection broke")

// The connection breaks before or after any one statement of a Change: all of it
// is there or none, the caller gets the driver's error, and the same Change
// again applies or is a replay.
func TestSQLiteBreaksAtEveryStatement(t *testing.T) {
	ctx := context.Background()
	first := paid("a")
	first.Claim = []store.SeatClaim{{Slot: "mon", Capacity: 2, Count: 2}}

	for _, after := range []bool{false, true} {
		for at := 1; ; at++ {
			count, armed := 0, false
			db := sqlitetest.Intercept(t, sqlitetest.DSN(sqlitetest.File(t)),
				func(_ string, _ []driver.NamedValue, run func() error) error {
					if count++; !armed || count != at {
						return run()
					}
					if after {
						if err := run(); err != nil {
							return err
						}
					}
					return errBroken
				})
			s := sqlitetest.Store(t, db, nil)
			count, armed = 0, true
			_, err := s.Apply(ctx, first)
			armed = false
			if count < at { // the whole Change has fewer statements
				require.NoError(t, err)
				require.Greater(t, at, 10, "the fault was never met")
				break
			}
			require.ErrorIs(t, err, errBroken, "statement %d", at)
			assert.True(t, store.IsTransient(err))
			assert.NotErrorIs(t, err, store.ErrConflict)

			was := whole(t, db)
			res, err := s.Apply(ctx, first)
			require.NoError(t, err)
			assert.Equal(t, was == 0, res.Applied)
			assert.Len(t, res.Booking.Seats, 2)
			assert.Equal(t, 1, whole(t, db))
			require.NoError(t, db.Close())
		}
	}
}
