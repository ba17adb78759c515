package stripemock

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-mock/spec"

	"github.com/carevia/stripebooking/internal/record"
	"github.com/carevia/stripebooking/payment/stripetest"
	"github.com/carevia/stripebooking/webhook/webhooktest"
)

// since2023 is what has changed since API version 2023-10-16, which the stand-in and
// the builders speak: what Stripe's OpenAPI of today has no more, or has now.
// See https://docs.stripe.com/changelog
var since2023 = []string{
	"charge.destination: no such field", "charge.dispute: no such field", "charge.invoice: no such field",
	"charge.order: no such field", "charge.source: no such field",
	"checkout.session.shipping_details: no such field", "checkout.session.ui_mode: no such word",
	"dispute.balance_transaction: no such field", "dispute.evidence.enhanced_evidence: missing",
	"dispute.evidence_details.enhanced_eligibility: missing", "dispute.payment_method_details.card.network: missing",
	"dispute.enhanced_eligibility_types: missing",
	"payment_intent.invoice: no such field", "payment_intent.source: no such field",
	"product.features: no such field", "product.type: no such field", "product.marketing_features: missing",
	"balance_transaction.balance_type: missing",
}

// wrong says how JSON differs from a schema of Stripe's. Where a schema names an
// object, what is said begins with that object's name.
func (m *mock) wrong(at string, v any, s *spec.Schema) (found []string) {
	if s.Ref != "" {
		s = m.schema(strings.TrimPrefix(s.Ref, "#/components/schemas/"))
	}
	if len(s.AnyOf) > 0 && v != nil {
		return m.wrongForAll(at, v, s.AnyOf)
	}
	switch v := v.(type) {
	case nil:
		if !s.Nullable {
			found = append(found, at+": null")
		}
		return found
	case map[string]any:
		if name, ok := v["object"].(string); ok {
			at = name
			if name == "event" { // the schema leaves open what it is about
				object := v["data"].(map[string]any)["object"].(map[string]any)
				found = append(found, m.wrong("", object, m.schema(object["object"].(string)))...)
			}
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			inner := s.Properties[key]
			if inner == nil {
				inner = s.AdditionalProperties
			}
			if inner != nil {
				found = append(found, m.wrong(at+"."+key, v[key], inner)...)
			} else if len(s.Properties) > 0 {
				found = append(found, at+"."+key+": no such field")
			}
		}
		for _, key := range s.Required {
			if _, ok := v[key]; !ok {
				found = append(found, at+"."+key+": missing")
			}
		}
	case []any:
		for _, one := range v {
			found = append(found, m.wrong(at+"[]", one, s.Items)...)
		}
	}
	if kind := kindOf(v); s.Type != "" && kind != s.Type && (s.Type != spec.TypeNumber || kind != spec.TypeInteger) {
		found = append(found, fmt.Sprintf("%s: %s instead of %s", at, kind, s.Type))
	} else if len(s.Enum) > 0 && !slices.Contains(s.Enum, v) {
		found = append(found, at+": no such word")
	}
	return found
}

// wrongForAll is what is wrong with v as the one of several schemas that it fits
// best, of those of its kind.
func (m *mock) wrongForAll(at string, v any, schemas []*spec.Schema) (best []string) {
	best = []string{at + ": " + kindOf(v) + " of no kind that is allowed"}
	fits := false
	for _, s := range schemas {
		if s.Ref != "" {
			s = m.schema(strings.TrimPrefix(s.Ref, "#/components/schemas/"))
		}
		if s.Type != "" && s.Type != kindOf(v) {
			continue
		}
		if got := m.wrong(at, v, s); !fits || len(got) < len(best) {
			best, fits = got, true
		}
	}
	return best
}

func (m *mock) schema(name string) *spec.Schema {
	if s := m.spec.Components.Schemas[name]; s != nil {
		return s
	}
	panic("Stripe's OpenAPI has no " + name)
}

func kindOf(v any) string {
	switch v := v.(type) {
	case map[string]any:
		return spec.TypeObject
	case []any:
		return spec.TypeArray
	case string:
		return spec.TypeString
	case bool:
		return spec.TypeBoolean
	case float64:
		if v == float64(int64(v)) {
			return spec.TypeInteger
		}
	}
	return spec.TypeNumber
}

// shape says how an object or event differs from Stripe's.
func (m *mock) shape(t *testing.T, raw []byte) []string {
	t.Helper()
	var v map[string]any
	require.NoError(t, json.Unmarshal(raw, &v))
	return m.wrong("", v, m.schema(v["object"].(string)))
}

// answer says how an answer differs from Stripe's.
func (m *mock) answer(t *testing.T, c record.Call) []string {
	t.Helper()
	var v any
	require.NoError(t, json.Unmarshal([]byte(c.Answer), &v), c)
	op := m.operation(c.Method, requestOf(c).URL.Path)
	require.NotNil(t, op, c)
	return m.wrong("", v, op.Responses["200"].Content["application/json"].Schema)
}

// compact sorts and leaves out what is there already.
func compact(s []string) []string {
	slices.Sort(s)
	return slices.Compact(s)
}

func TestShapesOfTheStandIn(t *testing.T) {
	mock := stripeMock(t)
	srv := stripetest.NewServer(stripetest.Config{})
	defer srv.Close()
	made := func() string {
		ss, err := srv.CreateSession(stripetest.SessionParams{Amount: 5000, Tax: 7, Metadata: map[string]string{"a": "b"}})
		require.NoError(t, err)
		return ss.ID
	}
	for _, play := range []func(id string) (stripetest.Session, error){
		srv.Pay, srv.Expire,
		func(id string) (stripetest.Session, error) { return srv.Decline(id, "insufficient_funds") },
		func(id string) (stripetest.Session, error) {
			_, err := srv.Decline(id, "")
			require.NoError(t, err)
			return srv.Expire(id)
		},
		func(id string) (stripetest.Session, error) {
			_, err := srv.PayDelayed(id)
			require.NoError(t, err)
			return srv.SettleDelayed(id, true)
		},
		func(id string) (stripetest.Session, error) {
			_, err := srv.PayDelayed(id)
			require.NoError(t, err)
			return srv.SettleDelayed(id, false)
		},
	} {
		_, err := play(made())
		require.NoError(t, err)
	}
	for method, currency := range map[string]string{
		"sepa_debit": "eur", "sofort": "eur", "bacs_debit": "gbp", "acss_debit": "cad", "au_becs_debit": "aud",
		"boleto": "brl", "konbini": "jpy", "multibanco": "eur", "oxxo": "mxn", "customer_balance": "usd",
	} {
		for _, ok := range []bool{true, false} {
			ss, err := srv.CreateSession(stripetest.SessionParams{Amount: 5000, Currency: currency, Customer: "cus_1", PaymentMethodTypes: []string{method}})
			require.NoError(t, err)
			_, err = srv.PayDelayed(ss.ID)
			require.NoError(t, err)
			_, err = srv.SettleDelayed(ss.ID, ok)
			assert.Equal(t, ok || method != "customer_balance", err == nil, "%s: %v", method, err)
			if ok && method != "boleto" && method != "oxxo" {
				refund(t, srv, ss.ID)
			}
		}
	}
	kinds := map[string]bool{}
	for _, e := range srv.Events() {
		kinds[e.Type] = true
		assert.Subset(t, since2023, mock.shape(t, e.Payload), e.Type)
	}
	assert.GreaterOrEqual(t, len(kinds), 12, "%v", keys(kinds))
}

func refund(t *testing.T, srv *stripetest.Server, session string) {
	t.Helper()
	ss, _ := srv.Session(session)
	req, err := http.NewRequest(http.MethodPost, srv.URL+"/v1/refunds", strings.NewReader("payment_intent="+ss.PaymentIntent))
	require.NoError(t, err)
	req.SetBasicAuth(srv.SecretKey, "")
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
}

func TestShapesOfTheBuilders(t *testing.T) {
	mock := stripeMock(t)
	s := webhooktest.Session{Amount: 5000, Metadata: map[string]string{"a": "b"}, Reference: "bk_1", Account: "acct_1"}
	i := webhooktest.Intent{Amount: 5000, Metadata: map[string]string{"a": "b"}}
	free, setup := webhooktest.Session{}, webhooktest.Session{Mode: "setup"}
	for _, event := range [][]byte{
		webhooktest.SessionCompleted(s), webhooktest.SessionCompleted(free), webhooktest.SessionCompleted(setup),
		webhooktest.SessionAsyncPaymentSucceeded(s), webhooktest.SessionAsyncPaymentFailed(s), webhooktest.SessionExpired(s),
		webhooktest.IntentSucceeded(i), webhooktest.IntentFailed(i),
	} {
		assert.Subset(t, since2023, mock.shape(t, event), string(event))
	}
}

// The fixtures of the newest version are what Stripe's OpenAPI of today says.
func TestShapesOfTheFixtures(t *testing.T) {
	mock := stripeMock(t)
	files, err := filepath.Glob("../../../webhook/testdata/2026-08-26.dahlia.*.json")
	require.NoError(t, err)
	require.Len(t, files, 2)
	for _, file := range files {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Empty(t, mock.shape(t, raw), file)
	}
}

func TestWrongShapesAreSeen(t *testing.T) {
	mock := stripeMock(t)
	good := string(webhooktest.SessionCompleted(webhooktest.Session{ID: "cs_1", Amount: 5000}))
	sound := compact(mock.shape(t, []byte(good)))
	for _, tc := range []struct{ old, new, want string }{
		{`"amount_total":5000`, `"amount_total":"5000"`, "checkout.session.amount_total: string instead of integer"},
		{`"amount_total":5000`, `"amount_total":50.5`, "checkout.session.amount_total: number instead of integer"},
		{`"amount_total":5000`, `"amount_totl":5000`, "checkout.session.amount_totl: no such field"},
		{`"mode":"payment"`, `"mode":"gift"`, "checkout.session.mode: no such word"},
		{`"mode":"payment"`, `"mode":null`, "checkout.session.mode: null"},
		{`"payment_status":"paid",`, ``, "checkout.session.payment_status: missing"},
		{`"payment_intent":"pi_1"`, `"payment_intent":["pi_1"]`, "checkout.session.payment_intent: array of no kind that is allowed"},
		{`"payment_intent":"pi_1"`, `"payment_intent":{"id":"pi_1","object":"payment_intent","created":1,"livemode":false}`, "payment_intent.status: missing"},
		{`"amount_tax":0`, `"amount_tax":false`, "checkout.session.total_details.amount_tax: boolean instead of integer"},
		{`"pending_webhooks":1,`, ``, "event.pending_webhooks: missing"},
	} {
		require.Contains(t, good, tc.old)
		found := mock.shape(t, []byte(strings.Replace(good, tc.old, tc.new, 1)))
		assert.Equal(t, compact(append(slices.Clone(sound), tc.want)), compact(found), tc.new)
	}
}
