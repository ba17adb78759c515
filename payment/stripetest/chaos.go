package stripetest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// Chaos is how often what goes wrong. Each rate is a part of all cases, from 0 (never, which the zero Chaos says of
// everything) to 1 (always). BadDay has some of everything.
//
// A Duplicate is the same event twice; of a Twin Stripe says that "in some cases, two separate Event objects are generated
// and sent", to be told by the id of data.object along with the type. https://docs.stripe.com/webhooks#handle-duplicate-events
//
// Config.Seed decides which cases they are: see the package's section on chaos.
type Chaos struct {
	// Of the events on their way to an endpoint:
	Duplicate float64       // two copies leave at the same time; each is retried by itself
	Twin      float64       // there is another event about the same, of the same type, with an id of its own
	Reorder   float64       // it leaves after all others that wait, and these leave in a random order
	Late      float64       // its first attempt is put off by up to Delay; not with Hold
	Delay     time.Duration // by the Clock, or in real time without one

	// Of the attempts to deliver one, at most one of these. It is never the last attempt, and never the fourth or a
	// later one: what gets lost are attempts, not events.
	Drop     float64 // it does not arrive
	Half     float64 // the connection breaks in the middle of the body
	NoAnswer float64 // it arrives; the answer does not
	SlowBody float64 // there is a Pause in the middle of the body

	// Of the requests to the API, at most one of these; a Fault that waits (see Fail) goes before.
	RateLimit   float64 // 429 with Retry-After
	Error       float64 // 500 that did not happen
	ErrorDone   float64 // 500 that did
	Unavailable float64 // 503 of a gateway: it never arrived
	Cut         float64 // the connection breaks before the work
	CutDone     float64 // the connection breaks after the work
	SlowAnswer  float64 // the work is done, the answer waits for a Pause

	Pause time.Duration // of what is slow, in real time
}

// BadDay is a Chaos with a fair share of everything: of ten requests and of ten attempts, more than one goes wrong. It
// is made for a Clock: events can be ten minutes late.
func BadDay() Chaos {
	return Chaos{
		Duplicate: 0.2, Twin: 0.1, Reorder: 0.2, Late: 0.1, Delay: 10 * time.Minute,
		Drop: 0.08, Half: 0.04, NoAnswer: 0.06, SlowBody: 0.02,
		RateLimit: 0.02, Error: 0.02, ErrorDone: 0.02, Unavailable: 0.02, Cut: 0.02, CutDone: 0.03, SlowAnswer: 0.03,
		Pause: 20 * time.Millisecond,
	}
}

func (c Chaos) ofEvents() []float64   { return []float64{c.Duplicate, c.Twin, c.Reorder, c.Late} }
func (c Chaos) ofAttempts() []float64 { return []float64{c.Drop, c.Half, c.NoAnswer, c.SlowBody} }
func (c Chaos) ofRequests() []float64 {
	return []float64{c.RateLimit, c.Error, c.ErrorDone, c.Unavailable, c.Cut, c.CutDone, c.SlowAnswer}
}

func (c Chaos) check() error {
	for i, rates := range [][]float64{c.ofEvents(), c.ofAttempts(), c.ofRequests()} {
		sum := 0.0
		for _, r := range rates {
			if !(r >= 0 && r <= 1) {
				return errors.New("stripetest: Chaos has a rate that is not from 0 to 1")
			}
			sum += r
		}
		if i > 0 && sum > 1+1e-9 { // ten tenths may be a little more
			return errors.New("stripetest: Chaos has rates of attempts, or of requests, that are more than 1 together")
		}
	}
	if c.Delay < 0 || c.Pause < 0 {
		return errors.New("stripetest: Chaos has a negative time")
	}
	return nil
}

// SetChaos changes what goes wrong from now on: with events that are made, attempts and requests that begin. It panics
// on what can't be a Chaos.
func (s *Stripe) SetChaos(c Chaos) {
	if err := c.check(); err != nil {
		panic(err.Error())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.chaos = c
}

// roll is a number from 0 up to 1 that depends on the seed and the names alone.
func (s *Stripe) roll(names ...string) float64 {
	return float64(binary.BigEndian.Uint64(s.digest(names...))>>11) / (1 << 53)
}

// digest is a hash of the seed and the names.
func (s *Stripe) digest(names ...string) []byte {
	mac := hmac.New(sha256.New, s.seed)
	for _, n := range names {
		fmt.Fprintf(mac, "%d %s", len(n), n) // so that no two lists read the same
	}
	return mac.Sum(nil)
}

// choose is the index of the rate that a roll falls on, or -1.
func choose(roll float64, rates []float64) int {
	for i, r := range rates {
		if roll < r {
			return i
		}
		roll -= r
	}
	return -1
}

func (s *Stripe) doubles(e *event, ep *endpoint) bool {
	return s.roll("duplicate", e.id, ep.id) < s.chaos.Duplicate
}

// name is what a roll for a parcel depends on, and what the roll is for.
func (p *parcel) name(purpose ...string) []string {
	return append(purpose, p.event.id, p.endpoint.id, strconv.Itoa(p.copy))
}

func (s *Stripe) lastOf(p *parcel) float64 {
	if s.roll(p.name("reorder")...) >= s.chaos.Reorder {
		return 0
	}
	return 1 + s.roll(p.name("order")...)
}

func (s *Stripe) delayOf(p *parcel) time.Duration {
	if s.roll(p.name("late")...) >= s.chaos.Late {
		return 0
	}
	return time.Duration(float64(s.chaos.Delay) * s.roll(p.name("delay")...))
}

// mishap is what goes wrong with an attempt to deliver, as Delivery.Err says it.
type mishap string

const (
	dropped    mishap = "dropped"
	halfSent   mishap = "half sent"
	unanswered mishap = "the answer got lost"
	slowBody   mishap = "slow"
)

// mishapOf decides about the attempt that has begun; empty: it travels well. mostMishaps is how many attempts at a
// parcel can meet one.
func (s *Stripe) mishapOf(p *parcel) mishap {
	const mostMishaps = 3
	if p.attempts > min(mostMishaps, len(s.cfg.RetryDelays)) {
		return ""
	}
	switch choose(s.roll(p.name("attempt", strconv.Itoa(p.attempts))...), s.chaos.ofAttempts()) {
	case 0:
		return dropped
	case 1:
		return halfSent
	case 2:
		return unanswered
	case 3:
		return slowBody
	}
	return ""
}

// body is a payload as it is sent.
func (s *Stripe) body(ctx context.Context, payload []byte, m mishap) io.Reader {
	var between readerFunc
	switch m {
	case halfSent:
		between = func() error { return errors.New(string(halfSent)) }
	case slowBody:
		between = func() error { return s.pause(ctx) }
	default:
		return bytes.NewReader(payload)
	}
	half := len(payload) / 2
	return io.MultiReader(bytes.NewReader(payload[:half]), between, bytes.NewReader(payload[half:]))
}

// readerFunc is a reader of nothing, which does something when it is read.
type readerFunc func() error

func (f readerFunc) Read([]byte) (int, error) {
	if err := f(); err != nil {
		return 0, err
	}
	return 0, io.EOF
}

// pause waits for a Chaos.Pause.
func (s *Stripe) pause(ctx context.Context) error {
	s.mu.Lock()
	gate := s.pauseGate()
	s.mu.Unlock()
	select {
	case <-gate:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pauseGate is closed after a Chaos.Pause.
func (s *Stripe) pauseGate() <-chan struct{} {
	gate := make(chan struct{})
	time.AfterFunc(s.chaos.Pause, func() { close(gate) })
	return gate
}

// faultOf decides about a request that has come. It is known by its route, by what it is about, and by how many such
// came before.
func (s *Stripe) faultOf(r *http.Request, route string, p params) Fault {
	if s.chaos == (Chaos{}) {
		return Fault{}
	}
	about := r.PathValue("id")
	for _, name := range []string{"client_reference_id", "payment_intent", "charge"} {
		if about == "" {
			about = p[name]
		}
	}
	which := [2]string{route, about}
	s.met[which]++
	switch choose(s.roll("request", route, about, strconv.Itoa(s.met[which])), s.chaos.ofRequests()) {
	case 0:
		return Fault{Status: http.StatusTooManyRequests, RetryAfter: time.Second}
	case 1:
		return Fault{Status: http.StatusInternalServerError}
	case 2:
		return Fault{Status: http.StatusInternalServerError, Done: true}
	case 3:
		return Fault{Status: http.StatusServiceUnavailable}
	case 4:
		return Fault{Cut: true}
	case 5:
		return Fault{Cut: true, Done: true}
	case 6:
		return Fault{Gate: s.pauseGate(), Done: true}
	}
	return Fault{}
}
