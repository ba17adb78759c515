package soak

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/internal/integration/role"
	"github.com/carevia/stripebooking/payment"
	"github.com/carevia/stripebooking/payment/stripetest"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/webhook"
)

// What a request to a site carries besides its body.
const (
	nowHeader  = "Soak-Now"  // the time, in nanoseconds of Unix time
	userHeader = "Soak-User" // who asks
)

// follower is a clock that shows the latest time it was told: a site has no other, as it may be a process of its own.
type follower struct{ ns atomic.Int64 }

func (f *follower) now() time.Time { return time.Unix(0, f.ns.Load()) }

func (f *follower) hear(now int64) {
	for {
		old := f.ns.Load()
		if now <= old || f.ns.CompareAndSwap(old, now) {
			return
		}
	}
}

// order is what a customer sends to a site to book.
type order struct {
	Attempt   string
	BookingID string
	Quote     booking.Quote
	Seats     []store.SeatClaim
}

// hold is how long a site waits for a payment.
const hold = 2 * time.Hour

// newSite is a service that books: checkout, webhook, confirm and verify over one store.
func newSite(s store.Store, stripe string) (http.Handler, error) {
	clock := &follower{}
	payments, err := payment.New(payment.Config{
		Store: s, SecretKey: stripetest.DefaultSecretKey, Mode: payment.Test, APIBase: stripe,
		Codecs:     []booking.Codec{booking.Marked{}, booking.Plain{}},
		SuccessURL: "https://example.com/success", CancelURL: "https://example.com/cancel", Hold: hold,
		Now: clock.now,
	})
	if err != nil {
		return nil, err
	}
	hook, err := webhook.New(webhook.Config{
		Secrets: []string{stripetest.DefaultWebhookSecret}, Store: s, Payments: payments, Mode: payment.Test, Now: clock.now,
	})
	if err != nil {
		return nil, err
	}
	hook.Handle(handled, handler(stripe))

	caller := func(r *http.Request) (string, bool) { u := r.Header.Get(userHeader); return u, u != "" }
	mux := http.NewServeMux()
	mux.Handle("/hook", hook)
	mux.Handle("/confirm", payments.ConfirmHandler(caller))
	mux.Handle("/verify", payments.VerifyHandler(caller))
	mux.HandleFunc("POST /checkout", func(w http.ResponseWriter, r *http.Request) {
		var o order
		if err := json.NewDecoder(r.Body).Decode(&o); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		c := payment.CheckoutRequest{
			Attempt: o.Attempt, BookingID: o.BookingID, UserID: r.Header.Get(userHeader), Quote: o.Quote, Seats: o.Seats,
			CustomerEmail: "someone@example.com",
		}
		if o.BookingID == "" {
			c.ServiceID, c.ServiceName, c.Details = "svc", "Elder care", map[string]string{"city": "Dhaka"}
		}
		done, err := payments.Checkout(r.Context(), c)
		switch {
		case err == nil:
			json.NewEncoder(w).Encode(done)
		case errors.Is(err, payment.ErrSoldOut):
			w.WriteHeader(http.StatusConflict)
		case errors.Is(err, payment.ErrHoldEnded):
			w.WriteHeader(http.StatusGone)
		case errors.Is(err, payment.ErrInvalid), errors.Is(err, payment.ErrAttemptReused), errors.Is(err, payment.ErrRefused),
			errors.Is(err, payment.ErrNotOwner), errors.Is(err, payment.ErrSettled), !store.IsTransient(err):
			http.Error(w, err.Error(), http.StatusBadRequest)
		default:
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if now, err := strconv.ParseInt(r.Header.Get(nowHeader), 10, 64); err == nil {
			clock.hear(now)
		}
		mux.ServeHTTP(w, r)
	}), nil
}

// handled is the type of event that the service has a handler of its own for.
const handled = "checkout.session.completed"

// handler fails the first time that it meets some of the events, and tells the hub of those that it has handled.
func handler(hub string) webhook.HandlerFunc {
	var failed sync.Map
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: together}}
	return func(ctx context.Context, e webhook.Event) error {
		h := fnv.New32()
		h.Write([]byte(e.ID))
		if _, again := failed.LoadOrStore(e.ID, true); h.Sum32()%16 == 0 && !again {
			return errors.New("the mail server is away")
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, hub+"/handled/"+e.ID, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(r)
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
}

// child is a site as a process, if this is one: on a store of the table, its database, and where Stripe is. It says its
// address and ends with its input.
func child() {
	role.Play("site", func(args []string) error {
		name, database, stripe := args[0], args[1], args[2]
		for _, target := range targets {
			if target.name != name {
				continue
			}
			s, err := target.open(database)
			if err != nil {
				return err
			}
			p, err := serve(s, stripe, nil)
			if err != nil {
				return err
			}
			fmt.Println(p.addr)
			_, err = io.Copy(io.Discard, os.Stdin)
			return err
		}
		return fmt.Errorf("no store is called %q", name)
	})
}

// process is a site that runs.
type process struct {
	addr string
	end  func()
}

// serve runs a site in this process, with something around it if it is not nil.
func serve(s store.Store, stripe string, around func(store.Store, http.Handler) http.Handler) (*process, error) {
	site, err := newSite(s, stripe)
	if err != nil {
		return nil, err
	}
	if around != nil {
		site = around(s, site)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: site, ReadHeaderTimeout: 10 * time.Second}
	go server.Serve(l)
	return &process{l.Addr().String(), func() { server.Close() }}, nil
}

// spawn runs a site in a process of its own.
func spawn(t testing.TB, name, database, stripe string) (*process, error) {
	child, err := role.Start(t, "site", name, database, stripe)
	if err != nil {
		return nil, err
	}
	p := &process{end: func() { child.Process.Kill(); child.In.Close(); child.Wait() }}
	if !child.Out.Scan() {
		p.end()
		return nil, errors.New("a site's process has ended at its start")
	}
	p.addr = child.Out.Text()
	return p, nil
}

// sites are the processes of one service.
type sites struct {
	start func() (*process, error)

	mu    sync.Mutex
	all   []*process
	turn  int
	kills int
}

func newSites(t testing.TB, n int, start func() (*process, error)) *sites {
	s := &sites{start: start}
	t.Cleanup(func() {
		for _, p := range s.all {
			p.end()
		}
	})
	for range n {
		p, err := start()
		require.NoError(t, err)
		s.all = append(s.all, p)
	}
	return s
}

// addr is the address of one of them, in turn.
func (s *sites) addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn++
	return s.all[s.turn%len(s.all)].addr
}

// kill kills one of several, and starts another in its place.
func (s *sites) kill() error {
	s.mu.Lock()
	last := len(s.all) - 1
	old := s.all[last]
	s.mu.Unlock()
	if last == 0 {
		return nil
	}
	old.end() // its address stays in use meanwhile, and nobody answers there
	p, err := s.start()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kills++
	s.all[last] = p
	return nil
}
