package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/carevia/stripebooking/store"
)

// MySQL is the dialect of MariaDB 10.6 or newer and of MySQL 8.0.17 or newer,
// through github.com/go-sql-driver/mysql; see the package's documentation for the
// settings it asks for.
//
// It is one dialect, so that nobody has to know which of the two a "MySQL" of a
// hosting company is. All statements but one are the same for both, and the schemas
// differ in the name of a collation, which each server takes from the comment that is
// for it. The one statement, of a new booking, is MariaDB's: MySQL says that it does
// not know it, once, and is then not asked again.
var MySQL = &Dialect{
	name:         "mysql",
	tableOptions: " ENGINE=InnoDB",
	unlessExists: onDuplicateKey,
	written:      writtenMySQL,
	forUpdate:    " FOR UPDATE",
	current:      " LOCK IN SHARE MODE", // FOR SHARE is MySQL's only
	jsonArray:    "JSON_ARRAYAGG(%s)",
	// Asked for by name: the server's default is REPEATABLE READ.
	txOptions:  &sql.TxOptions{Isolation: sql.LevelReadCommitted},
	again:      hasNumber(errDeadlock, errLockWait, errRolledBack),
	readOnly:   hasNumber(1290, 1792, 1836), // by an option, in such a transaction, by its mode
	notYet:     hasNumber(1040, 1203),       // too many connections, of all and of one user
	check:      checkMySQL,
	isOver:     noSavepoint,
	lockSchema: lockMySQL,
	applyNew:   applyNewMySQL,
}

// The numbers of the server's errors.
// See https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html
const (
	errDuplicate   = 1062
	errSyntax      = 1064
	errLockWait    = 1205 // has undone the statement or, with innodb_rollback_on_timeout, the transaction
	errDeadlock    = 1213 // has undone the transaction
	errNoSavepoint = 1305
	errRolledBack  = 3101 // at its commit, by group replication

	// Of newBookingMySQL, for its own key; in the range that no server uses.
	errKeyTaken = 45062
)

// hasNumber tells errors of the server with one of these numbers.
func hasNumber(numbers ...uint64) func(error) bool {
	return func(err error) bool {
		number := errorNumber(err)
		for _, n := range numbers {
			if number == n {
				return true
			}
		}
		return false
	}
}

// errorNumber is the number of the server's error in err, or 0. The driver keeps it
// in a field, Number, which no interface can name, and this package imports no driver.
func errorNumber(err error) uint64 {
	if err == nil {
		return 0
	}
	if v := reflect.Indirect(reflect.ValueOf(err)); v.Kind() == reflect.Struct {
		if f, ok := v.Type().FieldByName("Number"); ok && len(f.Index) == 1 && f.Type.Kind() == reflect.Uint16 {
			return v.FieldByIndex(f.Index).Uint()
		}
	}
	switch e := err.(type) { //nolint:errorlint // this is what goes down the chain
	case interface{ Unwrap() error }:
		return errorNumber(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			if n := errorNumber(err); n != 0 {
				return n
			}
		}
	}
	return 0
}

// valueError is an error of the server's whose text quotes a value.
type valueError struct {
	error
	text string
}

func (e valueError) Error() string { return e.text }
func (e valueError) Unwrap() error { return e.error }

// withoutValue takes the text from an error of MySQL's that quotes what it was given. On
// PostgreSQL and SQLite no statement of this package has such errors.
func withoutValue(err error) error {
	number := errorNumber(err)
	switch number {
	case errDuplicate, 1292, 1300, 1366, 1367, 1411, 1525, 1586: // values of a wrong type or text, and duplicates
	default:
		return err
	}
	text := fmt.Sprintf("MySQL's error %d, which quotes a value", number)
	// What comes last is the server's own name for the key.
	told := err.Error()
	if i := strings.LastIndex(told, " for key "); i >= 0 && number == errDuplicate {
		text += "," + told[i:]
	}
	return valueError{err, text}
}

// onDuplicateKey makes the update that a taken key leads to one of nothing. It is
// an error, since no key is NULL, when another unique index is what is taken.
//
// How many rows it wrote can't be told by the count: a row that stays as it is counts
// as one under clientFoundRows. So it leaves an id, as only the update does; one that
// is constant the server would work out beforehand. INSERT IGNORE is no choice, for it
// cuts values and drops errors. See
// https://mariadb.com/kb/en/insert-on-duplicate-key-update/
func onDuplicateKey(insert, key string) string {
	columns := strings.Split(key, ", ")
	var same string
	for _, c := range columns {
		same += c + " = VALUES(" + c + ") AND "
	}
	first := columns[0]
	return insert + " ON DUPLICATE KEY UPDATE " + first + " = IF(" + same + "LAST_INSERT_ID(OCTET_LENGTH(" + first + ")), " + first + ", NULL)"
}

// writtenMySQL: no table numbers its rows, so an id is that of onDuplicateKey.
func writtenMySQL(res sql.Result) (int64, error) {
	if id, err := res.LastInsertId(); id != 0 || err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func checkMySQL(ctx context.Context, c conn, prefix string) error {
	set := map[string]string{}
	err := query(ctx, c, "SHOW VARIABLES WHERE Variable_name IN ('version', 'character_set_client', 'character_set_connection', "+
		"'character_set_results', 'sql_mode', 'autocommit', 'completion_type', 'unique_checks', 'innodb_flush_log_at_trx_commit', "+
		"'log_bin', 'binlog_format', 'sync_binlog', 'group_concat_max_len')", nil, func(scan func(...any) error) error {
		var name, value string
		err := scan(text(&name), text(&value))
		set[strings.ToLower(name)] = value
		return err
	})
	if err != nil {
		return err
	}
	var others []string
	err = query(ctx, c, "SELECT t.table_name FROM information_schema.tables t WHERE t.table_schema = DATABASE() AND t.engine <> 'InnoDB' "+
		"AND t.table_name REGEXP '^"+prefix+"(bookings|payments|events|event_handlers|history|seats|changes|migrations)$'",
		nil, func(scan func(...any) error) error {
			var table string
			err := scan(text(&table))
			others = append(others, table)
			return err
		})
	if err != nil {
		return err
	}

	var errs []error
	problem := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	mariaDB := strings.Contains(set["version"], "MariaDB")
	if !recentMySQL(set["version"]) {
		problem("the server's version is %s: MariaDB 10.6, MySQL 8.0.17 or newer is needed", set["version"])
	}
	for _, name := range []string{"character_set_client", "character_set_connection", "character_set_results"} {
		if set[name] != "utf8mb4" {
			problem("%s is %s: add charset=utf8mb4 to the data source name", name, set[name])
		}
	}
	if !strings.Contains(set["sql_mode"], "STRICT_TRANS_TABLES") && !strings.Contains(set["sql_mode"], "STRICT_ALL_TABLES") {
		problem("sql_mode is not strict, so the server would cut what does not fit: add STRICT_TRANS_TABLES to it")
	}
	for _, must := range []struct{ name, value string }{{"autocommit", "ON"}, {"completion_type", "NO_CHAIN"}, {"unique_checks", "ON"}} {
		if set[must.name] != must.value {
			problem("%s is %s: set it to %s", must.name, set[must.name], must.value)
		}
	}
	switch flush := set["innodb_flush_log_at_trx_commit"]; flush {
	case "1", "3": // 3 is MariaDB's, and more
	case "":
		problem("the server has no InnoDB: switch it on")
	default:
		problem("innodb_flush_log_at_trx_commit is %s, so a crash of the server may undo a confirmed booking: set it to 1", flush)
	}
	// With a binary log, what is to be recovered is what that has.
	// https://mariadb.com/kb/en/binary-log-group-commit-and-innodb-flushing-performance/
	if set["log_bin"] == "ON" && set["innodb_flush_log_at_trx_commit"] == "1" && set["sync_binlog"] != "1" {
		problem("sync_binlog is %s, so a crash of the machine may undo a confirmed booking: set it to 1", set["sync_binlog"])
	}
	if set["log_bin"] == "ON" && set["binlog_format"] == "STATEMENT" {
		problem("binlog_format is STATEMENT, with which InnoDB refuses to write in READ COMMITTED: set it to ROW or MIXED")
	}
	if n, _ := strconv.ParseUint(set["group_concat_max_len"], 10, 64); mariaDB && n < minConcat {
		problem("group_concat_max_len is %d, beyond which MariaDB cuts lists: set it to %d or more", n, minConcat)
	}
	for _, table := range others {
		problem("the table %s is not InnoDB's: ALTER TABLE %[1]s ENGINE=InnoDB", table)
	}
	if len(errs) > 0 {
		return fmt.Errorf("settings of MariaDB or MySQL: %w", errors.Join(errs...))
	}
	return nil
}

// minConcat, in bytes, is room for the names of the handlers of an event.
const minConcat = 64 << 10

func recentMySQL(version string) bool {
	var v [3]int
	_, _ = fmt.Sscanf(version, "%d.%d.%d", &v[0], &v[1], &v[2]) // what is no number is 0
	least := [3]int{8, 0, 17}
	if strings.Contains(version, "MariaDB") {
		least = [3]int{10, 6, 0}
	}
	return slices.Compare(v[:], least[:]) >= 0
}

// noSavepoint: a deadlock ends a whole transaction, of which the driver's Tx knows
// nothing: what follows is committed by itself, and a savepoint is gone at once. When
// the question itself fails, as with ctx, nothing may be taken for granted.
func noSavepoint(ctx context.Context, tx conn) bool {
	if _, err := tx.ExecContext(ctx, "SAVEPOINT stripebooking_alive"); err != nil {
		return true
	}
	_, err := tx.ExecContext(ctx, "RELEASE SAVEPOINT stripebooking_alive")
	return err != nil
}

// lockMySQL holds a lock of the connection's until it is given back. Its name has 64
// characters at most, and is of the whole server. The statements that define tables
// are final each by itself: one that was done is done again, without effect.
func lockMySQL(ctx context.Context, c *sql.Conn, prefix string) (func(context.Context, bool) error, error) {
	name := "CONCAT('stripebooking ', SHA1(CONCAT(COALESCE(DATABASE(), ''), ' " + prefix + "')))"
	const forever = "31536000" // seconds; MariaDB refuses -1
	var got int64
	if err := queryRow(ctx, c, "SELECT GET_LOCK("+name+", "+forever+")", nil, number{&got}); err != nil {
		discard(c)
		return nil, err
	}
	if got != 1 {
		return nil, errors.New("GET_LOCK did not give the lock")
	}
	return func(ctx context.Context, _ bool) error {
		_, err := c.ExecContext(ctx, "DO RELEASE_LOCK("+name+")")
		if err != nil {
			discard(c)
		}
		return err
	}, nil
}

// newBookingMySQL is one statement of MariaDB's that is a transaction: any error
// undoes it, and says so. That of the key has a number of its own. It leaves the
// settings of the connection alone, since SET TRANSACTION is for the next one only.
func newBookingMySQL(rows []row) (statement string, args []any) {
	var q strings.Builder
	q.WriteString("BEGIN NOT ATOMIC DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END; " +
		"SET TRANSACTION ISOLATION LEVEL READ COMMITTED; START TRANSACTION; ")
	for i, r := range rows {
		insert := r.insert(r.table) + "; "
		if i == 0 {
			insert = "BEGIN DECLARE EXIT HANDLER FOR " + strconv.Itoa(errDuplicate) + " SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = " +
				strconv.Itoa(errKeyTaken) + ", MESSAGE_TEXT = 'the key is taken'; " + insert + "END; "
		}
		q.WriteString(insert)
		args = append(args, r.args()...)
	}
	q.WriteString("COMMIT; END")
	return q.String(), args
}

func applyNewMySQL(ctx context.Context, db *sql.DB, s *schema, ch store.Change) (bool, error) {
	rows := newRows(s, ch)
	if len(rows) > maxNewRows {
		return false, nil
	}
	statement, args := newBookingMySQL(rows)
	c, err := db.Conn(ctx)
	if err != nil {
		return false, err
	}
	defer c.Close()
	_, err = c.ExecContext(ctx, statement, args...)
	if err == nil {
		return true, nil
	}
	if errorNumber(err) == errKeyTaken {
		return false, &lostError{}
	}
	// The handler has rolled back, unless the failure was one, such as of memory, on
	// which none runs. Whoever is given the connection next must not commit half.
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	if _, undone := c.ExecContext(undo, "ROLLBACK"); undone != nil || s.dialect.readOnly(err) {
		discard(c)
	}
	switch {
	case errorNumber(err) == errSyntax:
		return false, errNoApplyNew
	case errorNumber(err) == errDuplicate || s.dialect.again(err), errors.Is(err, driver.ErrBadConn):
		return false, nil // and nothing was written: the transaction goes from there
	}
	return false, err
}
