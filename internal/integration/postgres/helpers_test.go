package postgres

import (
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/store"
)

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// paid is the Change of a paid event: a new booking with its payment, ledger row
// and history line. Everything is named after id.
func paid(id string) store.Change {
	b := &store.Booking{
		ID: "bk_" + id, UserID: "user_1", ServiceID: "svc", ServiceName: "Home cleaning",
		Option: store.OptionFull, Total: 5000, Paid: 5000, Currency: "usd", State: store.StateConfirmed,
		PaymentIntentID: "pi_" + id, SessionID: "cs_" + id,
		Details:   map[string]string{"note": "<ring twice> & wait"},
		CreatedAt: t0, UpdatedAt: t0,
	}
	return store.Change{
		Key:     "evt_" + id,
		Booking: b,
		Payments: []store.Payment{{
			ID: "pay_" + id, BookingID: b.ID, UserID: b.UserID, PaymentIntentID: b.PaymentIntentID, SessionID: b.SessionID,
			Amount: 5000, Subtotal: 5000, Currency: "usd", Status: store.StatusSucceeded, CapturedAt: t0,
			PaymentMethod: "card", Purpose: store.PurposeFull, CreatedAt: t0, UpdatedAt: t0,
		}},
		Event: &store.Event{
			ID: "evt_" + id, Type: "checkout.session.completed", ObjectID: b.SessionID, State: store.EventDone,
			ReceivedAt: t0, UpdatedAt: t0, BookingID: b.ID, Payload: []byte(`{"id":"evt_` + id + `"}`),
		},
		History: &store.History{To: store.StateConfirmed, Cause: store.Cause{By: "webhook", ID: "evt_" + id}, At: t0},
	}
}

// next is a Change of key that takes a stored booking one version on.
func next(key string, b store.Booking) store.Change {
	b = b.Clone()
	return store.Change{Key: key, Booking: &b, History: &store.History{
		From: b.State, To: b.State, Cause: store.Cause{By: "operator", ID: "test"}, At: t0,
	}}
}

// counts is how many rows the tables have: bookings, payments, events, history
// lines, keys.
func counts(t testing.TB, db *sql.DB) [5]int {
	t.Helper()
	var n [5]int
	for i, table := range []string{"bookings", "payments", "events", "history", "changes"} {
		require.NoError(t, db.QueryRow("SELECT COUNT(*) FROM stripebooking_"+table).Scan(&n[i]))
	}
	return n
}

// whole fails unless every booking of db, each made by one paid Change, has its
// payment, ledger row, history line and key, and the other way round.
func whole(t testing.TB, db *sql.DB) (bookings int) {
	t.Helper()
	n := counts(t, db)
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

func name(prefix string, n int) string { return fmt.Sprintf("%s%03d", prefix, n) }
