package stripemock

import (
	"context"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/internal/record"
	"github.com/carevia/stripebooking/payment"
	"github.com/carevia/stripebooking/payment/stripetest"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/memory"
)

// world is the library at work with the stand-in, and what it asked.
type world struct {
	t      *testing.T
	ctx    context.Context
	stripe *stripetest.Server
	store  *memory.Store
	sent   *record.Transport
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, ctx: context.Background(), stripe: stripetest.NewServer(stripetest.Config{}), store: &memory.Store{}, sent: record.New()}
	t.Cleanup(w.stripe.Close)
	return w
}

func (w *world) service(change func(*payment.Config)) *payment.Service {
	w.t.Helper()
	cfg := payment.Config{
		Store: w.store, SecretKey: w.stripe.SecretKey, Mode: payment.Test, APIBase: w.stripe.URL, HTTPClient: &http.Client{Transport: w.sent},
		Codecs: []booking.Codec{booking.Marked{}, booking.Plain{}}, SuccessURL: "https://example.com/success",
	}
	if change != nil {
		change(&cfg)
	}
	s, err := payment.New(cfg)
	require.NoError(w.t, err)
	return s
}

func (w *world) checkout(s *payment.Service, attempt string, total int64, currency string, option store.Option, change func(*payment.CheckoutRequest)) payment.Checkout {
	w.t.Helper()
	q, err := booking.NewQuote(total, currency, option)
	require.NoError(w.t, err)
	r := payment.CheckoutRequest{Attempt: attempt, UserID: "user_7", ServiceName: "Home cleaning", Quote: q}
	if change != nil {
		change(&r)
	}
	c, err := s.Checkout(w.ctx, r)
	require.NoError(w.t, err, attempt)
	return c
}

// work goes every way through the library on which it asks Stripe something.
func (w *world) work() {
	t := w.t
	bare := w.service(nil)
	s := w.service(func(c *payment.Config) {
		c.CancelURL, c.Hold = "https://example.com/cancel?from=stripe", payment.MaxHold
	})

	// Checkout, with nothing but what is required and with all there is.
	w.checkout(bare, "bare", 5000, "usd", store.OptionFull, nil)
	w.checkout(bare, "free", 0, "usd", store.OptionFull, nil)
	w.checkout(s, "yen", 5000, "jpy", store.OptionFull, nil)
	w.checkout(s, "dinar", 10010, "kwd", store.OptionHalf, nil)
	all := func(r *payment.CheckoutRequest) {
		r.ServiceID, r.CustomerEmail = "svc_3", "someone@example.com"
		r.Details = map[string]string{"note": "দরজায় & = [কড়া] %41 + 🧹", "long": strings.Repeat("é", 500)}
		r.Seats = []store.SeatClaim{{Slot: "2026-03-01/10:00", Capacity: 5, Count: 1}}
	}
	c := w.checkout(s, "all", 9000, "usd", store.OptionHalf, all)
	many := w.checkout(s, "many", 9000, "usd", store.OptionFull, func(r *payment.CheckoutRequest) {
		r.ServiceID, r.Details = "svc_3", map[string]string{}
		for i := range 39 { // with the library's own keys it is 50
			r.Details[fmt.Sprintf("%s%02d", strings.Repeat("k", 38), i)] = "v"
		}
	})

	// The same again, and another quote for the same booking: the open session is
	// expired, after all pages of the list.
	w.checkout(s, "all", 9000, "usd", store.OptionHalf, all)
	for range 100 {
		_, err := w.stripe.CreateSession(stripetest.SessionParams{Amount: 1000})
		require.NoError(t, err)
	}
	c = w.checkout(s, "again", 9000, "usd", store.OptionFull, func(r *payment.CheckoutRequest) { r.BookingID = c.BookingID })

	// Confirm, Verify and Inspect.
	for _, id := range []string{c.SessionID, many.SessionID} {
		_, err := w.stripe.Pay(id)
		require.NoError(t, err)
	}
	v, err := s.Verify(w.ctx, c.SessionID, "user_7", 0)
	require.NoError(t, err)
	assert.Equal(t, payment.Pending, v.Status)
	i, err := s.Inspect(w.ctx, many.SessionID)
	require.NoError(t, err)
	assert.Equal(t, payment.Pending, i.Status)
	settled, err := s.Confirm(w.ctx, c.SessionID, "user_7")
	require.NoError(t, err)
	assert.Equal(t, booking.OutcomeConfirmed, settled.Outcome)

	// An intent without metadata: its session is asked for.
	ss, err := w.stripe.CreateSession(stripetest.SessionParams{Amount: 5000, Metadata: map[string]string{"userId": "user_7", "amountToPay": "50.00"}})
	require.NoError(t, err)
	_, err = w.stripe.Pay(ss.ID)
	require.NoError(t, err)
	for _, e := range w.stripe.Events() {
		ev, err := payment.DecodeEvent(e.Payload)
		require.NoError(t, err)
		if !payment.Settles(ev.Type) {
			continue
		}
		f, err := s.FactsOf(w.ctx, ev)
		require.NoError(t, err)
		_, err = s.Settle(w.ctx, f, payment.Cause{By: "webhook", ID: e.ID})
		require.NoError(t, err)
	}
}

// kinds is how a request of each method of payment's interface to Stripe is known.
var kinds = map[string]func(c record.Call, path string, params map[string]any) bool{
	"createSession": func(c record.Call, path string, _ map[string]any) bool {
		return c.Method == http.MethodPost && path == sessionsPath
	},
	"session": func(c record.Call, path string, _ map[string]any) bool {
		return c.Method == http.MethodGet && strings.HasPrefix(path, sessionsPath+"/cs_")
	},
	"sessionsOf": func(c record.Call, path string, params map[string]any) bool {
		return c.Method == http.MethodGet && path == sessionsPath && params["payment_intent"] != nil
	},
	"sessionsSince": func(c record.Call, path string, params map[string]any) bool {
		return c.Method == http.MethodGet && path == sessionsPath && params["created"] != nil
	},
	"expire": func(c record.Call, path string, _ map[string]any) bool {
		return c.Method == http.MethodPost && strings.HasSuffix(path, "/expire")
	},
}

const sessionsPath = "/v1/checkout/sessions"

// The names of all parameters that are sent, without indexes and free keys.
var sent = []string{
	"[cancel_url]", "[client_reference_id]", "[created][gte]", "[customer_email]", "[expand][]", "[expires_at]", "[limit]",
	"[line_items][][price_data][currency]", "[line_items][][price_data][product_data][name]", "[line_items][][price_data][unit_amount]",
	"[line_items][][quantity]", "[metadata][]", "[mode]", "[payment_intent]", "[payment_intent_data][metadata][]", "[starting_after]",
	"[success_url]",
}

func TestRequestsOfTheLibrary(t *testing.T) {
	w, mock := newWorld(t), stripeMock(t)
	w.work()
	calls := w.sent.Calls()

	seen, names := map[string]int{}, map[string]bool{}
	for _, c := range calls {
		assert.NoError(t, mock.refuses(t, c), c)
		assert.Equal(t, http.StatusOK, c.Status, c)
		assert.Subset(t, since2023, mock.answer(t, c), c.Method+" "+c.URI)
		params, path := paramsOf(t, c), requestOf(c).URL.Path
		of := ""
		for name, is := range kinds {
			if is(c, path, params) {
				require.Empty(t, of, "%v is of two kinds", c)
				of = name
			}
		}
		assert.NotEmpty(t, of, "%v is of no kind", c)
		seen[of]++
		flatten("", params, names)
	}
	assert.ElementsMatch(t, methods(t), keys(kinds), "payment/stripe.go's interface and the kinds of requests here")
	for name := range kinds {
		assert.Positive(t, seen[name], "%s was not called", name)
	}
	assert.Equal(t, sent, keys(names))
	t.Logf("%d requests: %v", len(calls), seen)
}

// flatten gathers the names of parameters.
func flatten(at string, v any, names map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for key, inner := range v {
			if _, err := strconv.Atoi(key); err == nil || strings.HasSuffix(at, "metadata]") {
				key = ""
			}
			flatten(at+"["+key+"]", inner, names)
		}
	case []any:
		for _, inner := range v {
			flatten(at+"[]", inner, names)
		}
	default:
		names[at] = true
	}
}

func keys[V any](m map[string]V) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// methods are those of the interface through which payment asks Stripe.
func methods(t *testing.T) (names []string) {
	f, err := parser.ParseFile(token.NewFileSet(), "../../../payment/stripe.go", nil, 0)
	require.NoError(t, err)
	ast.Inspect(f, func(n ast.Node) bool {
		if spec, ok := n.(*ast.TypeSpec); ok && spec.Name.Name == "stripeAPI" {
			for _, m := range spec.Type.(*ast.InterfaceType).Methods.List {
				names = append(names, m.Names[0].Name)
			}
		}
		return true
	})
	return names
}

// What is wrong with a request is seen.
func TestInvalidRequestsAreSeen(t *testing.T) {
	w, mock := newWorld(t), stripeMock(t)
	w.work()
	find := func(kind string) record.Call {
		for _, c := range w.sent.Calls() {
			if kinds[kind](c, requestOf(c).URL.Path, paramsOf(t, c)) {
				require.NoError(t, mock.refuses(t, c))
				return c
			}
		}
		require.FailNow(t, "no such request", kind)
		return record.Call{}
	}
	for name, tc := range map[string]struct {
		kind   string
		change func(url.Values)
	}{
		"an unknown parameter":        {"createSession", func(v url.Values) { v.Set("colour", "red") }},
		"a misspelled one":            {"createSession", func(v url.Values) { v["success_uri"] = v["success_url"]; v.Del("success_url") }},
		"an unknown one inside":       {"createSession", func(v url.Values) { v.Set("payment_intent_data[metdata][a]", "b") }},
		"an unknown one in a list":    {"createSession", func(v url.Values) { v.Set("line_items[0][price_data][amount]", "5") }},
		"a required one missing":      {"createSession", func(v url.Values) { v.Del("line_items[0][price_data][currency]") }},
		"a word that is not allowed":  {"createSession", func(v url.Values) { v.Set("mode", "gift") }},
		"text for a number":           {"createSession", func(v url.Values) { v.Set("expires_at", "tomorrow") }},
		"a fraction":                  {"createSession", func(v url.Values) { v.Set("line_items[0][price_data][unit_amount]", "10.5") }},
		"metadata that is no text":    {"createSession", func(v url.Values) { v.Set("metadata[a][b]", "c") }},
		"expand that is no list":      {"session", func(v url.Values) { v.Set("expand[a]", "b") }},
		"a filter that is not there":  {"sessionsOf", func(v url.Values) { v.Set("paymentIntent", "pi_1") }},
		"a limit that is no number":   {"sessionsSince", func(v url.Values) { v.Set("limit", "all") }},
		"a range of another kind":     {"sessionsSince", func(v url.Values) { v.Set("created[from]", "1") }},
		"a parameter of another call": {"expire", func(v url.Values) { v.Set("reason", "late") }},
	} {
		t.Run(name, func(t *testing.T) {
			c := find(tc.kind)
			u, err := url.Parse(c.URI)
			require.NoError(t, err)
			form, err := url.ParseQuery(c.Body + u.RawQuery)
			require.NoError(t, err)
			tc.change(form)
			if c.Method == http.MethodGet {
				u.RawQuery = form.Encode()
				c.URI = u.String()
			} else {
				c.Body = form.Encode()
			}
			assert.Error(t, mock.refuses(t, c), c)
		})
	}
	t.Run("a path that is not there", func(t *testing.T) {
		c := find("session")
		c.URI = strings.Replace(c.URI, "checkout/sessions", "checkout/session", 1)
		assert.Error(t, mock.refuses(t, c))
	})
	t.Run("another method", func(t *testing.T) {
		c := find("expire")
		c.Method = http.MethodDelete
		assert.Error(t, mock.refuses(t, c))
	})
}

// unpublished is what Stripe's own programs use and its OpenAPI does not have.
var unpublished = regexp.MustCompile(`^/v1/(payment_pages/|stripecli/|events/[^/]+/retry$)`)

// What the stand-in takes in its own tests Stripe takes too, and answers likewise.
func TestRequestsThatTheStandInTakes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "calls.json")
	cmd := exec.Command("go", "test", "-count=1", "./payment/stripetest")
	cmd.Dir = filepath.Join("..", "..", "..")
	cmd.Env = append(os.Environ(), "STRIPETEST_RECORD="+file)
	out, _ := cmd.CombinedOutput() // whether they pass is told where they belong
	raw, err := os.ReadFile(file)
	require.NoError(t, err, string(out))
	var calls []record.Call
	require.NoError(t, json.Unmarshal(raw, &calls))

	mock, taken := stripeMock(t), map[string]int{}
	for _, c := range calls {
		path := requestOf(c).URL.Path
		if !strings.HasPrefix(path, "/v1/") || c.Status != http.StatusOK || unpublished.MatchString(path) {
			continue
		}
		resource, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(path, "/v1/"), "checkout/"), "/")
		taken[c.Method+" "+resource]++
		if err := mock.refuses(t, c); err != nil {
			assert.Fail(t, err.Error(), "%s %s %s", c.Method, c.URI, c.Body)
		} else if resource != "events" { // tests emit events about anything
			assert.Subset(t, since2023, mock.answer(t, c), c.Method+" "+c.URI)
		}
	}
	for _, kind := range []string{"POST sessions", "GET sessions", "GET payment_intents", "GET events"} {
		assert.Positive(t, taken[kind], kind)
	}
	t.Logf("of %d requests: %v", len(calls), taken)
}
