package mongostore

import (
	"context"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/store"
)

func TestConfig(t *testing.T) {
	_, err := New(Config{Prefix: "Nope"})
	require.ErrorContains(t, err, "Database is required")
	require.ErrorContains(t, err, "Prefix", "all problems at once")
}

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// change is one of booking b, read at a version, with these payment intents.
func change(version int64, intents ...string) store.Change {
	b := store.Booking{
		ID: "b", UserID: "u", Option: store.OptionFull, Currency: "usd", State: store.StateConfirmed,
		Version: version, CreatedAt: t0, UpdatedAt: t0,
	}
	c := store.Change{Key: "k", Booking: &b, History: &store.History{To: b.State}}
	for _, intent := range intents {
		c.Payments = append(c.Payments, store.Payment{ID: "p-" + intent, BookingID: "b", UserID: "u", PaymentIntentID: intent, CreatedAt: t0})
	}
	return c
}

// planned is the document of a Change itself, as if it had been inserted and read.
func planned(t *testing.T, k *known, c store.Change) (*document, store.Result) {
	t.Helper()
	docs, res, err := k.plan(c)
	require.NoError(t, err)
	return docs[len(docs)-1], res
}

// What a Change claims is spread over documents, the Change itself last, and what a
// document has none of is unique all the same.
func TestDocuments(t *testing.T) {
	c := change(0, "pi_1", "pi_2")
	c.Claim = []store.SeatClaim{{Slot: "tue", Capacity: 1, Count: 1}, {Slot: "mon", Capacity: 2, Count: 2}}
	docs, _, err := (&known{}).plan(c)
	require.NoError(t, err)
	require.Len(t, docs, 4)
	self := docs[3]
	assert.Equal(t, "k", self.ID)
	assert.Equal(t, "slot mon", self.Claim)
	assert.True(t, self.Of.IsZero())
	for i, claim := range []string{"slot tue", "intent pi_1", "intent pi_2"} {
		assert.Equal(t, claim, docs[i].Claim)
		assert.Equal(t, self.Tx, docs[i].Of)
	}
	for _, c := range []store.Change{{Key: "k1"}, {Key: "k2"}, {Key: "k3", Event: &store.Event{ID: "e"}}} {
		more, _, err := (&known{}).plan(c)
		require.NoError(t, err)
		docs = append(docs, more...)
	}
	void, err := newDocument()
	require.NoError(t, err)
	docs = append(docs, void)

	type value struct {
		index string
		id    any
		n     int64
	}
	seen := map[value]bool{}
	for _, d := range docs {
		for _, v := range []value{{"_id", d.ID, 0}, {"tx", d.Tx, 0}, {"versions", d.BookingID, d.Version}, {"entries", d.EventID, d.Entry}, {"claims", d.Claim, d.Round}} {
			assert.NotNil(t, v.id, v)
			assert.False(t, seen[v], v)
			seen[v] = true
		}
	}
}

// Seats are bits; those that are given up are free for the same Change.
func TestSeats(t *testing.T) {
	taken := func(seats ...int) []byte {
		var n big.Int
		for _, s := range seats {
			n.SetBit(&n, s-1, 1)
		}
		return n.Bytes()
	}
	for name, tt := range map[string]struct {
		taken, release  []int
		capacity, count int
		want, left      []int // nil: too few are free
	}{
		"the first":         {nil, nil, 3, 2, []int{1, 2}, []int{1, 2}},
		"the lowest free":   {[]int{1, 3, 4}, nil, 9, 3, []int{2, 5, 6}, []int{1, 2, 3, 4, 5, 6}},
		"too few":           {[]int{1, 3}, nil, 3, 2, nil, nil},
		"the last":          {[]int{1, 3}, nil, 3, 1, []int{2}, []int{1, 2, 3}},
		"given up":          {[]int{1, 2, 3}, []int{2, 3}, 3, 1, []int{2}, []int{1, 2}},
		"a smaller room":    {[]int{7, 9}, nil, 3, 3, []int{1, 2, 3}, []int{1, 2, 3, 7, 9}},
		"more than a word":  {[]int{1, 70, 200}, []int{70}, 200, 1, []int{2}, []int{1, 2, 200}},
		"only given up":     {[]int{1, 2}, []int{1, 2}, 0, 0, []int{}, []int{}},
		"what nobody knows": {[]int{1}, []int{2}, 0, 0, nil, nil},
	} {
		c := change(1)
		for _, n := range tt.release {
			c.Release = append(c.Release, store.Seat{Slot: "mon", Number: n})
		}
		if tt.count > 0 {
			c.Claim = []store.SeatClaim{{Slot: "mon", Capacity: tt.capacity, Count: tt.count}}
		}
		k := &known{claims: map[string]claim{"slot mon": {holder: &document{Taken: taken(tt.taken...)}, round: 4}}}
		d, seats, err := k.planSlot(c, "mon")
		if tt.want == nil {
			require.Error(t, err, name)
			continue
		}
		require.NoError(t, err, name)
		got := []int{}
		for _, s := range seats {
			got = append(got, s.Number)
		}
		assert.Equal(t, tt.want, got, name)
		assert.Equal(t, taken(tt.left...), d.Taken, name)
		assert.EqualValues(t, 5, d.Round, name)
	}
}

// A document has a place in a list where a record comes into it, and only there.
func TestPlaces(t *testing.T) {
	c := change(0, "pi_1")
	c.Booking.SessionID = "cs_1"
	first, res := planned(t, &known{}, c)
	assert.Equal(t, &bookingPlace{User: "u", At: t0, ID: "b", Session: "cs_1"}, first.BookingPlace)
	assert.Equal(t, &paymentPlace{User: "u", At: t0, ID: "p-pi_1", Intent: "pi_1", Booking: "b"}, first.PaymentPlace)

	k := &known{booking: first}
	same := change(1, "pi_1")
	same.Booking.SessionID = "cs_1"
	same.Payments[0].Status, same.Payments[0].CreatedAt = store.StatusRefunded, t0.Add(time.Hour)
	d, res2 := planned(t, k, same)
	assert.Nil(t, d.BookingPlace)
	assert.Nil(t, d.PaymentPlace)
	assert.Equal(t, d.Tx, d.Claim, "it has the intent already")
	assert.Equal(t, res.Payments[0].CreatedAt, res2.Payments[0].CreatedAt)

	moved := change(1, "pi_1")
	moved.Booking.UserID, moved.Booking.CreatedAt, moved.Payments[0].SessionID = "v", t0.Add(time.Hour), "cs_2"
	d, _ = planned(t, k, moved)
	assert.Equal(t, &bookingPlace{User: "v", At: t0, ID: "b"}, d.BookingPlace)
	assert.Equal(t, "cs_2", d.PaymentPlace.Session)
}

// The first thing that is wrong decides, and is final only if nothing that comes before
// it was left out.
func TestFinal(t *testing.T) {
	stale := change(1)
	seated := change(0)
	seated.Claim = []store.SeatClaim{{Slot: "mon", Capacity: 1, Count: 1}}
	taken := map[string]claim{"slot mon": {holder: &document{Taken: []byte{1}}}}
	for name, tt := range map[string]struct {
		k     known
		c     store.Change
		final bool
	}{
		"a newer version":                 {known{booking: &document{Version: 2, Booking: &bookingDoc{Version: 2}}}, stale, true},
		"an older version":                {known{}, stale, false},
		"an older version, at last":       {known{how: last}, stale, true},
		"seats, at a first look":          {known{claims: taken}, seated, false},
		"seats, when all but the key was": {known{how: full, claims: taken}, seated, false},
		"seats, at last":                  {known{how: last, claims: taken}, seated, true},
		"a key":                           {known{key: &document{}, claims: taken}, seated, true},
	} {
		_, _, err := tt.k.plan(tt.c)
		require.Error(t, err, name)
		assert.Equal(t, tt.final, tt.k.final(tt.c, err), name)
	}
}

// Who loses to one rival after another goes on; no pause is made for that.
func TestAttempts(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // so that a pause would be seen
	var a attempts
	for moves := range int64(10 * maxFruitless) {
		require.NoError(t, a.pause(ctx, moves+1))
	}
	require.ErrorIs(t, a.pause(ctx, 10*maxFruitless), context.Canceled)
}
