package stripetest

import (
	"crypto/subtle"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// answer is what an endpoint of the API gives back.
type answer struct {
	status int
	body   []byte
}

func answerOf(v any, err *apiError) answer {
	if err != nil {
		return answer{err.status, encode(map[string]any{"error": err})}
	}
	return answer{http.StatusOK, encode(v)}
}

// operation is one endpoint of the API. check changes nothing; the work it returns runs at most once per idempotency
// key. Both are called with s.mu held.
type operation struct {
	route string
	check func(s *Stripe, p params, id string) (work, *apiError)
}

type work func(c cause) (any, *apiError)

var operations = []operation{
	{"POST /v1/checkout/sessions", (*Stripe).apiCreateSession},
	{"GET /v1/checkout/sessions", sessions.list},
	{"GET /v1/checkout/sessions/{id}", sessions.get},
	{"GET /v1/checkout/sessions/{id}/line_items", (*Stripe).apiListItems},
	{"POST /v1/checkout/sessions/{id}/expire", (*Stripe).apiExpireSession},
	{"GET /v1/payment_pages/{id}", (*Stripe).apiGetPage},
	{"POST /v1/payment_pages/{id}/confirm", (*Stripe).apiConfirmPage},
	{"POST /v1/payment_intents", (*Stripe).apiCreateIntent},
	{"GET /v1/payment_intents", intents.list},
	{"GET /v1/payment_intents/{id}", intents.get},
	{"POST /v1/payment_intents/{id}/confirm", (*Stripe).apiConfirmIntent},
	{"POST /v1/payment_intents/{id}/cancel", (*Stripe).apiCancelIntent},
	{"POST /v1/payment_methods", (*Stripe).apiCreateMethod},
	{"GET /v1/payment_methods/{id}", methods.get},
	{"GET /v1/charges", charges.list},
	{"GET /v1/charges/{id}", charges.get},
	{"POST /v1/refunds", (*Stripe).apiCreateRefund},
	{"GET /v1/refunds", refunds.list},
	{"GET /v1/refunds/{id}", refunds.get},
	{"POST /v1/refunds/{id}", (*Stripe).apiUpdateRefund},
	{"GET /v1/disputes", disputes.list},
	{"GET /v1/disputes/{id}", disputes.get},
	{"POST /v1/disputes/{id}", (*Stripe).apiUpdateDispute},
	{"POST /v1/disputes/{id}/close", (*Stripe).apiCloseDispute},
	{"POST /v1/products", (*Stripe).apiCreateProduct},
	{"GET /v1/products", products.list},
	{"GET /v1/products/{id}", products.get},
	{"POST /v1/prices", (*Stripe).apiCreatePrice},
	{"GET /v1/prices", prices.list},
	{"GET /v1/prices/{id}", prices.get},
	{"GET /v1/events", events.list},
	{"GET /v1/events/{id}", events.get},
	{"POST /v1/events/{id}/retry", (*Stripe).apiRetryEvent},
	{"GET /v1/webhook_endpoints", endpoints.list},
	{"GET /v1/webhook_endpoints/{id}", endpoints.get},
}

func (s *Stripe) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for _, op := range operations {
		mux.HandleFunc(op.route, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, op) })
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.serve(w, r, operation{"other", func(*Stripe, params, string) (work, *apiError) {
			return nil, withStatus(http.StatusNotFound, invalid("", "", "Unrecognized request URL (%s: %s).", r.Method, r.URL.Path))
		}})
	})
	mux.HandleFunc("GET /pay/{id}", s.showPage)
	mux.HandleFunc("POST /pay/{id}", s.submitPage)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	return mux
}

// Request is one request that reached the stand-in's API.
type Request struct {
	Route          string // such as "POST /v1/checkout/sessions/{id}/expire"; "other" if there is none
	Path           string
	ID             string // the Request-Id header
	IdempotencyKey string
	Status         int  // 0: no answer was sent
	Replayed       bool // answered from the key's stored result
}

// Requests are the requests that have been answered or cut, in the order in which they ended.
func (s *Stripe) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.requests...)
}

// Count is how many requests of a route have ended, whatever the answer was; the route is named as in Request.
func (s *Stripe) Count(route string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mustRoute(route)
	n := 0
	for _, r := range s.requests {
		if r.Route == route {
			n++
		}
	}
	return n
}

// maxBody is far above what the parameters of a session can need.
const maxBody = 1 << 20

func (s *Stripe) serve(w http.ResponseWriter, r *http.Request, op operation) {
	began := time.Now()
	s.mu.Lock()
	rec := Request{Route: op.route, Path: r.URL.Path, ID: s.id("req_", 14)}
	s.mu.Unlock()
	if r.Method == http.MethodPost {
		rec.IdempotencyKey = r.Header.Get("Idempotency-Key")
	}
	h := w.Header()
	h.Set("Request-Id", rec.ID)
	h.Set("Stripe-Version", APIVersion)
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-cache, no-store")
	if rec.IdempotencyKey != "" {
		h.Set("Idempotency-Key", rec.IdempotencyKey)
	}

	out, f := s.handle(w, r, op, &rec)
	rec.Status = out.status
	if f.Cut || r.Context().Err() != nil {
		rec.Status = 0
	}
	s.mu.Lock()
	s.requests = append(s.requests, rec)
	s.mu.Unlock()
	s.cfg.Logger.Info("stripetest: request", "route", rec.Route, "request", rec.ID, "status", rec.Status, "replayed", rec.Replayed, "ms", time.Since(began).Milliseconds())
	if f.Cut {
		cut(w)
		return
	}
	w.WriteHeader(out.status)
	_, _ = w.Write(out.body)
}

// handle answers one request; f is the fault that it met, if any.
func (s *Stripe) handle(w http.ResponseWriter, r *http.Request, op operation, rec *Request) (out answer, f Fault) {
	fail := func(err *apiError) (answer, Fault) { return answerOf(nil, err), f }
	if err := s.authorize(r); err != nil {
		w.Header().Set("WWW-Authenticate", `Basic realm="Stripe"`)
		return fail(err)
	}
	p, err := readParams(w, r)
	if err != nil {
		return fail(err)
	}
	if len(rec.IdempotencyKey) > 255 {
		return fail(invalid("", "", "Idempotency keys can be at most 255 characters long."))
	}

	s.mu.Lock()
	s.wake()
	s.pump()
	chaos := s.faultOf(r, op.route, p)
	// Rate limits come before everything that a key protects.
	f = s.takeFault(op.route, chaos, func(f Fault) bool { return f.early() })
	s.mu.Unlock()
	if f.early() {
		if !s.wait(r, f) {
			return answer{}, Fault{Cut: true}
		}
		if f.RetryAfter > 0 {
			w.Header().Set("Retry-After", f.retryAfter())
		}
		return fail(faultError(f.Status))
	}

	s.mu.Lock()
	k, stored, err := s.claim(rec.IdempotencyKey, r.URL.Path, p)
	if err != nil {
		s.mu.Unlock()
		return fail(err)
	}
	if stored != nil {
		// What goes wrong while the work is done can't go wrong again; the way back can.
		f = s.takeFault(op.route, chaos, func(f Fault) bool { return f.Cut })
		s.mu.Unlock()
		rec.Replayed = true
		w.Header().Set("Idempotent-Replayed", "true")
		w.Header().Set("Original-Request", k.request)
		if !s.wait(r, f) {
			f.Cut = true
		}
		return stored.answer, f
	}
	f = s.takeFault(op.route, chaos, nil)
	s.mu.Unlock()

	// From here on the key is claimed: it must be stored or given back.
	waited := f.Done || s.wait(r, f)
	s.mu.Lock()
	if !waited || f.lostOnTheWay() {
		s.release(k)
		s.mu.Unlock()
		return answerOf(nil, faultError(max(f.Status, http.StatusInternalServerError))), Fault{Cut: f.Cut || !waited}
	}
	work, err := op.check(s, p, r.PathValue("id"))
	if err != nil {
		s.release(k)
		s.mu.Unlock()
		return fail(err)
	}
	if f.Status == 0 || f.Done {
		out = answerOf(work(cause{rec.ID, rec.IdempotencyKey}))
	}
	shown := out
	if f.Status != 0 {
		shown = answerOf(nil, faultError(f.Status))
		if f.Status == http.StatusInternalServerError {
			out = shown // Stripe's own 500 is the result, a gateway's is not
		}
	}
	s.store(k, rec.ID, out)
	s.pump()
	s.mu.Unlock()
	if f.Done && !s.wait(r, f) {
		f.Cut = true
	}
	return shown, f
}

// authorize wants the secret key as a bearer token, or as the user of basic auth as curl -u sends it.
func (s *Stripe) authorize(r *http.Request) *apiError {
	key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		key, _, _ = r.BasicAuth()
	}
	unauthorized := func(format string, args ...any) *apiError {
		return withStatus(http.StatusUnauthorized, invalid("", "", format, args...))
	}
	switch {
	case key == "":
		return unauthorized("You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').")
	case subtle.ConstantTimeCompare([]byte(key), []byte(s.SecretKey)) != 1:
		return unauthorized("Invalid API Key provided: %s", masked(key))
	}
	return nil
}

// masked shows as much of a key as Stripe does: what kind it is and its last four characters.
func masked(key string) string {
	if len(key) < 20 {
		return "****"
	}
	return key[:8] + strings.Repeat("*", len(key)-12) + key[len(key)-4:]
}

func readParams(w http.ResponseWriter, r *http.Request) (params, *apiError) {
	form, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, invalid("", "", "Invalid query string.")
	}
	if r.Method == http.MethodPost {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		if err := r.ParseForm(); err != nil {
			return nil, invalid("", "", "Invalid request body.")
		}
		for name, values := range r.PostForm {
			form[name] = values
		}
	}
	return parseParams(form), nil
}
