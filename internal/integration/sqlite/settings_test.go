package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/sample"
	"github.com/carevia/stripebooking/internal/integration/sqlitetest"
	"github.com/carevia/stripebooking/internal/integration/sqltest"
	"github.com/carevia/stripebooking/store"
)

// Settings that would lose bookings are refused, by the name to add.
func TestSettings(t *testing.T) {
	for _, c := range []struct{ params, want string }{
		{"_busy_timeout=5000&_journal_mode=WAL&_synchronous=FULL", ""},
		{"_busy_timeout=5000&_journal_mode=WAL&_synchronous=EXTRA", ""},
		{"_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)", ""},
		{"_busy_timeout=0&_journal_mode=WAL&_synchronous=FULL", "_busy_timeout=5000"},
		{"_busy_timeout=5000&_journal_mode=DELETE&_synchronous=FULL", "_journal_mode=WAL"},
		{"_busy_timeout=5000&_journal_mode=WAL&_synchronous=NORMAL", "_synchronous=FULL"},
	} {
		t.Run(c.params, func(t *testing.T) {
			db := sqlitetest.OpenDB(t, "file:"+sqlitetest.File(t)+"?"+c.params)
			if c.want != "" {
				recommended.Refused(t, db, c.want)
				return
			}
			_, err := sqlitetest.Store(t, db, nil).Apply(context.Background(), sample.Paid("a"))
			require.NoError(t, err)
		})
	}
}

// deferred is a data source name whose transactions begin without a lock.
func deferred(dsn string) string {
	return strings.Replace(dsn, "_txlock=immediate", "_txlock=deferred", 1)
}

// hold takes the write lock through a connection of its own until the test ends
// or release is called.
func hold(t *testing.T, file string) (release func()) {
	t.Helper()
	tx, err := sqlitetest.OpenDB(t, sqlitetest.DSN(file)).Begin()
	require.NoError(t, err)
	return func() { tx.Rollback() }
}

// While another connection writes, a caller waits no longer than its ctx, or
// than the busy timeout; nothing is written, and the same Change applies later.
func TestBusy(t *testing.T) {
	for _, c := range []struct {
		name, busy string
		timeout    time.Duration
		want       error
	}{
		{"until the deadline", "60000", 100 * time.Millisecond, context.DeadlineExceeded},
		{"until the busy timeout", "50", time.Minute, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := sqlitetest.File(t)
			db := sqlitetest.OpenDB(t, strings.Replace(sqlitetest.DSN(file), "5000", c.busy, 1))
			s := sqlitetest.Store(t, db, nil)
			release := hold(t, file)
			ctx, cancel := context.WithTimeout(context.Background(), c.timeout)
			defer cancel()
			calls := map[string]func() error{
				"apply":          func() error { _, err := s.Apply(ctx, sample.Paid("a")); return err },
				"record failure": func() error { return s.RecordFailure(ctx, *sample.Paid("a").Event, "x", false) },
				"record handled": func() error { return s.RecordHandled(ctx, "evt_a", nil, true, sample.T0) },
				"migrate":        func() error { return s.Migrate(ctx) },
			}
			for name, call := range calls {
				err := call()
				require.Error(t, err, name)
				assert.True(t, store.IsTransient(err), name)
				assert.NotErrorIs(t, err, store.ErrConflict, name)
				if c.want != nil {
					assert.ErrorIs(t, err, c.want, name)
				} else {
					var driver interface{ Code() int }
					require.ErrorAs(t, err, &driver, name)
					assert.Equal(t, 5, driver.Code(), "SQLITE_BUSY")
				}
			}
			_, _, err := s.BookingsByUser(context.Background(), "user_1", store.Page{})
			require.NoError(t, err, "readers don't wait")
			release()
			assert.Equal(t, 0, sqltest.Whole(t, db))
			res, err := s.Apply(context.Background(), sample.Paid("a"))
			require.NoError(t, err)
			assert.True(t, res.Applied)
		})
	}
}

// A writer that waits for its turn in the process stops with its ctx too.
func TestCancelledInTheQueue(t *testing.T) {
	inside, leave := make(chan struct{}), make(chan struct{})
	db := sqlitetest.OpenDB(t, sqlitetest.DSN(sqlitetest.File(t)))
	s := sqlitetest.Store(t, db, func(context.Context, *sql.Tx, store.Change) error {
		close(inside)
		<-leave
		return nil
	})
	first := make(chan error)
	go func() {
		_, err := s.Apply(context.Background(), sample.Paid("a"))
		first <- err
	}()
	<-inside
	ctx, cancel := context.WithCancel(context.Background())
	second := make(chan error)
	go func() {
		_, err := s.Apply(ctx, sample.Paid("b"))
		second <- err
	}()
	cancel()
	assert.ErrorIs(t, <-second, context.Canceled)
	close(leave)
	require.NoError(t, <-first)
	assert.Equal(t, 1, sqltest.Whole(t, db))
}

// ctx ends in the middle of a Change: the call says so and nothing is written,
// into the caller's transaction neither.
func TestCancelledWithin(t *testing.T) {
	ctx, end := context.WithCancel(context.Background())
	defer end()
	db := sqlitetest.OpenDB(t, sqlitetest.DSN(sqlitetest.File(t)))
	s := sqlitetest.Store(t, db, func(context.Context, *sql.Tx, store.Change) error {
		end()
		return nil
	})
	_, err := s.Apply(ctx, sample.Paid("a"))
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, 0, sqltest.Whole(t, db))

	joinedCtx, endJoined := context.WithCancel(context.Background())
	defer endJoined()
	end = endJoined
	tx, err := db.Begin()
	require.NoError(t, err)
	_, err = s.With(tx).Apply(joinedCtx, sample.Paid("a"))
	require.ErrorIs(t, err, context.Canceled)
	assert.NotContains(t, err.Error(), "must be rolled back")
	_, err = tx.Exec("CREATE TABLE mine (n INTEGER)")
	require.NoError(t, err, "the caller's transaction goes on")
	require.NoError(t, tx.Commit())
	assert.Equal(t, 0, sqltest.Whole(t, db))
	_, err = db.Exec("SELECT n FROM mine")
	require.NoError(t, err)
}

// Writers of one process wait for each other, not for the database: with hardly
// any busy timeout none of many is turned away.
func TestManyWriters(t *testing.T) {
	const n = 500
	dsn := strings.Replace(sqlitetest.DSN(sqlitetest.File(t)), "_busy_timeout=5000", "_busy_timeout=1", 1)
	db := sqlitetest.OpenDB(t, dsn)
	s := sqlitetest.Store(t, db, nil)
	errs := make(chan error, 2*n)
	for i := range 2 * n {
		go func() {
			_, err := s.Apply(context.Background(), sample.Paid(sample.Name("n", i/2)))
			errs <- err
		}()
	}
	for range 2 * n {
		require.NoError(t, <-errs)
	}
	assert.Equal(t, n, sqltest.Whole(t, db))
}

// A deferred transaction of the caller's that has read before somebody else
// wrote can't write: an error of the driver's, and nothing is written.
func TestWithAfterAStaleRead(t *testing.T) {
	ctx := context.Background()
	file := sqlitetest.File(t)
	db := sqlitetest.OpenDB(t, deferred(sqlitetest.DSN(file)))
	s := sqlitetest.Store(t, db, nil)
	tx, err := db.Begin()
	require.NoError(t, err)
	joined := s.With(tx)
	_, err = joined.Booking(ctx, "bk_a")
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = s.Apply(ctx, sample.Paid("b"))
	require.NoError(t, err)
	_, err = joined.Apply(ctx, sample.Paid("a"))
	var driver interface{ Code() int }
	require.True(t, errors.As(err, &driver), "%v", err)
	assert.True(t, store.IsTransient(err))
	require.NoError(t, tx.Rollback())
	assert.Equal(t, 1, sqltest.Whole(t, db))
}

// Without one of its unique keys, no Change goes in: the database refuses the
// statement, rather than let two through.
func TestEveryUniqueKeyIsNeeded(t *testing.T) {
	c := sample.Seated("a")
	for _, table := range []string{"changes", "history", "bookings", "payments", "seats", "events"} {
		t.Run(table, func(t *testing.T) {
			ctx := context.Background()
			db := sqlitetest.OpenDB(t, sqlitetest.DSN(sqlitetest.File(t)))
			s := sqlitetest.Store(t, db, nil)
			var create string
			require.NoError(t, db.QueryRow("SELECT sql FROM sqlite_master WHERE name = ?", "stripebooking_"+table).Scan(&create))
			keyless := regexp.MustCompile(`,\s*PRIMARY KEY \([^)]*\)|PRIMARY KEY|, WITHOUT ROWID`).ReplaceAllString(create, "")
			require.NotEqual(t, create, keyless)
			_, err := db.Exec("DROP TABLE stripebooking_" + table + "; " + keyless)
			require.NoError(t, err)
			_, err = s.Apply(ctx, c)
			require.ErrorContains(t, err, "ON CONFLICT")
			assert.Equal(t, [5]int{}, sqltest.Counts(t, db))
		})
	}
}
