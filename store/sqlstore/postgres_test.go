package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/store"
)

// Every statement has its placeholders numbered from 1, also those that are put
// together for a filter.
func TestPostgresRendering(t *testing.T) {
	s := newSchema(Postgres, "p_")
	q, args := s.eventsWhere(store.EventFilter{State: "done", Type: "x", From: time.UnixMilli(1), To: time.UnixMilli(2)})
	all := []string{q}
	assert.Contains(t, q, fmt.Sprintf("LIMIT $%d", len(args)+4))
	v := reflect.ValueOf(*s)
	for i := range v.NumField() {
		if v.Field(i).Kind() == reflect.String {
			all = append(all, v.Field(i).String())
		}
	}
	for _, q := range all {
		assert.NotContains(t, q, "?")
		for i, m := range regexp.MustCompile(`\$(\d+)`).FindAllStringSubmatch(q, -1) {
			assert.Equal(t, fmt.Sprint(i+1), m[1], q)
		}
	}
}

// Only the insert of the key may do nothing, and all others depend on it: else the
// statement would commit half a Change.
func TestPostgresNewBookingStatement(t *testing.T) {
	at := time.UnixMilli(1)
	c := store.Change{
		Key:     "k",
		Booking: &store.Booking{ID: "b", UserID: "u", State: store.StateConfirmed, CreatedAt: at, UpdatedAt: at},
		History: &store.History{To: store.StateConfirmed, Cause: store.Cause{By: "webhook"}},
		Payments: []store.Payment{
			{ID: "p1", BookingID: "b", PaymentIntentID: "pi_1"}, {ID: "p2", BookingID: "b", PaymentIntentID: "pi_2"},
		},
		Event: &store.Event{ID: "e", Type: "t", Handlers: []string{"y", "x"}},
	}
	db := &recorder{affected: 1}
	ok, err := applyNewPostgres(context.Background(), db, newSchema(Postgres, "p_"), c)
	require.NoError(t, err)
	assert.True(t, ok)
	assert.Equal(t, 1, strings.Count(db.query, "ON CONFLICT"))
	inserts := strings.Split(db.query, "INSERT INTO p_")[1:]
	require.Len(t, inserts, 8)
	for i, insert := range inserts {
		if i == 0 {
			assert.Contains(t, insert, "ON CONFLICT (change_key) DO NOTHING RETURNING 1")
		} else {
			assert.Contains(t, insert, " FROM won", insert)
		}
	}
	assert.Contains(t, db.query, fmt.Sprintf("$%d::", len(db.args)))
	assert.NotContains(t, db.query, fmt.Sprintf("$%d::", len(db.args)+1))

	for _, c := range []struct {
		name string
		db   recorder
		lost bool
		err  error
	}{
		{"a replay", recorder{}, true, nil},
		{"another key is taken", recorder{err: sqlState("23505")}, false, nil},
		{"could not serialize", recorder{err: sqlState("40001")}, false, nil},
		{"deadlock", recorder{err: sqlState("40P01")}, false, nil},
		{"away", recorder{err: errAway}, false, errAway},
		{"not null", recorder{err: sqlState("23502")}, false, sqlState("23502")},
	} {
		ok, err := applyNewPostgres(context.Background(), &c.db, newSchema(Postgres, "p_"), change())
		assert.False(t, ok, c.name)
		var lost *lostError
		assert.Equal(t, c.lost, errors.As(err, &lost), c.name)
		if !c.lost {
			assert.Equal(t, c.err, err, c.name)
		}
	}

	many := change()
	many.Payments = make([]store.Payment, maxNewRows+1)
	db = &recorder{affected: 1}
	ok, err = applyNewPostgres(context.Background(), db, newSchema(Postgres, "p_"), many)
	require.NoError(t, err)
	assert.False(t, ok)
	assert.Empty(t, db.query, "too many arguments for one statement")
}

func change() store.Change {
	return store.Change{
		Key: "k", Booking: &store.Booking{ID: "b", State: store.StateConfirmed},
		History: &store.History{To: store.StateConfirmed},
	}
}

// recorder is a conn that keeps what it is asked, and answers what it holds.
type recorder struct {
	query    string
	args     []any
	affected int64
	err      error
}

func (r *recorder) ExecContext(_ context.Context, query string, args ...any) (sql.Result, error) {
	r.query, r.args = query, args
	return rowsAffected(r.affected), r.err
}

func (r *recorder) QueryContext(context.Context, string, ...any) (*sql.Rows, error) {
	return nil, errAway
}

type rowsAffected int64

func (n rowsAffected) LastInsertId() (int64, error) { return 0, errAway }
func (n rowsAffected) RowsAffected() (int64, error) { return int64(n), nil }

func TestPostgresErrors(t *testing.T) {
	for _, c := range []struct {
		err           error
		again, notYet bool
	}{
		{sqlState("40001"), true, false},
		{fmt.Errorf("wrapped: %w", sqlState("40P01")), true, false},
		{sqlState("57P03"), false, true},
		{sqlState("53300"), false, true},
		{sqlState("23505"), false, false},
		{errAway, false, false},
		{nil, false, false},
	} {
		assert.Equal(t, c.again, Postgres.again(c.err), "%v", c.err)
		assert.Equal(t, c.notYet, Postgres.notYet(c.err), "%v", c.err)
	}
}

type sqlState string

func (sqlState) Error() string      { return "an error of the server's" }
func (s sqlState) SQLState() string { return string(s) }
