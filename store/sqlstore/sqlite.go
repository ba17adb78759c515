package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// SQLite is the dialect of SQLite 3.37 or newer, through any driver for
// database/sql; see the package's documentation for the settings it asks for.
//
// The first statement of every transaction that this package makes is a write,
// so that even a deferred BEGIN takes the write lock at once, within the busy
// timeout, and no transaction fails because it read first.
var SQLite = &Dialect{
	name:         "sqlite",
	unlessExists: onConflict,
	jsonArray:    "json_group_array(%s)",
	oneWriter:    true,
	again:        staleSnapshot,
	notYet:       busy,
	check:        checkSQLite,
	isOver:       rolledBack,
	lockSchema:   beginImmediate,
}

func onConflict(insert, key string) string {
	return insert + " ON CONFLICT (" + key + ") DO NOTHING"
}

// staleSnapshot reports SQLITE_BUSY_SNAPSHOT and SQLITE_BUSY_RECOVERY, which do
// not wait. A plain SQLITE_BUSY has waited for the busy timeout already.
func staleSnapshot(err error) bool {
	var e interface{ Code() int }
	return errors.As(err, &e) && (e.Code() == 517 || e.Code() == 261)
}

// busy reports SQLITE_BUSY. Where many processes open a new file at once, all
// but one of those that would switch it to WAL get it without any wait.
func busy(err error) bool {
	var e interface{ Code() int }
	if errors.As(err, &e) {
		return e.Code()&0xff == 5
	}
	return strings.Contains(err.Error(), "database is locked") // drivers without Code
}

func checkSQLite(ctx context.Context, c conn, _ string) error {
	var timeout, synchronous int64
	var journal string
	for pragma, f := range map[string]field{
		"busy_timeout": number{&timeout}, "synchronous": number{&synchronous}, "journal_mode": text(&journal),
	} {
		if err := queryRow(ctx, c, "PRAGMA "+pragma, nil, f); err != nil {
			return err
		}
	}
	var errs []error
	if timeout <= 0 {
		errs = append(errs, errors.New("busy_timeout is 0: add _busy_timeout=5000"))
	}
	if synchronous < 2 {
		errs = append(errs, fmt.Errorf("synchronous is %d, so a power cut may undo a confirmed booking: add _synchronous=FULL", synchronous))
	}
	if !strings.EqualFold(journal, "wal") {
		errs = append(errs, fmt.Errorf("journal_mode is %q: add _journal_mode=WAL (to a database in a file)", journal))
	}
	if len(errs) > 0 {
		return fmt.Errorf("settings of the SQLite connection, to be changed in its data source name: %w", errors.Join(errs...))
	}
	return nil
}

// rolledBack: SQLite ends a whole transaction when one of its writes is interrupted
// or finds the disk full. Within one BEGIN fails, and changes nothing.
// See https://www.sqlite.org/lang_transaction.html#response_to_errors_within_a_transaction
func rolledBack(ctx context.Context, tx conn) bool {
	ctx = context.WithoutCancel(ctx)
	if _, err := tx.ExecContext(ctx, "BEGIN"); err != nil {
		return false
	}
	_, _ = tx.ExecContext(ctx, "ROLLBACK") // of what that began
	return true
}

func beginImmediate(ctx context.Context, c *sql.Conn, _ string) (func(context.Context, bool) error, error) {
	if _, err := c.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		// A driver may report ctx's end of a BEGIN that took effect.
		_, _ = c.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		return nil, err
	}
	return func(ctx context.Context, keep bool) error {
		end := "ROLLBACK"
		if keep {
			end = "COMMIT"
		}
		_, err := c.ExecContext(ctx, end)
		return err
	}, nil
}
