package mongo

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/carevia/stripebooking/internal/integration/adaptertest"
	"github.com/carevia/stripebooking/internal/integration/sample"
	"github.com/carevia/stripebooking/internal/integration/servers"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/mongostore"
)

// The suite notices each unique index that is lost while a store is at work. (That of
// _id can't be dropped. That of tx is about processes that are killed between two
// documents: see TestPartsNeedTheirKey.)
func TestSuiteNoticesALostKey(t *testing.T) {
	server := servers.MongoDB(t)
	adaptertest.TestSuiteNoticesALostKey(t, "TEST_MONGODB_URI="+server.URI(server.Addr), map[string]string{
		"versions": "race-new-booking race-version race-count",
		"claims":   "race-intent race-last-seat race-five-seats",
		"entries":  "race-failures race-event handled-at-once",
	})
}

func TestKeyless(t *testing.T) {
	adaptertest.TestKeyless(t, func(t testing.TB, indexes []string) store.Store {
		db := newDatabase(t)
		s := atWork(t, db)
		for _, index := range indexes {
			notUnique(t, db, index)
		}
		return s
	})
}

// atWork is a store that has looked at its indexes.
func atWork(t testing.TB, db *mongo.Database) *mongostore.Store {
	t.Helper()
	s := newStore(t, db)
	require.ErrorIs(t, s.RecordHandled(context.Background(), "none", nil, false, sample.T0), store.ErrNotFound)
	return s
}

// notUnique makes a unique index one that is not.
func notUnique(t testing.TB, db *mongo.Database, name string) {
	t.Helper()
	ctx := context.Background()
	specs, err := journal(db).Indexes().ListSpecifications(ctx)
	require.NoError(t, err)
	for _, spec := range specs {
		if spec.Name != name {
			continue
		}
		require.True(t, spec.Unique != nil && *spec.Unique)
		require.NoError(t, journal(db).Indexes().DropOne(ctx, name))
		_, err = journal(db).Indexes().CreateOne(ctx, mongo.IndexModel{Keys: spec.KeysDocument, Options: options.Index().SetName(name)})
		require.NoError(t, err)
		return
	}
	t.Fatalf("there is no index %s", name)
}

// Without the unique index of tx, an insert that stood still between two documents
// comes in after another has taken its place.
func TestPartsNeedTheirKey(t *testing.T) {
	ctx := context.Background()
	from, db := newDatabase(t), newDatabase(t)
	_, err := newStore(t, from).Apply(ctx, sample.Several("a", "mon", "tue"))
	require.NoError(t, err)
	docs := documents(t, from)
	n := len(docs) - 1 // all but the Change itself
	_, err = journal(db).InsertMany(ctx, docs[:n])
	require.NoError(t, err)
	s := atWork(t, db)
	notUnique(t, db, "tx")
	rival := sample.Several("b", "tue")
	_, err = s.Apply(ctx, rival)
	require.NoError(t, err)
	_, err = journal(db).InsertOne(ctx, docs[n])
	require.NoError(t, err)
	had := map[store.Seat]bool{}
	twice := 0
	for _, id := range []string{"bk_a", "bk_b"} {
		b, err := s.Booking(ctx, id)
		require.NoError(t, err)
		for _, seat := range b.Seats {
			if had[seat] {
				twice++
			}
			had[seat] = true
		}
	}
	require.Positive(t, twice, "this is what the index is for")
}

// A store does not write while a unique index is missing, or is not what it must be;
// nor does Migrate let an index with the right name do something else.
func TestIndexesAreLookedAt(t *testing.T) {
	ctx := context.Background()
	seen := 0
	for _, spec := range specifications(t) {
		seen++
		unique := spec.Unique != nil && *spec.Unique
		for how, change := range map[string]func(db *mongo.Database){
			"missing": func(*mongo.Database) {},
			"another key": func(db *mongo.Database) {
				_, err := journal(db).Indexes().CreateOne(ctx, mongo.IndexModel{Keys: bson.M{"some": 1}, Options: options.Index().SetName(spec.Name).SetUnique(unique)})
				require.NoError(t, err)
			},
			"unique or not": func(db *mongo.Database) {
				_, err := journal(db).Indexes().CreateOne(ctx, mongo.IndexModel{Keys: spec.KeysDocument, Options: options.Index().SetName(spec.Name).SetUnique(!unique)})
				require.NoError(t, err)
			},
		} {
			t.Run(spec.Name+"/"+how, func(t *testing.T) {
				db := newDatabase(t)
				newStore(t, db)
				require.NoError(t, journal(db).Indexes().DropOne(ctx, spec.Name))
				change(db)
				s, err := mongostore.New(mongostore.Config{Database: db})
				require.NoError(t, err)
				writes := []func() error{
					func() error { _, err := s.Apply(ctx, sample.Paid("a")); return err },
					func() error { return s.RecordFailure(ctx, *sample.Paid("b").Event, "x", false) },
					func() error { return s.RecordHandled(ctx, "evt_b", nil, true, sample.T0) },
				}
				if unique {
					for _, write := range writes {
						require.ErrorContains(t, write(), "index "+spec.Name+" of collection stripebooking_journal")
					}
					require.Empty(t, documents(t, db))
				}
				err = s.Migrate(ctx)
				if how == "missing" {
					require.NoError(t, err)
				} else {
					require.ErrorContains(t, err, spec.Name)
					require.NoError(t, journal(db).Indexes().DropOne(ctx, spec.Name))
					require.NoError(t, s.Migrate(ctx))
				}
				for _, write := range writes {
					require.NoError(t, write())
				}
			})
		}
	}
	assert.Equal(t, 12, seen)
}

// specifications are the indexes of a store, but that of _id.
func specifications(t *testing.T) (list []mongo.IndexSpecification) {
	t.Helper()
	db := newDatabase(t)
	newStore(t, db)
	all, err := journal(db).Indexes().ListSpecifications(context.Background())
	require.NoError(t, err)
	for _, spec := range all {
		if spec.Name != "_id_" {
			list = append(list, spec)
		}
	}
	return list
}

// Without Migrate there is nothing to write to.
func TestNotMigrated(t *testing.T) {
	s, err := mongostore.New(mongostore.Config{Database: newDatabase(t)})
	require.NoError(t, err)
	_, err = s.Apply(context.Background(), sample.Paid("a"))
	require.ErrorContains(t, err, "call Migrate")
	assert.True(t, store.IsTransient(err), "it is mended while Stripe keeps delivering")
	_, err = s.Booking(context.Background(), "bk_a")
	require.ErrorIs(t, err, store.ErrNotFound)
}

// An index of another's that refuses a Change is an error, not a conflict, and what it
// is about is not told.
func TestForeignUniqueIndex(t *testing.T) {
	ctx := context.Background()
	db := newDatabase(t)
	s := newStore(t, db)
	_, err := journal(db).Indexes().CreateOne(ctx, mongo.IndexModel{Keys: bson.M{"booking.userId": 1}, Options: options.Index().SetUnique(true)})
	require.NoError(t, err)
	_, err = s.Apply(ctx, sample.Paid("a"))
	require.NoError(t, err)
	_, err = s.Apply(ctx, sample.Paid("b"))
	require.ErrorContains(t, err, "an index of another's")
	assert.NotErrorIs(t, err, store.ErrConflict)
	assert.NotContains(t, err.Error(), "user_1")
	assert.True(t, store.IsTransient(err))
}
