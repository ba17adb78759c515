package sqltest

import (
	"context"
	"database/sql"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/sample"
	"github.com/carevia/stripebooking/store"
)

// TestNoHalfCommit: whichever of its keys is taken, and only that one, the statement
// that confirms a new booking leaves nothing of itself behind, and the transaction
// after it says what is in the way, or merges the ledger's row. versions is what
// changes with any row.
func TestNoHalfCommit(t *testing.T, w Way, versions func(*testing.T, *sql.DB) string) {
	taken := map[string]struct {
		insert   string
		conflict store.Conflict // none: it applies all the same
	}{
		"history": {`INSERT INTO stripebooking_history (booking_id, version, from_state, to_state, reason, cause_by, cause_id)
			VALUES ('bk_a', 1, '', 'held', '', 'test', '')`, store.ConflictVersion},
		"bookings": {`INSERT INTO stripebooking_bookings (id, user_id, service_id, service_name, payment_option, total, paid, due,
			currency, state, reason, version, payment_intent_id, session_id, livemode, account, created_at, updated_at)
			VALUES ('bk_a', 'u', '', '', 'full', 0, 0, 0, 'usd', 'held', '', 1, '', '', false, '', 0, 0)`, store.ConflictVersion},
		"payments":           {payment("pi_a"), store.ConflictIntent},
		"the second payment": {payment("pi_second"), store.ConflictIntent},
		"events": {`INSERT INTO stripebooking_events (id, type, object_id, account, livemode, api_version, received_at, state,
			reason, attempts, booking_id) VALUES ('evt_a', 't', '', '', false, '', 0, 'failed', 'x', 1, '')`, ""},
		"event_handlers": {`INSERT INTO stripebooking_event_handlers VALUES ('evt_a', 'mail')`, ""},
	}
	for name, c := range taken {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			db := w.New(t)
			s := w.Store(t, db, nil)
			_, err := db.Exec(c.insert)
			require.NoError(t, err)
			before := versions(t, db)

			change := sample.Paid("a")
			second := change.Payments[0]
			second.ID, second.PaymentIntentID = "pay_second", "pi_second"
			change.Payments = append(change.Payments, second)
			change.Event.Handlers = []string{"mail"}
			res, err := s.Apply(ctx, change)
			if c.conflict != "" {
				require.ErrorIs(t, err, store.ErrConflict)
				assert.Equal(t, c.conflict, res.Conflict)
				assert.Equal(t, before, versions(t, db))
				return
			}
			require.NoError(t, err)
			assert.True(t, res.Applied)
			assert.Len(t, res.Payments, 2)
			assert.Equal(t, []string{"mail"}, res.Event.Handlers)
			assert.Equal(t, map[bool]int{true: 2, false: 1}[name == "events"], res.Event.Attempts)
			assert.Equal(t, [5]int{1, 2, 1, 1, 1}, Counts(t, db))
		})
	}
}

func payment(intent string) string {
	return `INSERT INTO stripebooking_payments (payment_intent_id, id, booking_id, user_id, session_id, amount, subtotal, tax,
		shipping, discount, currency, status, failure_code, payment_method, purpose, refunded, dispute, livemode, account,
		created_at, updated_at) VALUES ('` + intent + `', 'p', 'bk_other', 'u', '', 0, 0, 0, 0, 0, 'usd', 'succeeded', '', '', 'full',
		0, '', false, '', 0, 0)`
}
