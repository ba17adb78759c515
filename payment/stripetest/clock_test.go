package stripetest_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"

	"github.com/carevia/stripebooking/payment/stripetest"
)

var noon = time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)

// tried says when an event was tried to be delivered, counted from noon.
func tried(srv *stripetest.Server) (at []time.Duration) {
	for _, d := range srv.Deliveries() {
		at = append(at, d.At.Sub(noon))
	}
	return at
}

func TestThreeDaysOfRetries(t *testing.T) {
	clock := stripetest.NewClock(noon)
	srv := start(t, stripetest.Config{Clock: clock})
	ep := listen(t, func(int) int { return 500 })
	require.NoError(t, srv.AddEndpoint(ep.URL, testSecret, "checkout.session.completed"))
	paid(t, srv)

	clock.Advance(0)
	assert.Equal(t, []time.Duration{0}, tried(srv))
	assert.ErrorContains(t, srv.Wait(context.Background()), "1 deliveries wait for the clock")
	clock.Advance(5*time.Minute - 1)
	assert.Len(t, tried(srv), 1)
	clock.Advance(1)
	assert.Equal(t, []time.Duration{0, 5 * time.Minute}, tried(srv))
	clock.Advance(100 * time.Hour)
	var want []time.Duration
	for _, minutes := range []int{0, 5, 15, 35, 75, 155, 315, 635, 1275, 2555, 3 * 24 * 60} {
		want = append(want, time.Duration(minutes)*time.Minute)
	}
	assert.Equal(t, want, tried(srv))
	settle(t, srv) // given up
	assert.Equal(t, noon.Add(100*time.Hour+5*time.Minute), clock.Now())
}

func TestWhatIsDueComesInOrder(t *testing.T) {
	clock := stripetest.NewClock(noon)
	srv := start(t, stripetest.Config{Clock: clock})
	var mu sync.Mutex
	var got []string
	site := serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		kind := eventOf(t, r).Type
		got = append(got, fmt.Sprint(clock.Now().Sub(noon), " ", kind))
		if kind == "checkout.session.completed" {
			w.WriteHeader(503)
		}
	})
	require.NoError(t, srv.AddEndpoint(site, testSecret, "checkout.session.*"))
	paid(t, srv)
	_, err := srv.CreateSession(stripetest.SessionParams{Amount: 1000, ExpiresAt: noon.Add(30 * time.Minute)})
	require.NoError(t, err)
	clock.Advance(40 * time.Minute)
	assert.Equal(t, []string{
		"0s checkout.session.completed", "5m0s checkout.session.completed", "15m0s checkout.session.completed",
		"30m0s checkout.session.expired", "35m0s checkout.session.completed",
	}, got)
	assert.Equal(t, noon.Add(40*time.Minute), clock.Now())
}

func TestUndeliveredEventsAreListedForThirtyDays(t *testing.T) {
	clock := stripetest.NewClock(noon)
	srv := start(t, stripetest.Config{Clock: clock})
	sc := api(srv, srv.SecretKey)
	ep := listen(t, func(n int) int { return []int{200, 500}[min(n, 1)] })
	require.NoError(t, srv.AddEndpoint(ep.URL, testSecret, "checkout.session.completed"))
	paid(t, srv) // is delivered
	clock.Advance(time.Minute)
	missed := paid(t, srv)
	clock.Advance(0)

	list := func(success string) (ids []string) {
		p := &stripe.EventListParams{Type: stripe.String("checkout.session.completed")}
		if success != "" {
			p.Filters.AddFilter("delivery_success", "", success)
		}
		it := sc.Events.List(p)
		for it.Next() {
			ids = append(ids, it.Event().Data.Object["id"].(string))
		}
		require.NoError(t, it.Err())
		return ids
	}
	all := list("")
	require.Len(t, all, 2)
	for range 2 { // while it is tried, and when it is given up
		assert.Equal(t, []string{missed.ID}, list("false"))
		assert.Equal(t, all[1:], list("true"))
		clock.Advance(4 * 24 * time.Hour)
	}
	ep.answer = nil
	events := srv.Events()
	last := events[len(events)-1]
	_, err := srv.Deliver(last.ID)
	require.NoError(t, err)
	assert.Empty(t, list("false"), "resent by hand")

	clock.Advance(noon.Add(30 * 24 * time.Hour).Sub(clock.Now()))
	assert.Equal(t, all[:1], list(""), "one is a minute younger")
	clock.Advance(time.Minute)
	assert.Empty(t, list(""))
	_, err = sc.Events.Get(last.ID, nil)
	assert.Equal(t, stripe.ErrorCodeResourceMissing, stripeError(t, err).Code)
	assert.Len(t, srv.Events(), len(events), "the test sees them all")
}

func TestKeysAreForgottenByTheClock(t *testing.T) {
	clock := stripetest.NewClock(noon)
	srv := start(t, stripetest.Config{Clock: clock})
	sc := api(srv, srv.SecretKey)
	first, err := sc.CheckoutSessions.New(sessionParams("k"))
	require.NoError(t, err)
	clock.Advance(24*time.Hour - 1)
	again, err := sc.CheckoutSessions.New(sessionParams("k"))
	require.NoError(t, err)
	assert.Equal(t, first.ID, again.ID)
	clock.Advance(1)
	later, err := sc.CheckoutSessions.New(sessionParams("k"))
	require.NoError(t, err)
	assert.NotEqual(t, first.ID, later.ID)
	got, _ := srv.Session(first.ID)
	assert.Equal(t, "expired", got.Status)
}

func TestTheClockDoesNotWaitForWhatIsHeld(t *testing.T) {
	clock := stripetest.NewClock(noon)
	srv := start(t, stripetest.Config{Clock: clock})
	ep := listen(t, func(n int) int { return []int{500, 200}[min(n, 1)] })
	require.NoError(t, srv.AddEndpoint(ep.URL, testSecret, "checkout.session.*"))
	paid(t, srv)
	clock.Advance(0)
	srv.Hold()
	create(t, srv, stripetest.SessionParams{Amount: 1000})
	clock.Advance(30 * time.Hour)
	assert.Len(t, ep.types(), 1)
	assert.ErrorContains(t, srv.Wait(context.Background()), "2 deliveries are held")
	assert.Len(t, srv.DeliverAll(), 2)
	settle(t, srv)
	assert.Equal(t, []time.Duration{0, 30 * time.Hour, 30 * time.Hour}, tried(srv))
}

func TestOneClockForTwo(t *testing.T) {
	clock := stripetest.NewClock(noon)
	one, two := start(t, stripetest.Config{Clock: clock}), start(t, stripetest.Config{Clock: clock})
	var got []string
	for name, srv := range map[string]*stripetest.Server{"one": one, "two": two} {
		site := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			got = append(got, fmt.Sprint(name, " ", clock.Now().Sub(noon)))
			w.WriteHeader(503)
		})
		require.NoError(t, srv.AddEndpoint(site, testSecret, "checkout.session.completed"))
	}
	paid(t, one)
	clock.Advance(time.Minute)
	paid(t, two)
	clock.Advance(15 * time.Minute)
	assert.Equal(t, []string{"one 0s", "two 1m0s", "one 5m0s", "two 6m0s", "one 15m0s", "two 16m0s"}, got)
	one.Close()
	clock.Advance(20 * time.Minute)
	assert.Equal(t, "two 36m0s", got[len(got)-1])
	assert.Len(t, got, 7)
	assert.Panics(t, func() { clock.Advance(-1) })
}

func TestTheClockMovesUnderTraffic(t *testing.T) {
	clock := stripetest.NewClock(noon)
	srv := start(t, stripetest.Config{Clock: clock, Seed: 1, Chaos: stripetest.BadDay()})
	ep := listen(t, func(n int) int { return []int{200, 500, 200}[n%3] })
	require.NoError(t, srv.AddEndpoint(ep.URL, testSecret, "checkout.session.*"))
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 10 {
				ss, err := srv.CreateSession(stripetest.SessionParams{Amount: 1000})
				if assert.NoError(t, err) {
					_, err = srv.Pay(ss.ID)
					assert.NoError(t, err)
				}
			}
		}()
	}
	for range 20 {
		clock.Advance(time.Minute)
	}
	wg.Wait()
	clock.Advance(100 * time.Hour)
	settle(t, srv)
	for _, e := range srv.Events() {
		if e.Type == "checkout.session.completed" {
			assert.Contains(t, string(e.Payload), `"pending_webhooks": 0`)
		}
	}
	assert.Equal(t, noon.Add(100*time.Hour+20*time.Minute), clock.Now())
}
