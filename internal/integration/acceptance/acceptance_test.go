// Package acceptance starts the real bookingserver on every store, one process and
// two on one database, delivers paid intents to it, each twice at the same time,
// kills a process in the middle, and counts what the database holds in the end.
//
// ACCEPTANCE_N (default 100) is the number of intents, ACCEPTANCE_KILLS (default 2,
// or 5 for 1,000 intents and more) that of the kills. FerretDB, which reads every
// document for most look-ups, gets the intents in shares, each on a database of its
// own, and with kills only a tenth of them; a MongoDB that TEST_MONGODB_URI names gets
// all on one.
package acceptance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/internal/integration/faults"
	"github.com/carevia/stripebooking/internal/integration/servers"
	"github.com/carevia/stripebooking/payment/stripetest"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/webhook/webhooktest"
)

const (
	users = 5  // whose intents they are
	share = 50 // intents that a slow database gets
)

func userID(n int) string { return fmt.Sprintf("user_%d", n) }

func TestMain(m *testing.M) { servers.Main(m) }

func TestAcceptance(t *testing.T) {
	n, otherwise := int(faults.Number(t, "ACCEPTANCE_N", 100)), int64(2)
	if n >= 1000 {
		otherwise = 5
	}
	kills := int(faults.Number(t, "ACCEPTANCE_KILLS", otherwise))
	require.Positive(t, min(n, kills))
	binary := servers.Bookingserver(t)

	for _, s := range stores {
		t.Run(s.name, func(t *testing.T) {
			t.Run("absent", func(t *testing.T) { absent(t, binary, s.open(t)) })
			t.Run("a customer", func(t *testing.T) { customer(t, binary, s.open(t)) })
			for _, c := range []struct {
				name             string
				processes, kills int
			}{
				{"one process", 1, 0},
				{"one process, killed", 1, kills},
				{"two processes", 2, 0},
				{"two processes, one killed", 2, kills},
			} {
				t.Run(c.name, func(t *testing.T) {
					p := s.open(t)
					if !p.slow {
						deliveredTwice(t, start(t, binary, p, c.processes), n, c.kills)
						return
					}
					n := n
					if c.kills > 0 {
						n = max(min(n, share), n/10)
					}
					var sum tally
					for from := 0; from < n; from += share {
						t.Run(strconv.Itoa(from), func(t *testing.T) {
							got := deliveredTwice(t, start(t, binary, s.open(t), c.processes), min(share, n-from), min(c.kills, 2))
							sum.bookings += got.bookings
							sum.payments += got.payments
						})
					}
					t.Logf("%s: %d deliveries in all: %d bookings, %d payments", t.Name(), 2*n, sum.bookings, sum.payments)
					assert.Equal(t, tally{bookings: n, payments: n}, sum)
				})
			}
		})
	}
}

// absent: a server that can't have its database says so and ends.
func absent(t *testing.T, binary string, p place) {
	cmd := exec.Command(binary, "-addr", "127.0.0.1:0")
	cmd.Env = environment(p.absent)
	out, err := cmd.CombinedOutput()
	exit := new(exec.ExitError)
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, 1, exit.ExitCode())
	assert.Contains(t, string(out), "bookingserver: -store ")
	for _, secret := range p.secrets {
		assert.NotContains(t, string(out), secret)
	}
}

// customer books, pays and looks, each at another of two servers. Stripe tells both
// of the payment.
func customer(t *testing.T, binary string, p place) {
	stripe := stripetest.NewServer(stripetest.Config{})
	t.Cleanup(stripe.Close)
	all := start(t, binary, p, 2,
		"STRIPE_SECRET_KEY="+stripe.SecretKey, "STRIPE_WEBHOOK_SECRET="+stripe.WebhookSecret, "STRIPE_API_BASE="+stripe.URL)
	for _, s := range all {
		require.NoError(t, stripe.AddEndpoint("http://"+s.addr+webhookPath, ""))
	}
	one, other := all[0], all[1]

	session := one.call("POST", "/api/checkout", `{"serviceId":"baby-care","paymentOption":"half"}`)
	id, sessionID := session["bookingId"].(string), session["sessionId"].(string)
	require.Equal(t, "held", other.call("GET", "/api/bookings/"+id, "")["state"])
	_, err := stripe.Pay(sessionID)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, stripe.Wait(ctx))
	for _, d := range stripe.Deliveries() {
		assert.Equal(t, http.StatusOK, d.Status, d.Endpoint)
	}
	for _, s := range all {
		verified := s.call("POST", "/api/payment/verify", fmt.Sprintf(`{"sessionId":%q}`, sessionID))
		assert.Equal(t, []any{true, id, "20.00"}, []any{verified["processed"], verified["bookingId"], verified["amount"]})
		b := s.call("GET", "/api/bookings/"+id, "")
		assert.Equal(t, []any{"confirmed", "20.00", "19.99"}, []any{b["state"], b["paid"], b["due"]})
	}
	stripe.Close() // with its connections, for which a server that stops would wait
	stop(all)
	got := p.count(t)
	assert.Equal(t, []int{1, 1}, []int{got.bookings, got.payments})
}

// deliveredTwice delivers n intents, each twice at the same time and, of several
// servers, to two of them. Every few answers it kills one. What then got no answer
// is sent again, to the next server.
func deliveredTwice(t *testing.T, all []*server, n, kills int) tally {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	workers := 16 // intents at a time, each with two deliveries
	if all[0].place.slow {
		workers = 4
	}
	began := time.Now()

	marks := make(chan struct{}, kills)
	var killer sync.WaitGroup
	killed := 0
	killer.Go(func() {
		for range marks {
			s := all[killed%len(all)]
			s.kill()
			if !s.run() {
				cancel()
			}
			killed++
		}
	})

	var answered, again, refused atomic.Int64
	deliver := func(at int, event []byte) {
		for ; ctx.Err() == nil; at++ {
			status, err := all[at%len(all)].deliver(ctx, event)
			var slow net.Error
			if err != nil && kills > 0 && !(errors.As(err, &slow) && slow.Timeout()) {
				again.Add(1)
				all[(at+1)%len(all)].waitUp(ctx)
				continue
			}
			if err != nil || status != http.StatusOK {
				if refused.Add(1) <= 5 { // the others are counted
					t.Errorf("a delivery was answered with %d: %v", status, err)
				}
			}
			a := answered.Add(1)
			for k := range int64(kills) {
				if a == 2*int64(n)*(k+1)/int64(kills+1) {
					marks <- struct{}{}
				}
			}
			return
		}
	}

	intents := make(chan int)
	var delivering sync.WaitGroup
	for range workers {
		delivering.Go(func() {
			for i := range intents {
				var pair sync.WaitGroup
				for j, event := range events(t, i) {
					pair.Go(func() { deliver(i+j, event) })
				}
				pair.Wait()
			}
		})
	}
	for i := range n {
		intents <- i
	}
	close(intents)
	delivering.Wait()
	close(marks)
	killer.Wait()
	took := time.Since(began)
	stop(all)

	got := all[0].place.count(t)
	t.Logf("%s: %d deliveries: %d bookings, %d payments, %d answers other than 200; %d kills, %d sent again; %v", t.Name(),
		answered.Load(), got.bookings, got.payments, refused.Load(), killed, again.Load(), took.Round(time.Millisecond))
	assert.EqualValues(t, 2*n, answered.Load())
	assert.Equal(t, kills, killed)
	ledger := n + n/4*2 + max(0, n%4-2) // two of each four intents have a second event
	assert.Equal(t, tally{n, n, n, n, n, n, n, ledger, ledger}, got)
	return got
}

// events are the two deliveries of intent i: mostly one event twice, else the
// session's and the intent's. Half of the intents come from a site with metadata
// of its own, which the plain codec reads.
func events(t *testing.T, i int) [2][]byte {
	order := booking.Order{
		BookingID:   fmt.Sprintf("bk_acceptance_%d", i),
		UserID:      userID(i % users),
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
	assert.NoError(t, err)
	intent := fmt.Sprintf("pi_acceptance_%d", i)
	session := webhooktest.SessionCompleted(webhooktest.Session{
		ID: fmt.Sprintf("cs_test_acceptance_%d", i), Intent: intent, Amount: order.Now, Metadata: metadata,
	})
	if i%4 < 2 {
		return [2][]byte{session, session}
	}
	return [2][]byte{session, webhooktest.IntentSucceeded(webhooktest.Intent{ID: intent, Amount: order.Now, Metadata: metadata})}
}
