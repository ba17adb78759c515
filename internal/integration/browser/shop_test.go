package browser

import (
	"context"
	"encoding/json"
	"net/http"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/servers"
	"github.com/carevia/stripebooking/payment/stripetest"
)

func TestMain(m *testing.M) { servers.Main(m, func() { closeChromium() }) } // the one that there is then

// shop is the bookingserver, in a process of its own, on a stand-in for Stripe whose
// deliveries the test can hold back.
type shop struct {
	t      *testing.T
	url    string
	stripe *stripetest.Server
	cmd    *exec.Cmd
}

func open(t *testing.T, args ...string) *shop {
	t.Helper()
	servers.Program(t, "chromium", "chromium-browser", "google-chrome") // chromedp finds it by itself
	stripe := stripetest.NewServer(stripetest.Config{})
	t.Cleanup(stripe.Close)
	addr := servers.FreeAddr(t)
	s := &shop{t: t, url: "http://" + addr, stripe: stripe}
	s.cmd = exec.Command(servers.Bookingserver(t), append([]string{"-addr", addr, "-store", "memory"}, args...)...)
	s.cmd.Env = []string{
		"STRIPE_SECRET_KEY=" + stripe.SecretKey,
		"STRIPE_WEBHOOK_SECRET=" + stripe.WebhookSecret,
		"STRIPE_API_BASE=" + stripe.URL,
	}
	servers.Start(t, s.cmd, func() error {
		resp, err := http.Get(s.url + "/healthz")
		if err == nil {
			resp.Body.Close()
		}
		return err
	})
	require.NoError(t, stripe.AddEndpoint(s.url+"/api/payment/webhook", ""))
	return s
}

// deliver sends what was held back, and waits until the webhook has taken it.
func (s *shop) deliver() {
	s.t.Helper()
	s.stripe.Release()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	require.NoError(s.t, s.stripe.Wait(ctx))
}

// session is the one checkout session that was made.
func (s *shop) session() stripetest.Session {
	s.t.Helper()
	all := s.stripe.Sessions()
	require.Len(s.t, all, 1)
	return all[0]
}

// booking is what the API tells the visitor of the booking that the session is for.
func (s *shop) booking() (b booking) {
	s.t.Helper()
	s.get("/api/bookings/"+s.session().Metadata["bookingId"], &b)
	return b
}

type booking struct{ ID, State, ServiceName, PaymentOption, Total, Paid, Due string }

// payment is the one that the API tells the visitor of.
func (s *shop) payment() payment {
	s.t.Helper()
	var all []payment
	s.get("/api/payments", &all)
	require.Len(s.t, all, 1)
	return all[0]
}

type payment struct{ BookingID, PaymentIntentID, Amount, Status string }

func (s *shop) get(path string, data any) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+path, nil)
	require.NoError(s.t, err)
	r.Header.Set("X-Demo-User", s.session().Metadata["userId"])
	resp, err := http.DefaultClient.Do(r)
	require.NoError(s.t, err)
	defer resp.Body.Close()
	require.Equal(s.t, http.StatusOK, resp.StatusCode, path)
	require.NoError(s.t, json.NewDecoder(resp.Body).Decode(&struct{ Data any }{data}))
}
