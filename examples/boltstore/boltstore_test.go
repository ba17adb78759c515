package boltstore

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/storetest"
)

var harness = storetest.Harness{
	Open: func(t testing.TB) store.Store { return open(t, filepath.Join(t.TempDir(), "bookings.bolt")) },
	// A file is one process's at a time: who comes to it beside s is another Store.
	Reopen: func(t testing.TB, s store.Store) store.Store { return newStore(t, s.(*Store).db) },
	Join: func(t testing.TB, s store.Store) (store.Store, func() error, func() error) {
		tx, err := s.(*Store).db.Begin(true)
		require.NoError(t, err)
		return s.(*Store).With(tx), tx.Commit, tx.Rollback
	},
}

func TestStore(t *testing.T) { storetest.Run(t, harness) }

func BenchmarkStore(b *testing.B) { storetest.Bench(b, harness) }

func open(t testing.TB, path string) *Store {
	t.Helper()
	db, err := bolt.Open(path, 0o600, nil)
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	return newStore(t, db)
}

func newStore(t testing.TB, db *bolt.DB) *Store {
	t.Helper()
	s, err := New(db)
	require.NoError(t, err)
	return s
}

func TestNoSyncIsRefused(t *testing.T) {
	db, err := bolt.Open(filepath.Join(t.TempDir(), "bookings.bolt"), 0o600, &bolt.Options{NoSync: true})
	require.NoError(t, err)
	defer db.Close()
	_, err = New(db)
	require.ErrorContains(t, err, "NoSync")
}

// bbolt gives the write lock to one and lets the others wait, for ever: here for
// somebody who has nothing to do with this package.
func TestContextEndsTheWait(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "bookings.bolt"))
	theirs, err := s.db.Begin(true)
	require.NoError(t, err)
	defer theirs.Rollback()

	ctx, cancel := context.WithCancel(context.Background())
	waits := make(chan error)
	go func() {
		_, err := s.Apply(ctx, paid("a"))
		waits <- err
	}()
	cancel()
	require.ErrorIs(t, <-waits, context.Canceled)
	_, err = s.Booking(context.Background(), "b-a")
	require.ErrorIs(t, err, store.ErrNotFound, "readers wait for nobody")

	require.NoError(t, theirs.Rollback())
	r, err := s.Apply(context.Background(), paid("a"))
	require.NoError(t, err, "the lock that came too late was given back")
	assert.True(t, r.Applied)
}

// NUL ends the parts of a key, so an id that has one must not reach into a list.
func TestIDWithNUL(t *testing.T) {
	s, ctx := open(t, filepath.Join(t.TempDir(), "bookings.bolt")), context.Background()
	c := paid("a")
	_, err := s.Apply(ctx, c)
	require.NoError(t, err)
	theirs := keysOfBooking(c.Next())[1]
	user := strings.TrimPrefix(theirs, "bookings by user\x00")
	for n := len(c.Booking.UserID); n <= len(user); n++ {
		rows, _, err := s.BookingsByUser(ctx, user[:n], store.Page{})
		require.NoError(t, err)
		assert.Equal(t, user[:n] == c.Booking.UserID, len(rows) == 1, "%q", user[:n])
	}
}

// What the adapter has to do itself is little: records.go is what bbolt lacks, and
// knows nothing of bookings.
func TestIsSmall(t *testing.T) {
	adapter, err := os.ReadFile("boltstore.go")
	require.NoError(t, err)
	assert.Less(t, strings.Count(string(adapter), "\n"), 300, "lines of boltstore.go")
	records, err := os.ReadFile("records.go")
	require.NoError(t, err)
	for _, name := range []string{"Booking", "Payment", "Event", "Seat", "History", "Change"} {
		assert.NotContains(t, string(records), "store."+name)
	}
}
