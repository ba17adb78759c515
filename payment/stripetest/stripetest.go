package stripetest

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

// APIVersion is the version of Stripe's API that the stand-in speaks, whatever version a request asks for.
const APIVersion = "2023-10-16"

// What an empty Config stands for.
const (
	DefaultSecretKey     = "sk_test_stripetest"
	DefaultWebhookSecret = "whsec_stripetest"
)

// Config of a stand-in. The zero value works.
type Config struct {
	SecretKey     string           // what requests must carry; sk_test_… or rk_test_…; default DefaultSecretKey
	WebhookSecret string           // for endpoints that are added without a secret; default DefaultWebhookSecret
	Addr          string           // NewServer only: where to listen, on a loopback address; default 127.0.0.1:0
	PublicURL     string           // New only: the address the handler is reached at, for the links to the pay page
	Seed          int64            // of the ids and of the chaos. 0: another one each time, which a database that outlives the stand-in needs
	Now           func() time.Time // default time.Now
	Clock         *Clock           // instead of Now: a clock that the test moves, retries and delays included
	Logger        *slog.Logger     // one line per request and per delivery, with ids only; nil: silent
	Chaos         Chaos            // what goes wrong at first; see SetChaos

	// RetryDelays are the pauses after the first, second, … failed attempt to deliver an event; when they are used up
	// the stand-in gives up. Default: six in real time, from 100 ms, doubling; with a Clock ten, from five minutes,
	// doubling, until the three days that Stripe tries are over (https://docs.stripe.com/webhooks#automatic-retries).
	// An empty list that is not nil means one attempt.
	RetryDelays []time.Duration

	Parallel       int           // at most so many deliveries at once in the background; default 16. 1 keeps the order
	AttemptTimeout time.Duration // how long an endpoint may take to answer; default 30 s, in real time
	AllowRemote    bool          // endpoints off this machine are refused unless true
}

// Stripe is the stand-in: an http.Handler for Stripe's API and its pay page. Make one with New or NewServer. All its
// methods may be used at the same time.
type Stripe struct {
	SecretKey     string // as in the Config, or the default
	WebhookSecret string // as in the Config, or the default
	Seed          int64  // as in the Config, or the one that was drawn: a Config with it makes the same ids and the same chaos

	cfg    Config
	base   string // where the pay page is
	mux    *http.ServeMux
	client *http.Client
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // deliveries under way

	mu        sync.Mutex
	closed    bool
	seed      []byte
	naming    string            // what ids are made for now
	made      map[string]uint64 // ids made so far, by naming
	products  shelf[*product]
	prices    shelf[*price]
	sessions  shelf[*session]
	methods   shelf[*method]
	intents   shelf[*intent]
	charges   shelf[*charge]
	refunds   shelf[*refund]
	disputes  shelf[*dispute]
	events    shelf[*event]
	endpoints shelf[*endpoint]
	alarms    []alarm // the next one first

	keys     map[string]*keyed
	faults   map[string][]Fault
	chaos    Chaos
	met      map[[2]string]int // requests that chaos has decided about, by route and what they are about
	requests []Request

	queue   []*parcel   // to be sent
	putOff  []*parcel   // to be queued when they are due
	bell    *time.Timer // when the first of them is, without a Clock
	waiting int         // parcels neither taken nor given up
	held    bool
	flying  []*parcel // background attempts under way
	log     []Delivery
	settled chan struct{} // closed and replaced whenever a parcel changes
}

// New returns a stand-in to be mounted in a server of one's own. Config.PublicURL is required.
func New(cfg Config) (*Stripe, error) {
	var errs []error
	u, err := url.Parse(cfg.PublicURL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		errs = append(errs, errors.New("stripetest: PublicURL must be an http address"))
	}
	if cfg.SecretKey == "" {
		cfg.SecretKey = DefaultSecretKey
	}
	if !strings.HasPrefix(cfg.SecretKey, "sk_test_") && !strings.HasPrefix(cfg.SecretKey, "rk_test_") {
		errs = append(errs, errors.New("stripetest: SecretKey must begin with sk_test_ or rk_test_"))
	}
	if cfg.WebhookSecret == "" {
		cfg.WebhookSecret = DefaultWebhookSecret
	}
	if cfg.AttemptTimeout < 0 {
		errs = append(errs, errors.New("stripetest: AttemptTimeout is negative"))
	}
	for _, d := range cfg.RetryDelays {
		if d < 0 {
			errs = append(errs, errors.New("stripetest: RetryDelays has a negative one"))
			break
		}
	}
	if cfg.Parallel < 0 {
		errs = append(errs, errors.New("stripetest: Parallel is negative"))
	}
	if cfg.Now != nil && cfg.Clock != nil {
		errs = append(errs, errors.New("stripetest: Now and Clock are both set"))
	}
	if err := cfg.Chaos.check(); err != nil {
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if cfg.Clock != nil {
		cfg.Now = cfg.Clock.Now
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(discard{})
	}
	if cfg.AttemptTimeout == 0 {
		cfg.AttemptTimeout = 30 * time.Second
	}
	if cfg.Parallel == 0 {
		cfg.Parallel = 16
	}
	if cfg.RetryDelays == nil && cfg.Clock != nil {
		cfg.RetryDelays = threeDays()
	}
	if cfg.RetryDelays == nil {
		for d := 100 * time.Millisecond; len(cfg.RetryDelays) < 6; d *= 2 {
			cfg.RetryDelays = append(cfg.RetryDelays, d)
		}
	}
	for cfg.Seed == 0 {
		if err := binary.Read(rand.Reader, binary.BigEndian, &cfg.Seed); err != nil {
			return nil, fmt.Errorf("stripetest: %w", err)
		}
	}

	s := &Stripe{
		SecretKey: cfg.SecretKey, WebhookSecret: cfg.WebhookSecret, Seed: cfg.Seed,
		cfg: cfg, base: strings.TrimRight(cfg.PublicURL, "/"),
		seed: binary.BigEndian.AppendUint64(nil, uint64(cfg.Seed)), made: map[string]uint64{},
		keys: map[string]*keyed{}, faults: map[string][]Fault{}, chaos: cfg.Chaos, met: map[[2]string]int{},
		settled: make(chan struct{}),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.client = &http.Client{
		// No proxy: an endpoint is on this machine. Many idle connections: a burst goes to one host.
		Transport: &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 10 * time.Second},
		// Stripe counts a redirect as a failure.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	s.mux = s.routes()
	if cfg.Clock != nil {
		cfg.Clock.add(s)
	}
	return s, nil
}

// ServeHTTP answers Stripe's API under /v1/, the pay page under /pay/, and /healthz.
func (s *Stripe) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Close stops all deliveries, those under way included, and waits until they have ended.
func (s *Stripe) Close() {
	s.mu.Lock()
	s.closed = true
	if s.bell != nil {
		s.bell.Stop()
	}
	s.changed()
	s.mu.Unlock()
	if s.cfg.Clock != nil {
		s.cfg.Clock.remove(s)
	}
	s.cancel()
	s.wg.Wait()
	s.client.CloseIdleConnections()
}

// Server is a stand-in that listens on this machine.
type Server struct {
	*Stripe
	URL string // "http://127.0.0.1:PORT", for the client's backend

	http *http.Server
	done chan struct{}
}

// NewServer starts a stand-in on a free port of 127.0.0.1, or on Config.Addr. Like httptest.NewServer it panics if
// it can't, and the caller must Close it.
func NewServer(cfg Config) *Server {
	if cfg.Addr == "" {
		cfg.Addr = "127.0.0.1:0"
	}
	host, _, err := net.SplitHostPort(cfg.Addr)
	if err != nil {
		panic(fmt.Sprintf("stripetest: Addr: %v", err))
	}
	if !loopback(host) {
		panic("stripetest: Addr must be on a loopback address; mount New in a server of your own for anything else")
	}
	l, err := net.Listen("tcp", cfg.Addr)
	if err != nil {
		panic(fmt.Sprintf("stripetest: %v", err))
	}
	srv := &Server{URL: "http://" + l.Addr().String(), done: make(chan struct{})}
	cfg.PublicURL = srv.URL
	srv.Stripe, err = New(cfg)
	if err != nil {
		l.Close()
		panic(err.Error())
	}
	srv.http = &http.Server{Handler: srv.Stripe, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(srv.done)
		_ = srv.http.Serve(l) // always ErrServerClosed, after Close
	}()
	return srv
}

// Close stops the server, its connections and its deliveries.
func (srv *Server) Close() {
	srv.Stripe.Close()
	_ = srv.http.Close()
	<-srv.done
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func (s *Stripe) now() int64 { return s.cfg.Now().Unix() }

// alarm is something that happens when the clock gets there.
type alarm struct {
	at int64
	do func()
}

func (s *Stripe) at(t int64, do func()) {
	i := sort.Search(len(s.alarms), func(i int) bool { return s.alarms[i].at > t })
	s.alarms = slices.Insert(s.alarms, i, alarm{t, do})
}

// wake does what has come due. Every way in calls it first, so that nothing is missed.
func (s *Stripe) wake() {
	for len(s.alarms) > 0 && s.alarms[0].at <= s.now() {
		do := s.alarms[0].do
		s.alarms = s.alarms[1:]
		do()
	}
}

// named has ids made for something that has a name of its own, until the function that it returns is called. They then
// depend on it, and on how many were made for it, and not on what else happens meanwhile.
func (s *Stripe) named(name string) (back func()) {
	outer := s.naming
	s.naming = name
	return func() { s.naming = outer }
}

// id makes one of Stripe's shape: prefix and n letters and digits.
func (s *Stripe) id(prefix string, n int) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	s.made[s.naming]++
	var sum []byte
	for block := 0; len(sum) < n; block++ {
		sum = append(sum, s.digest("id", s.naming, strconv.FormatUint(s.made[s.naming], 10), strconv.Itoa(block))...)
	}
	x, base := new(big.Int).SetBytes(sum), big.NewInt(int64(len(digits)))
	out := make([]byte, n)
	for i := range out {
		var d big.Int
		x.DivMod(x, base, &d)
		out[i] = digits[d.Int64()]
	}
	return prefix + string(out)
}

// discard is a slog.Handler that drops everything.
type discard struct{}

func (discard) Enabled(context.Context, slog.Level) bool  { return false }
func (discard) Handle(context.Context, slog.Record) error { return nil }
func (discard) WithAttrs([]slog.Attr) slog.Handler        { return discard{} }
func (discard) WithGroup(string) slog.Handler             { return discard{} }
