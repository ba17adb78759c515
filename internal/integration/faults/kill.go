package faults

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/role"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/memory"
)

// deliveries is the role of the process that Kill kills.
const deliveries = "deliveries"

// Child must be called by the TestMain of a package that calls Kill, before all else:
// open opens the store of a database for the process that is to be killed.
func Child[S store.Store](open func(place []string) (S, error)) {
	role.Play(deliveries, func(place []string) error {
		s, err := open(place)
		if err != nil {
			return err
		}
		return work(s)
	})
}

// workers is how many deliveries, each twice, the process makes at a time.
const workers = 8

// work makes the deliveries whose numbers come in, each twice at the same time, and
// says each number when both are through.
func work(s store.Store) error {
	numbers, errs := make(chan int64), make(chan error, workers)
	for range workers {
		go func() {
			for n := range numbers {
				twice := make(chan error, 2)
				for range 2 {
					go func() { twice <- deliver(context.Background(), s, n) }()
				}
				if err := errors.Join(<-twice, <-twice); err != nil {
					errs <- fmt.Errorf("delivery %d: %w", n, err)
					return
				}
				fmt.Println(n)
			}
			errs <- nil
		}()
	}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		n, err := strconv.ParseInt(in.Text(), 10, 64)
		if err != nil {
			return err
		}
		select {
		case numbers <- n:
		case err := <-errs:
			return err
		}
	}
	close(numbers)
	for range workers {
		if err := <-errs; err != nil {
			return err
		}
	}
	return in.Err()
}

// deliver does what a webhook does with one event of a world: of each four one
// makes a booking, one a booking with seats, and two bring the payment of a booking
// that is held until then.
func deliver(ctx context.Context, s store.Store, n int64) error {
	w := world{n}
	c := w.paid("a")
	switch n % 4 {
	case 1:
		c = w.seated("a", 2)
	case 2, 3:
		hold := w.paid("a")
		hold.Key, hold.Event, hold.Payments = w.id("hold", "a"), nil, nil
		hold.Booking.State, hold.History.To = store.StateHeld, store.StateHeld
		hold.Booking.Paid, hold.Booking.PaymentIntentID = 0, ""
		res, err := s.Apply(ctx, hold)
		if err != nil {
			return err
		}
		c.Booking.Version = res.Booking.Version
		c.History.From = store.StateHeld
	}
	_, err := s.Apply(ctx, c)
	// A delivery whose twin was faster between the two calls planned from what
	// the twin had made; its key decides first, so that it is a replay all the same.
	return err
}

// Kill lets a process make deliveries and kills it at random moments. What was
// answered must be there, what was not is whole or absent, and delivered again it
// is there once. TORTURE_KILLS is how often (3 unless set), TORTURE_SEED repeats
// the moments as far as a machine can. place is handed to the open of [Child].
func Kill(t *testing.T, s store.Store, place ...string) {
	kills, seed := Number(t, "TORTURE_KILLS", 3), Number(t, "TORTURE_SEED", time.Now().UnixNano())
	t.Logf("TORTURE_SEED=%d", seed)
	random := rand.New(rand.NewPCG(uint64(seed), 0))
	const most = 24 // answers between two kills
	total := kills*(most/2+workers/2) + most

	answered := map[int64]bool{}
	for kill := range kills {
		c := spawn(t, place)
		left := 1 + random.IntN(most)
		// No more than will be in hand when it is killed, so that it does not run
		// ahead. It waits for more when it has done all.
		fed, before := c.feed(left+workers, total, answered), len(answered)
		for left = min(left, len(fed)); left > 0 && c.Out.Scan(); left-- {
			c.read(t, answered)
		}
		require.NoError(t, c.Process.Kill())
		for c.Out.Scan() { // what it had still said
			c.read(t, answered)
		}
		<-c.fed
		require.Error(t, c.Wait(), "it was killed")
		// It takes them in order, and has as many in hand as it has workers.
		for _, n := range fed[:min(len(fed), len(answered)-before+workers)] {
			whole(t, s, n, answered[n])
		}
		t.Logf("kill %d: %d of %d are answered", kill+1, len(answered), total)
	}

	c := spawn(t, place)
	c.feed(int(total), total, answered)
	go func() {
		<-c.fed
		c.In.Close()
	}()
	for c.Out.Scan() {
		c.read(t, answered)
	}
	require.NoError(t, c.Wait())
	require.EqualValues(t, total, len(answered))
	for n := range total {
		whole(t, s, n, true)
	}
}

// whole fails unless a world is as some number of its Changes leave it, all of them
// if it is done.
func whole(t *testing.T, s store.Store, n int64, done bool) {
	t.Helper()
	w := world{n}
	model := new(memory.Store)
	allowed := []string{w.snapshot(t, model)}
	if n%4 >= 2 {
		cut := &firstApply{Store: model}
		require.ErrorIs(t, deliver(context.Background(), cut, n), errEnough)
		allowed = append(allowed, w.snapshot(t, model))
	}
	require.NoError(t, deliver(context.Background(), model, n))
	end := w.snapshot(t, model)
	if done {
		allowed = nil
	}
	require.Contains(t, append(allowed, end), w.snapshot(t, s), "delivery %d, answered: %t", n, done)
}

// firstApply is a store whose process is killed before its second Apply.
type firstApply struct {
	store.Store
	n int
}

var errEnough = errors.New("killed")

func (s *firstApply) Apply(ctx context.Context, c store.Change) (store.Result, error) {
	if s.n++; s.n > 1 {
		return store.Result{}, errEnough
	}
	return s.Store.Apply(ctx, c)
}

// child is the process that is killed.
type child struct {
	*role.Child
	fed chan struct{}
}

func spawn(t *testing.T, place []string) *child {
	t.Helper()
	c, err := role.Start(t, deliveries, place...)
	require.NoError(t, err)
	return &child{c, make(chan struct{})}
}

// feed tells the process, while it works, the first few numbers that are not answered.
func (c *child) feed(most int, total int64, answered map[int64]bool) (fed []int64) {
	var b strings.Builder
	for n := range total {
		if !answered[n] && len(fed) < most {
			fed = append(fed, n)
			fmt.Fprintln(&b, n)
		}
	}
	go func() {
		defer close(c.fed)
		io.WriteString(c.In, b.String()) // fails when it is killed
	}()
	return fed
}

func (c *child) read(t *testing.T, answered map[int64]bool) {
	t.Helper()
	n, err := strconv.ParseInt(c.Out.Text(), 10, 64)
	require.NoError(t, err)
	require.False(t, answered[n], "delivery %d is answered twice", n)
	answered[n] = true
}

// Number is a setting of the environment.
func Number(t *testing.T, name string, otherwise int64) int64 {
	v := os.Getenv(name)
	if v == "" {
		return otherwise
	}
	n, err := strconv.ParseInt(v, 10, 64)
	require.NoError(t, err, name)
	return n
}
