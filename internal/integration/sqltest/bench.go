package sqltest

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

const benchConns = 32

// BenchmarkConfirm compares what the library does for a paid event with the guide's
// three statements, on rows of the same columns, at 32 connections:
//
//	go test ./postgres ./mysql -run '^$' -bench Confirm -benchtime 5s
//
// The three statements keep no ledger, no history and no key, and race; see
// TestThreeSteps.
func BenchmarkConfirm(b *testing.B, w Way) {
	b.Run("three statements", func(b *testing.B) {
		db := w.benchDB(b)
		b.ResetTimer()
		many(b, func(n int64) error { return w.guide(db, "g"+strconv.FormatInt(n, 10)) })
	})
	b.Run("Store.Apply", func(b *testing.B) {
		db := w.benchDB(b)
		s := w.Store(b, db, nil)
		b.ResetTimer()
		many(b, func(n int64) error {
			res, err := s.Apply(context.Background(), Paid("b"+strconv.FormatInt(n, 10)))
			if err == nil && !res.Applied {
				err = errors.New("not applied")
			}
			return err
		})
	})
}

func (w Way) benchDB(b *testing.B) *sql.DB {
	db := w.New(b)
	db.SetMaxOpenConns(benchConns)
	db.SetMaxIdleConns(benchConns)
	w.Store(b, db, nil)
	return db
}

// guide looks the payment up, creates the booking and creates the payment record,
// in the library's own tables.
func (w Way) guide(db *sql.DB, id string) error {
	c := Paid(id)
	bk, p := c.Booking, c.Payments[0]
	var owner string
	err := db.QueryRow(w.bind("SELECT booking_id FROM stripebooking_payments WHERE payment_intent_id = ?"), p.PaymentIntentID).Scan(&owner)
	if !errors.Is(err, sql.ErrNoRows) {
		return errors.Join(errors.New("it is there"), err)
	}
	ms := T0.UnixMilli()
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

// many does b.N things in 32 goroutines.
func many(b *testing.B, do func(n int64) error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, benchConns)
	for range benchConns {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				if err := do(n); err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	wg.Wait()
	close(errs)
	require.NoError(b, <-errs)
}
