package webhook

import (
	"context"
	"testing"
	"time"

	"github.com/carevia/stripebooking/payment"
	"github.com/carevia/stripebooking/store/memory"
	"github.com/carevia/stripebooking/webhook/webhooktest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestConfig: what New refuses, all at once, and without telling a secret.
func TestConfig(t *testing.T) {
	good := Config{Secrets: []string{"whsec_1"}, Store: &memory.Store{}, Mode: payment.Test}
	live, err := payment.New(payment.Config{Store: good.Store, SecretKey: "sk_live_1", Mode: payment.Live})
	require.NoError(t, err)
	direct, err := payment.New(payment.Config{Store: good.Store, SecretKey: "sk_live_1", Mode: payment.Live, Account: "acct_1"})
	require.NoError(t, err)
	for _, tc := range []struct {
		name   string
		change func(*Config)
		want   []string // parts of the error; none: it is right
	}{
		{"the least", func(*Config) {}, nil},
		{"all there is", func(c *Config) {
			c.Secrets, c.Mode, c.Payments, c.Account = []string{"a", "b"}, payment.Live, direct, "acct_1"
			c.Tolerance, c.MaxBody, c.Deadline, c.PermanentStatus = time.Minute, 1000, time.Second, 400
		}, nil},
		{"nothing", func(c *Config) { *c = Config{} }, []string{"Secrets: at least one", "Store is required", "Mode must be"}},
		{"an empty secret", func(c *Config) { c.Secrets = []string{"whsec_1", ""} }, []string{"Secrets[1] is empty"}},
		{"a blank secret", func(c *Config) { c.Secrets = []string{" \t"} }, []string{"Secrets[0] is empty"}},
		{"a secret with a space", func(c *Config) { c.Secrets = []string{"whsec_1", " whsec_2"} }, []string{"Secrets[1] has spaces"}},
		{"secrets in one", func(c *Config) { c.Secrets = []string{"whsec_1,whsec_2"} }, []string{"Secrets[0] has a comma"}},
		{"a key for a secret", func(c *Config) { c.Secrets = []string{"whsec_1", "sk_test_1"} }, []string{"Secrets[1] is an API key"}},
		{"an unknown mode", func(c *Config) { c.Mode = "production" }, []string{"Mode must be"}},
		{"another mode than the payments'", func(c *Config) { c.Payments = live }, []string{`Mode is "test", but that of Payments is "live"`}},
		{"another account than the payments'", func(c *Config) { c.Mode, c.Payments = payment.Live, direct },
			[]string{`Account is "", but that of Payments is "acct_1"`}},
		{"an account that is none", func(c *Config) { c.Account = "\x00" }, []string{"Account"}},
		{"numbers below zero", func(c *Config) { c.Tolerance, c.MaxBody, c.Deadline = -1, -1, -1 },
			[]string{"Tolerance is negative", "MaxBody is negative", "Deadline is negative"}},
		{"a status that means a retry", func(c *Config) { c.PermanentStatus = 500 }, []string{"PermanentStatus must be 200 or 400, not 500"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := good
			tc.change(&cfg)
			h, err := New(cfg)
			if tc.want == nil {
				require.NoError(t, err)
				require.NotNil(t, h)
				return
			}
			require.Nil(t, h)
			for _, want := range tc.want {
				require.ErrorContains(t, err, want)
			}
			assert.ErrorContains(t, err, "webhook: new: ")
			assert.NotContains(t, err.Error(), "whsec_")
		})
	}
}

func TestDefaults(t *testing.T) {
	h, err := New(Config{Secrets: []string{"whsec_1"}, Store: &memory.Store{}, Mode: payment.Test})
	require.NoError(t, err)
	assert.Equal(t, 5*time.Minute, h.cfg.Tolerance)
	assert.Equal(t, int64(1<<20), h.cfg.MaxBody)
	assert.Equal(t, 10*time.Second, h.cfg.Deadline)
	assert.Equal(t, 200, h.cfg.PermanentStatus)
	assert.WithinDuration(t, time.Now(), h.cfg.Now(), time.Hour)
}

// TestSecretsAreCopied: a slice that its owner changes later changes nothing.
func TestSecretsAreCopied(t *testing.T) {
	secrets := []string{secret}
	r := newRig(t, func(c *Config) { c.Secrets = secrets })
	secrets[0] = ""
	requireAnswer(t, r.deliver(custom("evt_1")), 200, true)
}

// TestWith: another store, the same handlers.
func TestWith(t *testing.T) {
	r := newPaidRig(t, &stripe{}, nil)
	other := newRig(t, nil)
	joined := r.With(other.store)
	require.NoError(t, joined.ProcessEvent(context.Background(), custom("evt_1")))
	assert.NotSame(t, r.cfg.Payments, joined.cfg.Payments)
	assert.Equal(t, "no_handler", other.row(t, "evt_1").Reason)
	session := webhooktest.SessionCompleted(webhooktest.Session{EventID: "evt_2", Amount: 5000, Metadata: plain()})
	require.NoError(t, joined.ProcessEvent(context.Background(), session))
	bookings, _ := other.booked(t)
	assert.Len(t, bookings, 1)
	r.requireNothing(t)
}
