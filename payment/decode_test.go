package payment

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/booking"
)

func fixture(t *testing.T, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	require.NoError(t, err)
	return raw
}

// factsIn is what an event's object says by itself.
func factsIn(t *testing.T, raw []byte) (Event, booking.Facts) {
	t.Helper()
	e, err := DecodeEvent(raw)
	require.NoError(t, err)
	if strings.HasPrefix(e.Type, "checkout.session.") {
		ss, err := decodeSession(e.Object, e.Type)
		require.NoError(t, err)
		return e, ss.facts
	}
	f, err := decodeIntent(e.Object)
	require.NoError(t, err)
	return e, f
}

var versions = []string{"2020-08-27", "2022-11-15", "2023-10-16", "2025-09-30.clover"}

func TestDecodeVersions(t *testing.T) {
	for _, v := range versions {
		t.Run(v+" session", func(t *testing.T) {
			e, f := factsIn(t, fixture(t, v+".session.completed"))
			assert.Equal(t, v, e.APIVersion)
			assert.Equal(t, "cs_test_a1B2c3D4e5F6g7H8", e.ObjectID)
			assert.Equal(t, time.Unix(1760000100, 0).UTC(), e.Created)
			assert.False(t, e.Livemode)
			assert.Equal(t, booking.Paid, f.Standing())
			assert.Equal(t, "complete", f.SessionStatus)
			assert.Equal(t, "pi_3Test000000000000000001", f.PaymentIntentID)
			assert.Equal(t, int64(4500), f.Amount)
			assert.Equal(t, int64(4500), f.Subtotal)
			assert.Equal(t, "usd", f.Currency)
			assert.Equal(t, "card", f.PaymentMethod)
			assert.Equal(t, "Home cleaning", f.Metadata["serviceName"])
		})
		t.Run(v+" intent", func(t *testing.T) {
			e, f := factsIn(t, fixture(t, v+".intent.succeeded"))
			assert.Equal(t, "pi_3Test000000000000000001", e.ObjectID)
			assert.Equal(t, booking.Paid, f.Standing())
			assert.Empty(t, f.SessionID)
			assert.Equal(t, int64(4500), f.Amount)
			assert.Equal(t, "card", f.PaymentMethod)
			assert.Equal(t, "user_7", f.Metadata["userId"])
		})
	}
}

func TestDecodeShapes(t *testing.T) {
	t.Run("expired", func(t *testing.T) {
		_, f := factsIn(t, fixture(t, "2025-09-30.clover.session.expired"))
		assert.Equal(t, booking.Expired, f.Standing())
		assert.Empty(t, f.PaymentIntentID, "null is no id")
		assert.Equal(t, time.Unix(1760003600, 0).UTC(), f.ExpiresAt)
	})
	for _, v := range []string{"2020-08-27", "2025-09-30.clover"} {
		t.Run("a delayed payment failed "+v, func(t *testing.T) {
			_, f := factsIn(t, fixture(t, v+".session.async_failed"))
			assert.Equal(t, booking.Failed, f.Standing())
			assert.Equal(t, booking.UnknownFailure, f.FailureCode)
			assert.NotEmpty(t, f.PaymentMethod)
		})
	}
	t.Run("declined", func(t *testing.T) {
		_, f := factsIn(t, fixture(t, "2022-11-15.intent.payment_failed"))
		assert.Equal(t, booking.Failed, f.Standing())
		assert.Equal(t, "insufficient_funds", f.FailureCode)
	})
	t.Run("the currency of the integration counts", func(t *testing.T) {
		_, f := factsIn(t, fixture(t, "2023-10-16.session.converted"))
		assert.Equal(t, "usd", f.Currency)
		assert.Equal(t, int64(4500), f.Subtotal)
		assert.Equal(t, int64(4500), f.Amount)
	})
	t.Run("tax, shipping and discount", func(t *testing.T) {
		_, f := factsIn(t, fixture(t, "2023-10-16.session.taxed"))
		assert.Equal(t, int64(4500), f.Subtotal)
		assert.Equal(t, int64(5100), f.Amount)
		assert.Equal(t, []int64{400, 500, 300}, []int64{f.Tax, f.Shipping, f.Discount})
		assert.Equal(t, f.Amount, f.Subtotal+f.Tax+f.Shipping-f.Discount)
	})
	t.Run("free", func(t *testing.T) {
		_, f := factsIn(t, fixture(t, "2023-10-16.session.free"))
		assert.Equal(t, booking.Free, f.Standing())
	})
	t.Run("expanded", func(t *testing.T) {
		ss, err := decodeSession(fixture(t, "2023-10-16.session.expanded"), "")
		require.NoError(t, err)
		assert.Equal(t, "pi_3Test000000000000000001", ss.facts.PaymentIntentID)
		assert.Equal(t, "link", ss.facts.PaymentMethod, "the one that was used, not the first allowed")
	})
}

// Small objects for what the fixtures can't show one by one.
func TestDecodeSession(t *testing.T) {
	const head = `{"id":"cs_test_1","object":"checkout.session","mode":"payment","currency":"USD",`
	for name, c := range map[string]struct {
		json, event string
		want        func(*booking.Facts)
	}{
		"old, paid, from the API": {`"payment_status":"paid","amount_total":5}`, "", func(f *booking.Facts) {
			f.SessionStatus, f.PaymentStatus, f.Amount, f.Subtotal = "complete", "paid", 5, 5
		}},
		"old, unpaid, from the API": {`"payment_status":"unpaid"}`, "", func(f *booking.Facts) { f.SessionStatus, f.PaymentStatus = "open", "unpaid" }},
		"old, completed but unpaid": {`"payment_status":"unpaid"}`, completed, func(f *booking.Facts) { f.SessionStatus, f.PaymentStatus = "complete", "unpaid" }},
		"old, expired":              {`"payment_status":"unpaid"}`, expired, func(f *booking.Facts) { f.SessionStatus, f.PaymentStatus = "expired", "unpaid" }},
		"subtotal only":             {`"status":"open","amount_subtotal":7}`, "", func(f *booking.Facts) { f.SessionStatus, f.Amount, f.Subtotal = "open", 7, 7 }},
		"null amounts":              {`"status":"open","amount_subtotal":null,"amount_total":null,"total_details":null,"metadata":null}`, "", func(f *booking.Facts) { f.SessionStatus = "open" }},
		"the intent is ahead": {`"status":"open","payment_status":"unpaid","payment_intent":{"id":"pi_1","status":"succeeded"}}`, "", func(f *booking.Facts) {
			f.SessionStatus, f.PaymentStatus, f.PaymentIntentID = "complete", "paid", "pi_1"
		}},
		"the intent failed": {`"status":"complete","payment_status":"unpaid","payment_intent":{"id":"pi_1","status":"requires_payment_method","last_payment_error":{"code":"account_closed"}}}`, "", func(f *booking.Facts) {
			f.SessionStatus, f.PaymentStatus, f.PaymentIntentID, f.FailureCode = "complete", "unpaid", "pi_1", "account_closed"
		}},
		"the intent is still on its way": {`"status":"complete","payment_status":"unpaid","payment_intent":{"id":"pi_1","status":"processing"}}`, "", func(f *booking.Facts) {
			f.SessionStatus, f.PaymentStatus, f.PaymentIntentID = "complete", "unpaid", "pi_1"
		}},
		"unknown fields": {`"status":"open","new_field":{"a":[1.5,{"b":null}]},"ui_mode":7}`, "", func(f *booking.Facts) { f.SessionStatus = "open" }},
	} {
		t.Run(name, func(t *testing.T) {
			ss, err := decodeSession([]byte(head+c.json), c.event)
			require.NoError(t, err)
			want := booking.Facts{SessionID: "cs_test_1", Mode: "payment", Currency: "usd", PaymentMethod: "card"}
			c.want(&want)
			assert.Equal(t, want, ss.facts)
		})
	}
	for name, json := range map[string]string{
		"not JSON":           `{"id":`,
		"an array":           `[]`,
		"null":               `null`,
		"another object":     `{"id":"sub_1","object":"subscription"}`,
		"no id":              `{"object":"checkout.session"}`,
		"a fraction":         head + `"amount_total":4999.5,"status":"open"}`,
		"an exponent":        head + `"amount_total":5e3}`,
		"text for a number":  head + `"amount_total":"4999"}`,
		"beyond an integer":  head + `"amount_total":99999999999999999999}`,
		"metadata a list":    head + `"metadata":["secretvalue"]}`,
		"metadata of number": head + `"metadata":{"secretvalue":4999}}`,
		"intent a number":    head + `"payment_intent":4999}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := decodeSession([]byte(json), completed)
			require.Error(t, err)
			assert.NotContains(t, err.Error(), "4999", "a payload is not quoted")
			assert.NotContains(t, err.Error(), "secretvalue")
		})
	}
}

func TestPaymentMethod(t *testing.T) {
	for name, c := range map[string]struct{ json, want string }{
		"the latest charge":          {`"latest_charge":{"payment_method_details":{"type":"link"}},"payment_method_types":["card"]`, "link"},
		"a charge of old":            {`"charges":{"data":[{"payment_method_details":{"type":"ideal"}},{"payment_method_details":{"type":"card"}}]}`, "ideal"},
		"the expanded method":        {`"latest_charge":"ch_1","payment_method":{"id":"pm_1","type":"sepa_debit"},"payment_method_types":["card"]`, "sepa_debit"},
		"ids only: the first":        {`"latest_charge":"ch_1","payment_method":"pm_1","payment_method_types":["us_bank_account","card"]`, "us_bank_account"},
		"nothing":                    {`"latest_charge":null,"payment_method":null`, "card"},
		"an empty list":              {`"payment_method_types":[]`, "card"},
		"a charge that says no type": {`"latest_charge":{"payment_method_details":null},"payment_method_types":["eps"]`, "eps"},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := decodeIntent([]byte(`{"id":"pi_1","object":"payment_intent","status":"succeeded",` + c.json + `}`))
			require.NoError(t, err)
			assert.Equal(t, c.want, f.PaymentMethod)
		})
	}
}

func TestDecodeEvent(t *testing.T) {
	const good = `{"id":"evt_1","object":"event","type":"a.b","livemode":true,"api_version":null,"account":"acct_1","created":5,"data":{"object":{"id":"x_1"}}}`
	e, err := DecodeEvent([]byte(good))
	require.NoError(t, err)
	assert.Equal(t, Event{
		ID: "evt_1", Type: "a.b", Account: "acct_1", Livemode: true, Created: time.Unix(5, 0).UTC(),
		ObjectID: "x_1", Object: []byte(`{"id":"x_1"}`), Raw: []byte(good),
	}, e)

	e, err = DecodeEvent([]byte(strings.Replace(good, `"x_1"`, `17`, 1)))
	require.NoError(t, err, "an object without an id is an object")
	assert.Empty(t, e.ObjectID)

	for name, raw := range map[string]string{
		"empty":           ``,
		"text":            `"evt_1"`,
		"null":            `null`,
		"a list":          `[` + good + `]`,
		"another object":  strings.Replace(good, `"event"`, `"charge"`, 1),
		"a thin event":    strings.Replace(good, `"event"`, `"v2.core.event"`, 1),
		"no id":           strings.Replace(good, `evt_1`, ``, 1),
		"long id":         strings.Replace(good, `evt_1`, strings.Repeat("e", 300), 1),
		"id a number":     strings.Replace(good, `"evt_1"`, `4999`, 1),
		"no type":         strings.Replace(good, `a.b`, ``, 1),
		"no livemode":     strings.Replace(good, `"livemode":true,`, ``, 1),
		"livemode text":   strings.Replace(good, `true`, `"4999"`, 1),
		"no data":         strings.Replace(good, `"data"`, `"date"`, 1),
		"object null":     strings.Replace(good, `{"id":"x_1"}`, `null`, 1),
		"object a list":   strings.Replace(good, `{"id":"x_1"}`, `["4999"]`, 1),
		"created a float": strings.Replace(good, `"created":5`, `"created":4999.5`, 1),
		"cut off":         good[:40],
	} {
		t.Run(name, func(t *testing.T) {
			_, err := DecodeEvent([]byte(raw))
			require.ErrorIs(t, err, ErrNotEvent)
			assert.NotContains(t, err.Error(), "4999")
		})
	}
}
