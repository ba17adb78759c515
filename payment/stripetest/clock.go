package stripetest

import (
	"slices"
	"sync"
	"time"
)

// Clock is a time that stands still until a test moves it, for a stand-in (Config.Clock) and for the service under
// test (its Now). Make one with NewClock.
type Clock struct {
	moving sync.Mutex // one Advance at a time

	mu    sync.Mutex
	t     time.Time
	users []*Stripe
}

// NewClock returns a clock that shows this time.
func NewClock(at time.Time) *Clock { return &Clock{t: at} }

// Now is the time that the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

// Advance moves the clock, and lets happen on the way what is due in that time, in the order in which it is due and
// with the clock at that moment: sessions expire, delayed events leave, failed deliveries are tried again. Before each
// move it waits until every delivery that is due has been answered, so that an answer that takes long takes no time of
// the clock's. What is held (see Hold) is not waited for. An endpoint must not call it: it waits for that endpoint.
//
// Advance(0) sends what is due now.
func (c *Clock) Advance(d time.Duration) {
	if d < 0 {
		panic("stripetest: a clock does not go back")
	}
	c.moving.Lock()
	defer c.moving.Unlock()
	end := c.Now().Add(d)
	for {
		next, due := end, false
		for _, s := range c.using() {
			s.flush()
			if at, ok := s.nextDue(); ok && !at.After(next) {
				next, due = at, true
			}
		}
		c.set(next)
		if !due {
			return
		}
		for _, s := range c.using() {
			s.Tick()
		}
	}
}

// set moves the time forwards only: what is overdue is due now.
func (c *Clock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.After(c.t) {
		c.t = t
	}
}

func (c *Clock) using() []*Stripe {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.users)
}

func (c *Clock) add(s *Stripe) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.users = append(c.users, s)
}

func (c *Clock) remove(s *Stripe) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.users = slices.DeleteFunc(c.users, func(u *Stripe) bool { return u == s })
}

// threeDays are the pauses between attempts to deliver an event for as long as Stripe tries in live mode: "up to three
// days with an exponential back off" (https://docs.stripe.com/webhooks#automatic-retries). The single pauses are not
// published. These double from five minutes, and the last attempt is three days after the first.
func threeDays() []time.Duration {
	const all = 72 * time.Hour
	var pauses []time.Duration
	for total, pause := time.Duration(0), 5*time.Minute; total < all; pause *= 2 {
		pause = min(pause, all-total)
		pauses = append(pauses, pause)
		total += pause
	}
	return pauses
}

// eventLife is how long events can be listed and retrieved. https://docs.stripe.com/api/events
const eventLife = 30 * 24 * time.Hour

// forgotten reports whether an event is too old for the API to show it.
func (s *Stripe) forgotten(e *event) bool {
	return e.created <= s.cfg.Now().Add(-eventLife).Unix()
}

// Tick lets the stand-in look at its clock: open sessions whose time has come expire, and slow banks answer, with their
// events. Requests and the methods that do something do so too; only a Config.Now that moves while nothing else happens needs it.
func (s *Stripe) Tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wake()
	s.recall(s.deliveryTime())
	s.pump()
}

// nextDue is when the next delivery, or anything else, is due; ok is false when nothing is.
func (s *Stripe) nextDue() (at time.Time, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return at, false
	}
	if at, ok = s.nextLater(); len(s.alarms) > 0 {
		if first := time.Unix(s.alarms[0].at, 0); !ok || first.Before(at) {
			return first, true
		}
	}
	return at, ok
}

// flush returns when each delivery that is due has had its attempt, or waits because deliveries are held. What becomes
// due meanwhile is not waited for.
func (s *Stripe) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wake()
	s.pump()
	type mark struct {
		p     *parcel
		ended int
	}
	var due []mark
	for _, p := range append(slices.Clone(s.queue), s.flying...) {
		due = append(due, mark{p, p.ended})
	}
	for _, m := range due {
		for m.p.state == waiting && m.p.ended == m.ended && !s.held && !s.closed {
			settled := s.settled
			s.mu.Unlock()
			<-settled
			s.mu.Lock()
		}
	}
}
