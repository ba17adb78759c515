package stripetest

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Fault is what goes wrong with one request. The zero Fault lets a request pass, so that a list of them can say
// "the third one fails".
//
//	Fault{Status: 500, Done: true}   the work was done, the answer is 500 and stays 500 for this idempotency key
//	Fault{Status: 500}               the same without the work
//	Fault{Status: 503, Done: true}   a gateway's error: the work was done, the key keeps the real answer
//	Fault{Status: 503}               it never arrived; the key is as if unused
//	Fault{Status: 429}               rate limit, before idempotency keys are looked at
//	Fault{Cut: true, Done: true}     the work was done, the connection breaks before the answer
//	Fault{Cut: true}                 the connection breaks before the work
//	Fault{Gate: ch}                  the request waits until ch is closed or sent to; another with its key gets 409
//	Fault{Gate: ch, Done: true}      the work is done at once, the answer waits
//
// A Gate goes with each of the others. A request whose client gives up at a closed gate is as if it never arrived.
type Fault struct {
	Status     int             // 429 or 5xx; 0: no error
	Done       bool            // the work is done first
	Cut        bool            // no answer, the connection is closed
	Gate       <-chan struct{} // wait for it; nil: don't
	RetryAfter time.Duration   // with 429: the header, in whole seconds
}

func (f Fault) check() error {
	switch {
	case f.Status != 0 && f.Status != http.StatusTooManyRequests && (f.Status < 500 || f.Status > 599):
		return fmt.Errorf("stripetest: a fault's status must be 429 or 5xx, not %d", f.Status)
	case f.early() && (f.Done || f.Cut):
		return fmt.Errorf("stripetest: a fault of 429 comes before the work and is an answer")
	}
	return nil
}

// early faults come before idempotency. https://docs.stripe.com/error-low-level#content-errors
func (f Fault) early() bool { return f.Status == http.StatusTooManyRequests }

// lostOnTheWay: the request reached no endpoint, so nothing is stored. A plain 500 is an endpoint's own.
func (f Fault) lostOnTheWay() bool {
	return !f.Done && (f.Cut || f.Status > http.StatusInternalServerError)
}

func (f Fault) retryAfter() string {
	return strconv.FormatInt(int64((f.RetryAfter+time.Second-1)/time.Second), 10)
}

// Fail makes the next requests of a route meet these faults, one each, in this order, after those already waiting.
// The route is named as in Request. It panics on an unknown route or an impossible fault.
func (s *Stripe) Fail(route string, faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mustRoute(route)
	for _, f := range faults {
		if err := f.check(); err != nil {
			panic(err.Error())
		}
	}
	s.faults[route] = append(s.faults[route], faults...)
}

// FailNext is Fail with the same fault n times.
func (s *Stripe) FailNext(n int, route string, f Fault) {
	for range n {
		s.Fail(route, f)
	}
}

func (s *Stripe) mustRoute(route string) {
	for _, op := range operations {
		if op.route == route {
			return
		}
	}
	panic("stripetest: no route " + strconv.Quote(route))
}

// takeFault takes the route's next fault, or that of the chaos when none waits, if it fits; nil fits every one.
func (s *Stripe) takeFault(route string, chaos Fault, fits func(Fault) bool) Fault {
	waiting := s.faults[route]
	if len(waiting) == 0 {
		waiting = []Fault{chaos}
	}
	if fits != nil && !fits(waiting[0]) {
		return Fault{}
	}
	s.faults[route] = waiting[1:]
	return waiting[0]
}

// wait waits at the fault's gate. It reports false when the client or the stand-in went away first.
func (s *Stripe) wait(r *http.Request, f Fault) bool {
	if f.Gate == nil {
		return true
	}
	select {
	case <-f.Gate:
		return true
	case <-r.Context().Done():
		return false
	case <-s.ctx.Done():
		return false
	}
}

// cut closes the connection in the middle of the answer's first line. A connection that closes before the first byte
// would be tried again by Go's own HTTP client, unseen by the caller, since the request has an Idempotency-Key.
func cut(w http.ResponseWriter) {
	if hj, ok := w.(http.Hijacker); ok {
		if conn, buf, err := hj.Hijack(); err == nil {
			_, _ = buf.WriteString("HTTP/1.1 2")
			_ = buf.Flush()
			_ = conn.Close()
			return
		}
	}
	panic(http.ErrAbortHandler)
}

// keyed is an idempotency key and what became of it.
type keyed struct {
	key, path, params string
	at                time.Time
	request           string
	answer            *answer // nil while the first request is under way
}

type replay struct{ answer }

// keyLife is how long Stripe remembers a key. https://docs.stripe.com/api/idempotent_requests
const keyLife = 24 * time.Hour

// claim takes a key for a request, or finds its stored answer. Stripe compares before it validates.
func (s *Stripe) claim(key, path string, p params) (*keyed, *replay, *apiError) {
	if key == "" {
		return nil, nil, nil
	}
	now := s.cfg.Now()
	k := s.keys[key]
	switch {
	case k == nil, k.answer != nil && now.Sub(k.at) >= keyLife:
		k = &keyed{key: key, path: path, params: p.fingerprint(), at: now}
		s.keys[key] = k
		return k, nil, nil
	case k.path != path:
		return nil, nil, idempotencyError("Keys for idempotent requests can only be used for the same endpoint they were first used for ('%s' vs '%s'). Try using a key other than '%s' if you meant to execute a different request.", path, k.path, key)
	case k.params != p.fingerprint():
		return nil, nil, idempotencyError("Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a key other than '%s' if you meant to execute a different request.", key)
	case k.answer == nil:
		return nil, nil, withStatus(http.StatusConflict, invalid("idempotency_key_in_use", "", "There is currently another in-progress request using this Idempotent Key (that probably means you submitted twice, and the other request is still going through): %s. Please try again later.", key))
	}
	return k, &replay{*k.answer}, nil
}

func idempotencyError(format string, args ...any) *apiError {
	e := invalid("", "", format, args...)
	e.Type = "idempotency_error"
	return e
}

func (s *Stripe) store(k *keyed, request string, a answer) {
	if k != nil {
		k.request, k.answer = request, &a
	}
}

// release gives a key back: nothing was executed under it.
func (s *Stripe) release(k *keyed) {
	if k != nil && s.keys[k.key] == k {
		delete(s.keys, k.key)
	}
}
