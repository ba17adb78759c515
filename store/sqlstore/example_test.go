package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"

	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/sqlstore"
)

// It needs a driver: import _ "modernc.org/sqlite".
func ExampleNew() {
	db, err := sql.Open("sqlite",
		"file:bookings.db?_busy_timeout=5000&_journal_mode=WAL&_synchronous=FULL&_txlock=immediate")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	st, err := sqlstore.New(sqlstore.Config{DB: db, Dialect: sqlstore.SQLite})
	if err != nil {
		log.Fatal(err)
	}
	if err := st.Migrate(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func ExampleStore_With() {
	var (
		ctx    context.Context
		db     *sql.DB
		st     *sqlstore.Store
		change store.Change
	)
	book := func() error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback() // nothing after Commit
		res, err := st.With(tx).Apply(ctx, change)
		if err != nil {
			return err
		}
		if res.Applied {
			if _, err := tx.ExecContext(ctx, "INSERT INTO outbox (booking_id) VALUES (?)", change.Booking.ID); err != nil {
				return err
			}
		}
		return tx.Commit()
	}
	_ = book
}

func ExampleMigrations() {
	list, err := sqlstore.Migrations(sqlstore.SQLite, "shop_")
	if err != nil {
		log.Fatal(err)
	}
	for _, m := range list {
		fmt.Printf("%d: %s.sql\n", m.Version, m.Name)
	}
	// Output:
	// 1: 0001_records.sql
}
