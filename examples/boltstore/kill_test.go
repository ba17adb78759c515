package boltstore

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/carevia/stripebooking/store"
)

// The test binary runs itself as the process that is killed: the variable names
// its file.
const childVar = "BOLTSTORE_TEST_FILE"

func TestMain(m *testing.M) {
	path := os.Getenv(childVar)
	if path == "" {
		os.Exit(m.Run())
	}
	fmt.Fprintln(os.Stderr, work(path, os.Args[1]))
	os.Exit(1)
}

// work applies one Change after the other, and says so after each.
func work(path, first string) error {
	n, err := strconv.Atoi(first)
	if err != nil {
		return err
	}
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		return err
	}
	s, err := New(db)
	if err != nil {
		return err
	}
	for ; ; n++ {
		if _, err := s.Apply(context.Background(), paid(strconv.Itoa(n))); err != nil {
			return err
		}
		fmt.Println(n)
	}
}

// TestKilled is what storetest cannot do: it kills a process at work. What the
// process said is in the file, the next Change is in it whole or not at all, and
// the same again finds out which.
func TestKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bookings.bolt")
	exe, err := os.Executable()
	require.NoError(t, err)
	said := -1
	for round := range 5 {
		child := exec.Command(exe, strconv.Itoa(said+1))
		child.Env = append(os.Environ(), childVar+"="+path)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, child.Start())
		t.Cleanup(func() { child.Process.Kill() })
		before := said
		for lines := bufio.NewScanner(out); lines.Scan(); {
			said, err = strconv.Atoi(lines.Text())
			require.NoError(t, err)
			if said-before == 3+7*round {
				require.NoError(t, child.Process.Kill()) // SIGKILL; what it said meanwhile is read
			}
		}
		require.Error(t, child.Wait())
		require.Greater(t, said, before)

		db, err := bolt.Open(path, 0o600, nil)
		require.NoError(t, err)
		s := newStore(t, db)
		for n := range said + 2 {
			c := paid(strconv.Itoa(n))
			there := whole(t, s, c)
			r, err := s.Apply(context.Background(), c)
			require.NoError(t, err)
			assert.Equal(t, !there, r.Applied, "Change %d", n)
			assert.True(t, there || n == said+1, "Change %d, of which the process had said that it was applied, is lost", n)
		}
		said++
		require.NoError(t, db.Close())
	}
}

// whole reports whether a Change is in: all of it, or the test fails.
func whole(t *testing.T, s *Store, c store.Change) bool {
	t.Helper()
	ctx := context.Background()
	_, err := s.Booking(ctx, c.Booking.ID)
	there := err == nil
	_, err = s.Payment(ctx, c.Booking.PaymentIntentID)
	assert.Equal(t, there, err == nil, "the payment of %s", c.Key)
	_, err = s.Event(ctx, c.Event.ID)
	assert.Equal(t, there, err == nil, "the ledger row of %s", c.Key)
	lines, err := s.History(ctx, c.Booking.ID)
	require.NoError(t, err)
	assert.Equal(t, there, len(lines) == 1, "the history of %s", c.Key)
	return there
}

// paid is the Change of a paid event, everything in it named after id.
func paid(id string) store.Change {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	b := store.Booking{
		ID: "b-" + id, UserID: "user", ServiceName: "Massage", Option: store.OptionFull, Total: 5000, Paid: 5000, Currency: "eur",
		State: store.StateConfirmed, PaymentIntentID: "pi-" + id, CreatedAt: now, UpdatedAt: now,
	}
	return store.Change{
		Key: "evt-" + id, Booking: &b,
		Payments: []store.Payment{{
			ID: "pay-" + id, BookingID: b.ID, UserID: b.UserID, PaymentIntentID: b.PaymentIntentID, Amount: 5000, Subtotal: 5000,
			Currency: "eur", Status: store.StatusSucceeded, Purpose: store.PurposeFull, CreatedAt: now, UpdatedAt: now,
		}},
		Event:   &store.Event{ID: "evt-" + id, Type: "checkout.session.completed", State: store.EventDone, ReceivedAt: now, UpdatedAt: now},
		History: &store.History{To: b.State, Cause: store.Cause{By: "webhook", ID: "evt-" + id}, At: now},
	}
}
