package mongo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/carevia/stripebooking/internal/integration/adaptertest"
	"github.com/carevia/stripebooking/internal/integration/sample"
	"github.com/carevia/stripebooking/internal/integration/servers"
	"github.com/carevia/stripebooking/store"
)

// documents are those of the journal.
func documents(t *testing.T, db *mongo.Database) (docs []bson.M) {
	t.Helper()
	cursor, err := journal(db).Find(context.Background(), bson.M{})
	require.NoError(t, err)
	require.NoError(t, cursor.All(context.Background(), &docs))
	return docs
}

// A process is killed, or its server is, when only some of a Change's documents are
// there: it is as if none was. The rest never comes in once another has gone on.
func TestPartsWithoutTheirChange(t *testing.T) {
	ctx := context.Background()
	from := newDatabase(t)
	whole := sample.Several("a", "mon", "tue", "wed")
	_, err := newStore(t, from).Apply(ctx, whole)
	require.NoError(t, err)
	docs := documents(t, from)
	require.Len(t, docs, 5)
	change := slices.IndexFunc(docs, func(d bson.M) bool { return d["_id"] == whole.Key })
	require.Equal(t, 4, change, "the Change comes after its parts")

	rivals := map[string]store.Change{
		"the same":                      whole,
		"another booking for the seats": sample.Several("b", "wed", "tue"),
		"another booking for an intent": sample.WithIntent("b", "a"),
		"another booking for both": func() store.Change {
			c := sample.Several("b", "tue", "mon", "thu")
			c.Payments[1].PaymentIntentID = "pi_a_2"
			return c
		}(),
	}
	for name, rival := range rivals {
		t.Run(name, func(t *testing.T) {
			for n := 1; n <= change; n++ { // documents that are there
				db := newDatabase(t)
				s := newStore(t, db)
				for _, d := range docs[:n] {
					_, err := journal(db).InsertOne(ctx, d)
					require.NoError(t, err)
				}
				nothing := func(when string) {
					t.Helper()
					_, err := s.Booking(ctx, "bk_a")
					require.ErrorIs(t, err, store.ErrNotFound, when)
					for _, intent := range []string{"pi_a", "pi_a_2"} {
						if p, err := s.Payment(ctx, intent); err == nil {
							require.Equal(t, "bk_b", p.BookingID, when)
						} else {
							require.ErrorIs(t, err, store.ErrNotFound, when)
						}
					}
					_, err = s.BookingBySession(ctx, "cs_a")
					require.ErrorIs(t, err, store.ErrNotFound, when)
					list, _, err := s.PaymentsByUser(ctx, "user_1", store.Page{})
					require.NoError(t, err)
					for _, p := range list {
						require.Equal(t, "bk_b", p.BookingID, when)
					}
				}
				nothing("before the rival")
				res, err := s.Apply(ctx, rival)
				require.NoError(t, err)
				require.True(t, res.Applied)

				// The insert that had stood still goes on.
				_, late := journal(db).InsertMany(ctx, docs[n:])
				require.True(t, mongo.IsDuplicateKeyError(late), "%v", late)
				if rival.Key == whole.Key {
					got, err := s.Booking(ctx, "bk_a")
					require.NoError(t, err)
					require.Equal(t, *res.Booking, got)
				} else {
					nothing("after the rival")
				}
				again, err := s.Apply(ctx, rival)
				require.NoError(t, err)
				require.False(t, again.Applied)
				require.Equal(t, res.Booking, again.Booking)
				require.Equal(t, res.Payments, again.Payments)
				noSeatTwice(t, s)
			}
		})
	}
}

// noSeatTwice fails if two bookings have a seat, or if a seat that nobody has can't be
// claimed, of the slots that several has.
func noSeatTwice(t *testing.T, s store.Store) {
	t.Helper()
	ctx := context.Background()
	all, _, err := s.BookingsByUser(ctx, "user_1", store.Page{})
	require.NoError(t, err)
	had := map[store.Seat]bool{}
	left := map[string]int{"mon": 3, "tue": 3, "wed": 3, "thu": 3}
	for _, b := range all {
		for _, seat := range b.Seats {
			require.False(t, had[seat], "seat %v", seat)
			had[seat] = true
			left[seat.Slot]--
		}
	}
	for slot, n := range left {
		if n > 0 {
			_, err := s.Apply(ctx, sample.Held("rest-"+slot, sample.Seats(slot, 3, n)))
			require.NoError(t, err, "%d seats of %s", n, slot)
		}
		_, err := s.Apply(ctx, sample.Held("more-"+slot, sample.Seats(slot, 3, 1)))
		require.ErrorIs(t, err, store.ErrConflict)
	}
}

// Many at once that each need several unique keys, which overlap in every way: nobody
// has half, nothing is lost, and nobody waits for ever.
func TestSeveralKeysAtOnce(t *testing.T) {
	ctx := context.Background()
	const callers = 24
	slots := []string{"mon", "tue", "wed", "thu"}
	db := newDatabase(t)
	s := newStore(t, db)
	results, errs := make([]store.Result, callers), make([]error, callers)
	change := func(i int) store.Change {
		c := sample.Several(sample.Name("c", i), slots[i%4], slots[(i+1+i/4%3)%4])
		// Each intent is wanted by four callers, in either place.
		c.Payments[0].PaymentIntentID = sample.Name("pi_", i%12)
		c.Payments[1].PaymentIntentID = sample.Name("pi_", (i*5+7)%12)
		if c.Payments[0].PaymentIntentID == c.Payments[1].PaymentIntentID {
			c.Payments[1].PaymentIntentID = sample.Name("pi_", (i+1)%12)
		}
		c.Booking.PaymentIntentID = c.Payments[0].PaymentIntentID
		c.Claim[0].Count, c.Claim[1].Count = 1, 1
		return c
	}
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() { results[i], errs[i] = s.Apply(ctx, change(i)) })
	}
	wg.Wait()
	won := 0
	for i, err := range errs {
		c := change(i)
		_, berr := s.Booking(ctx, c.Booking.ID)
		if err != nil {
			require.ErrorIs(t, err, store.ErrConflict, "caller %d", i)
			require.NotEqual(t, store.ConflictVersion, results[i].Conflict)
			require.ErrorIs(t, berr, store.ErrNotFound, "caller %d", i)
			continue
		}
		won++
		require.NoError(t, berr)
		for _, p := range c.Payments {
			got, err := s.Payment(ctx, p.PaymentIntentID)
			require.NoError(t, err)
			require.Equal(t, c.Booking.ID, got.BookingID, "caller %d, %s", i, p.PaymentIntentID)
		}
		require.Len(t, results[i].Booking.Seats, 2)
	}
	require.Positive(t, won)
	t.Logf("%d of %d, %d documents", won, callers, len(documents(t, db)))
	// Each loser lost to somebody who is there.
	for i, err := range errs {
		if !errors.Is(err, store.ErrConflict) {
			continue
		}
		res, err := s.Apply(ctx, change(i))
		require.ErrorIs(t, err, store.ErrConflict, "caller %d could have had all", i)
		if res.Conflict == store.ConflictIntent {
			require.NotEqual(t, change(i).Booking.ID, res.Booking.ID)
		}
	}
	noSeatTwice(t, s)
}

// Who loses when its parts are there already says that no more will come, before it
// is told that it lost: nobody waits for the rest, and a late one does not get in.
func TestLoserVoidsItsParts(t *testing.T) {
	ctx := context.Background()
	db, line, sent := intercepted(t)
	s := newStore(t, db)
	server := servers.MongoDB(t)
	direct := connect(t, server.URI(server.Addr)).Database(db.Name())
	line.before(func(name string, _ bson.D) bool { return name == "insert" }, func() {
		_, err := newStore(t, direct).Apply(ctx, sample.Held("a"))
		assert.NoError(t, err)
	})
	var res store.Result
	var err error
	_, names := sent.during(func() { res, err = s.Apply(ctx, sample.Several("a", "mon")) })
	require.ErrorIs(t, err, store.ErrConflict)
	require.Equal(t, store.ConflictVersion, res.Conflict)
	require.Equal(t, []string{"listIndexes", "find", "find", "insert", "insert"}, names[:5], "at once")
	txs, parts := map[any]bool{}, 0
	docs := documents(t, db)
	for _, d := range docs {
		txs[d["tx"]] = true
	}
	for _, d := range docs {
		if of := d["of"]; of != nil {
			parts++
			require.True(t, txs[of], "a part waits for its Change")
		}
	}
	require.Equal(t, 2, parts)
}

// A payment that changes hands, and back, has one place in each list, and a booking
// too, whatever was listed before.
func TestPlacesThatAreOutOfDate(t *testing.T) {
	ctx := context.Background()
	s := newStore(t, newDatabase(t))
	const n = 5
	var read [n]store.Booking
	for i := range n {
		c := sample.Paid(sample.Name("", i))
		res, err := s.Apply(ctx, c)
		require.NoError(t, err)
		read[i] = *res.Booking
	}
	move := func(i, step int, user string) {
		t.Helper()
		c := sample.Next(fmt.Sprint("move ", i, step), read[i])
		c.Booking.UserID = user
		p := sample.Payment(read[i], read[i].PaymentIntentID)
		p.UserID = user
		c.Payments = []store.Payment{p}
		res, err := s.Apply(ctx, c)
		require.NoError(t, err)
		read[i] = *res.Booking
	}
	for step, user := range []string{"user_2", "user_1", "user_2", "user_1", "user_2"} {
		for i := range n - 1 {
			move(i, step, user)
		}
	}
	for user, want := range map[string][]string{
		"user_1": {sample.Name("", 4)},
		"user_2": {sample.Name("", 3), sample.Name("", 2), sample.Name("", 1), sample.Name("", 0)},
	} {
		for limit := 1; limit <= n+1; limit++ {
			var bookings, payments []string
			for _, b := range adaptertest.All(t, limit, func(p store.Page) ([]store.Booking, string, error) { return s.BookingsByUser(ctx, user, p) }) {
				bookings = append(bookings, b.ID)
			}
			for _, p := range adaptertest.All(t, limit, func(p store.Page) ([]store.Payment, string, error) { return s.PaymentsByUser(ctx, user, p) }) {
				payments = append(payments, p.BookingID)
			}
			var ids []string
			for _, w := range want {
				ids = append(ids, "bk_"+w)
			}
			assert.Equal(t, ids, bookings, "%s, pages of %d", user, limit)
			assert.Equal(t, ids, payments, "%s, pages of %d", user, limit)
		}
	}
}

// A payment comes late for a hold that has ended, and loses the last seat to a rival in
// the middle. Planned again, at a later time and without the seat, it is in lists once.
func TestPaymentThatWasPlannedTwice(t *testing.T) {
	ctx := context.Background()
	db, line, _ := intercepted(t)
	s := newStore(t, db)
	server := servers.MongoDB(t)
	rival := newStore(t, connect(t, server.URI(server.Addr)).Database(db.Name()))

	res, err := s.Apply(ctx, sample.Held("a")) // expired: it has no seat
	require.NoError(t, err)
	late := func(now time.Time) store.Change {
		c := sample.Next("evt_late", *res.Booking)
		c.Booking.PaymentIntentID = "pi_a"
		p := sample.Payment(*res.Booking, "pi_a")
		p.CreatedAt = now
		c.Payments = []store.Payment{p}
		return c
	}
	var once sync.Once
	line.set(func(name string, body bson.D) bson.D {
		if name == "insert" {
			once.Do(func() {
				_, err := rival.Apply(ctx, sample.Held("rival", sample.Seats("mon", 1, 1)))
				assert.NoError(t, err)
			})
		}
		return body
	}, nil)
	c := late(sample.T0)
	c.Claim = []store.SeatClaim{sample.Seats("mon", 1, 1)}
	lost, err := s.Apply(ctx, c)
	require.ErrorIs(t, err, store.ErrConflict)
	require.Equal(t, store.ConflictSeats, lost.Conflict)
	_, err = s.Apply(ctx, late(sample.T0.Add(5*time.Millisecond)))
	require.NoError(t, err)

	list, _, err := s.PaymentsByUser(ctx, "user_1", store.Page{})
	require.NoError(t, err)
	require.Len(t, list, 1)
}
