package acceptance

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/servers"
	"github.com/carevia/stripebooking/webhook/webhooktest"
)

const (
	secret      = "whsec_acceptance"
	webhookPath = "/api/payment/webhook"
)

// client makes a connection for each request: a server that stops waits some
// seconds for one that nothing was asked on.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}

// server is a bookingserver, a process of its own.
type server struct {
	t      *testing.T
	binary string
	place  place
	env    []string
	addr   string
	log    *os.File
	cmd    *exec.Cmd
	ended  chan struct{} // closed when the process has
	exit   error
}

// start starts servers on one empty database, all at once, and waits for them.
func start(t *testing.T, binary string, p place, processes int, env ...string) []*server {
	t.Helper()
	all := make([]*server, processes)
	var starting sync.WaitGroup
	for i, addr := range freeAddrs(t, processes) {
		log, err := os.Create(filepath.Join(t.TempDir(), "log"))
		require.NoError(t, err)
		s := &server{t: t, binary: binary, place: p, env: env, addr: addr, log: log}
		all[i] = s
		t.Cleanup(s.end)
		starting.Go(func() { s.run() })
	}
	starting.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return all
}

// freeAddrs are loopback addresses that nobody listens on.
func freeAddrs(t *testing.T, n int) []string {
	addrs := make([]string, n)
	for i := range addrs {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer ln.Close() // not before the next one has another
		addrs[i] = ln.Addr().String()
	}
	return addrs
}

// environment is that of a bookingserver with a store.
func environment(store string, more ...string) []string {
	env := []string{"BOOKING_STORE=" + store, "STRIPE_WEBHOOK_SECRET=" + secret, "HOME=" + os.Getenv("HOME"), "TMPDIR=" + os.TempDir()}
	return append(env, more...) // the last of a name counts
}

// run starts the process and waits until it answers; false when it does not.
func (s *server) run() bool {
	s.cmd, s.ended = exec.Command(s.binary, "-addr", s.addr), make(chan struct{})
	s.cmd.Env = environment(s.place.flag, s.env...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if !assert.NoError(s.t, servers.StartWithParent(s.cmd, syscall.SIGKILL)) {
		s.cmd = nil
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	go func() {
		s.exit = s.cmd.Wait()
		close(s.ended)
		cancel()
	}()
	return assert.True(s.t, s.waitUp(ctx), "the server does not answer")
}

// waitUp polls until the server answers; false when ctx ends first.
func (s *server) waitUp(ctx context.Context) bool {
	for ctx.Err() == nil {
		if s.healthy(ctx) {
			return true
		}
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond): // between two looks
		}
	}
	return false
}

func (s *server) healthy(ctx context.Context) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.addr+"/healthz", nil)
	if err != nil {
		return false
	}
	resp, err := client.Do(r)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode == http.StatusOK
}

// kill ends the process as a power cut would: nothing is finished.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	<-s.ended
}

// stop asks the processes to end and expects that they do so well, and have told
// the database and neither its password nor of a delivery that failed.
func stop(all []*server) {
	for _, s := range all {
		s.t.Helper()
		require.NoError(s.t, s.cmd.Process.Signal(syscall.SIGTERM))
		<-s.ended
		assert.NoError(s.t, s.exit)
		said, err := os.ReadFile(s.log.Name())
		require.NoError(s.t, err)
		assert.True(s.t, bytes.Contains(said, []byte(s.place.shown)), "the log tells %s", s.place.shown)
		for _, never := range append(s.place.secrets, `level=ERROR msg="webhook:`) {
			if _, rest, is := strings.Cut(string(said), never); is {
				line, _, _ := strings.Cut(rest, "\n")
				s.t.Errorf("the log has %s%s", never, line)
			}
		}
	}
}

// end ends what a failed test has left.
func (s *server) end() {
	if s.cmd != nil {
		s.kill()
	}
	s.log.Close()
	if s.t.Failed() {
		data, err := os.ReadFile(s.log.Name())
		s.t.Logf("the end of the server's log: %v\n%s", err, data[max(0, len(data)-4000):])
	}
}

// call makes a request as a customer, and returns the answer's data.
func (s *server) call(method, path, body string) map[string]any {
	s.t.Helper()
	r, err := http.NewRequest(method, "http://"+s.addr+path, strings.NewReader(body))
	require.NoError(s.t, err)
	r.Header.Set("X-Demo-User", userID(0))
	resp, err := client.Do(r)
	require.NoError(s.t, err)
	defer resp.Body.Close()
	var answer struct {
		Message string
		Data    map[string]any
	}
	require.NoError(s.t, json.NewDecoder(resp.Body).Decode(&answer))
	require.Equal(s.t, http.StatusOK, resp.StatusCode, answer.Message)
	return answer.Data
}

// deliver posts one event, signed now, and returns the status. An error means
// that no whole answer came.
func (s *server) deliver(ctx context.Context, event []byte) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.addr+webhookPath, bytes.NewReader(event))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set("Stripe-Signature", webhooktest.Sign(event, secret, time.Now()))
	resp, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0, err
	}
	return resp.StatusCode, nil
}
