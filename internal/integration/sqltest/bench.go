package sqltest

import (
	"database/sql"
	"errors"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/carevia/stripebooking/internal/integration/sample"
	"github.com/carevia/stripebooking/storetest"
)

// BenchmarkStore is the benchmarks that all adapters have.
func BenchmarkStore(b *testing.B, w Way) { storetest.Bench(b, harness(b, w, nil)) }

// BenchmarkThreeStatements is what the guide does for a paid event, on rows of the
// library's columns, for 32 callers at once. To compare:
//
//	go test ./postgres ./mysql -run '^$' -bench 'ThreeStatements|Store/.*new-booking-parallel' -benchtime 5s
//
// The three statements keep no ledger, no history and no key, and race; see
// TestThreeSteps.
func BenchmarkThreeStatements(b *testing.B, w Way) {
	const callers = 32
	db := w.New(b)
	w.Store(b, db, nil)
	var last atomic.Int64
	procs := runtime.GOMAXPROCS(0)
	b.SetParallelism((callers + procs - 1) / procs)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := w.guide(db, "g"+strconv.FormatInt(last.Add(1), 10)); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// guide looks the payment up, creates the booking and creates the payment record,
// in the library's own tables.
func (w Way) guide(db *sql.DB, id string) error {
	c := sample.Paid(id)
	bk, p := c.Booking, c.Payments[0]
	var owner string
	err := db.QueryRow(w.bind("SELECT booking_id FROM stripebooking_payments WHERE payment_intent_id = ?"), p.PaymentIntentID).Scan(&owner)
	if !errors.Is(err, sql.ErrNoRows) {
		return errors.Join(errors.New("it is there"), err)
	}
	ms := sample.T0.UnixMilli()
	_, err = db.Exec(w.bind(`INSERT INTO stripebooking_bookings (id, user_id, service_id, service_name, payment_option, total, paid, due,
		currency, state, reason, version, payment_intent_id, session_id, details, livemode, account, created_at, updated_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', 1, ?, ?, ?, false, '', ?, ?)`),
		bk.ID, bk.UserID, bk.ServiceID, bk.ServiceName, string(bk.Option), bk.Total, bk.Paid, bk.Due,
		bk.Currency, string(bk.State), bk.PaymentIntentID, bk.SessionID, `{"note":"x"}`, ms, ms)
	if err != nil {
		return err
	}
	_, err = db.Exec(w.bind(`INSERT INTO stripebooking_payments (payment_intent_id, id, booking_id, user_id, session_id, amount, subtotal, tax,
		shipping, discount, currency, status, captured_at, failure_code, payment_method, purpose, refunded, dispute, livemode, account,
		created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0, 0, ?, ?, ?, '', 'card', 'full', 0, '', false, '', ?, ?)`),
		p.PaymentIntentID, p.ID, p.BookingID, p.UserID, p.SessionID, p.Amount, p.Subtotal, p.Currency, string(p.Status), ms, ms, ms)
	return err
}
