// Package soak lets many customers book and pay on a bad day, and compares what happened at Stripe with what is stored.
//
// Stripe is the stand-in of payment/stripetest, with its chaos: duplicates, twins, delays, another order, attempts that get
// lost, bodies in halves, lost answers; and of the API rate limits, errors with and without the work done, broken
// connections, slow answers. The service is two processes over one database, where the store allows it: webhook,
// checkout, confirm and verify, spread over both, and one of them is killed in the middle and started again. The
// customers pay in full or half, twice as fast as they should, by card, by bank, not at all; they are declined, change
// their minds, close the page, and poll the success page, which a stranger tries to see as well. Days pass by the
// stand-in's clock.
//
// In the end everything that Stripe took must be stored once, as it was agreed: the four counts of what is missing,
// there twice, of a wrong amount or in a wrong state are 0. Compared is every field of the bookings, the payments, their
// history and the ledger, by whatever they can be asked for; that the service's own handler had each event; that whoever
// was refused had to be; that no seat is lost; and that what a thousand customers left is there when all others have come.
// TestNoticed breaks each of these, one by one, and the counts must tell.
//
// SOAK_N is the number of payments (150 unless set), for which half as many customers more come. SOAK_SEED repeats what
// they and the chaos do, as far as a machine can: who comes first in a race is the scheduler's. Each thousand of them has
// a seed of its own, the next one up, which a difference names: with that as SOAK_SEED they come alone. FerretDB, which
// reads a whole collection for most questions, gets a fiftieth of the payments, in tens, each in a database of their own.
package soak

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/carevia/stripebooking/internal/integration/faults"
	"github.com/carevia/stripebooking/internal/integration/servers"
	"github.com/carevia/stripebooking/internal/integration/sqlitetest"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/memory"
	"github.com/carevia/stripebooking/store/mongostore"
	"github.com/carevia/stripebooking/store/sqlstore"
)

func TestMain(m *testing.M) {
	child()
	servers.Main(m)
}

// target is a store that processes can share. Another one is another line of targets.
type target struct {
	name     string
	database func(t *testing.T) string                  // makes an empty one
	open     func(database string) (store.Store, error) // and its tables, if they are not there
	stock    func(database string) (stock, error)
	slow     func(t *testing.T) bool // on databases that are not almost empty; nil: no
}

var targets = []target{
	{"sqlite", func(t *testing.T) string { return sqlitetest.File(t) }, func(file string) (store.Store, error) {
		return openSQL("sqlite", sqlitetest.DSN(file), sqlstore.SQLite, 8)
	}, func(file string) (stock, error) { return sqlStock("sqlite", sqlitetest.DSN(file)) }, nil},
	{"postgres", func(t *testing.T) string {
		server := servers.Postgres(t)
		return server.DSN(server.NewDatabase(t), server.Addr)
	}, func(dsn string) (store.Store, error) { return openSQL("pgx", dsn, sqlstore.Postgres, 32) },
		func(dsn string) (stock, error) { return sqlStock("pgx", dsn) }, nil},
	{"mariadb", func(t *testing.T) string {
		server := servers.MariaDB(t)
		return server.DSN(server.NewDatabase(t), server.Addr)
	}, func(dsn string) (store.Store, error) { return openSQL("mysql", dsn, sqlstore.MySQL, 32) },
		func(dsn string) (stock, error) { return sqlStock("mysql", dsn) }, nil},
	{"mongodb", func(t *testing.T) string {
		server := servers.MongoDB(t)
		return server.URI(server.Addr) + " " + server.NewDatabase(t)
	}, openMongo, mongoStock, func(t *testing.T) bool { return servers.MongoDB(t).Ferret }},
}

func openSQL(driver, dsn string, dialect *sqlstore.Dialect, connections int) (store.Store, error) {
	db, err := sql.Open(driver, dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	s, err := sqlstore.New(sqlstore.Config{DB: db, Dialect: dialect})
	if err != nil {
		return nil, err
	}
	return s, s.Migrate(context.Background())
}

// openMongo opens a place: a URI and the database's name.
func openMongo(place string) (store.Store, error) {
	uri, database, _ := strings.Cut(place, " ")
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		return nil, err
	}
	s, err := mongostore.New(mongostore.Config{Database: client.Database(database)})
	if err != nil {
		return nil, err
	}
	return s, s.Migrate(context.Background())
}

func TestSoak(t *testing.T) {
	n, seed := int(faults.Number(t, "SOAK_N", 150)), faults.Number(t, "SOAK_SEED", time.Now().UnixNano())
	t.Run("memory", func(t *testing.T) {
		s := watch(new(memory.Store))
		soaked(t, seed, n, s, s.stock, 1, func(stripe string) (*process, error) { return serve(s, stripe, nil) })
	})
	for _, target := range targets {
		one := func(t *testing.T, seed int64, n int) {
			database := target.database(t)
			s, err := target.open(database)
			require.NoError(t, err)
			soaked(t, seed, n, s, func() (stock, error) { return target.stock(database) }, 2, func(stripe string) (*process, error) { return spawn(t, target.name, database, stripe) })
		}
		t.Run(target.name, func(t *testing.T) {
			if target.slow == nil || !target.slow(t) {
				one(t, seed, n)
				return
			}
			const few, share = 10, 50 // payments in one database, and of how many one is made
			for i := range max(1, n/share/few) {
				t.Run(strconv.Itoa(i), func(t *testing.T) { one(t, seed+int64(i), few) })
			}
		})
	}
}

func soaked(t *testing.T, seed int64, n int, s store.Store, stock func() (stock, error), sites int, start func(stripe string) (*process, error)) {
	k := newSoak(t, seed, n, s, stock, sites, start)
	// It ends what hangs, and is no measure of speed.
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute+time.Duration(n)*200*time.Millisecond)
	defer cancel()
	began := time.Now()
	err := k.run(ctx)
	seen := k.seen
	t.Logf("%s: %s. Seed %d, %d payments of %d customers, %d of %d deliveries lost, %d of %d requests failed, %d kills, %v", t.Name(), &k.tally,
		seed, seen.paid, seen.customers, seen.lost, seen.deliveries, seen.failed, seen.requests, k.sites.kills, time.Since(began).Round(100*time.Millisecond))
	for _, difference := range k.tally.first {
		t.Log(difference)
	}
	if err != nil || k.tally.any() {
		t.Fatalf("to repeat, in internal/integration: SOAK_SEED=%d SOAK_N=%d go test -v -run '%s' ./soak (%v)", seed, n, t.Name(), err)
	}
	require.Equal(t, sites-1 > 0, k.sites.kills > 0)
	if n < 100 {
		return
	}
	// It is no soak unless much goes wrong.
	require.Greater(t, seen.lost, seen.deliveries/20)
	require.Greater(t, seen.failed, seen.requests/20)
}
