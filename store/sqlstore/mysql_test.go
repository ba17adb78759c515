package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/store"
)

// mysqlError is like the error of github.com/go-sql-driver/mysql.
type mysqlError struct {
	Number   uint16
	SQLState [5]byte
	Message  string
}

func (e *mysqlError) Error() string { return fmt.Sprintf("Error %d: %s", e.Number, e.Message) }

func TestMySQLErrors(t *testing.T) {
	deadlock := &mysqlError{Number: 1213}
	for _, c := range []struct {
		err           error
		number        uint64
		again, notYet bool
	}{
		{deadlock, 1213, true, false},
		{fmt.Errorf("wrapped: %w", deadlock), 1213, true, false},
		{fmt.Errorf("%w, after %w", errAway, fmt.Errorf("wrapped: %w", deadlock)), 1213, true, false},
		{errors.Join(errAway, &mysqlError{Number: 1205}), 1205, true, false},
		{&mysqlError{Number: 3101}, 3101, true, false},
		{&mysqlError{Number: 1040}, 1040, false, true},
		{&mysqlError{Number: 1203}, 1203, false, true},
		{&mysqlError{Number: 1062}, 1062, false, false},
		{(*mysqlError)(nil), 0, false, false},
		{numbered1213("1213"), 0, false, false},
		{otherNumber{"1213"}, 0, false, false},
		{embedded{}, 0, false, false},
		{errors.New("Error 1213 (40001): it only says so"), 0, false, false},
		{fmt.Errorf("hidden: %v", deadlock), 0, false, false},
		{nil, 0, false, false},
	} {
		assert.Equal(t, c.number, errorNumber(c.err), "%#v", c.err)
		assert.Equal(t, c.again, MySQL.again(c.err), "%#v", c.err)
		assert.Equal(t, c.notYet, MySQL.notYet(c.err), "%#v", c.err)
	}
}

// What was stored is in no text, though an index of somebody's own holds it.
func TestMySQLErrorsTellNoValue(t *testing.T) {
	duplicate := &mysqlError{Number: 1062, Message: "Duplicate entry 'ada@example.com' for key 'it' for key 'own'"}
	for _, c := range []struct {
		err  error
		want string
	}{
		{duplicate, "sqlstore: apply: MySQL's error 1062, which quotes a value, for key 'own'"},
		{fmt.Errorf("InTx: %w", duplicate), "sqlstore: apply: MySQL's error 1062, which quotes a value, for key 'own'"},
		{&mysqlError{Number: 1366, Message: "Incorrect string value: 'ada for key ada' for column 'x'"}, "sqlstore: apply: MySQL's error 1366, which quotes a value"},
		{&mysqlError{Number: 1146, Message: "Table 'x' doesn't exist"}, "sqlstore: apply: Error 1146: Table 'x' doesn't exist"},
		{errAway, "sqlstore: apply: " + errAway.Error()},
	} {
		err := c.err
		annotate(context.Background(), "apply", &err)
		assert.EqualError(t, err, c.want)
		assert.ErrorIs(t, err, c.err)
		assert.Equal(t, errorNumber(c.err), errorNumber(err))
	}
}

// Errors with a Number of another kind, or none.
type numbered1213 string

func (numbered1213) Error() string { return "coded" }

type otherNumber struct{ Number string }

func (otherNumber) Error() string { return "coded" }

type embedded struct{ *mysqlError }

func (embedded) Error() string { return "nothing is in it" }

// Settings that the server of the tests can't have are refused as well.
func TestMySQLSettings(t *testing.T) {
	good := map[string]string{
		"version": "8.0.36", "character_set_client": "utf8mb4", "character_set_connection": "utf8mb4", "character_set_results": "utf8mb4",
		"sql_mode": "ANSI,STRICT_ALL_TABLES", "autocommit": "ON", "completion_type": "NO_CHAIN", "unique_checks": "ON",
		"innodb_flush_log_at_trx_commit": "1", "log_bin": "ON", "binlog_format": "ROW", "sync_binlog": "1", "group_concat_max_len": "1024",
	}
	for _, c := range []struct {
		change map[string]string
		want   string
	}{
		{nil, ""},
		{map[string]string{"binlog_format": "STATEMENT"}, "set it to ROW or MIXED"},
		{map[string]string{"binlog_format": "STATEMENT", "log_bin": "OFF"}, ""},
		{map[string]string{"sync_binlog": "0"}, "sync_binlog is 0"},
		{map[string]string{"sync_binlog": "0", "log_bin": "OFF"}, ""},
		{map[string]string{"sync_binlog": "0", "innodb_flush_log_at_trx_commit": "3"}, ""},
		{map[string]string{"innodb_flush_log_at_trx_commit": "3"}, ""},
		{map[string]string{"innodb_flush_log_at_trx_commit": "0"}, "set it to 1"},
		{map[string]string{"innodb_flush_log_at_trx_commit": ""}, "no InnoDB"},
		{map[string]string{"version": "8.0.16"}, "8.0.16"},
		{map[string]string{"version": "11.4.2-MariaDB"}, "group_concat_max_len is 1024"},
		{map[string]string{"version": "11.4.2-MariaDB", "group_concat_max_len": "65536"}, ""},
	} {
		fake := &fakeDB{}
		for name, value := range good {
			if v, ok := c.change[name]; ok {
				value = v
			}
			if value != "" {
				fake.variables = append(fake.variables, []driver.Value{name, []byte(value)})
			}
		}
		db := sql.OpenDB(fake)
		err := checkMySQL(context.Background(), db, "p_")
		if c.want == "" {
			assert.NoError(t, err)
		} else {
			assert.ErrorContains(t, err, c.want)
		}
		require.NoError(t, db.Close())
	}
}

func TestMySQLVersions(t *testing.T) {
	for version, want := range map[string]bool{
		"10.11.19-MariaDB-0+deb12u1": true, "10.6.3-MariaDB": true, "11.8.2-MariaDB-log": true, "10.5.27-MariaDB": false,
		"8.0.17": true, "8.0.36-28": true, "8.4.0": true, "9.1.0": true, "8.0.16": false, "5.7.44-log": false,
		"8.0.11-TiDB-v7.5.0": false, "": false, "unknown": false,
	} {
		assert.Equal(t, want, recentMySQL(version), version)
	}
}

// The update of a taken key changes no column, and fails for another key's.
func TestMySQLInsertUnlessExists(t *testing.T) {
	assert.Equal(t, "INSERT INTO h (a, b, c) VALUES (?, ?, ?) ON DUPLICATE KEY UPDATE a = "+
		"IF(a = VALUES(a) AND b = VALUES(b) AND LAST_INSERT_ID(OCTET_LENGTH(a)), a, NULL)",
		MySQL.unlessExists("INSERT INTO h (a, b, c) VALUES (?, ?, ?)", "a, b"))
	for _, c := range []struct {
		res  driver.Result
		want int64
	}{
		{result{id: 0, n: 1}, 1}, // inserted, or updated
		{result{id: 0, n: 0}, 0}, // an update without a row
		{result{id: 5, n: 0}, 0}, // the key is taken
		{result{id: 5, n: 1}, 0}, // and under clientFoundRows
	} {
		n, err := writtenMySQL(c.res)
		require.NoError(t, err)
		assert.Equal(t, c.want, n, "%+v", c.res)
	}
}

type result struct{ id, n int64 }

func (r result) LastInsertId() (int64, error) { return r.id, nil }
func (r result) RowsAffected() (int64, error) { return r.n, nil }

// A new booking is one transaction in one statement: any error undoes it, and only
// that of the key, which is inserted first, is told apart.
func TestMySQLNewBookingStatement(t *testing.T) {
	c := change()
	c.Payments = []store.Payment{{PaymentIntentID: "pi_1"}, {PaymentIntentID: "pi_2"}}
	c.Event = &store.Event{ID: "e", Type: "t", Handlers: []string{"y", "x"}}
	q, args := newBookingMySQL(newRows(newSchema(MySQL, "p_"), c))
	assert.True(t, strings.HasPrefix(q, "BEGIN NOT ATOMIC DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END; "+
		"SET TRANSACTION ISOLATION LEVEL READ COMMITTED; START TRANSACTION; "+
		"BEGIN DECLARE EXIT HANDLER FOR 1062 SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 45062, MESSAGE_TEXT = 'the key is taken'; "+
		"INSERT INTO p_changes (change_key, fingerprint, booking_id) VALUES (?, ?, ?); END; INSERT INTO p_history "), q)
	assert.True(t, strings.HasSuffix(q, "; COMMIT; END"), q)
	assert.Equal(t, 8, strings.Count(q, "INSERT INTO p_"))
	assert.Equal(t, 2, strings.Count(q, "HANDLER"))
	assert.NotContains(t, q, "DUPLICATE")
	assert.Equal(t, strings.Count(q, "?"), len(args))
}

// What the server says of the one statement decides what is done next, and whether
// the connection is rolled back.
func TestMySQLApplyNew(t *testing.T) {
	for _, c := range []struct {
		name     string
		err      error
		ok, lost bool
		want     error
		after    string // what is run on the connection afterwards
	}{
		{name: "in", ok: true},
		{name: "a replay", err: &mysqlError{Number: errKeyTaken}, lost: true},
		{name: "another key is taken", err: &mysqlError{Number: 1062}, after: "ROLLBACK"},
		{name: "deadlock", err: &mysqlError{Number: 1213}, after: "ROLLBACK"},
		{name: "waited too long", err: &mysqlError{Number: 1205}, after: "ROLLBACK"},
		{name: "nothing was sent", err: driver.ErrBadConn},
		{name: "unknown to the server", err: &mysqlError{Number: 1064}, want: errNoApplyNew, after: "ROLLBACK"},
		{name: "killed", err: &mysqlError{Number: 1317}, want: &mysqlError{Number: 1317}, after: "ROLLBACK"},
		{name: "away", err: errAway, want: errAway, after: "ROLLBACK"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fake := &fakeDB{execs: []error{c.err}}
			db := sql.OpenDB(fake)
			defer db.Close()
			ok, err := applyNewMySQL(context.Background(), db, newSchema(MySQL, "p_"), change())
			assert.Equal(t, c.ok, ok)
			var lost *lostError
			assert.Equal(t, c.lost, errors.As(err, &lost))
			if !c.lost {
				assert.Equal(t, c.want, err)
			}
			assert.Equal(t, c.after, strings.Join(fake.ran[1:], " "))
		})
	}

	many := change()
	many.Payments = make([]store.Payment, maxNewRows)
	fake := &fakeDB{}
	db := sql.OpenDB(fake)
	defer db.Close()
	ok, err := applyNewMySQL(context.Background(), db, newSchema(MySQL, "p_"), many)
	require.NoError(t, err)
	assert.False(t, ok)
	assert.Empty(t, fake.ran, "too many arguments for one statement")
}

// A connection that can't be rolled back is closed.
func TestMySQLApplyNewDiscards(t *testing.T) {
	for _, rollback := range []error{nil, errAway} {
		fake := &fakeDB{execs: []error{&mysqlError{Number: 1317}, rollback}}
		db := sql.OpenDB(fake)
		_, err := applyNewMySQL(context.Background(), db, newSchema(MySQL, "p_"), change())
		require.Error(t, err)
		assert.Equal(t, map[bool]int{true: 0, false: 1}[rollback == nil], fake.closed)
		require.NoError(t, db.Close())
	}
}
