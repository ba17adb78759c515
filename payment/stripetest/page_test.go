package stripetest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"

	"github.com/carevia/stripebooking/payment/stripetest"
)

// The pay page's own requests, as the command-line tool of Stripe makes them.
func TestPaymentPages(t *testing.T) {
	c := newClock()
	srv := start(t, stripetest.Config{Now: c.now})
	sc := api(srv, srv.SecretKey)
	open := func(currency string) (id, path string) {
		ss := create(t, srv, stripetest.SessionParams{Amount: 4500, Currency: currency, CustomerEmail: "jo@example.com", Metadata: map[string]string{"userId": "u1"}})
		return ss.ID, "/v1/payment_pages/" + ss.ID
	}
	id, path := open("usd")
	status, page, _ := raw(t, srv, "GET", path, srv.SecretKey, nil)
	assert.Equal(t, 200, status)
	assert.Regexp(t, `^ppage_[A-Za-z0-9]{24}$`, page["id"])
	assert.Equal(t, id, page["session_id"])
	assert.Equal(t, 4500.0, page["amount_total"])
	assert.Equal(t, "open", page["status"])

	checkRefused(t, srv, map[string]refused{
		"no session":     {"/v1/payment_pages/cs_x/confirm", form("payment_method", "pm_card_visa"), 404, "resource_missing", "session"},
		"no method":      {path + "/confirm", form("expected_amount", "4500"), 400, "parameter_missing", "payment_method"},
		"unknown method": {path + "/confirm", form("payment_method", "pm_x"), 404, "resource_missing", "payment_method"},
		"other amount":   {path + "/confirm", form("payment_method", "pm_card_visa", "expected_amount", "4400"), 400, "checkout_amount_mismatch", "expected_amount"},
		"unknown":        {path + "/confirm", form("payment_method", "pm_card_visa", "colour", "red"), 400, "parameter_unknown", "colour"},
	})
	status, code, _ := refusal(t, srv, path+"/confirm", form("payment_method", "pm_card_visa_chargeDeclinedLostCard"))
	assert.Equal(t, 402, status)
	assert.Equal(t, "card_declined", code)
	assert.Equal(t, []string{"payment_intent.created", "charge.failed", "payment_intent.payment_failed"}, types(srv.Events()))
	ss, _ := srv.Session(id)
	assert.Equal(t, "open", ss.Status, "the customer may try again")

	status, page, _ = raw(t, srv, "POST", path+"/confirm", srv.SecretKey, form("payment_method", "pm_card_createDispute", "expected_amount", "4500"))
	assert.Equal(t, 200, status)
	assert.Equal(t, "complete paid", page["status"].(string)+" "+page["payment_status"].(string))
	assert.Equal(t, "succeeded", page["payment_intent"].(map[string]any)["status"])
	assert.Equal(t, []string{"charge.succeeded", "payment_intent.succeeded", "checkout.session.completed", "charge.dispute.created", "charge.dispute.funds_withdrawn"}, types(srv.Events()[3:]))
	got := object[stripe.CheckoutSession](t, srv.Events(), "checkout.session.completed")
	assert.Equal(t, "jo@example.com", got.CustomerDetails.Email)
	assert.Equal(t, map[string]string{"userId": "u1"}, got.Metadata)
	_, code, _ = refusal(t, srv, path+"/confirm", form("payment_method", "pm_card_visa"))
	assert.Equal(t, "checkout_not_active_session", code)

	// A bank that answers three minutes later, and no other time.
	id, path = open("eur")
	m, err := sc.PaymentMethods.New(&stripe.PaymentMethodParams{
		Type: stripe.String("sepa_debit"), SEPADebit: &stripe.PaymentMethodSEPADebitParams{IBAN: stripe.String("AT321904300235473204")},
		BillingDetails: &stripe.PaymentMethodBillingDetailsParams{Email: stripe.String("bob@example.com"), Name: stripe.String("Bob")},
	})
	require.NoError(t, err)
	before := len(srv.Events())
	_, page, _ = raw(t, srv, "POST", path+"/confirm", srv.SecretKey, form("payment_method", m.ID))
	assert.Equal(t, "complete unpaid", page["status"].(string)+" "+page["payment_status"].(string))
	assert.Equal(t, "bob@example.com", page["customer_details"].(map[string]any)["email"])
	c.add(3 * time.Minute)
	assert.Equal(t, []string{"charge.succeeded", "payment_intent.succeeded", "checkout.session.async_payment_succeeded"}, types(srv.Events()[before+4:]))
	ss, _ = srv.Session(id)
	assert.Equal(t, "paid", ss.PaymentStatus)

	// The test was faster than the bank.
	id, path = open("eur")
	_, _, _ = raw(t, srv, "POST", path+"/confirm", srv.SecretKey, form("payment_method", m.ID))
	_, err = srv.SettleDelayed(id, false)
	require.NoError(t, err)
	before = len(srv.Events())
	c.add(3 * time.Minute)
	assert.Len(t, srv.Events(), before)

	id, path = open("usd")
	_, code, _ = refusal(t, srv, path+"/confirm", form("payment_method", m.ID))
	assert.Equal(t, "payment_intent_incompatible_payment_method", code)
	free := create(t, srv, stripetest.SessionParams{})
	_, page, _ = raw(t, srv, "POST", "/v1/payment_pages/"+free.ID+"/confirm", srv.SecretKey, form("payment_method", "pm_card_visa"))
	assert.Equal(t, "complete", page["status"])
	assert.Nil(t, page["payment_intent"])
	ss, _ = srv.Session(id)
	assert.Equal(t, "open", ss.Status)
}
