package stripetest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/webhook"

	"github.com/carevia/stripebooking/payment/stripetest"
)

// serve is a site that ends with the test.
func serve(t *testing.T, handle http.HandlerFunc) (address string) {
	site := httptest.NewServer(handle)
	t.Cleanup(site.Close)
	return site.URL
}

func eventOf(t *testing.T, r *http.Request) stripe.Event {
	body, _ := io.ReadAll(r.Body)
	e, err := webhook.ConstructEventWithOptions(body, r.Header.Get("Stripe-Signature"), testSecret, webhook.ConstructEventOptions{IgnoreTolerance: true})
	assert.NoError(t, err)
	return e
}

func TestEventsOnABadDay(t *testing.T) {
	const completed = "checkout.session.completed"
	t.Run("duplicate", func(t *testing.T) {
		srv := start(t, stripetest.Config{Chaos: stripetest.Chaos{Duplicate: 1}})
		ep := listen(t, nil)
		require.NoError(t, srv.AddEndpoint(ep.URL, testSecret))
		paid(t, srv)
		settle(t, srv)
		assert.Len(t, ep.types(), 8)
	})
	t.Run("copies leave at the same time", func(t *testing.T) {
		srv := start(t, stripetest.Config{Chaos: stripetest.Chaos{Duplicate: 1}})
		var together sync.WaitGroup
		together.Add(2) // each answer waits for both
		ep := listen(t, func(int) int { together.Done(); together.Wait(); return 200 })
		require.NoError(t, srv.AddEndpoint(ep.URL, testSecret, completed))
		srv.Hold()
		paid(t, srv)
		assert.Len(t, srv.DeliverAll(), 2)
	})
	t.Run("twin", func(t *testing.T) {
		srv := start(t, stripetest.Config{Seed: 1, Chaos: stripetest.Chaos{Twin: 1}})
		ep := listen(t, nil)
		require.NoError(t, srv.AddEndpoint(ep.URL, testSecret))
		ss := paid(t, srv)
		settle(t, srv)
		events := srv.Events()
		require.Len(t, events, 8)
		assert.Len(t, ep.types(), 8)
		without := func(e stripetest.Event) string { return strings.ReplaceAll(string(e.Payload), e.ID, "") }
		for i := 0; i < len(events); i += 2 {
			one, other := events[i], events[i+1]
			assert.NotEqual(t, one.ID, other.ID)
			assert.Equal(t, one.ID[:5], other.ID[:5])
			assert.Equal(t, without(one), without(other), "the same in all but the id")
			assert.Equal(t, one.ObjectID, other.ObjectID)
		}

		plain := start(t, stripetest.Config{Seed: 1})
		assert.Equal(t, ss.ID, paid(t, plain).ID)
		for i, e := range plain.Events() {
			assert.Equal(t, events[2*i].ID, e.ID, "a twin changes no other id")
		}
	})
	t.Run("late", func(t *testing.T) {
		srv := start(t, stripetest.Config{Chaos: stripetest.Chaos{Late: 1, Delay: 1000 * time.Hour}})
		ep := listen(t, nil)
		require.NoError(t, srv.AddEndpoint(ep.URL, testSecret))
		paid(t, srv)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		assert.ErrorIs(t, srv.Wait(ctx), context.DeadlineExceeded)
		assert.Empty(t, ep.types())
		srv.Hold() // what waits can be had by hand
		assert.Len(t, srv.DeliverAll(), 4)

		soon := start(t, stripetest.Config{Chaos: stripetest.Chaos{Late: 1, Delay: time.Millisecond}})
		require.NoError(t, soon.AddEndpoint(ep.URL, testSecret))
		paid(t, soon)
		settle(t, soon)
		assert.Len(t, ep.types(), 8)

		clock := stripetest.NewClock(noon)
		slow := start(t, stripetest.Config{Clock: clock, Seed: 1, Chaos: stripetest.Chaos{Late: 1, Delay: time.Hour}})
		require.NoError(t, slow.AddEndpoint(ep.URL, testSecret))
		paid(t, slow)
		clock.Advance(0)
		assert.Empty(t, slow.Deliveries())
		clock.Advance(time.Hour)
		settle(t, slow)
		at := tried(slow)
		require.Len(t, at, 4)
		for i, d := range at {
			assert.Positive(t, d)
			assert.Less(t, d, time.Hour)
			assert.True(t, i == 0 || at[i-1] < d, "one after the other: %v", at)
		}
	})
	t.Run("reorder", func(t *testing.T) {
		order := func(seed int64, rate float64, byHand bool) string {
			srv := start(t, stripetest.Config{Seed: seed, Parallel: 1, Chaos: stripetest.Chaos{Reorder: rate}})
			ep := listen(t, nil)
			require.NoError(t, srv.AddEndpoint(ep.URL, testSecret))
			if byHand {
				srv.Hold()
			}
			paid(t, srv)
			if byHand {
				srv.DeliverAll()
			}
			settle(t, srv)
			return strings.Join(ep.types(), " ")
		}
		straight := "payment_intent.created charge.succeeded payment_intent.succeeded checkout.session.completed"
		assert.Equal(t, straight, order(1, 0, false))
		seen := map[string]bool{}
		for seed := range int64(8) {
			got := order(seed+1, 1, false)
			assert.Equal(t, got, order(seed+1, 1, false), "the same seed, the same order")
			assert.Equal(t, got, order(seed+1, 1, true))
			seen[got] = true
		}
		assert.Greater(t, len(seen), 2)
	})
	t.Run("changed on the way", func(t *testing.T) {
		srv := start(t, stripetest.Config{})
		ep := listen(t, nil)
		require.NoError(t, srv.AddEndpoint(ep.URL, testSecret, completed))
		srv.SetChaos(stripetest.Chaos{Duplicate: 1})
		paid(t, srv)
		srv.SetChaos(stripetest.Chaos{})
		paid(t, srv)
		settle(t, srv)
		assert.Len(t, ep.types(), 3)
	})
}

func TestAttemptsOnABadDay(t *testing.T) {
	// Each attempt that may go wrong does, and then the event arrives.
	for _, tt := range []struct {
		chaos       stripetest.Chaos
		err         string
		whole, half int // that arrive
	}{
		{stripetest.Chaos{Drop: 1}, "dropped", 1, 0},
		{stripetest.Chaos{Half: 1}, "half sent", 1, 3},
		{stripetest.Chaos{NoAnswer: 1}, "the answer got lost", 4, 0},
	} {
		t.Run(tt.err, func(t *testing.T) {
			clock := stripetest.NewClock(noon)
			srv := start(t, stripetest.Config{Clock: clock, Chaos: tt.chaos})
			seen := make(chan bool, 10)
			site := serve(t, func(_ http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
					assert.Greater(t, len(body), 1000, "what has left arrives")
				}
				seen <- err == nil
			})
			require.NoError(t, srv.AddEndpoint(site, testSecret, "checkout.session.completed"))
			paid(t, srv)
			clock.Advance(100 * time.Hour)
			settle(t, srv)
			arrived := map[bool]int{} // a broken connection is seen late
			for range tt.whole + tt.half {
				arrived[<-seen]++
			}
			assert.Equal(t, tt.whole, arrived[true])
			assert.Equal(t, tt.half, arrived[false])
			log := srv.Deliveries()
			require.Len(t, log, 4)
			for i, d := range log {
				assert.Equal(t, i == 3, d.OK())
				assert.Equal(t, []string{tt.err, tt.err, tt.err, ""}[i], d.Err)
			}
		})
	}
	t.Run("never the last", func(t *testing.T) {
		for _, delays := range [][]time.Duration{{}, quick[:1], quick[:2]} {
			srv := start(t, stripetest.Config{RetryDelays: delays, Chaos: stripetest.Chaos{Drop: 1}})
			ep := listen(t, nil)
			require.NoError(t, srv.AddEndpoint(ep.URL, testSecret, "checkout.session.completed"))
			paid(t, srv)
			settle(t, srv)
			assert.Len(t, ep.types(), 1)
			assert.Len(t, srv.Deliveries(), len(delays)+1)
		}
	})
	t.Run("slow", func(t *testing.T) {
		srv := start(t, stripetest.Config{Chaos: stripetest.Chaos{SlowBody: 1, Pause: time.Hour}})
		begun := make(chan bool)
		site := serve(t, func(_ http.ResponseWriter, r *http.Request) {
			_, err := io.ReadFull(r.Body, make([]byte, 500))
			begun <- err == nil
			_, err = io.ReadAll(r.Body)
			begun <- err == nil
		})
		require.NoError(t, srv.AddEndpoint(site, testSecret, "checkout.session.completed"))
		paid(t, srv)
		assert.True(t, <-begun, "the first half")
		srv.Close()
		assert.False(t, <-begun, "the rest would have come an hour later")

		quicker := start(t, stripetest.Config{Chaos: stripetest.Chaos{SlowBody: 1, Pause: time.Millisecond}})
		ep := listen(t, nil)
		require.NoError(t, quicker.AddEndpoint(ep.URL, testSecret))
		paid(t, quicker)
		settle(t, quicker)
		assert.Len(t, ep.types(), 4)
	})
}

func TestRequestsOnABadDay(t *testing.T) {
	for name, tt := range map[string]struct {
		chaos    stripetest.Chaos
		status   int // 0: no answer
		sessions int
		replayed bool // with the same key, on a better day
		again    int
	}{
		"rate limit":                  {stripetest.Chaos{RateLimit: 1}, 429, 0, false, 200},
		"an error":                    {stripetest.Chaos{Error: 1}, 500, 0, true, 500},
		"an error, the work was done": {stripetest.Chaos{ErrorDone: 1}, 500, 1, true, 500},
		"unavailable":                 {stripetest.Chaos{Unavailable: 1}, 503, 0, false, 200},
		"cut":                         {stripetest.Chaos{Cut: 1}, 0, 0, false, 200},
		"cut, the work was done":      {stripetest.Chaos{CutDone: 1}, 0, 1, true, 200},
		"slow":                        {stripetest.Chaos{SlowAnswer: 1, Pause: time.Millisecond}, 200, 1, true, 200},
	} {
		t.Run(name, func(t *testing.T) {
			srv := start(t, stripetest.Config{Chaos: tt.chaos})
			sc := api(srv, srv.SecretKey)
			status := func(err error) (int, http.Header) {
				var e *stripe.Error
				if errors.As(err, &e) {
					return e.HTTPStatusCode, e.LastResponse.Header
				}
				return 0, nil
			}
			ss, err := sc.CheckoutSessions.New(sessionParams("k"))
			if err != nil {
				got, header := status(err)
				assert.Equal(t, tt.status, got)
				if tt.status == 429 {
					assert.Equal(t, "1", header.Get("Retry-After"))
				}
			} else {
				assert.Equal(t, tt.status, 200)
				assert.Equal(t, srv.Sessions()[0].ID, ss.ID)
			}
			assert.Len(t, srv.Sessions(), tt.sessions)

			srv.SetChaos(stripetest.Chaos{})
			ss, err = sc.CheckoutSessions.New(sessionParams("k"))
			if err == nil {
				assert.Equal(t, tt.again, 200)
				assert.Equal(t, tt.replayed, ss.LastResponse.Header.Get("Idempotent-Replayed") == "true")
			} else {
				got, header := status(err)
				assert.Equal(t, tt.again, got)
				assert.Equal(t, tt.replayed, header.Get("Idempotent-Replayed") == "true")
			}
		})
	}
	t.Run("the test's own faults go before", func(t *testing.T) {
		srv := start(t, stripetest.Config{Chaos: stripetest.Chaos{RateLimit: 1}})
		srv.Fail(createRoute, stripetest.Fault{}, stripetest.Fault{Status: 503})
		for _, want := range []int{200, 503, 429, 429} {
			status, _, _ := raw(t, srv, "POST", "/v1/checkout/sessions", srv.SecretKey, goodForm())
			assert.Equal(t, want, status)
		}
	})
	t.Run("a slow answer", func(t *testing.T) {
		srv := start(t, stripetest.Config{Chaos: stripetest.Chaos{SlowAnswer: 1, Pause: time.Hour}})
		got := make(chan error)
		go func() {
			_, err := api(srv, srv.SecretKey).CheckoutSessions.New(sessionParams("k"))
			got <- err
		}()
		require.Eventually(t, func() bool { return len(srv.Sessions()) == 1 }, 5*time.Second, time.Millisecond)
		srv.Close()
		assert.Error(t, <-got)
	})
}

func TestChaosRefusesNonsense(t *testing.T) {
	srv := start(t, stripetest.Config{})
	for _, c := range []stripetest.Chaos{
		{Duplicate: -0.1}, {Twin: 1.1}, {Reorder: 1.1}, {Drop: 0.6, Half: 0.6}, {Cut: 0.6, Error: 0.6}, {Delay: -1}, {Pause: -1},
	} {
		assert.Panics(t, func() { srv.SetChaos(c) }, "%+v", c)
	}
	srv.SetChaos(stripetest.Chaos{Duplicate: 1, Twin: 1, Reorder: 1, Late: 1, Drop: 0.7, Half: 0.2, NoAnswer: 0.1, Cut: 0.3, Error: 0.6, SlowAnswer: 0.1})
	srv.SetChaos(stripetest.BadDay())
}

// badRun lets 60 customers pay under chaos, so many at the same time and in an order of its own, and tells what
// went wrong, by names that do not depend on either.
func badRun(t *testing.T, seed int64, together int, shuffle int64) map[string][]string {
	clock, chaos := stripetest.NewClock(noon), stripetest.BadDay()
	chaos.Pause = time.Millisecond
	srv := start(t, stripetest.Config{Clock: clock, Seed: seed, Chaos: chaos})
	ep := listen(t, nil)
	require.NoError(t, srv.AddEndpoint(ep.URL, testSecret))

	met := map[string][]string{}
	var mu sync.Mutex
	customers := make(chan int)
	var wg sync.WaitGroup
	for range together {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for n := range customers {
				name := fmt.Sprintf("bk_%d", n)
				p := sessionParams("")
				p.ClientReferenceID = &name
				var log []string
				sc := api(srv, srv.SecretKey)
				for try := range 5 {
					p.SetIdempotencyKey(fmt.Sprint(name, "/", try))
					ss, err := sc.CheckoutSessions.New(p)
					var e *stripe.Error
					switch {
					case errors.As(err, &e):
						log = append(log, fmt.Sprint(e.HTTPStatusCode))
						continue
					case err != nil:
						log = append(log, "cut")
						continue
					}
					log = append(log, ss.ID)
					for range 5 {
						if _, err := sc.CheckoutSessions.Get(ss.ID, nil); err != nil {
							log = append(log, "no")
						} else {
							log = append(log, "yes")
						}
					}
					_, err = srv.Pay(ss.ID)
					assert.NoError(t, err)
					break
				}
				mu.Lock()
				met[name] = log
				mu.Unlock()
			}
		}()
	}
	for _, n := range rand.New(rand.NewSource(shuffle)).Perm(60) {
		customers <- n
	}
	close(customers)
	wg.Wait()
	clock.Advance(100 * time.Hour)
	settle(t, srv)
	for _, d := range srv.Deliveries() {
		name := d.EventType + " " + d.EventID
		met[name] = append(met[name], fmt.Sprint(d.Attempt, " ", d.Err, " ", d.At.Sub(noon)))
	}
	for name, log := range met {
		if strings.Contains(name, " ") { // the two copies come in either order
			met[name] = sorted(log)
		}
	}
	return met
}

func TestASeedReproducesTheRun(t *testing.T) {
	alone := badRun(t, 7, 1, 1)
	assert.Equal(t, alone, badRun(t, 7, 1, 1))
	assert.Equal(t, alone, badRun(t, 7, 16, 2), "whatever happens at the same time")
	assert.NotEqual(t, alone, badRun(t, 8, 1, 1))

	var all []string
	for _, log := range alone {
		all = append(all, log...)
	}
	text := strings.Join(all, "\n")
	for _, what := range []string{"429", "500", "503", "cut", "no", "dropped", "half sent", "the answer got lost"} {
		assert.Contains(t, text, what)
	}
}

func TestRates(t *testing.T) {
	srv := start(t, stripetest.Config{Seed: 3, Chaos: stripetest.Chaos{RateLimit: 0.25, Unavailable: 0.5}})
	got := map[int]int{}
	for range 2000 {
		rec := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/v1/events", nil)
		r.URL.RawQuery = url.Values{"limit": {"1"}}.Encode()
		r.SetBasicAuth(srv.SecretKey, "")
		srv.ServeHTTP(rec, r)
		got[rec.Code]++
	}
	assert.InDelta(t, 500, got[429], 60)
	assert.InDelta(t, 1000, got[503], 60)
	assert.InDelta(t, 500, got[200], 60)
}
