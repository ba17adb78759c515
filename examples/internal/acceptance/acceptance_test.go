// Package acceptance starts the real bookingserver on a SQLite file, delivers
// paid intents to it, each twice at the same time, kills it in the middle, and
// counts what the database holds in the end.
//
// ACCEPTANCE_N (default 100) is the number of intents, ACCEPTANCE_KILLS (default 2,
// or 5 for 1,000 intents and more) that of the kills.
package acceptance

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/sqlstore"
	"github.com/carevia/stripebooking/webhook/webhooktest"
)

const (
	secret  = "whsec_acceptance"
	workers = 16 // intents at a time, each with two deliveries
)

// build makes the program, once for all tests.
var build = sync.OnceValues(func() (string, error) {
	binary := filepath.Join(binDir, "bookingserver")
	out, err := exec.Command("go", "build", "-o", binary, "../../bookingserver").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("go build: %w\n%s", err, out)
	}
	return binary, err
})

var binDir string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if binDir, err = os.MkdirTemp("", "stripebooking-acceptance-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(binDir)
		return m.Run()
	}())
}

func size(t *testing.T, name string, otherwise int) int {
	v := os.Getenv(name)
	if v == "" {
		return otherwise
	}
	n, err := strconv.Atoi(v)
	require.NoError(t, err, name)
	require.Positive(t, n, name)
	return n
}

func TestDeliveredTwice(t *testing.T) {
	n := size(t, "ACCEPTANCE_N", 100)
	s := start(t)
	began := time.Now()
	deliverAll(t, s, n, func(int64) {})
	t.Logf("%d deliveries of %d intents in %v", 2*n, n, time.Since(began).Round(time.Millisecond))
	s.stop()
	check(t, s, n)
}

func TestDeliveredTwiceAndKilled(t *testing.T) {
	n, kills := size(t, "ACCEPTANCE_N", 100), 2
	if n >= 1000 {
		kills = 5
	}
	kills = size(t, "ACCEPTANCE_KILLS", kills)
	s := start(t)
	var killed int64
	began := time.Now()
	deliverAll(t, s, n, func(answered int64) {
		// The answer that passes each mark pulls the plug.
		for k := 1; k <= kills; k++ {
			if answered == int64(2*n*k/(kills+1)) {
				killed++
				s.kill()
				s.run()
			}
		}
	})
	t.Logf("%d deliveries of %d intents, %d of them sent again, %d kills, in %v",
		2*n, n, s.again.Load(), killed, time.Since(began).Round(time.Millisecond))
	require.EqualValues(t, kills, killed)
	s.stop()
	check(t, s, n)
}

// deliverAll delivers n intents, each twice at the same time, and sends again
// what got no answer. It calls answered with the count of answers so far, for one
// answer at a time.
func deliverAll(t *testing.T, s *server, n int, answered func(int64)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	client := &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: 2 * workers},
		Timeout:   20 * time.Second,
	}
	defer client.CloseIdleConnections()

	var total int64
	var mu sync.Mutex
	deliver := func(event []byte) {
		for ctx.Err() == nil {
			status, err := s.deliver(ctx, client, event)
			if err != nil {
				s.again.Add(1)
				s.waitUp(ctx)
				continue
			}
			if status < 200 || status > 299 {
				t.Errorf("a delivery was answered with %d", status)
			}
			mu.Lock()
			total++
			answered(total)
			mu.Unlock()
			return
		}
	}

	intents := make(chan [2][]byte)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for intent := range intents {
				var pair sync.WaitGroup
				for _, event := range intent {
					pair.Go(func() { deliver(event) })
				}
				pair.Wait()
			}
		})
	}
	for i := range n {
		intents <- events(t, i)
	}
	close(intents)
	wg.Wait()
	require.NoError(t, ctx.Err(), "not everything was answered in time")
	require.EqualValues(t, 2*n, total)
}

// events are the two deliveries of intent i: mostly one event twice, else the
// session's and the intent's. Half of the intents come from a site with metadata
// of its own, which the plain codec reads.
func events(t *testing.T, i int) [2][]byte {
	order := booking.Order{
		BookingID:   fmt.Sprintf("bk_acceptance_%d", i),
		UserID:      fmt.Sprintf("user_%d", i%50),
		ServiceID:   "elderly-care",
		ServiceName: "Elderly care visit",
		Option:      store.OptionFull,
		Purpose:     store.PurposeFull,
		Total:       4500,
		Now:         4500,
		Currency:    "usd",
	}
	var codec booking.Codec = booking.Marked{}
	if i%2 == 1 {
		codec, order.BookingID = booking.Plain{}, "" // such a site knows none yet
	}
	metadata, err := codec.Encode(order)
	require.NoError(t, err)
	intent := fmt.Sprintf("pi_acceptance_%d", i)
	session := webhooktest.SessionCompleted(webhooktest.Session{
		ID: fmt.Sprintf("cs_test_acceptance_%d", i), Intent: intent, Amount: order.Now, Metadata: metadata,
	})
	if i%4 < 2 {
		return [2][]byte{session, session}
	}
	return [2][]byte{session, webhooktest.IntentSucceeded(webhooktest.Intent{ID: intent, Amount: order.Now, Metadata: metadata})}
}

// check counts in the database, whose server has stopped.
func check(t *testing.T, s *server, n int) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+s.file)
	require.NoError(t, err)
	defer db.Close()
	const bookings, payments = sqlstore.DefaultPrefix + "bookings", sqlstore.DefaultPrefix + "payments"
	for _, query := range []string{
		"SELECT count(*) FROM " + bookings,
		"SELECT count(*) FROM " + payments,
		"SELECT count(DISTINCT payment_intent_id) FROM " + bookings,
		"SELECT count(DISTINCT booking_id) FROM " + payments,
		"SELECT count(*) FROM " + bookings + " WHERE state = 'confirmed' AND reason = ''",
		"SELECT count(*) FROM " + payments + " WHERE status = 'succeeded' AND amount = 4500",
		"SELECT count(*) FROM " + bookings + " b JOIN " + payments + " p ON p.booking_id = b.id AND p.payment_intent_id = b.payment_intent_id",
	} {
		var got int
		require.NoError(t, db.QueryRow(query).Scan(&got), query)
		assert.Equal(t, n, got, query)
	}
	var sound string
	require.NoError(t, db.QueryRow("PRAGMA integrity_check").Scan(&sound))
	assert.Equal(t, "ok", sound)
}

// server is the bookingserver as a process of its own.
type server struct {
	t      *testing.T
	binary string
	file   string
	addr   string
	log    *os.File
	cmd    *exec.Cmd
	again  atomic.Int64 // deliveries that got no answer
}

func start(t *testing.T) *server {
	t.Helper()
	binary, err := build()
	require.NoError(t, err)
	dir := t.TempDir()
	s := &server{t: t, binary: binary, file: filepath.Join(dir, "bookings.db"), addr: freeAddr(t)}
	s.log, err = os.Create(filepath.Join(dir, "log"))
	require.NoError(t, err)
	t.Cleanup(func() {
		if s.cmd != nil {
			s.kill()
		}
		s.log.Close()
		if t.Failed() {
			tail(t, s.log.Name())
		}
	})
	s.run()
	return s
}

func freeAddr(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	return ln.Addr().String()
}

// run starts the process and waits until it answers.
func (s *server) run() {
	s.cmd = exec.Command(s.binary, "-addr", s.addr, "-store", "sqlite:"+s.file)
	s.cmd.Env = []string{"STRIPE_WEBHOOK_SECRET=" + secret, "HOME=" + os.Getenv("HOME"), "TMPDIR=" + os.TempDir()}
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		s.cmd = nil
		s.t.Errorf("start: %v", err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if !s.waitUp(ctx) {
		s.t.Errorf("the server does not answer")
	}
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
	resp, err := http.DefaultClient.Do(r)
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
	_ = s.cmd.Wait()
	s.cmd = nil
}

// stop asks the process to end and expects that it does so well.
func (s *server) stop() {
	s.t.Helper()
	require.NoError(s.t, s.cmd.Process.Signal(syscall.SIGTERM))
	assert.NoError(s.t, s.cmd.Wait(), "the server's exit")
	s.cmd = nil
}

// deliver posts one event, signed now, and returns the status. An error means
// that no whole answer came.
func (s *server) deliver(ctx context.Context, client *http.Client, event []byte) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.addr+"/api/payment/webhook", bytes.NewReader(event))
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

func tail(t *testing.T, name string) {
	data, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return
	}
	if len(data) > 4000 {
		data = data[len(data)-4000:]
	}
	t.Logf("the end of the server's log:\n%s", data)
}
