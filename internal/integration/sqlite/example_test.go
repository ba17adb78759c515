package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/carevia/stripebooking/internal/integration/sample"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/sqlstore"
)

// A store on a SQLite file, with an outbox of the caller's that gets its row with
// the booking, exactly once.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "bookings.db")+
		"?_busy_timeout=5000&_journal_mode=WAL&_synchronous=FULL&_txlock=immediate")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE TABLE outbox (booking_id TEXT NOT NULL)"); err != nil {
		log.Fatal(err)
	}
	st, err := sqlstore.New(sqlstore.Config{
		DB: db, Dialect: sqlstore.SQLite,
		InTx: func(ctx context.Context, tx *sql.Tx, c store.Change) error {
			_, err := tx.ExecContext(ctx, "INSERT INTO outbox (booking_id) VALUES (?)", c.Booking.ID)
			return err
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := st.Migrate(ctx); err != nil {
		log.Fatal(err)
	}

	event := sample.Paid("a") // booking, payment, ledger row and history line of one event
	for range 3 {             // Stripe delivers it three times
		res, err := st.Apply(ctx, event)
		fmt.Println(res.Applied, res.Booking.State, res.Booking.Version, err)
	}
	event.Key = "evt_other" // another event that brings the same booking
	res, err := st.Apply(ctx, event)
	fmt.Println(errors.Is(err, store.ErrConflict), res.Conflict, res.Booking.ID)

	var mails int
	if err := db.QueryRow("SELECT COUNT(*) FROM outbox").Scan(&mails); err != nil {
		log.Fatal(err)
	}
	fmt.Println("in the outbox:", mails)
	// Output:
	// true confirmed 1 <nil>
	// false confirmed 1 <nil>
	// false confirmed 1 <nil>
	// true version bk_a
	// in the outbox: 1
}
