package soak

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carevia/stripebooking/payment/stripetest"
	"github.com/carevia/stripebooking/store"
)

const (
	together = 96               // customers at the same time
	pace     = 15 * time.Second // between one customer and the next, by the clock
	days     = 4                // until the last of a leg's banks has told
)

// soak is one run over one store.
type soak struct {
	t       testing.TB
	seed    int64
	n       int // payments
	chaos   stripetest.Chaos
	legSize int         // customers of one stand-in, so that memory does not grow with their number
	store   store.Store // what is looked at in the end
	stock   func() (stock, error)
	tally   tally
	known   stock                                                             // what the legs have explained
	left    []left                                                            // in the store by each customer, at the end of the leg
	seen    struct{ customers, paid, deliveries, lost, requests, failed int } // who came and paid, and what the chaos did

	handled sync.Map // the events that the sites' handler has succeeded for

	clock  *stripetest.Clock
	stripe atomic.Pointer[stripetest.Stripe] // the present leg's
	hub    *httptest.Server                  // where the sites find Stripe, and Stripe the sites
	sites  *sites
	client *http.Client
}

// newSoak prepares a run with so many sites, which start makes, given where Stripe is; stock reads the ids of what is in
// the store.
func newSoak(t testing.TB, seed int64, n int, s store.Store, stock func() (stock, error), sites int, start func(stripe string) (*process, error)) *soak {
	k := &soak{t: t, seed: seed, n: n, store: s, stock: stock, known: newStock(),
		chaos: stripetest.BadDay(), legSize: 1000, clock: stripetest.NewClock(time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC))}
	transport := &http.Transport{MaxIdleConnsPerHost: 2 * together}
	t.Cleanup(transport.CloseIdleConnections)
	k.client = &http.Client{Transport: transport, Timeout: 30 * time.Second}

	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { k.stripe.Load().ServeHTTP(w, r) })
	mux.HandleFunc("/handled/{event}", func(_ http.ResponseWriter, r *http.Request) { k.handled.Store(r.PathValue("event"), true) })
	mux.Handle("/hook", &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: k.sites.addr()})
			r.Out.Header.Set(nowHeader, k.now())
		},
		Transport:    transport,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
		ErrorLog:     log.New(io.Discard, "", 0),
	})
	k.hub = httptest.NewServer(mux)
	t.Cleanup(k.hub.Close)
	k.sites = newSites(t, sites, func() (*process, error) { return start(k.hub.URL) })
	return k
}

func (k *soak) now() string { return strconv.FormatInt(k.clock.Now().UnixNano(), 10) }

// run lets customers come, leg by leg, until enough have paid: two of three do.
func (k *soak) run(ctx context.Context) error {
	for seed := k.seed; k.seen.paid < k.n; seed++ {
		l := &leg{soak: k, seed: seed, n: min(k.legSize, (k.n-k.seen.paid)*3/2+1)}
		if err := l.run(ctx); err != nil {
			return fmt.Errorf("seed %d: %w", l.seed, err)
		}
		k.seen.customers += l.n
	}
	found, err := k.stock()
	found.compare(k.known, &k.tally)
	return errors.Join(err, k.compareAgain(ctx))
}

// leg is a part of a run that has a stand-in of its own. It ends when all that its customers began has ended.
type leg struct {
	*soak
	seed   int64
	n      int
	stripe *stripetest.Stripe
	begun  atomic.Int64 // customers that the clock has not heard of

	// still stops the clock while a checkout is under way: a second may be an hour here, in which a call that Stripe
	// wants repeated would come too late for its hold.
	still sync.RWMutex

	mu   sync.Mutex
	bank [days][]*customer // whose payments are settled in so many days

	events  map[string]stripetest.Event // in the end, by id
	expired map[string]time.Time        // when sessions did
}

func (l *leg) run(ctx context.Context) error {
	var err error
	l.stripe, err = stripetest.New(stripetest.Config{PublicURL: l.hub.URL, Seed: l.seed, Clock: l.clock, Chaos: l.chaos})
	if err != nil {
		return err
	}
	defer l.stripe.Close()
	l.soak.stripe.Store(l.stripe)
	if err := l.stripe.AddEndpoint(l.hub.URL+"/hook", "", hooked...); err != nil {
		return err
	}

	customers := l.comeAndGo(ctx)
	for day := range days {
		l.clock.Advance(24 * time.Hour)
		each(l.bank[day], func(c *customer) { c.hearsFromTheBank(ctx) })
	}
	l.clock.Advance(4 * 24 * time.Hour) // all retries are over
	l.resend()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := l.stripe.Wait(ctx); err != nil {
		return err
	}
	l.count()
	each(customers, func(c *customer) { c.looksAgain(ctx) })
	return l.compare(ctx, customers)
}

// resend sends some events once more, long after they were taken, the newest first. The bad day is over, and so they are
// taken at once.
func (l *leg) resend() {
	l.stripe.SetChaos(stripetest.Chaos{})
	for i, e := range slices.Backward(l.stripe.Events()) {
		if i%8 > 0 {
			continue
		}
		again, err := l.stripe.Deliver(e.ID)
		if err != nil {
			l.tally.wrong("event %s: %v", e.ID, err)
		}
		for _, d := range again {
			if !d.OK() {
				l.tally.wrong("event %s (%s), sent once more, is answered with %d %s%s", d.EventID, d.EventType, d.Status, d.Answer, d.Err)
			}
		}
	}
}

// count says what there was to go wrong, and what did.
func (l *leg) count() {
	for _, ss := range l.stripe.Sessions() {
		if ss.PaymentStatus == "paid" {
			l.seen.paid++
		}
	}
	for _, d := range l.stripe.Deliveries() {
		l.seen.deliveries++
		if d.Err != "" {
			l.seen.lost++
		}
	}
	for _, r := range l.stripe.Requests() {
		l.seen.requests++
		if r.Status == 0 || r.Status == 429 || r.Status >= 500 {
			l.seen.failed++
		}
	}
}

// comeAndGo lets the customers come while the clock goes on, and kills a site when half of them have.
func (l *leg) comeAndGo(ctx context.Context) []*customer {
	stop, stopped := make(chan struct{}), make(chan struct{})
	come := make(chan struct{}, 1)
	go func() {
		defer close(stopped)
		for {
			select {
			case <-come:
				l.still.Lock()
				for range l.begun.Swap(0) { // in steps, so that no delivery grows old on its way
					l.clock.Advance(pace)
				}
				l.still.Unlock()
			case <-stop:
				return
			}
		}
	}()
	var customers []*customer
	for n := range l.n {
		customers = append(customers, newCustomer(l, n))
	}
	var killed sync.WaitGroup
	each(customers, func(c *customer) {
		l.begun.Add(1)
		select {
		case come <- struct{}{}:
		default:
		}
		if c.n == l.n/2 {
			killed.Go(func() {
				if err := l.sites.kill(); err != nil {
					l.t.Errorf("a site does not start again: %v", err)
				}
			})
		}
		c.comes(ctx)
	})
	killed.Wait()
	close(stop)
	<-stopped
	return customers
}

// each does something for all customers, or what is known of them, as many at the same time as there may be.
func each[T any](all []T, do func(T)) {
	next := make(chan T)
	var wg sync.WaitGroup
	for range together {
		wg.Go(func() {
			for c := range next {
				do(c)
			}
		})
	}
	for _, one := range all {
		next <- one
	}
	close(next)
	wg.Wait()
}

// ask sends a request to a site and returns its answer. A site that does not answer, or asks for patience, is asked
// again: by then another may be.
func (l *leg) ask(ctx context.Context, path, user string, body any) (status int, answer []byte) {
	raw, err := json.Marshal(body)
	if err != nil {
		panic(err) // our own types
	}
	for ctx.Err() == nil {
		status, answer, err := l.askOnce(ctx, path, user, raw)
		if err == nil && status != http.StatusServiceUnavailable && status != http.StatusBadGateway {
			return status, answer
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond): // between two tries
		}
	}
	return 0, nil
}

func (l *leg) askOnce(ctx context.Context, path, user string, body []byte) (status int, answer []byte, err error) {
	if path == "/checkout" {
		l.still.RLock()
		defer l.still.RUnlock()
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+l.sites.addr()+path, bytes.NewReader(body))
	if err != nil {
		panic(err) // our own address
	}
	r.Header.Set(nowHeader, l.now())
	r.Header.Set(userHeader, user)
	resp, err := l.client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}
