package stripetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

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
	defer s.named("webhook endpoint")()
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
	copy     int // among all of the event
	attempts int // begun
	ended    int // those that are over, with all that follows planned
	state    parcelState
	last     float64 // not 0: it leaves when all others have, in this order
	queued   bool
	due      time.Time // of the next attempt, when it is put off until then; zero: it is not
}

type parcelState int

const (
	waiting   parcelState = iota // for its next attempt, or an attempt is under way
	delivered                    // answered 2xx
	givenUp
)

// become ends a parcel's waiting.
func (s *Stripe) become(p *parcel, state parcelState) {
	if p.state == waiting {
		s.waiting--
	}
	p.state = state
	if p.queued || !p.due.IsZero() {
		s.take([]*parcel{p})
	}
}

// pack makes an event's parcels for one endpoint. The caller pumps when the whole operation is over, so that its
// events can change places.
func (s *Stripe) pack(e *event, ep *endpoint) []*parcel {
	made := []*parcel{{event: e, endpoint: ep}}
	if s.doubles(e, ep) {
		made = append(made, &parcel{event: e, endpoint: ep})
	}
	for i, p := range made {
		p.copy = len(e.parcels) + i
		p.last = s.lastOf(p)
		if d := s.delayOf(p); d > 0 && !s.held {
			s.later(p, d)
		} else {
			s.enqueue(p)
		}
	}
	s.waiting += len(made)
	e.parcels = append(e.parcels, made...)
	return made
}

func (s *Stripe) enqueue(p *parcel) {
	p.queued, p.due = true, time.Time{}
	s.queue = append(s.queue, p)
}

// pump starts waiting attempts, unless deliveries are held.
func (s *Stripe) pump() {
	for !s.held && !s.closed && len(s.flying) < s.cfg.Parallel && len(s.queue) > 0 {
		p := s.next()
		s.flying = append(s.flying, p)
		s.wg.Add(1)
		go func() {
			defer s.wg.Done()
			s.attemptOnce(p)
			s.mu.Lock()
			defer s.mu.Unlock()
			i := slices.Index(s.flying, p)
			s.flying = slices.Delete(s.flying, i, i+1)
			s.retry(p)
			s.changed()
			s.pump()
		}()
	}
}

// next takes a parcel out of the queue.
func (s *Stripe) next() *parcel {
	first := 0
	for i, p := range s.queue {
		if p.last < s.queue[first].last {
			first = i
		}
	}
	p := s.queue[first]
	s.queue = slices.Delete(s.queue, first, first+1)
	p.queued = false
	return p
}

// later puts a parcel off for a while, by the Clock or else in real time.
func (s *Stripe) later(p *parcel, d time.Duration) {
	if p.due.IsZero() {
		s.putOff = append(s.putOff, p)
	}
	p.due = s.deliveryTime().Add(d)
	s.setBell()
}

func (s *Stripe) deliveryTime() time.Time {
	if s.cfg.Clock != nil {
		return s.cfg.Clock.Now()
	}
	return time.Now()
}

// nextLater is when the first parcel that was put off is due.
func (s *Stripe) nextLater() (at time.Time, ok bool) {
	for _, p := range s.putOff {
		if !ok || p.due.Before(at) {
			at, ok = p.due, true
		}
	}
	return at, ok
}

// setBell has Tick called when the next parcel is due. A Clock does that itself.
func (s *Stripe) setBell() {
	if s.cfg.Clock != nil {
		return
	}
	if s.bell != nil {
		s.bell.Stop()
	}
	if at, ok := s.nextLater(); ok && !s.closed {
		s.bell = time.AfterFunc(time.Until(at), s.Tick)
	}
}

// recall queues the parcels that were put off until a time, in the order in which they are due.
func (s *Stripe) recall(until time.Time) {
	var due, rest []*parcel
	for _, p := range s.putOff {
		if p.due.After(until) {
			rest = append(rest, p)
		} else {
			due = append(due, p)
		}
	}
	slices.SortStableFunc(due, func(a, b *parcel) int { return a.due.Compare(b.due) })
	s.putOff = rest
	for _, p := range due {
		s.enqueue(p)
	}
	s.setBell()
}

// retry plans what follows an attempt.
func (s *Stripe) retry(p *parcel) {
	p.ended++
	switch {
	case p.state != waiting || s.closed || p.queued:
	case s.held:
		s.enqueue(p)
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
	Err                string // why there was none
	Answer             string // the first 4 KiB of the endpoint's answer
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
	mishap := s.mishapOf(p)
	payload := encode(p.event.json(nil))
	signature := sign(payload, d.At, p.endpoint.secrets...)
	s.mu.Unlock()

	if mishap != dropped {
		s.post(&d, payload, signature, mishap)
	}
	if mishap == dropped || mishap == halfSent || mishap == unanswered {
		d.Status, d.Err, d.Answer = 0, string(mishap), ""
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

func (s *Stripe) post(d *Delivery, payload []byte, signature string, m mishap) {
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.AttemptTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.Endpoint, s.body(ctx, payload, m))
	if err != nil {
		d.Err = err.Error()
		return
	}
	req.ContentLength = int64(len(payload))
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
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if d.Answer = string(answer); err != nil {
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
	for _, p := range s.putOff { // those that wait for a retry are held too
		p.due = time.Time{}
	}
	s.recall(time.Time{})
	s.changed()
}

// Release ends Hold: what waits is sent.
func (s *Stripe) Release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wake()
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

// take takes parcels away from the background, which leaves them alone meanwhile.
func (s *Stripe) take(parcels []*parcel) {
	for _, p := range parcels {
		p.queued, p.due = false, time.Time{}
	}
	s.queue = slices.DeleteFunc(s.queue, func(p *parcel) bool { return !p.queued })
	s.putOff = slices.DeleteFunc(s.putOff, func(p *parcel) bool { return p.due.IsZero() })
	s.setBell()
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
// the Chaos's own), the copies of an event at the same time.
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

// Wait returns nil when every event was taken or given up, and an error when ctx ends first or what is left is held, or
// waits for a Clock to move.
func (s *Stripe) Wait(ctx context.Context) error {
	for {
		s.mu.Lock()
		s.wake()
		s.pump()
		left, held, closed, settled, idle := s.waiting, s.held, s.closed, s.settled, len(s.flying) == 0
		stands := s.cfg.Clock != nil && len(s.queue) == 0 && len(s.putOff) > 0
		s.mu.Unlock()
		switch {
		case closed:
			return errors.New("stripetest: closed")
		case left == 0 && idle:
			return nil
		case held && idle:
			return fmt.Errorf("stripetest: %d deliveries are held", left)
		case stands && idle:
			return fmt.Errorf("stripetest: %d deliveries wait for the clock to be advanced", left)
		}
		select {
		case <-settled:
		case <-ctx.Done():
			return fmt.Errorf("stripetest: wait: %d deliveries are left: %w", left, ctx.Err())
		}
	}
}
