package booking_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/store"
)

// The whole table, from the state on the left to the one above; compare:
//
//	held → confirmed | expired | cancelled | conflicted
//	expired → confirmed | conflicted
//	confirmed → cancelled | refunded
//	cancelled → conflicted
//	conflicted → confirmed | refunded
func TestCanMove(t *testing.T) {
	rows := strings.Split(strings.TrimSpace(`
from        held  confirmed  expired  cancelled  conflicted  refunded
held        -     yes        yes      yes        yes         -
confirmed   -     -          -        yes        -           yes
expired     -     yes        -        -          yes         -
cancelled   -     -          -        -          yes         -
conflicted  -     yes        -        -          -           yes
refunded    -     -          -        -          -           -`), "\n")
	to := strings.Fields(rows[0])[1:]
	require.Len(t, to, 6)
	require.Len(t, rows, 7)
	for _, row := range rows[1:] {
		cells := strings.Fields(row)
		from := store.State(cells[0])
		for i, cell := range cells[1:] {
			assert.Equal(t, cell == "yes", booking.CanMove(from, store.State(to[i])), "%s → %s", from, to[i])
		}
		for _, none := range []store.State{"", "paid"} {
			assert.False(t, booking.CanMove(none, from), "%q → %s", none, from)
			assert.False(t, booking.CanMove(from, none), "%s → %q", from, none)
		}
	}
}

func TestPaymentStatus(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name string
		p    store.Payment
		want store.Status
	}{
		{"nothing yet", store.Payment{Amount: 5000}, store.StatusProcessing},
		{"an attempt failed", store.Payment{Amount: 5000, FailureCode: "card_declined"}, store.StatusFailed},
		{"taken", store.Payment{Amount: 5000, CapturedAt: at}, store.StatusSucceeded},
		{"failed, then taken, or heard of late", store.Payment{Amount: 5000, CapturedAt: at, FailureCode: "card_declined"}, store.StatusSucceeded},
		{"a refund that is pending or failed", store.Payment{Amount: 5000, CapturedAt: at, Refunds: []store.Refund{{ID: "re_1", Amount: 5000, Status: "pending"}}}, store.StatusSucceeded},
		{"a part went back", store.Payment{Amount: 5000, CapturedAt: at, Refunded: 1}, store.StatusPartiallyRefunded},
		{"nearly all", store.Payment{Amount: 5000, CapturedAt: at, Refunded: 4999}, store.StatusPartiallyRefunded},
		{"all", store.Payment{Amount: 5000, CapturedAt: at, Refunded: 5000}, store.StatusRefunded},
		{"more than all", store.Payment{Amount: 5000, CapturedAt: at, Refunded: 5001}, store.StatusRefunded},
		{"the refund came first", store.Payment{Amount: 5000, Refunded: 5000}, store.StatusRefunded},
		{"refunded, and a failure heard of late", store.Payment{Amount: 5000, Refunded: 5000, FailureCode: "card_declined"}, store.StatusRefunded},
		{"the bank asks", store.Payment{Amount: 5000, CapturedAt: at, Dispute: "warning_needs_response"}, store.StatusDisputed},
		{"the bank reads the answer", store.Payment{Amount: 5000, CapturedAt: at, Dispute: "warning_under_review"}, store.StatusDisputed},
		{"the bank took it back", store.Payment{Amount: 5000, CapturedAt: at, Dispute: "needs_response"}, store.StatusDisputed},
		{"under review", store.Payment{Amount: 5000, CapturedAt: at, Dispute: "under_review"}, store.StatusDisputed},
		{"lost", store.Payment{Amount: 5000, CapturedAt: at, Dispute: "lost"}, store.StatusDisputed},
		{"settled before it began", store.Payment{Amount: 5000, CapturedAt: at, Dispute: "prevented"}, store.StatusDisputed},
		{"a status of the future", store.Payment{Amount: 5000, CapturedAt: at, Dispute: "something_new"}, store.StatusDisputed},
		{"won", store.Payment{Amount: 5000, CapturedAt: at, Dispute: "won"}, store.StatusSucceeded},
		{"the question led to nothing", store.Payment{Amount: 5000, CapturedAt: at, Dispute: "warning_closed"}, store.StatusSucceeded},
		{"won came first", store.Payment{Amount: 5000, Dispute: "won"}, store.StatusSucceeded},
		{"won, a part refunded", store.Payment{Amount: 5000, CapturedAt: at, Refunded: 1, Dispute: "won"}, store.StatusPartiallyRefunded},
		{"disputed, a part refunded", store.Payment{Amount: 5000, CapturedAt: at, Refunded: 1, Dispute: "needs_response"}, store.StatusDisputed},
		{"disputed, all refunded", store.Payment{Amount: 5000, CapturedAt: at, Refunded: 5000, Dispute: "needs_response"}, store.StatusDisputed},
		{"the stored status does not count", store.Payment{Amount: 5000, CapturedAt: at, Status: store.StatusFailed}, store.StatusSucceeded},
	} {
		assert.Equal(t, c.want, booking.PaymentStatus(c.p), c.name)
	}
}
