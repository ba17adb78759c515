package stripetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// Network is how events travel to the endpoints. The zero value is a good network.
type Network struct {
	Duplicate int           // copies sent beside the first of each event, at the same time; each is retried by itself
	Delay     time.Duration // before the first attempt, in real time; not with Deliver and DeliverAll
	Reorder   bool          // waiting events leave in a random order
	Seed      int64         // of that order
	Drop      int           // so many first attempts of each delivery get lost on the way; the retries arrive
	Parallel  int           // at most so many attempts at once in the background; default 16. 1 keeps the order
}

func (n Network) check() error {
	if n.Duplicate < 0 || n.Delay < 0 || n.Drop < 0 || n.Parallel < 0 {
		return errors.New("stripetest: Network has a negative setting")
	}
	return nil
}

// SetNetwork changes how events travel that are made from now on, and in what order the waiting ones leave. It panics
// on negative settings.
func (s *Stripe) SetNetwork(n Network) {
	if err := n.check(); err != nil {
		panic(err.Error())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setNetwork(n)
	s.pump()
}

func (s *Stripe) setNetwork(n Network) {
	if n.Parallel == 0 {
		n.Parallel = 16
	}
	s.network, s.shuffle = n, mathrand.New(mathrand.NewSource(n.Seed))
}

type endpoint struct {
	head
	url     string
	secrets []string
	types   []string
}

var endpoints = kind[*endpoint]{
	name: "webhook endpoint", param: "webhook_endpoint", path: "/v1/webhook_endpoints",
	shelf: func(s *Stripe) *shelf[*endpoint] { return &s.endpoints },
}

func (ep *endpoint) json(expansion) map[string]any {
	types := ep.types
	if len(types) == 0 {
		types = []string{"*"}
	}
	return map[string]any{
		"id": ep.id, "object": "webhook_endpoint", "api_version": APIVersion, "application": nil, "created": ep.created, "description": nil,
		"enabled_events": types, "livemode": false, "metadata": map[string]string{}, "status": "enabled", "url": ep.url,
	}
}

func (ep *endpoint) wants(kind string) bool {
	return len(ep.types) == 0 || anyType(ep.types, kind)
}

// AddEndpoint makes the stand-in send events to a URL, signed with a secret (empty: Config.WebhookSecret): the types
// named, "checkout.session.*" and "*" included, or all. Events made earlier are not sent, unless by Deliver. Only
// this machine's addresses are taken, unless Config.AllowRemote.
func (s *Stripe) AddEndpoint(rawURL, secret string, types ...string) error {
	u, err := url.Parse(rawURL)
	switch {
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "":
		return errors.New("stripetest: an endpoint must be an http address")
	case !s.cfg.AllowRemote && !loopback(u.Hostname()):
		return errors.New("stripetest: an endpoint must be on this machine (see Config.AllowRemote)")
	}
	if secret == "" {
		secret = s.WebhookSecret
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endpoints.add(&endpoint{head: head{s.id("we_1", 23), s.now()}, url: rawURL, secrets: []string{secret}, types: append([]string(nil), types...)})
	return nil
}

// SetSecrets changes what deliveries to an endpoint are signed with: several while a secret is rolled, which gives
// several v1 signatures. https://docs.stripe.com/webhooks#roll-endpoint-secrets
func (s *Stripe) SetSecrets(rawURL string, secrets ...string) error {
	if len(secrets) == 0 {
		return errors.New("stripetest: an endpoint needs a secret")
	}
	return s.eachEndpoint(rawURL, func(ep *endpoint) { ep.secrets = append([]string(nil), secrets...) })
}

// RemoveEndpoint stops the deliveries to a URL. Those not yet answered are given up.
func (s *Stripe) RemoveEndpoint(rawURL string) error {
	return s.eachEndpoint(rawURL, func(ep *endpoint) {
		s.endpoints.remove(ep)
		for _, e := range s.events.all {
			for _, p := range e.parcels {
				if p.endpoint == ep && p.state == waiting {
					s.become(p, givenUp)
				}
			}
		}
		s.changed()
	})
}

func (s *Stripe) eachEndpoint(rawURL string, do func(*endpoint)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := false
	for _, ep := range slices.Clone(s.endpoints.all) {
		if ep.url == rawURL {
			found = true
			do(ep)
		}
	}
	if !found {
		return errors.New("stripetest: no such endpoint")
	}
	return nil
}

// parcel is one copy of one event for one endpoint.
type parcel struct {
	event    *event
	endpoint *endpoint
	drop     int // attempts that still get lost
	attempts int
	state    parcelState
	delay    time.Duration // before the first attempt in the background
	queued   bool
	timer    *time.Timer // of the delay or the next retry
}

type parcelState int

const (
	waiting   parcelState = iota // for its next attempt, or an attempt is under way
	delivered                    // answered 2xx
	givenUp
)

// become changes a parcel's state and what is counted from it.
func (s *Stripe) become(p *parcel, state parcelState) {
	if p.state == waiting {
		s.waiting--
	}
	if state == waiting {
		s.waiting++
	}
	p.state = state
	if p.timer != nil {
		p.timer.Stop()
	}
}

// pack makes an event's parcels for one endpoint. The caller pumps when the whole operation is over, so that its
// events can change places.
func (s *Stripe) pack(e *event, ep *endpoint) []*parcel {
	var made []*parcel
	for range s.network.Duplicate + 1 {
		p := &parcel{event: e, endpoint: ep, drop: s.network.Drop, delay: s.network.Delay, queued: true}
		made = append(made, p)
		s.queue = append(s.queue, p)
	}
	s.waiting += len(made)
	e.parcels = append(e.parcels, made...)
	return made
}

// pump starts waiting attempts, unless deliveries are held.
func (s *Stripe) pump() {
	for !s.held && !s.closed && s.flying < s.network.Parallel && len(s.queue) > 0 {
		p := s.next()
		if p.state != waiting {
			continue
		}
		if p.delay > 0 {
			s.later(p, p.delay)
			p.delay = 0
			continue
		}
		s.flying++
		s.wg.Add(1)
		go func() {
			defer s.wg.Done()
			s.attemptOnce(p)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.flying--
			s.retry(p)
			s.changed()
			s.pump()
		}()
	}
}

// next takes a parcel out of the queue.
func (s *Stripe) next() *parcel {
	i := 0
	if s.network.Reorder {
		i = s.shuffle.Intn(len(s.queue))
	}
	p := s.queue[i]
	s.queue = append(s.queue[:i], s.queue[i+1:]...)
	p.queued = false
	return p
}

// later puts a parcel back into the queue after a while.
func (s *Stripe) later(p *parcel, d time.Duration) {
	if p.timer != nil {
		p.timer.Stop()
	}
	p.timer = time.AfterFunc(d, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if p.state == waiting && !p.queued && !s.closed {
			p.queued = true
			s.queue = append(s.queue, p)
			s.pump()
		}
	})
}

// retry plans the next attempt of a parcel that is still waiting.
func (s *Stripe) retry(p *parcel) {
	switch {
	case p.state != waiting || s.closed || p.queued:
	case s.held:
		p.queued = true
		s.queue = append(s.queue, p)
	case p.attempts > len(s.cfg.RetryDelays):
		s.become(p, givenUp)
	default:
		s.later(p, s.cfg.RetryDelays[p.attempts-1])
	}
}

// changed wakes those who Wait.
func (s *Stripe) changed() {
	close(s.settled)
	s.settled = make(chan struct{})
}

// Delivery is one attempt to deliver an event.
type Delivery struct {
	EventID, EventType string
	Endpoint           string // its URL
	Attempt            int    // 1 is the first of this copy
	Status             int    // 0: no answer
	Err                string // why there was none; "dropped" by the network
	Answer             []byte // the first 4 KiB of the endpoint's answer
	At                 time.Time
}

// OK reports whether the endpoint took the event.
func (d Delivery) OK() bool { return d.Status >= 200 && d.Status < 300 }

// Deliveries are all attempts that have ended, in that order.
func (s *Stripe) Deliveries() []Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Delivery(nil), s.log...)
}

// attemptOnce sends a parcel once and notes what came of it. It is called without s.mu.
func (s *Stripe) attemptOnce(p *parcel) Delivery {
	s.mu.Lock()
	p.attempts++
	d := Delivery{EventID: p.event.id, EventType: p.event.kind, Endpoint: p.endpoint.url, Attempt: p.attempts, At: s.cfg.Now()}
	lost := p.drop > 0
	if lost {
		p.drop--
	}
	payload := encode(p.event.json(nil))
	signature := sign(payload, d.At, p.endpoint.secrets...)
	s.mu.Unlock()

	if lost {
		d.Err = "dropped"
	} else {
		s.post(&d, payload, signature)
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, d)
	if d.OK() && p.state != delivered {
		s.become(p, delivered)
	}
	s.changed()
	s.cfg.Logger.Info("stripetest: delivery", "event", d.EventID, "type", d.EventType, "attempt", d.Attempt, "status", d.Status)
	return d
}

func (s *Stripe) post(d *Delivery, payload []byte, signature string) {
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.AttemptTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.Endpoint, bytes.NewReader(payload))
	if err != nil {
		d.Err = err.Error()
		return
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("Stripe-Signature", signature)
	req.Header.Set("User-Agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)")
	req.Header.Set("Accept", "*/*; q=0.5, application/xml")
	req.Header.Set("Cache-Control", "no-cache")
	resp, err := s.client.Do(req)
	if err != nil {
		d.Err = err.Error()
		return
	}
	defer resp.Body.Close()
	d.Status = resp.StatusCode
	d.Answer, err = io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		d.Err = err.Error()
		return
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20)) // so that the connection can be used again
}

// Hold stops deliveries in the background: from now on a test decides with Deliver and DeliverAll. Attempts under
// way end by themselves.
func (s *Stripe) Hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = true
	for _, e := range s.events.all { // those that wait for a retry are held too
		for _, p := range e.parcels {
			if p.timer != nil && p.timer.Stop() && p.state == waiting && !p.queued {
				p.queued = true
				s.queue = append(s.queue, p)
			}
		}
	}
}

// Release ends Hold: what waits is sent.
func (s *Stripe) Release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = false
	s.pump()
	s.changed()
}

// Deliver sends an event to its endpoints once, now, and returns when all have answered. It does so also when the event was
// delivered before, or was made before the endpoint was added, as the dashboard's "resend" does. All copies leave at
// the same time; calls of Deliver at the same time are independent.
func (s *Stripe) Deliver(eventID string) ([]Delivery, error) {
	s.mu.Lock()
	s.wake()
	e := s.events.byID[eventID]
	if e == nil || s.closed {
		s.mu.Unlock()
		return nil, errors.New("stripetest: no such event, or closed")
	}
	var parcels []*parcel
	for _, ep := range s.endpoints.all {
		if !ep.wants(e.kind) {
			continue
		}
		var mine []*parcel
		for _, p := range e.parcels {
			if p.endpoint == ep {
				mine = append(mine, p)
			}
		}
		if len(mine) == 0 {
			mine = s.pack(e, ep)
		}
		parcels = append(parcels, mine...)
	}
	s.take(parcels)
	s.wg.Add(len(parcels))
	s.mu.Unlock()
	return s.send(parcels), nil
}

// take takes parcels out of the queue, so that the background leaves them alone meanwhile.
func (s *Stripe) take(parcels []*parcel) {
	for _, p := range parcels {
		p.queued = false
	}
	rest := s.queue[:0]
	for _, p := range s.queue {
		if p.queued {
			rest = append(rest, p)
		}
	}
	s.queue = rest
}

// send makes one attempt of each parcel, all at the same time, and puts those that failed back. The caller has
// added them to s.wg.
func (s *Stripe) send(parcels []*parcel) []Delivery {
	out := make([]Delivery, len(parcels))
	var all sync.WaitGroup
	for i, p := range parcels {
		all.Add(1)
		go func() {
			defer s.wg.Done()
			defer all.Done()
			out[i] = s.attemptOnce(p)
		}()
	}
	all.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range parcels {
		s.retry(p)
	}
	s.changed()
	s.pump()
	return out
}

// DeliverAll makes one attempt of everything that waits, one event after the other in the order they were made (or in
// the Network's random one), the copies of an event at the same time.
func (s *Stripe) DeliverAll() []Delivery {
	s.mu.Lock()
	s.wake()
	var batches [][]*parcel
	for len(s.queue) > 0 && !s.closed {
		p := s.next()
		batch := []*parcel{p}
		for _, other := range s.queue {
			if other.event == p.event {
				batch = append(batch, other)
			}
		}
		s.take(batch)
		s.wg.Add(len(batch))
		batches = append(batches, batch)
	}
	s.mu.Unlock()
	var out []Delivery
	for _, batch := range batches {
		out = append(out, s.send(batch)...)
	}
	return out
}

// Wait returns nil when every event was taken or given up, and an error when ctx ends first or what is left is held.
func (s *Stripe) Wait(ctx context.Context) error {
	for {
		s.mu.Lock()
		s.wake()
		s.pump()
		left, held, closed, settled, idle := s.waiting, s.held, s.closed, s.settled, s.flying == 0
		s.mu.Unlock()
		switch {
		case closed:
			return errors.New("stripetest: closed")
		case left == 0 && idle:
			return nil
		case held && idle:
			return fmt.Errorf("stripetest: %d deliveries are held", left)
		}
		select {
		case <-settled:
		case <-ctx.Done():
			return fmt.Errorf("stripetest: wait: %d deliveries are left: %w", left, ctx.Err())
		}
	}
}
