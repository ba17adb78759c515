package payment

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/store/memory"
)

func TestConfig(t *testing.T) {
	good := func() Config {
		return Config{Store: &memory.Store{}, SecretKey: "sk_test_abc", Mode: Test}
	}
	for name, c := range map[string]struct {
		change func(*Config)
		want   string // empty: fine
	}{
		"the least":           {func(*Config) {}, ""},
		"restricted":          {func(c *Config) { c.SecretKey = "rk_test_abc" }, ""},
		"live":                {func(c *Config) { c.SecretKey, c.Mode = "sk_live_abc", Live }, ""},
		"restricted and live": {func(c *Config) { c.SecretKey, c.Mode = "rk_live_abc", Live }, ""},
		"both codecs":         {func(c *Config) { c.Codecs = []booking.Codec{booking.Marked{}, booking.Plain{}} }, ""},
		"longest hold":        {func(c *Config) { c.Hold = 24 * time.Hour }, ""},
		"shortest hold":       {func(c *Config) { c.Hold = 31 * time.Minute }, ""},

		"no store":           {func(c *Config) { c.Store = nil }, "Store"},
		"no key":             {func(c *Config) { c.SecretKey = "" }, "SecretKey is empty"},
		"publishable key":    {func(c *Config) { c.SecretKey = "pk_test_abc" }, "SecretKey is not"},
		"only a prefix":      {func(c *Config) { c.SecretKey = "sk_test_" }, "SecretKey is not"},
		"webhook's secret":   {func(c *Config) { c.SecretKey = "whsec_abc" }, "SecretKey is not"},
		"live key in test":   {func(c *Config) { c.SecretKey = "sk_live_abc" }, "SecretKey is a live key"},
		"test key live":      {func(c *Config) { c.SecretKey, c.Mode = "rk_test_abc", Live }, "SecretKey is a test key"},
		"no mode":            {func(c *Config) { c.Mode = "" }, "Mode"},
		"another mode":       {func(c *Config) { c.Mode = "production" }, "Mode"},
		"plain first":        {func(c *Config) { c.Codecs = []booking.Codec{booking.Plain{}} }, "Codecs"},
		"nil codec":          {func(c *Config) { c.Codecs = []booking.Codec{booking.Marked{}, nil} }, "nil"},
		"success URL a path": {func(c *Config) { c.SuccessURL = "/success" }, "SuccessURL"},
		"cancel URL":         {func(c *Config) { c.CancelURL = "javascript:alert(1)" }, "CancelURL"},
		"API base":           {func(c *Config) { c.APIBase = "localhost:12111" }, "APIBase"},
		"hold too short":     {func(c *Config) { c.Hold = 30 * time.Minute }, "Hold"},
		"hold too long":      {func(c *Config) { c.Hold = 25 * time.Hour }, "Hold"},
		"negative timeout":   {func(c *Config) { c.Timeout = -1 }, "Timeout"},
		"account":            {func(c *Config) { c.Account = "acct\x00" }, "Account"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good()
			c.change(&cfg)
			s, err := New(cfg)
			if c.want == "" {
				require.NoError(t, err)
				assert.Equal(t, cfg.Mode, s.Mode())
				return
			}
			require.ErrorContains(t, err, c.want)
			assert.Nil(t, s)
			if cfg.SecretKey != "" && cfg.SecretKey != "sk_test_" {
				assert.NotContains(t, err.Error(), cfg.SecretKey, "a key is never shown")
			}
		})
	}

	_, err := New(Config{Hold: 1, APIBase: "x"})
	for _, word := range []string{"Store", "SecretKey", "Mode", "Hold", "APIBase"} {
		require.ErrorContains(t, err, word)
	}
}

func TestWith(t *testing.T) {
	w := newWorld(t)
	other := &memory.Store{}
	ss := w.paid(w.plainSession(false).ID)
	_, err := w.pay.With(other).Confirm(ctxOf(t), ss.ID, "user_7")
	require.NoError(t, err)
	assert.Empty(t, w.bookings("user_7"))
	_, err = other.BookingBySession(ctxOf(t), ss.ID)
	require.NoError(t, err)
}

// Somebody watches all calls of the program.
func TestOtherDefaultTransport(t *testing.T) {
	saved := http.DefaultTransport
	t.Cleanup(func() { http.DefaultTransport = saved })
	seen := 0
	http.DefaultTransport = roundTrip(func(r *http.Request) (*http.Response, error) {
		seen++
		return saved.RoundTrip(r)
	})
	w := newWorld(t)
	assert.NotEmpty(t, w.checkout(w.request("a")).URL)
	assert.Positive(t, seen)
}
