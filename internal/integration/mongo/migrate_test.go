package mongo

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/carevia/stripebooking/internal/integration/adaptertest"
	"github.com/carevia/stripebooking/internal/integration/sample"
	"github.com/carevia/stripebooking/internal/integration/servers"
	"github.com/carevia/stripebooking/store/mongostore"
)

// All start on an empty database, and again when all is there.
func TestMigrateFromManyAtOnce(t *testing.T) {
	server := servers.MongoDB(t)
	uri, database := server.URI(server.Addr), server.NewDatabase(t)
	for range 2 {
		adaptertest.MigrateAtOnce(t, func() *mongostore.Store {
			s, err := mongostore.New(mongostore.Config{Database: connect(t, uri).Database(database)})
			require.NoError(t, err)
			return s
		}, uri, database)
	}
	specs, err := journal(connect(t, uri).Database(database)).Indexes().ListSpecifications(context.Background())
	require.NoError(t, err)
	assert.Len(t, specs, 13)
}

// Two prefixes are two stores in one database.
func TestPrefix(t *testing.T) {
	ctx := context.Background()
	db := newDatabase(t)
	for _, prefix := range []string{"", "other_"} {
		s, err := mongostore.New(mongostore.Config{Database: db, Prefix: prefix})
		require.NoError(t, err)
		require.NoError(t, s.Migrate(ctx))
		res, err := s.Apply(ctx, sample.Paid("a"))
		require.NoError(t, err)
		assert.True(t, res.Applied)
	}
}

func TestConfig(t *testing.T) {
	_, err := mongostore.New(mongostore.Config{Prefix: "Nope"})
	require.ErrorContains(t, err, "a Database is required")
	require.ErrorContains(t, err, "Prefix", "all problems at once")
	db := connect(t, "mongodb://127.0.0.1:1").Database("unused")
	for prefix, ok := range map[string]bool{
		"": true, "shop_": true, "a": true, "s2_": true, "a23456789012345678901234567890_2": true,
		"a23456789012345678901234567890_23": false, "2s": false, "_s": false, "Shop_": false, "shop.": false, "s$": false,
		"é": false, "s\x00": false, "s\n": false,
	} {
		_, err := mongostore.New(mongostore.Config{Database: db, Prefix: prefix})
		assert.Equal(t, ok, err == nil, "%q", prefix)
	}
}

// The views show bookings and payments as they are now. FerretDB has no views: there,
// Migrate does without, and all that can be said is that nothing is in their place.
func TestViews(t *testing.T) {
	ctx := context.Background()
	db := newDatabase(t)
	s := newStore(t, db)
	res, err := s.Apply(ctx, sample.Held("a", sample.Seats("mon", 1, 1)))
	require.NoError(t, err)
	c := sample.Next("evt_a", *res.Booking)
	c.Payments, c.Event = sample.Paid("a").Payments, sample.Paid("a").Event
	_, err = s.Apply(ctx, c)
	require.NoError(t, err)
	_, err = s.Apply(ctx, sample.Held("b"))
	require.NoError(t, err)

	if servers.MongoDB(t).Ferret {
		names, err := db.ListCollectionNames(ctx, bson.M{})
		require.NoError(t, err)
		assert.Equal(t, []string{"stripebooking_journal"}, names)
		return
	}
	for view, want := range map[string]map[string]any{
		"bookings": {"bk_a": int64(2), "bk_b": int64(1)},
		"payments": {"pay_pi_a": nil},
	} {
		cursor, err := db.Collection("stripebooking_"+view).Find(ctx, bson.M{})
		require.NoError(t, err)
		var docs []bson.M
		require.NoError(t, cursor.All(ctx, &docs))
		got := map[string]any{}
		for _, d := range docs {
			got[d["id"].(string)] = d["version"]
		}
		assert.Equal(t, want, got, view)
	}
}
