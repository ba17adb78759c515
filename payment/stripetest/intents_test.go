package stripetest_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/client"

	"github.com/carevia/stripebooking/payment/stripetest"
)

// intentParams ask for an intent that is confirmed with a method; empty: that is not.
func intentParams(method string) *stripe.PaymentIntentParams {
	p := &stripe.PaymentIntentParams{
		Amount: stripe.Int64(2000), Currency: stripe.String("eur"), PaymentMethodTypes: stripe.StringSlice([]string{"card", "sepa_debit"}),
		Description: stripe.String("A day"), Metadata: map[string]string{"userId": "u1"}, ReceiptEmail: stripe.String("a@example.com"),
		Shipping: &stripe.ShippingDetailsParams{Name: stripe.String("Jo"), Address: &stripe.AddressParams{Line1: stripe.String("1 Road"), City: stripe.String("Dhaka")}},
	}
	if method != "" {
		p.PaymentMethod, p.Confirm = &method, stripe.Bool(true)
	}
	return p
}

// charged makes a charge through the API.
func charged(t *testing.T, sc *client.API, method string) *stripe.PaymentIntent {
	t.Helper()
	pi, err := sc.PaymentIntents.New(intentParams(method))
	require.NoError(t, err)
	return pi
}

func TestIntentThatSucceeds(t *testing.T) {
	c := newClock()
	srv := start(t, stripetest.Config{Now: c.now})
	sc := api(srv, srv.SecretKey)
	p := intentParams("pm_card_mastercard")
	p.SetIdempotencyKey("k")
	p.AddExpand("latest_charge")
	p.AddExpand("payment_method")
	pi, err := sc.PaymentIntents.New(p)
	require.NoError(t, err)
	assert.Regexp(t, `^pi_[A-Za-z0-9]{24}$`, pi.ID)
	assert.Equal(t, stripe.PaymentIntentStatusSucceeded, pi.Status)
	assert.EqualValues(t, 2000, pi.Amount)
	assert.EqualValues(t, 2000, pi.AmountReceived)
	assert.Equal(t, map[string]string{"userId": "u1"}, pi.Metadata)
	assert.Equal(t, "Jo, 1 Road, Dhaka", pi.Shipping.Name+", "+pi.Shipping.Address.Line1+", "+pi.Shipping.Address.City)
	assert.Equal(t, []string{"card", "sepa_debit"}, pi.PaymentMethodTypes)
	assert.Nil(t, pi.AutomaticPaymentMethods)
	assert.Equal(t, c.now().Unix(), pi.Created)
	assert.Regexp(t, `^pm_1`, pi.PaymentMethod.ID)
	assert.EqualValues(t, "mastercard", pi.PaymentMethod.Card.Brand)
	assert.Equal(t, "4444", pi.PaymentMethod.Card.Last4)
	ch := pi.LatestCharge
	assert.True(t, ch.Paid)
	assert.EqualValues(t, "mastercard", ch.PaymentMethodDetails.Card.Brand)
	assert.Equal(t, "A day", ch.Description)
	assert.Equal(t, []string{"payment_intent.created", "charge.succeeded", "payment_intent.succeeded"}, types(srv.Events()))
	var e stripe.Event
	require.NoError(t, json.Unmarshal(srv.Events()[2].Payload, &e))
	assert.Equal(t, pi.LastResponse.RequestID, e.Request.ID)

	again, err := sc.PaymentIntents.New(p)
	require.NoError(t, err)
	assert.Equal(t, pi.ID, again.ID)
	assert.Len(t, srv.Events(), 3)

	got, err := sc.Charges.Get(ch.ID, nil)
	require.NoError(t, err)
	assert.Equal(t, pi.ID, got.PaymentIntent.ID)
	other := charged(t, sc, "pm_card_visa")
	it := sc.Charges.List(&stripe.ChargeListParams{PaymentIntent: &other.ID})
	require.True(t, it.Next())
	assert.Equal(t, other.LatestCharge.ID, it.Charge().ID)
	assert.False(t, it.Next())
	all := sc.PaymentIntents.List(&stripe.PaymentIntentListParams{})
	require.True(t, all.Next())
	assert.Equal(t, other.ID, all.PaymentIntent().ID, "the newest first")
	require.True(t, all.Next())
	assert.Equal(t, pi.ID, all.PaymentIntent().ID)
}

func TestIntentThatIsDeclined(t *testing.T) {
	srv := start(t, stripetest.Config{})
	sc := api(srv, srv.SecretKey)
	for method, want := range map[string]string{
		"pm_card_chargeDeclined":                       "card_declined generic_decline",
		"pm_card_visa_chargeDeclined":                  "card_declined generic_decline",
		"pm_card_visa_chargeDeclinedInsufficientFunds": "card_declined insufficient_funds",
		"pm_card_chargeDeclinedExpiredCard":            "expired_card expired_card",
	} {
		before := len(srv.Events())
		_, err := sc.PaymentIntents.New(intentParams(method))
		e := stripeError(t, err)
		assert.Equal(t, 402, e.HTTPStatusCode, method)
		assert.Equal(t, stripe.ErrorTypeCard, e.Type)
		assert.Equal(t, want, string(e.Code)+" "+string(e.DeclineCode))
		assert.Equal(t, stripe.PaymentIntentStatusRequiresPaymentMethod, e.PaymentIntent.Status)
		assert.Equal(t, e.Code, e.PaymentIntent.LastPaymentError.Code)
		assert.Equal(t, e.ChargeID, e.PaymentIntent.LatestCharge.ID)
		assert.Regexp(t, `^pm_1`, e.PaymentMethod.ID)
		assert.Equal(t, []string{"payment_intent.created", "charge.failed", "payment_intent.payment_failed"}, types(srv.Events()[before:]))

		// The same intent, another card.
		pi, err := sc.PaymentIntents.Confirm(e.PaymentIntent.ID, &stripe.PaymentIntentConfirmParams{PaymentMethod: stripe.String("pm_card_visa")})
		require.NoError(t, err)
		assert.Equal(t, stripe.PaymentIntentStatusSucceeded, pi.Status)
		assert.Nil(t, pi.LastPaymentError)
		assert.NotEqual(t, e.ChargeID, pi.LatestCharge.ID)
	}
}

func TestIntentInSteps(t *testing.T) {
	srv := start(t, stripetest.Config{})
	sc := api(srv, srv.SecretKey)
	p := intentParams("")
	p.PaymentMethodTypes = nil
	pi, err := sc.PaymentIntents.New(p)
	require.NoError(t, err)
	assert.Equal(t, stripe.PaymentIntentStatusRequiresPaymentMethod, pi.Status)
	assert.True(t, pi.AutomaticPaymentMethods.Enabled)
	assert.Nil(t, pi.PaymentMethod)
	assert.Nil(t, pi.LatestCharge)
	_, err = sc.PaymentIntents.Confirm(pi.ID, nil)
	e := stripeError(t, err)
	assert.Equal(t, stripe.ErrorCodePaymentIntentUnexpectedState, e.Code)
	assert.Equal(t, pi.ID, e.PaymentIntent.ID)

	visa, err := sc.PaymentMethods.New(&stripe.PaymentMethodParams{
		Type: stripe.String("card"), Card: &stripe.PaymentMethodCardParams{Number: stripe.String("4242 4242 4242 4242"), ExpMonth: stripe.Int64(1), ExpYear: stripe.Int64(2034)},
		BillingDetails: &stripe.PaymentMethodBillingDetailsParams{Email: stripe.String("jo@example.com"), Address: &stripe.AddressParams{City: stripe.String("Dhaka")}},
	})
	require.NoError(t, err)
	assert.Equal(t, "jo@example.com Dhaka 4242", visa.BillingDetails.Email+" "+visa.BillingDetails.Address.City+" "+visa.Card.Last4)
	same, err := sc.PaymentMethods.Get(visa.ID, nil)
	require.NoError(t, err)
	assert.Equal(t, visa.ID, same.ID)
	p.PaymentMethod = &visa.ID
	pi, err = sc.PaymentIntents.New(p)
	require.NoError(t, err)
	assert.Equal(t, stripe.PaymentIntentStatusRequiresConfirmation, pi.Status)
	assert.Equal(t, visa.ID, pi.PaymentMethod.ID)
	expand := &stripe.PaymentIntentConfirmParams{}
	expand.AddExpand("latest_charge")
	pi, err = sc.PaymentIntents.Confirm(pi.ID, expand)
	require.NoError(t, err)
	assert.Equal(t, stripe.PaymentIntentStatusSucceeded, pi.Status)
	assert.Equal(t, "jo@example.com", pi.LatestCharge.BillingDetails.Email)
	_, err = sc.PaymentIntents.Confirm(pi.ID, nil)
	assert.Equal(t, stripe.ErrorCodePaymentIntentUnexpectedState, stripeError(t, err).Code, "it has succeeded")
	_, err = sc.PaymentIntents.Cancel(pi.ID, nil)
	assert.Equal(t, stripe.ErrorCodePaymentIntentUnexpectedState, stripeError(t, err).Code)

	pi, err = sc.PaymentIntents.New(intentParams(""))
	require.NoError(t, err)
	pi, err = sc.PaymentIntents.Cancel(pi.ID, &stripe.PaymentIntentCancelParams{CancellationReason: stripe.String("abandoned")})
	require.NoError(t, err)
	assert.Equal(t, stripe.PaymentIntentStatusCanceled, pi.Status)
	assert.EqualValues(t, "abandoned", pi.CancellationReason)
	assert.NotZero(t, pi.CanceledAt)
	events := srv.Events()
	assert.Equal(t, "payment_intent.canceled", events[len(events)-1].Type)
	_, err = sc.PaymentIntents.Confirm(pi.ID, &stripe.PaymentIntentConfirmParams{PaymentMethod: stripe.String("pm_card_visa")})
	assert.Equal(t, stripe.ErrorCodePaymentIntentUnexpectedState, stripeError(t, err).Code)

	// A session's own intent is not for others to confirm or cancel.
	ss := create(t, srv, stripetest.SessionParams{Amount: 4500})
	ss, err = srv.Decline(ss.ID, "")
	require.NoError(t, err)
	_, err = sc.PaymentIntents.Confirm(ss.PaymentIntent, &stripe.PaymentIntentConfirmParams{PaymentMethod: stripe.String("pm_card_visa")})
	assert.Contains(t, stripeError(t, err).Msg, "Checkout Session")
	_, err = sc.PaymentIntents.Cancel(ss.PaymentIntent, nil)
	assert.Contains(t, stripeError(t, err).Msg, "Checkout Session")
	got, _ := srv.Session(ss.ID)
	assert.Equal(t, "open requires_payment_method", got.Status+" "+got.PaymentIntentStatus)
}

func TestBankAccounts(t *testing.T) {
	for iban, want := range map[string]struct {
		status  string
		minutes int
	}{
		"AT611904300234573201":        {"succeeded", 0},
		"AT321904300235473204":        {"succeeded", 3},
		"DE62 3704 0044 0532 0130 01": {"requires_payment_method", 0},
		"DE78370400440532013004":      {"requires_payment_method", 3},
	} {
		t.Run(iban, func(t *testing.T) {
			c := newClock()
			srv := start(t, stripetest.Config{Now: c.now})
			sc := api(srv, srv.SecretKey)
			m, err := sc.PaymentMethods.New(&stripe.PaymentMethodParams{Type: stripe.String("sepa_debit"), SEPADebit: &stripe.PaymentMethodSEPADebitParams{IBAN: &iban}})
			require.NoError(t, err)
			assert.Equal(t, iban[len(iban)-2:], m.SEPADebit.Last4[2:])
			assert.Equal(t, iban[:2], m.SEPADebit.Country)
			pi := charged(t, sc, m.ID)
			assert.Equal(t, stripe.PaymentIntentStatusProcessing, pi.Status, "as it is before the bank has answered")
			_, err = sc.PaymentIntents.Confirm(pi.ID, nil)
			assert.Equal(t, stripe.ErrorCodePaymentIntentUnexpectedState, stripeError(t, err).Code)

			if want.minutes > 0 {
				c.add(time.Duration(want.minutes)*time.Minute - time.Second)
				pi, err = sc.PaymentIntents.Get(pi.ID, nil)
				require.NoError(t, err)
				assert.Equal(t, stripe.PaymentIntentStatusProcessing, pi.Status)
				c.add(time.Second)
			}
			pi, err = sc.PaymentIntents.Get(pi.ID, nil)
			require.NoError(t, err)
			assert.EqualValues(t, want.status, pi.Status)
			news := []string{"charge.succeeded", "payment_intent.succeeded"}
			if want.status != "succeeded" {
				news = []string{"charge.failed", "payment_intent.payment_failed"}
				assert.EqualValues(t, "payment_intent_payment_attempt_failed", pi.LastPaymentError.Code)
			}
			assert.Equal(t, append([]string{"payment_intent.created", "charge.pending", "payment_intent.processing"}, news...), types(srv.Events()))
		})
	}
}

func TestIntentsRefuse(t *testing.T) {
	srv := start(t, stripetest.Config{})
	const path, methods = "/v1/payment_intents", "/v1/payment_methods"
	intent := func(pairs ...string) (f map[string][]string) {
		f = form(append([]string{"amount", "2000", "currency", "usd"}, pairs...)...)
		return f
	}
	checkRefused(t, srv, map[string]refused{
		"no amount":        {path, form("currency", "usd"), 400, "parameter_missing", "amount"},
		"no currency":      {path, form("amount", "2000"), 400, "parameter_missing", "currency"},
		"odd currency":     {path, form("amount", "2000", "currency", "xyz"), 400, "", "currency"},
		"nothing":          {path, form("amount", "0", "currency", "usd"), 400, "parameter_invalid_integer", "amount"},
		"too small":        {path, form("amount", "49", "currency", "usd"), 400, "amount_too_small", "amount"},
		"too large":        {path, form("amount", "100000000", "currency", "usd"), 400, "amount_too_large", "amount"},
		"unknown":          {path, intent("colour", "red"), 400, "parameter_unknown", "colour"},
		"capture later":    {path, intent("capture_method", "manual"), 400, "stripetest_unsupported", "capture_method"},
		"confirm later":    {path, intent("confirmation_method", "manual"), 400, "stripetest_unsupported", "confirmation_method"},
		"for another":      {path, intent("on_behalf_of", "acct_1"), 400, "stripetest_unsupported", "on_behalf_of"},
		"no method":        {path, intent("confirm", "true"), 400, "parameter_missing", "payment_method"},
		"unknown method":   {path, intent("payment_method", "pm_x"), 404, "resource_missing", "payment_method"},
		"unknown card":     {path, intent("payment_method", "pm_card_authenticationRequired"), 400, "stripetest_unsupported", "payment_method"},
		"other method":     {path, intent("payment_method", "pm_card_visa", "payment_method_types[]", "us_bank_account"), 400, "payment_intent_incompatible_payment_method", "payment_method"},
		"early return":     {path, intent("return_url", "https://example.com"), 400, "", "return_url"},
		"half an address":  {path, intent("shipping[name]", "Jo"), 400, "parameter_missing", "shipping[address][line1]"},
		"odd receipt":      {path, intent("receipt_email", "nobody"), 400, "email_invalid", "receipt_email"},
		"no intent":        {path + "/pi_x/confirm", form(), 404, "resource_missing", "intent"},
		"nothing to undo":  {path + "/pi_x/cancel", form(), 404, "resource_missing", "intent"},
		"odd reason":       {path + "/pi_x/cancel", form("cancellation_reason", "rain"), 400, "", "cancellation_reason"},
		"no type":          {methods, form(), 400, "parameter_missing", "type"},
		"other type":       {methods, form("type", "klarna"), 400, "stripetest_unsupported", "type"},
		"no number":        {methods, form("type", "card"), 400, "parameter_missing", "card[number]"},
		"no month":         {methods, form("type", "card", "card[number]", "4242424242424242"), 400, "parameter_missing", "card[exp_month]"},
		"a card of yours":  {methods, form("type", "card", "card[number]", "4111111111111111", "card[exp_month]", "1", "card[exp_year]", "2034"), 400, "stripetest_unsupported", "card[number]"},
		"unknown token":    {methods, form("type", "card", "card[token]", "tok_x"), 400, "stripetest_unsupported", "card[token]"},
		"no iban":          {methods, form("type", "sepa_debit"), 400, "parameter_missing", "sepa_debit[iban]"},
		"an iban of yours": {methods, form("type", "sepa_debit", "sepa_debit[iban]", "FR1420041010050500013M02606"), 400, "stripetest_unsupported", "sepa_debit[iban]"},
	})
	_, body, _ := raw(t, srv, http.MethodPost, methods, srv.SecretKey, form("type", "card", "card[number]", "4111111111111111", "card[exp_month]", "1", "card[exp_year]", "2034"))
	assert.NotContains(t, body["error"].(map[string]any)["message"], "4111")
}
