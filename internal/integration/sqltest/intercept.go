package sqltest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"testing"
)

// Around runs one statement; "CONNECT", "BEGIN" and "COMMIT" stand for
// themselves. It may fail before it calls run, or after.
type Around func(statement string, args []driver.NamedValue, run func() error) error

// Intercept opens a database whose statements all go through around, so that a
// test can watch them, or be the connection that breaks. Those that a driver
// prepares by itself do not.
func Intercept(t testing.TB, c driver.Connector, around Around) *sql.DB {
	t.Helper()
	db := sql.OpenDB(connector{c, around})
	t.Cleanup(func() { db.Close() })
	return db
}

type connector struct {
	driver.Connector
	around Around
}

func (c connector) Connect(ctx context.Context) (dc driver.Conn, err error) {
	err = c.around("CONNECT", nil, func() (err error) {
		dc, err = c.Connector.Connect(ctx)
		return err
	})
	if err != nil {
		if dc != nil {
			dc.Close()
		}
		return nil, err
	}
	return conn{dc.(fullConn), c.around}, nil
}

// fullConn is what database/sql would use of the driver's connection.
type fullConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

type conn struct {
	fullConn
	around Around
}

func (c conn) ExecContext(ctx context.Context, q string, args []driver.NamedValue) (res driver.Result, err error) {
	err = c.around(q, args, func() (err error) {
		res, err = c.fullConn.ExecContext(ctx, q, args)
		return err
	})
	return res, err
}

func (c conn) QueryContext(ctx context.Context, q string, args []driver.NamedValue) (rows driver.Rows, err error) {
	err = c.around(q, args, func() (err error) {
		rows, err = c.fullConn.QueryContext(ctx, q, args)
		return err
	})
	if err != nil && rows != nil {
		rows.Close()
		rows = nil
	}
	return rows, err
}

func (c conn) BeginTx(ctx context.Context, opts driver.TxOptions) (tx driver.Tx, err error) {
	err = c.around("BEGIN", nil, func() (err error) {
		tx, err = c.fullConn.BeginTx(ctx, opts)
		return err
	})
	if err != nil {
		if tx != nil {
			tx.Rollback()
		}
		return nil, err
	}
	return transaction{tx, c.around}, nil
}

type transaction struct {
	driver.Tx
	around Around
}

// Commit rolls back when around fails before the commit, as a server does when
// the connection breaks.
func (t transaction) Commit() error {
	ran := false
	err := t.around("COMMIT", nil, func() error {
		ran = true
		return t.Tx.Commit()
	})
	if !ran {
		t.Tx.Rollback()
	}
	return err
}
