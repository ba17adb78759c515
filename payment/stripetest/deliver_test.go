package stripetest_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"sort"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/webhook"

	"github.com/carevia/stripebooking/payment/stripetest"
)

const testSecret = "whsec_test"

// endpoint receives events, checks each with stripe-go, and answers what answer says (nil: 200).
type endpoint struct {
	*httptest.Server
	mu     sync.Mutex
	got    []stripe.Event
	answer func(n int) int // n: how many came before
}

func listen(t *testing.T, answer func(n int) int) *endpoint {
	ep := &endpoint{answer: answer}
	ep.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(400) // half of it
			return
		}
		e, err := webhook.ConstructEventWithOptions(body, r.Header.Get("Stripe-Signature"), testSecret, webhook.ConstructEventOptions{IgnoreTolerance: true})
		if !assert.NoError(t, err) {
			w.WriteHeader(400)
			return
		}
		assert.Equal(t, "application/json; charset=utf-8", r.Header.Get("Content-Type"))
		ep.mu.Lock()
		n := len(ep.got)
		ep.got = append(ep.got, e)
		ep.mu.Unlock()
		if ep.answer != nil {
			w.WriteHeader(ep.answer(n))
		}
	}))
	t.Cleanup(ep.Close)
	return ep
}

func (ep *endpoint) types() []string {
	ep.mu.Lock()
	defer ep.mu.Unlock()
	var out []string
	for _, e := range ep.got {
		out = append(out, string(e.Type))
	}
	return out
}

func settle(t *testing.T, srv *stripetest.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	require.NoError(t, srv.Wait(ctx))
}

var quick = []time.Duration{time.Millisecond, time.Millisecond, time.Millisecond}

func paid(t *testing.T, srv *stripetest.Server) stripetest.Session {
	t.Helper()
	ss := create(t, srv, stripetest.SessionParams{Amount: 4500})
	ss, err := srv.Pay(ss.ID)
	require.NoError(t, err)
	return ss
}

var fourTypes = []string{"charge.succeeded", "checkout.session.completed", "payment_intent.created", "payment_intent.succeeded"}

func sorted(s []string) []string { s = append([]string(nil), s...); sort.Strings(s); return s }

func TestDeliversInTheBackground(t *testing.T) {
	srv := start(t, stripetest.Config{})
	all, some := listen(t, nil), listen(t, nil)
	require.NoError(t, srv.AddEndpoint(all.URL, testSecret))
	require.NoError(t, srv.AddEndpoint(some.URL, testSecret, "checkout.session.*", "charge.succeeded"))
	paid(t, srv)
	settle(t, srv)
	assert.Equal(t, fourTypes, sorted(all.types()))
	assert.Equal(t, fourTypes[:2], sorted(some.types()))
	assert.Len(t, srv.Deliveries(), 6)
	for _, d := range srv.Deliveries() {
		assert.True(t, d.OK())
		assert.Equal(t, 1, d.Attempt)
	}
	for _, e := range srv.Events() {
		assert.Contains(t, string(e.Payload), `"pending_webhooks": 0`)
	}
}

func TestRetriesUntilTaken(t *testing.T) {
	srv := start(t, stripetest.Config{RetryDelays: quick})
	ep := listen(t, func(n int) int { return []int{500, 404, 302, 200}[min(n, 3)] })
	require.NoError(t, srv.AddEndpoint(ep.URL, testSecret, "checkout.session.completed"))
	paid(t, srv)
	settle(t, srv)
	var got []int
	for i, d := range srv.Deliveries() {
		got = append(got, d.Status)
		assert.Equal(t, i+1, d.Attempt)
	}
	assert.Equal(t, []int{500, 404, 302, 200}, got, "every answer but 2xx is tried again, a redirect too")
}

func TestGivesUp(t *testing.T) {
	srv := start(t, stripetest.Config{RetryDelays: quick})
	ep := listen(t, func(int) int { return 503 })
	require.NoError(t, srv.AddEndpoint(ep.URL, testSecret, "checkout.session.completed"))
	paid(t, srv)
	settle(t, srv)
	assert.Len(t, srv.Deliveries(), 4, "the first and three retries")
	events := srv.Events()
	assert.Contains(t, string(events[3].Payload), `"pending_webhooks": 1`)

	// A resend by hand still works afterwards.
	ep.answer = nil
	_, err := srv.Deliver(events[3].ID)
	require.NoError(t, err)
	assert.Contains(t, string(srv.Events()[3].Payload), `"pending_webhooks": 0`)

	none := start(t, stripetest.Config{RetryDelays: []time.Duration{}})
	require.NoError(t, none.AddEndpoint("http://127.0.0.1:1/", testSecret, "checkout.session.completed"))
	paid(t, none)
	settle(t, none)
	require.Len(t, none.Deliveries(), 1)
	assert.Zero(t, none.Deliveries()[0].Status)
	assert.NotEmpty(t, none.Deliveries()[0].Err)
}

func TestHold(t *testing.T) {
	srv := start(t, stripetest.Config{})
	ep := listen(t, func(n int) int { return []int{500, 200}[min(n, 1)] })
	require.NoError(t, srv.AddEndpoint(ep.URL, testSecret))
	srv.Hold()
	paid(t, srv)
	assert.ErrorContains(t, srv.Wait(context.Background()), "4 deliveries are held")
	assert.Empty(t, ep.types())

	done := srv.DeliverAll() // in the order they were made; the first is refused
	require.Len(t, done, 4)
	assert.Equal(t, []string{"payment_intent.created", "charge.succeeded", "payment_intent.succeeded", "checkout.session.completed"}, ep.types())
	assert.ErrorContains(t, srv.Wait(context.Background()), "1 deliveries are held")
	again := srv.DeliverAll()
	require.Len(t, again, 1)
	assert.Equal(t, "payment_intent.created", again[0].EventType)
	assert.Equal(t, 2, again[0].Attempt)
	assert.Empty(t, srv.DeliverAll())

	// Delivered ones can be sent again, from many goroutines.
	id := srv.Events()[3].ID
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			d, err := srv.Deliver(id)
			assert.NoError(t, err)
			assert.Len(t, d, 1)
		}()
	}
	wg.Wait()
	assert.Len(t, ep.types(), 5+8)
	_, err := srv.Deliver("evt_none")
	assert.Error(t, err)

	paid(t, srv)
	srv.Release()
	settle(t, srv)
	assert.Len(t, ep.types(), 5+8+4)
}

func TestAnEndpointAddedLater(t *testing.T) {
	srv := start(t, stripetest.Config{})
	paid(t, srv)
	ep := listen(t, nil)
	require.NoError(t, srv.AddEndpoint(ep.URL, testSecret, "checkout.session.completed"))
	settle(t, srv)
	assert.Empty(t, ep.types())
	for _, e := range srv.Events() {
		_, err := srv.Deliver(e.ID)
		require.NoError(t, err)
	}
	assert.Equal(t, []string{"checkout.session.completed"}, ep.types())
}

func TestRolledSecrets(t *testing.T) {
	c := newClock()
	srv := start(t, stripetest.Config{Now: c.now})
	var header string
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		header = r.Header.Get("Stripe-Signature")
		_, _ = io.WriteString(w, "thanks")
		for _, secret := range []string{"whsec_old", "whsec_new"} {
			_, err := webhook.ConstructEventWithOptions(body, header, secret, webhook.ConstructEventOptions{IgnoreTolerance: true})
			assert.NoError(t, err, "each of them alone is enough")
		}
	}))
	defer site.Close()
	require.NoError(t, srv.AddEndpoint(site.URL, "whsec_old", "checkout.session.completed"))
	require.NoError(t, srv.SetSecrets(site.URL, "whsec_new", "whsec_old"))
	paid(t, srv)
	settle(t, srv)
	assert.Equal(t, "thanks", srv.Deliveries()[0].Answer)
	signatures := regexp.MustCompile(`^t=1714564800,v1=([0-9a-f]{64}),v1=([0-9a-f]{64}),v0=([0-9a-f]{64})$`).FindStringSubmatch(header)
	require.NotNil(t, signatures, header)
	assert.NotContains(t, signatures[1:3], signatures[3], "the one of a test event is fake")
	assert.Error(t, srv.SetSecrets(site.URL))
	assert.Error(t, srv.SetSecrets("http://127.0.0.1:1/", "x"))
}

func TestEndpointsStayOnThisMachine(t *testing.T) {
	srv := start(t, stripetest.Config{})
	for _, address := range []string{"https://example.com/hook", "http://10.0.0.1/", "http://0.0.0.0/", "/hook", "ftp://localhost/", ""} {
		assert.Error(t, srv.AddEndpoint(address, ""), address)
	}
	for _, address := range []string{"http://localhost:1/", "http://127.0.0.1:1/", "http://[::1]:1/"} {
		assert.NoError(t, srv.AddEndpoint(address, ""), address)
		assert.NoError(t, srv.RemoveEndpoint(address))
	}
	assert.NoError(t, start(t, stripetest.Config{AllowRemote: true}).AddEndpoint("https://example.com/hook", ""))
}

func TestRemoveEndpoint(t *testing.T) {
	srv := start(t, stripetest.Config{RetryDelays: []time.Duration{time.Hour}})
	ep := listen(t, func(int) int { return 500 })
	require.NoError(t, srv.AddEndpoint(ep.URL, testSecret, "checkout.session.completed"))
	paid(t, srv)
	require.Eventually(t, func() bool { return len(srv.Deliveries()) == 1 }, 10*time.Second, time.Millisecond)
	require.NoError(t, srv.RemoveEndpoint(ep.URL))
	settle(t, srv)
	paid(t, srv)
	settle(t, srv)
	assert.Len(t, srv.Deliveries(), 1)
	assert.Error(t, srv.RemoveEndpoint(ep.URL))
}

func TestCloseStopsEverything(t *testing.T) {
	before := runtime.NumGoroutine()
	srv := stripetest.NewServer(stripetest.Config{})
	stuck := make(chan struct{})
	site := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-stuck }))
	require.NoError(t, srv.AddEndpoint(site.URL, "", "checkout.session.completed"))
	require.NoError(t, srv.AddEndpoint("http://127.0.0.1:1/", ""))
	paid(t, srv)
	gate := make(chan struct{})
	srv.Fail(createRoute, stripetest.Fault{Gate: gate})
	got := make(chan error, 1)
	go func() {
		_, err := api(srv, srv.SecretKey).CheckoutSessions.New(sessionParams("k"))
		got <- err
	}()
	require.Eventually(t, func() bool { return len(srv.Deliveries()) >= 4 }, 10*time.Second, time.Millisecond)

	srv.Close()
	require.Error(t, <-got)
	assert.Error(t, srv.Wait(context.Background()))
	_, err := srv.Deliver(srv.Events()[0].ID)
	assert.Error(t, err)
	assert.Empty(t, srv.DeliverAll())
	srv.Stripe.Close() // twice is harmless

	close(stuck)
	site.Close()
	http.DefaultClient.CloseIdleConnections()
	// Everything that was started has gone. Eventually's own goroutine is the one more.
	assert.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+1 }, 10*time.Second, 10*time.Millisecond)
}

func TestManyAtOnce(t *testing.T) {
	srv := start(t, stripetest.Config{RetryDelays: quick, Chaos: stripetest.Chaos{Duplicate: 1, Reorder: 1}})
	ep := listen(t, func(n int) int { return []int{200, 500, 200}[n%3] })
	require.NoError(t, srv.AddEndpoint(ep.URL, testSecret, "payment_intent.succeeded", "checkout.session.completed"))
	sc := api(srv, srv.SecretKey)
	var wg sync.WaitGroup
	for range 50 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			ss, err := sc.CheckoutSessions.New(sessionParams(""))
			if assert.NoError(t, err) {
				_, err = srv.Pay(ss.ID)
				assert.NoError(t, err)
			}
		}()
	}
	wg.Wait()
	settle(t, srv)
	intents := map[string]bool{}
	for _, ss := range srv.Sessions() {
		assert.Equal(t, "paid", ss.PaymentStatus)
		intents[ss.PaymentIntent] = true
	}
	assert.Len(t, intents, 50)
	arrived := map[string]bool{}
	for _, d := range srv.Deliveries() {
		if d.OK() {
			arrived[d.EventID] = true
		}
	}
	assert.GreaterOrEqual(t, len(arrived), 90, "four attempts at a third refused each")
}

func TestResendThroughTheAPI(t *testing.T) {
	srv := start(t, stripetest.Config{})
	sc := api(srv, srv.SecretKey)
	one, two, other := listen(t, nil), listen(t, nil), listen(t, nil)
	require.NoError(t, srv.AddEndpoint(one.URL, testSecret))
	require.NoError(t, srv.AddEndpoint(two.URL, testSecret, "checkout.session.*"))
	require.NoError(t, srv.AddEndpoint(other.URL, testSecret, "customer.created"))
	paid(t, srv)
	settle(t, srv)
	events := srv.Events()
	completed := "/v1/events/" + events[3].ID + "/retry"

	var ids []string
	it := sc.WebhookEndpoints.List(nil)
	for it.Next() {
		ids = append(ids, it.WebhookEndpoint().ID)
	}
	require.NoError(t, it.Err())
	require.Len(t, ids, 3)
	we, err := sc.WebhookEndpoints.Get(ids[1], nil) // the newest is the first
	require.NoError(t, err)
	assert.Equal(t, two.URL, we.URL)
	assert.Equal(t, []string{"checkout.session.*"}, we.EnabledEvents)
	assert.Equal(t, "enabled", we.Status)
	assert.Empty(t, we.Secret)
	we, err = sc.WebhookEndpoints.Get(ids[2], nil)
	require.NoError(t, err)
	assert.Equal(t, []string{"*"}, we.EnabledEvents)

	status, body, _ := raw(t, srv, "POST", completed, srv.SecretKey, form("for_stripecli", "true"))
	assert.Equal(t, 200, status)
	assert.Equal(t, events[3].ID, body["id"])
	settle(t, srv)
	assert.Equal(t, 5, len(one.types()))
	assert.Equal(t, []string{"checkout.session.completed", "checkout.session.completed"}, two.types(), "everyone who wants it, again")
	assert.Empty(t, other.types())
	_, _, _ = raw(t, srv, "POST", completed, srv.SecretKey, form("webhook_endpoint", ids[1]))
	settle(t, srv)
	assert.Equal(t, 5, len(one.types()))
	assert.Equal(t, 3, len(two.types()), "the one that is named")

	require.NoError(t, srv.RemoveEndpoint(two.URL))
	checkRefused(t, srv, map[string]refused{
		"no event":         {"/v1/events/evt_x/retry", form(), 404, "resource_missing", "id"},
		"no endpoint":      {completed, form("webhook_endpoint", "we_x"), 404, "resource_missing", "webhook_endpoint"},
		"removed endpoint": {completed, form("webhook_endpoint", ids[1]), 404, "resource_missing", "webhook_endpoint"},
		"another account":  {completed, form("account", "acct_1"), 400, "stripetest_unsupported", "account"},
	})
}

func TestUndeliveredThroughTheAPI(t *testing.T) {
	srv := start(t, stripetest.Config{RetryDelays: []time.Duration{}, Parallel: 1})
	sc := api(srv, srv.SecretKey)
	ep := listen(t, func(n int) int { return []int{200, 503, 200, 200, 200}[n] })
	require.NoError(t, srv.AddEndpoint(ep.URL, testSecret))
	paid(t, srv)
	settle(t, srv)
	list := func(success bool) (types []string) {
		it := sc.Events.List(&stripe.EventListParams{DeliverySuccess: &success})
		for it.Next() {
			types = append(types, string(it.Event().Type))
		}
		require.NoError(t, it.Err())
		return types
	}
	assert.Equal(t, []string{"charge.succeeded"}, list(false))
	assert.Len(t, list(true), 3)
	_, err := srv.Deliver(srv.Events()[1].ID)
	require.NoError(t, err)
	assert.Empty(t, list(false))
}
