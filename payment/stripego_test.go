package payment

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"

	"github.com/carevia/stripebooking/internal/record"
	"github.com/carevia/stripebooking/payment/stripetest"
)

// TestStandInIsStripeGos takes all that the stand-in says through stripe-go's
// types and looks for what is lost of what decode.go reads.
func TestStandInIsStripeGos(t *testing.T) {
	sent := record.New()
	w := newWorld(t, func(c *Config) { c.HTTPClient = &http.Client{Transport: sent} })
	get := func(path string) {
		r, err := http.NewRequest(http.MethodGet, w.stripe.URL+path, nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+w.stripe.SecretKey)
		resp, err := (&http.Client{Transport: sent}).Do(r)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
	}
	show := func(ss stripetest.Session) {
		_, err := w.pay.stripe.session(ctxOf(t), ss.ID)
		require.NoError(t, err)
		get("/v1/checkout/sessions/" + ss.ID)
		if ss.PaymentIntent != "" {
			get("/v1/payment_intents/" + ss.PaymentIntent)
			get("/v1/payment_intents/" + ss.PaymentIntent + "?expand[]=latest_charge")
		}
	}
	parts := func(p *stripetest.SessionParams) { p.Tax, p.Shipping, p.Discount = 300, 200, 100 }
	for _, play := range []func(id string) (stripetest.Session, error){
		w.stripe.Pay, w.stripe.Expire, w.stripe.PayDelayed,
		func(id string) (stripetest.Session, error) { return w.stripe.Decline(id, "insufficient_funds") },
		func(id string) (stripetest.Session, error) {
			w.stripe.PayDelayed(id)
			return w.stripe.SettleDelayed(id, true)
		},
		func(id string) (stripetest.Session, error) {
			w.stripe.PayDelayed(id)
			return w.stripe.SettleDelayed(id, false)
		},
	} {
		c := w.checkout(w.request(fmt.Sprint(len(w.stripe.Sessions()))))
		show(w.session(c.SessionID))
		for _, id := range []string{c.SessionID, w.plainSession(true, parts).ID} {
			ss, err := play(id)
			require.NoError(t, err)
			show(ss)
		}
	}
	_, err := w.pay.stripe.sessionsSince(ctxOf(t), start, func(session) bool { return true })
	require.NoError(t, err)
	get("/v1/events?limit=100")

	seen := map[string]bool{}
	var said [][]byte
	for _, e := range w.stripe.Events() {
		said = append(said, e.Payload)
	}
	for _, c := range sent.Calls() {
		require.Equal(t, http.StatusOK, c.Status, c.URI)
		said = append(said, []byte(c.Answer))
	}
	for _, raw := range said {
		for _, one := range listed(t, raw) {
			assert.Empty(t, lostIn(t, one, seen), string(one))
		}
	}

	// Nothing was left out but what the stand-in does not say.
	var missed []string
	for _, of := range readOf {
		for _, field := range fieldsOf(of.name, of.read) {
			if !seen[field] {
				missed = append(missed, field)
			}
		}
	}
	assert.Equal(t, []string{
		"checkout.session.currency_conversion", // it does not convert
		"event.account",                        // it has no connected accounts
		"payment_intent.charges",               // before 2022-11-15
	}, missed)
}

// readOf is what decode.go reads of each of Stripe's objects, and stripe-go's
// type for it.
var readOf = []struct {
	name string
	read reflect.Type
	kept reflect.Type
}{
	{"checkout.session", reflect.TypeOf(sessionJSON{}), reflect.TypeOf(stripe.CheckoutSession{})},
	{"event", reflect.TypeOf(eventJSON{}), reflect.TypeOf(stripe.Event{})},
	{"payment_intent", reflect.TypeOf(intentJSON{}), reflect.TypeOf(stripe.PaymentIntent{})},
	{"charge", reflect.TypeOf(chargeJSON{}), reflect.TypeOf(stripe.Charge{})},
}

// fieldsOf are the names of the fields that are read.
func fieldsOf(name string, read reflect.Type) (fields []string) {
	for i := range read.NumField() {
		fields = append(fields, name+"."+read.Field(i).Tag.Get("json"))
	}
	slices.Sort(fields)
	return fields
}

// listed are the objects of a list, or the object itself.
func listed(t *testing.T, raw []byte) []json.RawMessage {
	var list struct {
		Object string
		Data   json.RawMessage
	}
	require.NoError(t, json.Unmarshal(raw, &list))
	if list.Object != "list" {
		return []json.RawMessage{raw}
	}
	var all []json.RawMessage
	require.NoError(t, json.Unmarshal(list.Data, &all))
	require.NotEmpty(t, all)
	return all
}

// lostIn says which fields that are read of an object are not the same after it
// went through stripe-go's type.
func lostIn(t *testing.T, raw []byte, seen map[string]bool) []string {
	t.Helper()
	var before, after map[string]any
	require.NoError(t, json.Unmarshal(raw, &before))
	for _, of := range readOf {
		if of.name == before["object"] {
			v := reflect.New(of.kept)
			require.NoError(t, json.Unmarshal(raw, v.Interface()))
			again, err := json.Marshal(v.Interface())
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(again, &after))
			found := lost(of.name, of.read, before, after, seen)
			if of.name == "event" { // what it is about stays raw there, for whoever reads it
				var e eventJSON
				require.NoError(t, json.Unmarshal(raw, &e))
				found = append(found, lostIn(t, e.Data.Object, seen)...)
			}
			return found
		}
	}
	require.FailNow(t, "an object of a kind that is not read", before["object"])
	return nil
}

// lost compares what is read of an object, field by field. What was null or not
// there can't be lost.
func lost(name string, read reflect.Type, before, after map[string]any, seen map[string]bool) (found []string) {
	for i := range read.NumField() {
		f := read.Field(i)
		key := f.Tag.Get("json")
		b, a := before[key], after[key]
		if b == nil {
			continue
		}
		at := name + "." + key
		seen[at] = true
		inner, _ := b.(map[string]any)
		innerAfter, _ := a.(map[string]any)
		as := f.Type
		if as.Kind() == reflect.Pointer {
			as = as.Elem()
		}
		switch {
		case inner == nil && innerAfter != nil: // an id, and the object that has it
			if b != innerAfter["id"] {
				found = append(found, at)
			}
		case inner != nil && as == reflect.TypeOf(typeOf("")):
			if inner["type"] != innerAfter["type"] {
				found = append(found, at+".type")
			}
		case inner != nil && as.Kind() == reflect.Struct:
			found = append(found, lost(at, as, inner, innerAfter, seen)...)
		case inner != nil && readAs(inner) != nil:
			found = append(found, lost(fmt.Sprint(inner["object"]), readAs(inner), inner, innerAfter, seen)...)
		case !reflect.DeepEqual(b, a):
			found = append(found, at)
		}
	}
	return found
}

// readAs is what decode.go reads of one of Stripe's objects; nil for others.
func readAs(object map[string]any) reflect.Type {
	for _, of := range readOf {
		if of.name == object["object"] {
			return of.read
		}
	}
	return nil
}

// A field that stripe-go does not keep is seen.
func TestLostFieldsAreSeen(t *testing.T) {
	before := `{"id":"cs_1","object":"checkout.session","amount_total":5,"metadata":{"a":"b"},"total_details":{"amount_tax":1},
		"payment_intent":{"id":"pi_1","object":"payment_intent","status":"succeeded","payment_method":{"id":"pm_1","type":"card"},"latest_charge":{"payment_method_details":{"type":"card"}}}}`
	var b map[string]any
	require.NoError(t, json.Unmarshal([]byte(before), &b))
	for old, want := range map[string]string{
		`"amount_total":5`:                         "checkout.session.amount_total",
		`"amount_tax":1`:                           "checkout.session.total_details.amount_tax",
		`"status":"succeeded"`:                     "payment_intent.status",
		`"a":"b"`:                                  "checkout.session.metadata",
		`"id":"pm_1","type":"card"`:                "payment_intent.payment_method.type",
		`"payment_method_details":{"type":"card"}`: "payment_intent.latest_charge.payment_method_details.type",
	} {
		var a map[string]any
		require.NoError(t, json.Unmarshal([]byte(strings.Replace(before, old, `"x":0`, 1)), &a))
		assert.Equal(t, []string{want}, lost("checkout.session", reflect.TypeOf(sessionJSON{}), b, a, map[string]bool{}), old)
	}
	assert.Empty(t, lost("checkout.session", reflect.TypeOf(sessionJSON{}), b, b, map[string]bool{}))
}
