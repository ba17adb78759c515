package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/store"
)

func TestConfig(t *testing.T) {
	_, err := New(Config{TablePrefix: "Nope"})
	require.Error(t, err)
	for _, want := range []string{"DB is required", "Dialect is required", "TablePrefix"} {
		assert.ErrorContains(t, err, want, "all problems at once")
	}
}

func TestPrefix(t *testing.T) {
	for _, c := range []struct {
		prefix string
		ok     bool
	}{
		{"", true}, {"shop_", true}, {"a", true}, {"s2_", true}, {strings.Repeat("a", 32), true},
		{strings.Repeat("a", 33), false}, {"2s", false}, {"_s", false}, {"Shop_", false}, {"shop-", false},
		{"shop.", false}, {`s"`, false}, {"s'", false}, {"s; DROP", false}, {"é", false}, {"s\x00", false},
	} {
		got, err := prefixOf(c.prefix)
		assert.Equal(t, c.ok, err == nil, "%q", c.prefix)
		if c.ok && c.prefix != "" {
			assert.Equal(t, c.prefix, got)
		}
	}
	got, _ := prefixOf("")
	assert.Equal(t, DefaultPrefix, got)
}

// Every statement and every migration has the prefix on every name, within the
// 63 bytes that PostgreSQL keeps of one, and nothing is left to fill in.
func TestRendering(t *testing.T) {
	prefix := strings.Repeat("p", maxPrefix-1) + "_"
	var all []string
	list, err := Migrations(SQLite, prefix)
	require.NoError(t, err)
	require.NotEmpty(t, list)
	for _, m := range list {
		all = append(all, statements(m.SQL)...)
	}
	s := reflect.ValueOf(*newSchema(SQLite, prefix))
	for i := range s.NumField() {
		if f := s.Type().Field(i); f.Type.Kind() == reflect.String && f.Name != "prefix" {
			require.NotEmpty(t, s.Field(i).String(), f.Name)
			all = append(all, s.Field(i).String())
		}
	}
	names := regexp.MustCompile(`(?:INTO|FROM|JOIN|UPDATE|TABLE|INDEX|ON|EXISTS) ([a-z_]+)\b`)
	for _, q := range all {
		assert.NotContains(t, q, "{")
		assert.NotContains(t, q, "%")
		for _, m := range names.FindAllStringSubmatch(q, -1) {
			if strings.Contains(q, "JOIN") && len(m[1]) == 1 { // ON p.booking_id
				continue
			}
			assert.True(t, strings.HasPrefix(m[1], prefix), "%s in %s", m[1], q)
			assert.LessOrEqual(t, len(m[1]), 63)
		}
	}

	_, err = Migrations(SQLite, "Nope")
	assert.Error(t, err)
	_, err = Migrations(nil, "")
	assert.Error(t, err)
}

// All dialects have the same tables, columns, keys and indexes.
func TestSameSchema(t *testing.T) {
	indexes := regexp.MustCompile(`(?m)^ +INDEX (\w+) (\(.*?\)),?$`)
	schemaOf := func(d *Dialect) (found []string) {
		list, err := Migrations(d, "p_")
		require.NoError(t, err)
		for _, m := range list {
			table := ""
			for _, line := range strings.Split(m.SQL, "\n") {
				line = strings.Replace(line, "IF NOT EXISTS ", "", 1)
				if name := regexp.MustCompile(`^CREATE TABLE (\w+)`).FindStringSubmatch(line); name != nil {
					table = name[1]
				}
				if index := indexes.FindStringSubmatch(line); index != nil {
					line = "CREATE INDEX " + index[1] + " ON " + table + " " + index[2] + ";"
				}
				switch {
				case strings.HasPrefix(line, "CREATE INDEX"), strings.HasPrefix(line, "    PRIMARY KEY"):
					found = append(found, line)
				case strings.HasPrefix(line, "    "):
					key := map[bool]string{true: " PRIMARY KEY"}[strings.Contains(line, "PRIMARY KEY")]
					null := map[bool]string{true: " NOT NULL"}[strings.Contains(line, "NOT NULL")]
					found = append(found, table+"."+strings.Fields(line)[0]+null+key)
				}
			}
		}
		return found
	}
	want := schemaOf(SQLite)
	require.Greater(t, len(want), 80)
	assert.Equal(t, want, schemaOf(Postgres))
	assert.Equal(t, want, schemaOf(MySQL))
}

func TestStatements(t *testing.T) {
	assert.Equal(t, []string{"-- x; y\nA (';', b);", "C;", "D"}, statements("-- x; y\nA (';', b);\n\nC;\n\nD"))
	assert.Empty(t, statements("\n"))
}

// A dialect with numbered placeholders gets them counted from 1 in every
// statement, also in those that are put together for a filter.
func TestRebind(t *testing.T) {
	d := *SQLite
	d.rebind = func(q string) string { return strings.ReplaceAll(q, "?", "$") }
	s := newSchema(&d, DefaultPrefix)
	q, args := s.eventsWhere(store.EventFilter{State: "done", Type: "x", From: time.UnixMilli(1), To: time.UnixMilli(2)})
	assert.NotContains(t, q, "?")
	assert.Equal(t, len(args)+4, strings.Count(q, "$"))
	v := reflect.ValueOf(*s)
	for i := range v.NumField() {
		if v.Field(i).Kind() == reflect.String {
			assert.NotContains(t, v.Field(i).String(), "?", v.Type().Field(i).Name)
		}
	}
}

// An event's time has whole milliseconds, a filter's may lie between two.
func TestEventFilterTimes(t *testing.T) {
	s := newSchema(SQLite, DefaultPrefix)
	for ns, want := range map[int64]int64{0: 5, 1: 6, 999_999: 6} {
		at := time.UnixMilli(5).Add(time.Duration(ns))
		_, args := s.eventsWhere(store.EventFilter{From: at, To: at})
		assert.Equal(t, []any{want, want}, args, "%d ns", ns)
	}
}

// Every field of every record has its column: what is filled in comes back.
func TestColumns(t *testing.T) {
	roundTrip(t, bookingColumns)
	roundTrip(t, paymentColumns)
	roundTrip(t, historyColumns)
	roundTrip(t, func(e *store.Event) columns {
		return append(eventColumns(e), column{"handlers", asJSON(&e.Handlers)})
	})
}

func roundTrip[T any](t *testing.T, cols func(*T) columns) {
	t.Helper()
	var in T
	fill(t, reflect.ValueOf(&in).Elem())
	for _, form := range []func(driver.Value) driver.Value{
		func(v driver.Value) driver.Value { return v },
		func(v driver.Value) driver.Value { // as a text protocol has it
			switch v := v.(type) {
			case string:
				return []byte(v)
			case bool:
				return map[bool]int64{true: 1}[v]
			}
			return v
		},
	} {
		var out, zero T
		outs, zeros := cols(&out), cols(&zero)
		for i, c := range cols(&in) {
			v, err := c.field.Value()
			require.NoError(t, err)
			require.NotNil(t, v, c.name)
			require.NoError(t, outs[i].field.Scan(form(v)), c.name)
			require.NoError(t, zeros[i].field.Scan(nil), c.name)
		}
		assert.Equal(t, in, out)
		assert.Zero(t, zero)
	}
}

// fill gives every field a value of its own kind that is not zero.
func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	switch {
	case v.Type() == reflect.TypeOf(time.Time{}):
		v.Set(reflect.ValueOf(time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)))
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	case v.Kind() == reflect.String:
		v.SetString("é'\"\\<" + v.Type().Name())
	case v.CanInt():
		v.SetInt(42)
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
		v.SetBytes([]byte("{}"))
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(t, v.Index(0))
		fill(t, v.Index(1))
	case v.Kind() == reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		k := reflect.New(v.Type().Key()).Elem()
		fill(t, k)
		v.SetMapIndex(k, k)
	default:
		t.Fatalf("no value for a %s", v.Type())
	}
}

// The stored form of what is kept as JSON must stay readable by later versions.
func TestStoredJSON(t *testing.T) {
	for want, f := range map[string]field{
		`[{"Slot":"mon","Number":3}]`:                asJSON(&[]store.Seat{{Slot: "mon", Number: 3}}),
		`[{"Slot":"mon","Capacity":5,"Count":2}]`:    asJSON(&[]store.SeatClaim{{Slot: "mon", Capacity: 5, Count: 2}}),
		`[{"ID":"re_1","Amount":7,"Status":"done"}]`: asJSON(&[]store.Refund{{ID: "re_1", Amount: 7, Status: "done"}}),
		`{"k":"v"}`: asJSON(&map[string]string{"k": "v"}),
	} {
		got, err := f.Value()
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
}

func TestSQLiteErrors(t *testing.T) {
	for _, c := range []struct {
		err         error
		again, busy bool
	}{
		{coded(5), false, true}, {coded(517), true, true}, {coded(261), true, true}, {coded(19), false, false},
		{errors.New("database is locked"), false, true}, {errors.New("disk I/O error"), false, false},
	} {
		assert.Equal(t, c.again, SQLite.again(c.err), "%v", c.err)
		assert.Equal(t, c.busy, SQLite.notYet(c.err), "%v", c.err)
	}
}

type coded int

func (coded) Error() string { return "coded" }
func (c coded) Code() int   { return int(c) }

var (
	errSerialize = errors.New("could not serialize")
	errAway      = errors.New("the server is away")
)

// A transaction that fails only for the company it had is run again, with its
// InTx, a few times; any other failure comes back at once.
func TestRunAgain(t *testing.T) {
	var always []error
	for range maxTries + 1 {
		always = append(always, errSerialize)
	}
	for _, c := range []struct {
		name    string
		commits []error
		runs    int
		want    error
	}{
		{"good", nil, 1, nil},
		{"twice unlucky", []error{errSerialize, errSerialize}, 3, nil},
		{"always unlucky", always, maxTries, errSerialize},
		{"away", []error{errAway}, 1, errAway},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := sql.OpenDB(&fakeDB{commits: c.commits})
			defer db.Close()
			runs := 0
			s, err := New(Config{DB: db, Dialect: fakeDialect(), InTx: func(context.Context, *sql.Tx, store.Change) error {
				runs++
				return nil
			}})
			require.NoError(t, err)
			res, err := s.Apply(context.Background(), store.Change{Key: "k"})
			assert.Equal(t, c.runs, runs)
			assert.Equal(t, c.want == nil, res.Applied)
			assert.ErrorIs(t, err, c.want)
			if c.want != nil {
				assert.True(t, store.IsTransient(err))
				assert.NotErrorIs(t, err, store.ErrConflict)
			}
		})
	}
}

// A connection on which a transaction could not be ended may still have it open, and is
// closed, lest whoever is given it next commits what is left.
func TestFailedEndClosesTheConnection(t *testing.T) {
	errNo := errors.New("no")
	for _, c := range []struct {
		name   string
		fake   fakeDB
		inTx   error
		closed int
	}{
		{"committed", fakeDB{}, nil, 0},
		{"rolled back", fakeDB{}, errNo, 0},
		{"the commit fails", fakeDB{commits: []error{errAway}}, nil, 1},
		{"the rollback fails", fakeDB{rollback: errAway}, errNo, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := sql.OpenDB(&c.fake)
			defer db.Close()
			s, err := New(Config{DB: db, Dialect: fakeDialect(), InTx: func(context.Context, *sql.Tx, store.Change) error { return c.inTx }})
			require.NoError(t, err)
			_, err = s.Apply(context.Background(), store.Change{Key: "k"})
			assert.Equal(t, c.name != "committed", err != nil)
			assert.Equal(t, c.closed, c.fake.closed)
			assert.Zero(t, db.Stats().InUse)
		})
	}
}

// A commit that gets no answer does not outlast ctx.
func TestCommitThatHangs(t *testing.T) {
	fake := &fakeDB{hang: make(chan struct{})}
	db := sql.OpenDB(fake)
	s, err := New(Config{DB: db, Dialect: fakeDialect()})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		_, err := s.Apply(ctx, store.Change{Key: "k"})
		done <- err
	}()
	fake.hang <- struct{}{} // it has come to the commit
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	fake.hang <- struct{}{}
	require.Eventually(t, func() bool { return db.Stats().InUse == 0 }, 10*time.Second, time.Millisecond)
	assert.Equal(t, 1, fake.committed)
	require.NoError(t, db.Close())
}

// Whatever a driver makes of a ctx that has ended, the caller is told so; an
// answer of the store's own stays what it is.
func TestAnnotate(t *testing.T) {
	live := context.Background()
	over, cancel := context.WithCancel(live)
	cancel()
	for _, c := range []struct {
		ctx      context.Context
		err      error
		canceled bool
	}{
		{live, errAway, false},
		{over, errAway, true},
		{over, context.Canceled, true},
		{over, store.ErrConflict, false},
		{over, store.ErrNotFound, false},
	} {
		err := c.err
		annotate(c.ctx, "op", &err)
		assert.ErrorIs(t, err, c.err)
		assert.ErrorContains(t, err, "sqlstore: op: ")
		assert.Equal(t, c.canceled, errors.Is(err, context.Canceled), "%v", err)
	}
	var none error
	annotate(over, "op", &none)
	assert.NoError(t, none)
}

// A dialect's one-statement way is taken for a new booking without claims, and
// left when the statement has lost or InTx needs a transaction.
func TestApplyNew(t *testing.T) {
	change := newBooking()
	claiming := change
	claiming.Claim = []store.SeatClaim{{Slot: "s", Capacity: 1, Count: 1}}
	for _, c := range []struct {
		name     string
		change   store.Change
		wins     bool
		inTx     bool
		asked    int
		commits  int
		wantSame bool
	}{
		{name: "wins", change: change, wins: true, asked: 1, wantSame: true},
		{name: "loses", change: change, asked: 1, commits: 1},
		{name: "InTx", change: change, wins: true, inTx: true, commits: 1},
		{name: "no booking", change: store.Change{Key: "k"}, wins: true, commits: 1},
		{name: "claims", change: claiming, wins: true, commits: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			fake := &fakeDB{}
			db := sql.OpenDB(fake)
			defer db.Close()
			asked := 0
			d := fakeDialect()
			d.applyNew = func(context.Context, *sql.DB, *schema, store.Change) (bool, error) {
				asked++
				return c.wins, nil
			}
			cfg := Config{DB: db, Dialect: d}
			if c.inTx {
				cfg.InTx = func(context.Context, *sql.Tx, store.Change) error { return nil }
			}
			s, err := New(cfg)
			require.NoError(t, err)
			res, err := s.Apply(context.Background(), c.change)
			require.NoError(t, err)
			assert.True(t, res.Applied)
			assert.Equal(t, c.asked, asked)
			assert.Equal(t, c.commits, fake.committed)
			if c.wantSame {
				b, e := c.change.Next(), store.MergeEvent(nil, *c.change.Event)
				assert.Equal(t, store.Result{Applied: true, Booking: &b, Event: &e}, res)
			}
		})
	}
}

func newBooking() store.Change {
	at := time.UnixMilli(1).UTC()
	return store.Change{
		Key: "k",
		Booking: &store.Booking{
			ID: "b", UserID: "u", Option: store.OptionFull, Currency: "usd", State: store.StateConfirmed,
			CreatedAt: at, UpdatedAt: at,
		},
		History: &store.History{To: store.StateConfirmed, Cause: store.Cause{By: "webhook"}},
		Event:   &store.Event{ID: "e", Type: "t", State: store.EventDone, ReceivedAt: at, UpdatedAt: at},
	}
}

// A server that does not know the statement is asked once.
func TestNoApplyNew(t *testing.T) {
	asked := 0
	d := fakeDialect()
	d.applyNew = func(context.Context, *sql.DB, *schema, store.Change) (bool, error) {
		asked++
		return false, errNoApplyNew
	}
	fake := &fakeDB{}
	db := sql.OpenDB(fake)
	defer db.Close()
	s, err := New(Config{DB: db, Dialect: d})
	require.NoError(t, err)
	for n := range 3 {
		res, err := s.Apply(context.Background(), newBooking())
		require.NoError(t, err)
		assert.True(t, res.Applied)
		assert.Equal(t, n+1, fake.committed)
	}
	assert.Equal(t, 1, asked)
}

// fakeDialect is of a database that asks to run a transaction again.
func fakeDialect() *Dialect {
	return &Dialect{
		name: "fake", unlessExists: onConflict, jsonArray: "%s",
		again: func(err error) bool { return errors.Is(err, errSerialize) },
	}
}

// fakeDB writes one row for each statement and has none to read.
type fakeDB struct {
	commits   []error // of the commits to come; then they succeed
	committed int
	rollback  error
	hang      chan struct{} // a commit takes one when it begins and one when it ends; nil: it does not wait
	execs     []error       // of the statements to come; then they succeed
	ran       []string
	closed    int
	variables [][]driver.Value // what SHOW VARIABLES shows
}

func (f *fakeDB) Connect(context.Context) (driver.Conn, error) { return f, nil }
func (f *fakeDB) Driver() driver.Driver                        { return nil }
func (f *fakeDB) Prepare(string) (driver.Stmt, error)          { return nil, driver.ErrSkip }
func (f *fakeDB) Close() error                                 { f.closed++; return nil }
func (f *fakeDB) Begin() (driver.Tx, error)                    { return f, nil }
func (f *fakeDB) Rollback() error                              { return f.rollback }
func (f *fakeDB) Commit() error {
	if f.hang != nil {
		<-f.hang
		<-f.hang
	}
	if err := pop(&f.commits); err != nil {
		return err
	}
	f.committed++
	return nil
}

func (f *fakeDB) ExecContext(_ context.Context, q string, _ []driver.NamedValue) (driver.Result, error) {
	f.ran = append(f.ran, q)
	return driver.RowsAffected(1), pop(&f.execs)
}

func pop(errs *[]error) (err error) {
	if len(*errs) > 0 {
		err, *errs = (*errs)[0], (*errs)[1:]
	}
	return err
}

func (f *fakeDB) QueryContext(_ context.Context, q string, _ []driver.NamedValue) (driver.Rows, error) {
	if strings.HasPrefix(q, "SHOW VARIABLES") {
		return &fakeRows{f.variables}, nil
	}
	return &fakeRows{}, nil
}

type fakeRows struct{ rows [][]driver.Value }

func (*fakeRows) Columns() []string { return []string{"name", "value"} }
func (*fakeRows) Close() error      { return nil }

func (r *fakeRows) Next(to []driver.Value) error {
	if len(r.rows) == 0 {
		return io.EOF
	}
	copy(to, r.rows[0])
	r.rows = r.rows[1:]
	return nil
}
