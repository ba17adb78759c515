package sqltest

import (
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"
)

// Counts is how many rows the tables have: bookings, payments, events, history
// lines, keys.
func Counts(t testing.TB, db *sql.DB) [5]int {
	t.Helper()
	var n [5]int
	for i, table := range []string{"bookings", "payments", "events", "history", "changes"} {
		require.NoError(t, db.QueryRow("SELECT COUNT(*) FROM stripebooking_"+table).Scan(&n[i]))
	}
	return n
}

// Whole fails unless every booking of db, each made by one paid Change, has its
// payment, ledger row, history line and key, and the other way round.
func Whole(t testing.TB, db *sql.DB) (bookings int) {
	t.Helper()
	n := Counts(t, db)
	require.Equal(t, [5]int{n[0], n[0], n[0], n[0], n[0]}, n, "bookings, payments, events, history, keys")
	var joined int
	require.NoError(t, db.QueryRow(`SELECT COUNT(*)
		FROM stripebooking_bookings b
		JOIN stripebooking_payments p ON p.booking_id = b.id AND p.payment_intent_id = b.payment_intent_id
		JOIN stripebooking_events e ON e.booking_id = b.id
		JOIN stripebooking_history h ON h.booking_id = b.id AND h.version = b.version
		JOIN stripebooking_changes c ON c.booking_id = b.id AND c.change_key = e.id`).Scan(&joined))
	require.Equal(t, n[0], joined, "every booking with all that belongs to it")
	return n[0]
}

// Column is what the one column of a query holds.
func Column(t testing.TB, db *sql.DB, query string) (list []string) {
	t.Helper()
	rows, err := db.Query(query)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var v string
		require.NoError(t, rows.Scan(&v))
		list = append(list, v)
	}
	require.NoError(t, rows.Err())
	return list
}
