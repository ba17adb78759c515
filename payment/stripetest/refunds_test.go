package stripetest_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"

	"github.com/carevia/stripebooking/payment/stripetest"
)

// previous are the attributes that the last event of a type says were others before.
func previous(t *testing.T, srv *stripetest.Server, kind string) map[string]any {
	t.Helper()
	events := srv.Events()
	for i := len(events) - 1; i >= 0; i-- {
		if events[i].Type == kind {
			var e stripe.Event
			require.NoError(t, json.Unmarshal(events[i].Payload, &e))
			return e.Data.PreviousAttributes
		}
	}
	t.Fatalf("no %s", kind)
	return nil
}

func TestRefundInParts(t *testing.T) {
	srv := start(t, stripetest.Config{})
	sc := api(srv, srv.SecretKey)
	ss := paid(t, srv) // 4500
	before := len(srv.Events())

	first, err := sc.Refunds.New(&stripe.RefundParams{PaymentIntent: &ss.PaymentIntent, Amount: stripe.Int64(1000), Reason: stripe.String("requested_by_customer"), Metadata: map[string]string{"k": "v"}})
	require.NoError(t, err)
	assert.Regexp(t, `^re_[A-Za-z0-9]{24}$`, first.ID)
	assert.Equal(t, stripe.RefundStatusSucceeded, first.Status)
	assert.EqualValues(t, 1000, first.Amount)
	assert.EqualValues(t, "usd", first.Currency)
	assert.Equal(t, stripe.RefundReasonRequestedByCustomer, first.Reason)
	assert.Equal(t, ss.PaymentIntent, first.PaymentIntent.ID)
	assert.Equal(t, map[string]string{"k": "v"}, first.Metadata)
	assert.Equal(t, []string{"refund.created", "charge.refunded"}, types(srv.Events()[before:]))
	ch := object[stripe.Charge](t, srv.Events(), "charge.refunded")
	assert.Equal(t, first.Charge.ID, ch.ID)
	assert.EqualValues(t, 1000, ch.AmountRefunded)
	assert.False(t, ch.Refunded, "in part")
	assert.Equal(t, ss.PaymentIntent, ch.PaymentIntent.ID)
	assert.Equal(t, map[string]any{"amount_refunded": 0.0}, previous(t, srv, "charge.refunded"))

	_, err = sc.Refunds.New(&stripe.RefundParams{PaymentIntent: &ss.PaymentIntent, Amount: stripe.Int64(3501)})
	e := stripeError(t, err)
	assert.Equal(t, 400, e.HTTPStatusCode)
	assert.Equal(t, "amount", e.Param)
	assert.Equal(t, "Refund amount (35.01 USD) is greater than unrefunded amount on charge (35.00 USD)", e.Msg)

	rest, err := sc.Refunds.New(&stripe.RefundParams{Charge: &ch.ID})
	require.NoError(t, err)
	assert.EqualValues(t, 3500, rest.Amount, "what is left")
	ch = object[stripe.Charge](t, srv.Events(), "charge.refunded")
	assert.True(t, ch.Refunded)
	assert.EqualValues(t, 4500, ch.AmountRefunded)
	assert.Equal(t, map[string]any{"amount_refunded": 1000.0, "refunded": false}, previous(t, srv, "charge.refunded"))
	_, err = sc.Refunds.New(&stripe.RefundParams{PaymentIntent: &ss.PaymentIntent})
	assert.Equal(t, stripe.ErrorCodeChargeAlreadyRefunded, stripeError(t, err).Code)
	session, _ := srv.Session(ss.ID)
	assert.Equal(t, "paid", session.PaymentStatus, "a refund changes neither session nor intent")
	assert.Equal(t, "succeeded", session.PaymentIntentStatus)

	get := &stripe.RefundParams{}
	get.AddExpand("charge")
	get.AddExpand("payment_intent")
	got, err := sc.Refunds.Get(first.ID, get)
	require.NoError(t, err)
	assert.True(t, got.Charge.Refunded)
	assert.EqualValues(t, 4500, got.PaymentIntent.Amount)
	withRefunds := &stripe.ChargeParams{}
	withRefunds.AddExpand("refunds")
	whole, err := sc.Charges.Get(ch.ID, withRefunds)
	require.NoError(t, err)
	require.Len(t, whole.Refunds.Data, 2)
	assert.Equal(t, rest.ID, whole.Refunds.Data[0].ID)

	other := charged(t, sc, "pm_card_visa")
	another, err := sc.Refunds.New(&stripe.RefundParams{PaymentIntent: &other.ID})
	require.NoError(t, err)
	list := func(p *stripe.RefundListParams) (ids []string) {
		it := sc.Refunds.List(p)
		for it.Next() {
			ids = append(ids, it.Refund().ID)
		}
		require.NoError(t, it.Err())
		return ids
	}
	assert.Equal(t, []string{another.ID, rest.ID, first.ID}, list(&stripe.RefundListParams{}))
	assert.Equal(t, []string{rest.ID, first.ID}, list(&stripe.RefundListParams{Charge: &ch.ID}))
	assert.Equal(t, []string{another.ID}, list(&stripe.RefundListParams{PaymentIntent: &other.ID}))
}

func TestRefundOnce(t *testing.T) {
	srv := start(t, stripetest.Config{})
	sc := api(srv, srv.SecretKey)
	ss := paid(t, srv)
	p := &stripe.RefundParams{PaymentIntent: &ss.PaymentIntent, Amount: stripe.Int64(1000)}
	p.SetIdempotencyKey("refund/1")
	srv.Fail("POST /v1/refunds", stripetest.Fault{Cut: true, Done: true})
	_, err := sc.Refunds.New(p)
	require.Error(t, err)
	r, err := sc.Refunds.New(p)
	require.NoError(t, err)
	ch, err := sc.Charges.Get(r.Charge.ID, nil)
	require.NoError(t, err)
	assert.EqualValues(t, 1000, ch.AmountRefunded, "the key was used: one refund")
}

func TestRefundsThatTakeTime(t *testing.T) {
	srv := start(t, stripetest.Config{})
	sc := api(srv, srv.SecretKey)
	pi := charged(t, sc, "pm_card_pendingRefund")
	before := len(srv.Events())
	r, err := sc.Refunds.New(&stripe.RefundParams{PaymentIntent: &pi.ID})
	require.NoError(t, err)
	assert.Equal(t, stripe.RefundStatusPending, r.Status)
	r, err = sc.Refunds.Get(r.ID, nil)
	require.NoError(t, err)
	assert.Equal(t, stripe.RefundStatusSucceeded, r.Status)
	assert.Equal(t, []string{"refund.created", "charge.refunded", "refund.updated", "charge.refund.updated"}, types(srv.Events()[before:]))
	assert.True(t, object[stripe.Charge](t, srv.Events(), "charge.refunded").Refunded, "a pending one counts")
	assert.Equal(t, map[string]any{"status": "pending"}, previous(t, srv, "charge.refund.updated"))

	pi = charged(t, sc, "pm_card_refundFail")
	before = len(srv.Events())
	r, err = sc.Refunds.New(&stripe.RefundParams{PaymentIntent: &pi.ID})
	require.NoError(t, err)
	assert.Equal(t, stripe.RefundStatusSucceeded, r.Status, "at first")
	assert.Equal(t, []string{"refund.created", "charge.refunded", "refund.updated", "charge.refund.updated", "refund.failed"}, types(srv.Events()[before:]))
	failed := object[stripe.Refund](t, srv.Events(), "charge.refund.updated")
	assert.Equal(t, stripe.RefundStatusFailed, failed.Status)
	assert.Equal(t, stripe.RefundFailureReasonExpiredOrCanceledCard, failed.FailureReason)
	assert.Equal(t, map[string]any{"status": "succeeded", "failure_balance_transaction": nil, "failure_reason": nil}, previous(t, srv, "refund.updated"))
	ch, err := sc.Charges.Get(pi.LatestCharge.ID, nil)
	require.NoError(t, err)
	assert.Zero(t, ch.AmountRefunded)
	assert.False(t, ch.Refunded)
	_, err = sc.Refunds.New(&stripe.RefundParams{PaymentIntent: &pi.ID})
	assert.NoError(t, err, "it can be tried again")
}

// A bank takes days, and some customers must tell their account first.
func TestRefundsToBanks(t *testing.T) {
	for method, tc := range map[string]struct {
		currency string
		states   []string
	}{
		"sepa_debit":       {"eur", []string{"pending", "succeeded"}},
		"us_bank_account":  {"usd", []string{"pending", "succeeded"}},
		"multibanco":       {"eur", []string{"pending", "succeeded"}},
		"konbini":          {"jpy", []string{"requires_action", "pending", "succeeded"}},
		"customer_balance": {"usd", []string{"requires_action", "pending", "succeeded"}},
		"ideal":            {"eur", []string{"succeeded"}},
		"boleto":           {"brl", nil},
		"oxxo":             {"mxn", nil},
	} {
		t.Run(method, func(t *testing.T) {
			clock := newClock()
			srv := start(t, stripetest.Config{Now: clock.now})
			sc := api(srv, srv.SecretKey)
			ss := create(t, srv, stripetest.SessionParams{Amount: 4500, Currency: tc.currency, Customer: "cus_1", PaymentMethodTypes: []string{method}})
			if _, err := srv.PayDelayed(ss.ID); err == nil {
				_, err = srv.SettleDelayed(ss.ID, true)
				require.NoError(t, err)
			} else {
				_, err = srv.Pay(ss.ID)
				require.NoError(t, err)
			}
			ss, _ = srv.Session(ss.ID)
			before := len(srv.Events())
			r, err := sc.Refunds.New(&stripe.RefundParams{PaymentIntent: &ss.PaymentIntent})
			if tc.states == nil {
				assert.Contains(t, stripeError(t, err).Msg, "can't be refunded")
				assert.Len(t, srv.Events(), before)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, []string{"refund.created", "charge.refunded"}, types(srv.Events()[before:]))
			for i, state := range tc.states {
				if i > 0 {
					before = len(srv.Events())
					clock.add(72*time.Hour - time.Second)
					require.Len(t, srv.Events(), before)
					clock.add(time.Second)
					assert.Equal(t, []string{"refund.updated", "charge.refund.updated"}, types(srv.Events()[before:]))
					r, err = sc.Refunds.Get(r.ID, nil)
					require.NoError(t, err)
				}
				assert.EqualValues(t, state, r.Status)
				assert.Equal(t, state == "requires_action", r.NextAction != nil)
			}
			before = len(srv.Events())
			clock.add(1000 * time.Hour)
			assert.Len(t, srv.Events(), before)
		})
	}
}

func TestRefundMetadata(t *testing.T) {
	srv := start(t, stripetest.Config{})
	sc := api(srv, srv.SecretKey)
	ss := paid(t, srv)
	r, err := sc.Refunds.New(&stripe.RefundParams{PaymentIntent: &ss.PaymentIntent, Metadata: map[string]string{"a": "1", "b": "2"}})
	require.NoError(t, err)
	before := len(srv.Events())
	r, err = sc.Refunds.Update(r.ID, &stripe.RefundParams{Metadata: map[string]string{"b": "", "c": "3"}})
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"a": "1", "c": "3"}, r.Metadata)
	assert.Equal(t, []string{"refund.updated", "charge.refund.updated"}, types(srv.Events()[before:]))
	assert.Equal(t, map[string]any{"metadata": map[string]any{"b": "2", "c": nil}}, previous(t, srv, "refund.updated"))
}

func TestRefundsRefuse(t *testing.T) {
	srv := start(t, stripetest.Config{})
	sc := api(srv, srv.SecretKey)
	const path = "/v1/refunds"
	ss := paid(t, srv)
	declined := create(t, srv, stripetest.SessionParams{Amount: 4500})
	declined, err := srv.Decline(declined.ID, "")
	require.NoError(t, err)
	waiting := create(t, srv, stripetest.SessionParams{Amount: 4500})
	waiting, err = srv.PayDelayed(waiting.ID)
	require.NoError(t, err)
	disputed := charged(t, sc, "pm_card_createDispute")
	dinar := create(t, srv, stripetest.SessionParams{Amount: 4500, Currency: "kwd"})
	dinar, err = srv.Pay(dinar.ID)
	require.NoError(t, err)
	checkRefused(t, srv, map[string]refused{
		"of nothing":     {path, form(), 400, "parameter_missing", ""},
		"of two":         {path, form("payment_intent", ss.PaymentIntent, "charge", "ch_x"), 400, "", "payment_intent"},
		"unknown intent": {path, form("payment_intent", "pi_x"), 404, "resource_missing", "payment_intent"},
		"unknown charge": {path, form("charge", "ch_x"), 404, "resource_missing", "charge"},
		"nothing back":   {path, form("payment_intent", ss.PaymentIntent, "amount", "0"), 400, "parameter_invalid_integer", "amount"},
		"odd reason":     {path, form("payment_intent", ss.PaymentIntent, "reason", "rain"), 400, "", "reason"},
		"unknown":        {path, form("payment_intent", ss.PaymentIntent, "colour", "red"), 400, "parameter_unknown", "colour"},
		"not modelled":   {path, form("payment_intent", ss.PaymentIntent, "reverse_transfer", "true"), 400, "stripetest_unsupported", "reverse_transfer"},
		"declined":       {path, form("payment_intent", declined.PaymentIntent), 400, "", "payment_intent"},
		"not yet paid":   {path, form("payment_intent", waiting.PaymentIntent), 400, "", "payment_intent"},
		"charged back":   {path, form("payment_intent", disputed.ID), 400, "charge_disputed", "payment_intent"},
		"odd step":       {path, form("payment_intent", dinar.PaymentIntent, "amount", "1005"), 400, "", "amount"},
		"unknown refund": {path + "/re_x", form("metadata[k]", "v"), 404, "resource_missing", "refund"},
	})
}
