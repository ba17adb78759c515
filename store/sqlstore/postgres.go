package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"

	"github.com/carevia/stripebooking/store"
)

// Postgres is the dialect of PostgreSQL 14 or newer, through any driver for
// database/sql whose errors have a method SQLState, as those of
// github.com/jackc/pgx/v5/stdlib and github.com/lib/pq do.
//
// It keeps no state of a session, so that a pooler may give every transaction
// another one: no SET, no lock that outlives a transaction, no prepared statement
// but the driver's.
var Postgres = &Dialect{
	name:         "postgres",
	rebind:       numbered,
	unlessExists: onConflict,
	forUpdate:    " FOR UPDATE",
	jsonArray:    "json_agg(%s)::text",
	// Asked for by name: the database's default may be another.
	txOptions:  &sql.TxOptions{Isolation: sql.LevelReadCommitted},
	again:      hasState("40001", "40P01"), // serialization_failure, deadlock_detected
	notYet:     hasState("57P03", "53300"), // cannot_connect_now, too_many_connections
	check:      checkPostgres,
	lockSchema: lockPostgres,
	applyNew: func(ctx context.Context, db *sql.DB, s *schema, ch store.Change) (bool, error) {
		return applyNewPostgres(ctx, db, s, ch)
	},
}

// numbered turns each "?" into $1, $2, ...
func numbered(statement string) string {
	parts := strings.Split(statement, "?")
	var b strings.Builder
	for i, part := range parts {
		if i > 0 {
			b.WriteString("$" + strconv.Itoa(i))
		}
		b.WriteString(part)
	}
	return b.String()
}

// hasState tells errors of the server with one of these codes.
// See https://www.postgresql.org/docs/current/errcodes-appendix.html
func hasState(codes ...string) func(error) bool {
	return func(err error) bool {
		var e interface{ SQLState() string }
		if !errors.As(err, &e) {
			return false
		}
		for _, code := range codes {
			if e.SQLState() == code {
				return true
			}
		}
		return false
	}
}

var uniqueViolation = hasState("23505")

func checkPostgres(ctx context.Context, c conn, _ string) error {
	var version int64
	var encoding, commit string
	err := queryRow(ctx, c, "SELECT current_setting('server_version_num'), current_setting('server_encoding'), current_setting('synchronous_commit')",
		nil, number{&version}, text(&encoding), text(&commit))
	if err != nil {
		return err
	}
	var errs []error
	if version < 140000 {
		errs = append(errs, fmt.Errorf("the server's version is %d: 14 or newer is needed", version/10000))
	}
	if encoding != "UTF8" {
		errs = append(errs, fmt.Errorf("the database's encoding is %s: create it with ENCODING 'UTF8'", encoding))
	}
	if commit == "off" {
		errs = append(errs, errors.New("synchronous_commit is off, so a crash of the server may undo a confirmed booking: "+
			"set it to on for the database or the role"))
	}
	if len(errs) > 0 {
		return fmt.Errorf("settings of PostgreSQL: %w", errors.Join(errs...))
	}
	return nil
}

// lockPostgres makes the migrations one transaction, under a lock that ends with
// it. In READ COMMITTED, so that it sees what those before it in the line did.
func lockPostgres(ctx context.Context, c *sql.Conn, prefix string) (func(context.Context, bool) error, error) {
	end := func(ctx context.Context, keep bool) error {
		end := "ROLLBACK"
		if keep {
			end = "COMMIT"
		}
		_, err := c.ExecContext(ctx, end)
		return err
	}
	_, err := c.ExecContext(ctx, "BEGIN ISOLATION LEVEL READ COMMITTED")
	if err == nil {
		key := fnv.New64a()
		key.Write([]byte("stripebooking migrations " + prefix))
		_, err = c.ExecContext(ctx, "SELECT pg_advisory_xact_lock("+strconv.FormatInt(int64(key.Sum64()), 10)+")")
	}
	if err != nil {
		// Also of a BEGIN that took effect although ctx has ended.
		_ = end(context.WithoutCancel(ctx), false)
		return nil, err
	}
	return end, nil
}

// applyNewPostgres is one statement, hence atomic by itself. Only the insert of
// the key may do nothing, and then there are no rows for the others to take: they
// select from what it returns. Any other key that is taken is an error, which
// undoes the whole statement; did those inserts do nothing as well, what was
// written before them would stay: half a Change.
func applyNewPostgres(ctx context.Context, c conn, s *schema, ch store.Change) (bool, error) {
	rows := newRows(s, ch)
	if len(rows) > maxNewRows {
		return false, nil
	}
	var q newStatement
	q.begin(rows[0])
	// PostgreSQL promises no order, but runs them from the last to the first:
	// with that in mind, keys are taken in the order of writer.apply, so that
	// two callers on either way wait for each other rather than in a circle.
	for i := len(rows) - 1; i > 1; i-- {
		q.with(rows[i])
	}
	q.end(rows[1])

	n, err := writer{s, c}.exec(ctx, q.sql.String(), q.args...)
	switch {
	case uniqueViolation(err) || s.dialect.again(err):
		return false, nil // and nothing was written: the transaction goes from there
	case err != nil:
		return false, err
	case n == 0:
		return false, &lostError{} // to the key
	}
	return true, nil
}

// newStatement puts the statement of applyNewPostgres together.
type newStatement struct {
	sql  strings.Builder
	args []any
	n    int
}

func (q *newStatement) begin(r row) {
	q.sql.WriteString("WITH won AS (INSERT INTO " + r.table + " (" + r.list("") + ") SELECT ")
	q.values(r.columns)
	q.sql.WriteString(" ON CONFLICT (" + r.columns[0].name + ") DO NOTHING RETURNING 1)")
}

func (q *newStatement) with(r row) {
	q.n++
	q.sql.WriteString(", w" + strconv.Itoa(q.n) + " AS (")
	q.end(r)
	q.sql.WriteString(")")
}

func (q *newStatement) end(r row) {
	q.sql.WriteString(" INSERT INTO " + r.table + " (" + r.list("") + ") SELECT ")
	q.values(r.columns)
	q.sql.WriteString(" FROM won")
}

// values names each argument's type, which a SELECT does not take from the
// column that it ends in.
func (q *newStatement) values(cs columns) {
	for i, c := range cs {
		if i > 0 {
			q.sql.WriteString(", ")
		}
		q.args = append(q.args, c.field)
		q.sql.WriteString("$" + strconv.Itoa(len(q.args)) + "::" + postgresType(c.field))
	}
}

func postgresType(f field) string {
	switch f.(type) {
	case number, count, millis:
		return "bigint"
	case flag:
		return "boolean"
	case blob:
		return "bytea"
	}
	return "text"
}
