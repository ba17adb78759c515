package stripetest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"

	"github.com/carevia/stripebooking/payment/stripetest"
)

func types(events []stripetest.Event) []string {
	var out []string
	for _, e := range events {
		out = append(out, e.Type)
	}
	return out
}

// object decodes the object of the last event of a type.
func object[T any](t *testing.T, events []stripetest.Event, kind string) T {
	t.Helper()
	for i := len(events) - 1; i >= 0; i-- {
		if events[i].Type == kind {
			var e stripe.Event
			require.NoError(t, json.Unmarshal(events[i].Payload, &e))
			var v T
			require.NoError(t, json.Unmarshal(e.Data.Raw, &v))
			return v
		}
	}
	t.Fatalf("no %s", kind)
	panic("unreachable")
}

func create(t *testing.T, srv *stripetest.Server, sp stripetest.SessionParams) stripetest.Session {
	t.Helper()
	ss, err := srv.CreateSession(sp)
	require.NoError(t, err)
	return ss
}

func TestPay(t *testing.T) {
	c := newClock()
	srv := start(t, stripetest.Config{Now: func() time.Time { return c.now().Add(999 * time.Millisecond) }})
	ss := create(t, srv, stripetest.SessionParams{Amount: 4500, Metadata: map[string]string{"userId": "u1"}, IntentMetadata: map[string]string{"on": "intent"}})
	assert.Empty(t, ss.PaymentIntent)

	ss, err := srv.Pay(ss.ID)
	require.NoError(t, err)
	assert.Equal(t, "complete", ss.Status)
	assert.Equal(t, "paid", ss.PaymentStatus)
	assert.Equal(t, "succeeded", ss.PaymentIntentStatus)
	assert.Empty(t, ss.URL)

	events := srv.Events()
	assert.Equal(t, []string{"payment_intent.created", "charge.succeeded", "payment_intent.succeeded", "checkout.session.completed"}, types(events))
	seen := map[string]bool{}
	for _, e := range events {
		assert.Regexp(t, `^evt_[A-Za-z0-9]{24}$`, e.ID)
		assert.False(t, seen[e.ID])
		seen[e.ID] = true
		assert.Equal(t, c.now(), e.Created, "whole seconds")
		var se stripe.Event
		require.NoError(t, json.Unmarshal(e.Payload, &se))
		assert.Equal(t, stripetest.APIVersion, se.APIVersion)
		assert.Equal(t, stripe.APIVersion, se.APIVersion)
		assert.False(t, se.Livemode)
		assert.EqualValues(t, e.Type, se.Type)
	}
	session := object[stripe.CheckoutSession](t, events, "checkout.session.completed")
	assert.Equal(t, stripe.CheckoutSessionPaymentStatusPaid, session.PaymentStatus)
	assert.Equal(t, ss.PaymentIntent, session.PaymentIntent.ID)
	assert.Equal(t, map[string]string{"userId": "u1"}, session.Metadata)
	intent := object[stripe.PaymentIntent](t, events, "payment_intent.succeeded")
	assert.Equal(t, map[string]string{"on": "intent"}, intent.Metadata, "a session's metadata is not the intent's")
	assert.EqualValues(t, 4500, intent.AmountReceived)
	charge := object[stripe.Charge](t, events, "charge.succeeded")
	assert.Equal(t, intent.LatestCharge.ID, charge.ID)
	assert.Equal(t, ss.PaymentIntent, charge.PaymentIntent.ID)

	_, err = srv.Pay(ss.ID)
	assert.ErrorIs(t, err, stripetest.ErrNotOpen)
	assert.Len(t, srv.Events(), 4, "a second try does nothing")
	_, err = srv.Pay("cs_none")
	assert.ErrorIs(t, err, stripetest.ErrNoSession)
}

func TestDecline(t *testing.T) {
	for code, want := range map[string]struct{ code, decline, message string }{
		"":                   {"card_declined", "generic_decline", "Your card was declined."},
		"lost_card":          {"card_declined", "lost_card", "Your card was declined."},
		"insufficient_funds": {"card_declined", "insufficient_funds", "Your card has insufficient funds."},
		"expired_card":       {"expired_card", "expired_card", "Your card has expired."},
	} {
		t.Run(code, func(t *testing.T) {
			srv := start(t, stripetest.Config{})
			ss := create(t, srv, stripetest.SessionParams{Amount: 4500})
			ss, err := srv.Decline(ss.ID, code)
			require.NoError(t, err)
			assert.Equal(t, "open", ss.Status)
			assert.Equal(t, "unpaid", ss.PaymentStatus)
			assert.Equal(t, "requires_payment_method", ss.PaymentIntentStatus)
			assert.NotEmpty(t, ss.URL)
			events := srv.Events()
			assert.Equal(t, []string{"payment_intent.created", "charge.failed", "payment_intent.payment_failed"}, types(events))
			intent := object[stripe.PaymentIntent](t, events, "payment_intent.payment_failed")
			require.NotNil(t, intent.LastPaymentError)
			assert.EqualValues(t, want.code, intent.LastPaymentError.Code)
			assert.EqualValues(t, want.decline, intent.LastPaymentError.DeclineCode)
			assert.Equal(t, want.message, intent.LastPaymentError.Msg)
			assert.Equal(t, stripe.ErrorTypeCard, intent.LastPaymentError.Type)
			assert.Equal(t, intent.LatestCharge.ID, intent.LastPaymentError.ChargeID)

			first := ss.PaymentIntent
			ss, err = srv.Pay(ss.ID)
			require.NoError(t, err)
			assert.Equal(t, first, ss.PaymentIntent, "the same intent again")
			assert.Equal(t, []string{"charge.succeeded", "payment_intent.succeeded", "checkout.session.completed"}, types(srv.Events()[3:]))
			assert.Nil(t, object[stripe.PaymentIntent](t, srv.Events(), "payment_intent.succeeded").LastPaymentError)
		})
	}
}

func TestDelayed(t *testing.T) {
	for name, ok := range map[string]bool{"succeeds": true, "fails": false} {
		t.Run(name, func(t *testing.T) {
			srv := start(t, stripetest.Config{})
			ss := create(t, srv, stripetest.SessionParams{Amount: 4500, Currency: "eur"})
			_, err := srv.SettleDelayed(ss.ID, true)
			assert.ErrorIs(t, err, stripetest.ErrNotWaiting)
			ss, err = srv.PayDelayed(ss.ID)
			require.NoError(t, err)
			assert.Equal(t, "complete", ss.Status)
			assert.Equal(t, "unpaid", ss.PaymentStatus)
			assert.Equal(t, "processing", ss.PaymentIntentStatus)
			assert.Equal(t, []string{"payment_intent.created", "charge.pending", "payment_intent.processing", "checkout.session.completed"}, types(srv.Events()))
			assert.Equal(t, stripe.CheckoutSessionPaymentStatusUnpaid, object[stripe.CheckoutSession](t, srv.Events(), "checkout.session.completed").PaymentStatus)

			ss, err = srv.SettleDelayed(ss.ID, ok)
			require.NoError(t, err)
			assert.Equal(t, "complete", ss.Status)
			news := types(srv.Events()[4:])
			if ok {
				assert.Equal(t, "paid", ss.PaymentStatus)
				assert.Equal(t, []string{"charge.succeeded", "payment_intent.succeeded", "checkout.session.async_payment_succeeded"}, news)
				charge := object[stripe.Charge](t, srv.Events(), "charge.succeeded")
				assert.EqualValues(t, "sepa_debit", charge.PaymentMethodDetails.Type)
			} else {
				assert.Equal(t, "unpaid", ss.PaymentStatus)
				assert.Equal(t, "requires_payment_method", ss.PaymentIntentStatus)
				assert.Equal(t, []string{"charge.failed", "payment_intent.payment_failed", "checkout.session.async_payment_failed"}, news)
			}
			_, err = srv.SettleDelayed(ss.ID, true)
			assert.ErrorIs(t, err, stripetest.ErrNotWaiting, "once only")
		})
	}
	srv := start(t, stripetest.Config{})
	ss := create(t, srv, stripetest.SessionParams{Amount: 4500, PaymentMethodTypes: []string{"card"}})
	_, err := srv.PayDelayed(ss.ID)
	assert.ErrorIs(t, err, stripetest.ErrNoDelayed)
	assert.Empty(t, srv.Events())
}

// With a voucher or a bank transfer it is the customer who sends the money: the intent requires that, and has no charge.
func TestVouchers(t *testing.T) {
	for _, tc := range []struct{ method, currency, action string }{
		{"boleto", "brl", "boleto_display_details"},
		{"konbini", "jpy", "konbini_display_details"},
		{"multibanco", "eur", "multibanco_display_details"},
		{"oxxo", "mxn", "oxxo_display_details"},
		{"customer_balance", "gbp", "display_bank_transfer_instructions"},
	} {
		t.Run(tc.method, func(t *testing.T) {
			srv := start(t, stripetest.Config{})
			waiting := func() stripetest.Session {
				ss := create(t, srv, stripetest.SessionParams{Amount: 4500, Currency: tc.currency, Customer: "cus_1", PaymentMethodTypes: []string{tc.method}})
				_, err := srv.Pay(ss.ID)
				require.ErrorIs(t, err, stripetest.ErrOnlyDelayed)
				ss, err = srv.PayDelayed(ss.ID)
				require.NoError(t, err)
				require.Equal(t, "complete unpaid requires_action", ss.Status+" "+ss.PaymentStatus+" "+ss.PaymentIntentStatus)
				return ss
			}
			ss := waiting()
			assert.Equal(t, []string{"payment_intent.created", "payment_intent.requires_action", "checkout.session.completed"}, types(srv.Events()))
			pi := object[stripe.PaymentIntent](t, srv.Events(), "payment_intent.requires_action")
			assert.Nil(t, pi.LatestCharge)
			require.NotNil(t, pi.NextAction)
			assert.EqualValues(t, tc.action, pi.NextAction.Type)

			ss, err := srv.SettleDelayed(ss.ID, true)
			require.NoError(t, err)
			assert.Equal(t, "paid", ss.PaymentStatus)
			assert.Equal(t, []string{"charge.succeeded", "payment_intent.succeeded", "checkout.session.async_payment_succeeded"}, types(srv.Events()[3:]))
			pi = object[stripe.PaymentIntent](t, srv.Events(), "payment_intent.succeeded")
			assert.Nil(t, pi.NextAction)
			assert.Equal(t, object[stripe.Charge](t, srv.Events(), "charge.succeeded").ID, pi.LatestCharge.ID)
			assert.EqualValues(t, tc.method, object[stripe.Charge](t, srv.Events(), "charge.succeeded").PaymentMethodDetails.Type)

			before := len(srv.Events()) + 3
			ss, err = srv.SettleDelayed(waiting().ID, false)
			if tc.method == "customer_balance" {
				assert.ErrorContains(t, err, "waited for")
				assert.Equal(t, "requires_action", ss.PaymentIntentStatus)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, "unpaid requires_payment_method", ss.PaymentStatus+" "+ss.PaymentIntentStatus)
			assert.Equal(t, []string{"payment_intent.payment_failed", "checkout.session.async_payment_failed"}, types(srv.Events()[before:]))
			failed := object[stripe.PaymentIntent](t, srv.Events(), "payment_intent.payment_failed").LastPaymentError
			assert.Equal(t, stripe.ErrorCodePaymentIntentPaymentAttemptExpired, failed.Code)
			assert.EqualValues(t, tc.method, failed.PaymentMethod.Type)
		})
	}

	srv := start(t, stripetest.Config{})
	_, err := srv.CreateSession(stripetest.SessionParams{Amount: 4500, PaymentMethodTypes: []string{"card", "customer_balance"}})
	assert.ErrorContains(t, err, "customer")
	ss := create(t, srv, stripetest.SessionParams{Amount: 4510, Currency: "kwd"})
	_, err = srv.PayDelayed(ss.ID)
	assert.ErrorIs(t, err, stripetest.ErrNoDelayed, "bank transfers need a customer")

	// What followed an earlier, declined card does not follow the voucher.
	ss = create(t, srv, stripetest.SessionParams{Amount: 4500, Currency: "mxn"})
	_, err = srv.PayDelayed(ss.ID)
	require.NoError(t, err)
	method := object[stripe.PaymentIntent](t, srv.Events(), "payment_intent.requires_action").PaymentMethod.ID
	for _, declined := range []bool{false, true} {
		ss = create(t, srv, stripetest.SessionParams{Amount: 4500, Currency: "mxn"})
		if declined {
			_, err = srv.Decline(ss.ID, "")
			require.NoError(t, err)
		}
		status, page, _ := raw(t, srv, "POST", "/v1/payment_pages/"+ss.ID+"/confirm", srv.SecretKey, form("payment_method", method))
		assert.Equal(t, 200, status)
		assert.Equal(t, "requires_action", page["payment_intent"].(map[string]any)["status"])
	}
	pi := object[stripe.PaymentIntent](t, srv.Events(), "payment_intent.requires_action")
	status, intent, _ := raw(t, srv, "POST", "/v1/payment_intents", srv.SecretKey, form("amount", "4500", "currency", "mxn", "payment_method_types[]", "oxxo", "payment_method", pi.PaymentMethod.ID, "confirm", "true"))
	assert.Equal(t, 200, status)
	assert.Equal(t, "requires_action", intent["status"])
	_, intent, _ = raw(t, srv, "POST", "/v1/payment_intents/"+intent["id"].(string)+"/cancel", srv.SecretKey, nil)
	assert.Equal(t, "canceled", intent["status"])
	assert.Nil(t, intent["next_action"])
}

// A session of a bank's method alone is not paid when the customer has done all there is to do.
func TestNothingPaysAtOnce(t *testing.T) {
	srv := start(t, stripetest.Config{})
	params := stripetest.SessionParams{Amount: 4500, Currency: "eur", PaymentMethodTypes: []string{"sepa_debit", "sofort"}, SuccessURL: "https://shop.test/ok"}
	ss := create(t, srv, params)
	_, err := srv.Pay(ss.ID)
	assert.ErrorIs(t, err, stripetest.ErrOnlyDelayed)
	assert.ErrorContains(t, err, "PayDelayed")
	_, err = srv.Decline(ss.ID, "")
	assert.ErrorIs(t, err, stripetest.ErrNoCard)
	assert.Empty(t, srv.Events())

	_, body := browse(t, "GET", ss.URL, nil)
	assert.Contains(t, body, `value="pay"`)
	assert.Contains(t, body, "by bank, later")
	for _, button := range []string{"bank", "decline"} {
		assert.NotContains(t, body, `value="`+button+`"`)
	}
	page := ss.URL // which a session has while it is open
	resp, _ := browse(t, "POST", page, press("decline"))
	assert.Equal(t, 400, resp.StatusCode)
	for range 2 {
		resp, _ = browse(t, "POST", page, press("pay"))
		assert.Equal(t, "https://shop.test/ok", resp.Header.Get("Location"))
		ss, _ = srv.Session(ss.ID)
		assert.Equal(t, "complete unpaid", ss.Status+" "+ss.PaymentStatus)
	}
	_, err = srv.Pay(ss.ID)
	assert.ErrorIs(t, err, stripetest.ErrNotOpen)

	params.PaymentMethodTypes = []string{"sepa_debit", "ideal"} // one of them does
	ss, err = srv.Pay(create(t, srv, params).ID)
	require.NoError(t, err)
	assert.Equal(t, "paid", ss.PaymentStatus)
	assert.EqualValues(t, "ideal", object[stripe.Charge](t, srv.Events(), "charge.succeeded").PaymentMethodDetails.Type)

	params.Amount, params.PaymentMethodTypes = 0, []string{"sepa_debit"} // nothing is to be paid
	ss, err = srv.Pay(create(t, srv, params).ID)
	require.NoError(t, err)
	assert.Equal(t, "complete no_payment_required", ss.Status+" "+ss.PaymentStatus)
}

func TestNothingToPay(t *testing.T) {
	srv := start(t, stripetest.Config{})
	ss := create(t, srv, stripetest.SessionParams{})
	assert.Equal(t, "open", ss.Status)
	assert.Equal(t, "no_payment_required", ss.PaymentStatus, "while it is open, too")
	_, err := srv.Decline(ss.ID, "")
	assert.Error(t, err)
	ss, err = srv.Pay(ss.ID)
	require.NoError(t, err)
	assert.Equal(t, "complete", ss.Status)
	assert.Empty(t, ss.PaymentIntent)
	assert.Equal(t, []string{"checkout.session.completed"}, types(srv.Events()))
	got := object[stripe.CheckoutSession](t, srv.Events(), "checkout.session.completed")
	assert.Nil(t, got.PaymentIntent)
	assert.Equal(t, stripe.CheckoutSessionPaymentStatusNoPaymentRequired, got.PaymentStatus)
}

func TestPartsOfTheTotal(t *testing.T) {
	srv := start(t, stripetest.Config{})
	ss := create(t, srv, stripetest.SessionParams{Amount: 4000, Tax: 300, Shipping: 500, Discount: 1000})
	assert.EqualValues(t, 4000, ss.AmountSubtotal)
	assert.EqualValues(t, 3800, ss.AmountTotal)
	_, err := srv.Pay(ss.ID)
	require.NoError(t, err)
	got := object[stripe.CheckoutSession](t, srv.Events(), "checkout.session.completed")
	assert.Equal(t, stripe.CheckoutSessionTotalDetails{AmountTax: 300, AmountShipping: 500, AmountDiscount: 1000}, *got.TotalDetails)
	assert.EqualValues(t, 3800, object[stripe.PaymentIntent](t, srv.Events(), "payment_intent.succeeded").Amount)
	_, err = srv.CreateSession(stripetest.SessionParams{Amount: 100, Discount: 200})
	assert.Error(t, err)
	_, err = srv.CreateSession(stripetest.SessionParams{Amount: 100, Currency: "xyz"})
	assert.ErrorContains(t, err, "Invalid currency")
}

func TestEventsThroughTheClient(t *testing.T) {
	srv := start(t, stripetest.Config{})
	sc := api(srv, srv.SecretKey)
	ss := create(t, srv, stripetest.SessionParams{Amount: 4500})
	_, err := srv.Pay(ss.ID)
	require.NoError(t, err)
	made := srv.Emit("customer.created", map[string]any{"id": "cus_1", "object": "customer"})

	list := func(p *stripe.EventListParams) []string {
		var got []string
		it := sc.Events.List(p)
		for it.Next() {
			got = append(got, string(it.Event().Type))
		}
		require.NoError(t, it.Err())
		return got
	}
	assert.Equal(t, []string{"customer.created", "checkout.session.completed", "payment_intent.succeeded", "charge.succeeded", "payment_intent.created"}, list(&stripe.EventListParams{}))
	assert.Equal(t, []string{"payment_intent.succeeded", "payment_intent.created"}, list(&stripe.EventListParams{Type: stripe.String("payment_intent.*")}))
	assert.Equal(t, []string{"customer.created", "charge.succeeded"}, list(&stripe.EventListParams{Types: stripe.StringSlice([]string{"charge.succeeded", "customer.created"})}))

	e, err := sc.Events.Get(made.ID, nil)
	require.NoError(t, err)
	assert.Equal(t, "cus_1", e.Data.Object["id"])

	// What a request caused names it.
	open := create(t, srv, stripetest.SessionParams{Amount: 4500})
	p := &stripe.CheckoutSessionExpireParams{}
	p.SetIdempotencyKey("expire/1")
	expired, err := sc.CheckoutSessions.Expire(open.ID, p)
	require.NoError(t, err)
	events := srv.Events()
	var last stripe.Event
	require.NoError(t, json.Unmarshal(events[len(events)-1].Payload, &last))
	assert.Equal(t, expired.LastResponse.RequestID, last.Request.ID)
	assert.Equal(t, "expire/1", last.Request.IdempotencyKey)
}

// browse is a browser that does not follow redirects.
func browse(t *testing.T, method, address string, form url.Values) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, address, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp, string(body)
}

func press(button string) url.Values { return url.Values{"action": {button}} }

func TestPayPage(t *testing.T) {
	c := newClock()
	srv := start(t, stripetest.Config{Now: c.now})
	params := stripetest.SessionParams{
		Name: "Elder <care>", Amount: 123450, Currency: "bdt", CancelURL: "https://shop.test/cancel",
		SuccessURL: "https://shop.test/ok?session_id={CHECKOUT_SESSION_ID}&x=1",
	}
	ss := create(t, srv, params)
	resp, body := browse(t, "GET", ss.URL, nil)
	assert.Equal(t, 200, resp.StatusCode)
	assert.Contains(t, resp.Header.Get("Content-Type"), "text/html")
	assert.Contains(t, body, "1234.50 BDT")
	assert.Contains(t, body, "Elder &lt;care&gt;")
	assert.Contains(t, body, "no money moves")
	assert.NotContains(t, body, "<script")
	assert.NotContains(t, body, "src=")
	for _, button := range []string{"pay", "decline", "cancel"} {
		assert.Contains(t, body, `value="`+button+`"`)
	}
	assert.NotContains(t, body, `value="bank`, "there is none for this currency")

	resp, body = browse(t, "POST", ss.URL, press("decline"))
	assert.Equal(t, 402, resp.StatusCode)
	assert.Contains(t, body, "Your card was declined.")
	assert.Contains(t, body, `role="alert"`)
	assert.Contains(t, body, `value="pay"`, "it can be tried again")

	resp, _ = browse(t, "POST", ss.URL, press("cancel"))
	assert.Equal(t, 303, resp.StatusCode)
	assert.Equal(t, "https://shop.test/cancel", resp.Header.Get("Location"))
	got, _ := srv.Session(ss.ID)
	assert.Equal(t, "open", got.Status)

	for range 2 { // the second half of a double click goes the same way
		resp, _ = browse(t, "POST", ss.URL, press("pay"))
		assert.Equal(t, 303, resp.StatusCode)
		assert.Equal(t, "https://shop.test/ok?session_id="+ss.ID+"&x=1", resp.Header.Get("Location"))
	}
	got, _ = srv.Session(ss.ID)
	assert.Equal(t, "paid", got.PaymentStatus)
	_, body = browse(t, "GET", ss.URL, nil)
	assert.Contains(t, body, "complete")
	assert.NotContains(t, body, "<button")

	params.Currency = "eur"
	for answer, want := range map[string]string{"bank-paid": "paid succeeded", "bank-failed": "unpaid requires_payment_method"} {
		later := create(t, srv, params)
		_, body = browse(t, "GET", later.URL, nil)
		assert.Contains(t, body, `value="bank"`)
		resp, _ = browse(t, "POST", later.URL, press(answer))
		assert.Equal(t, 400, resp.StatusCode, "not yet")
		resp, _ = browse(t, "POST", later.URL, press("bank"))
		assert.Equal(t, 303, resp.StatusCode)
		got, _ = srv.Session(later.ID)
		assert.Equal(t, "complete unpaid", got.Status+" "+got.PaymentStatus)
		_, body = browse(t, "GET", later.URL, nil)
		assert.Contains(t, body, `value="`+answer+`"`)
		resp, body = browse(t, "POST", later.URL, press(answer))
		assert.Equal(t, 200, resp.StatusCode)
		assert.NotContains(t, body, "<button")
		got, _ = srv.Session(later.ID)
		assert.Equal(t, want, got.PaymentStatus+" "+got.PaymentIntentStatus)
		resp, _ = browse(t, "POST", later.URL, press(answer))
		assert.Equal(t, 400, resp.StatusCode, "once only")
	}

	// A voucher is shown, and the customer does not come back to the site.
	params.Currency, params.Amount = "jpy", 5000
	voucher := create(t, srv, params)
	for range 2 {
		resp, body = browse(t, "POST", voucher.URL, press("bank"))
		assert.Equal(t, 200, resp.StatusCode)
		assert.Contains(t, body, `value="bank-paid"`)
		assert.Contains(t, body, "https://shop.test/ok?")
	}
	pi := object[stripe.PaymentIntent](t, srv.Events(), "payment_intent.requires_action")
	assert.Equal(t, voucher.URL, pi.NextAction.KonbiniDisplayDetails.HostedVoucherURL)

	transferred, err := srv.PayDelayed(create(t, srv, stripetest.SessionParams{
		Amount: 4500, Customer: "cus_1", PaymentMethodTypes: []string{"customer_balance"},
	}).ID)
	require.NoError(t, err)
	_, body = browse(t, "GET", srv.URL+"/pay/"+transferred.ID, nil)
	assert.Contains(t, body, `value="bank-paid"`)
	assert.NotContains(t, body, `value="bank-failed"`)

	old := create(t, srv, params)
	c.add(24 * time.Hour)
	for _, method := range []string{"GET", "POST"} {
		resp, body = browse(t, method, old.URL, press("pay"))
		assert.Equal(t, 410, resp.StatusCode)
		assert.Contains(t, body, "expired")
	}

	resp, _ = browse(t, "GET", srv.URL+"/pay/cs_none", nil)
	assert.Equal(t, 404, resp.StatusCode)
	resp, _ = browse(t, "POST", srv.URL+"/pay/cs_none", press("pay"))
	assert.Equal(t, 404, resp.StatusCode)
	last := create(t, srv, stripetest.SessionParams{Amount: 0, SuccessURL: "https://shop.test/ok"})
	resp, _ = browse(t, "POST", last.URL, press("colour"))
	assert.Equal(t, 400, resp.StatusCode)
	resp, body = browse(t, "POST", last.URL, press("cancel"))
	assert.Equal(t, 200, resp.StatusCode, "no cancel URL: it stays")
	assert.Contains(t, body, "nothing to pay")
	assert.NotContains(t, body, `value="bank"`)
	resp, _ = browse(t, "POST", last.URL, press("pay"))
	assert.Equal(t, "https://shop.test/ok", resp.Header.Get("Location"))
}

func TestMountedUnderAPath(t *testing.T) {
	s, err := stripetest.New(stripetest.Config{PublicURL: "http://127.0.0.1/stripe"})
	require.NoError(t, err)
	defer s.Close()
	ss, err := s.CreateSession(stripetest.SessionParams{Amount: 1000})
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/stripe/", http.StripPrefix("/stripe", s))
	rec := &recorder{header: http.Header{}}
	req, _ := http.NewRequest("GET", ss.URL, nil)
	mux.ServeHTTP(rec, req)
	assert.Equal(t, 200, rec.status)
	assert.Contains(t, rec.body.String(), "10.00 USD")
}

type recorder struct {
	header http.Header
	status int
	body   strings.Builder
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }
