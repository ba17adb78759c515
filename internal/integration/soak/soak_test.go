// Package soak lets many customers book and pay on a bad day, and compares what happened at Stripe with what is stored.
//
// Stripe is the stand-in of payment/stripetest, with its chaos: duplicates, delays, another order, attempts that get
// lost, bodies in halves, lost answers; and of the API rate limits, errors with and without the work done, broken
// connections, slow answers. The service is two processes over one database, where the store allows it: webhook,
// checkout, confirm and verify, spread over both, and one of them is killed in the middle and started again. The
// customers pay in full or half, twice as fast as they should, by card, by bank, not at all; they are declined, change
// their minds, and poll the success page, which a stranger tries to see as well. Days pass by the stand-in's clock.
//
// In the end everything that Stripe took must be stored once, as it was agreed: the four counts of what is missing,
// there twice, of a wrong amount or in a wrong state are 0.
//
// SOAK_N is the number of customers (200 unless set), SOAK_SEED repeats what they and the chaos do, as far as a machine
// can: who comes first in a race is the scheduler's. Each thousand of them has a seed of its own, the next one up, which
// a difference names: with that as SOAK_SEED they come alone.
package soak

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/faults"
	"github.com/carevia/stripebooking/internal/integration/servers"
	"github.com/carevia/stripebooking/internal/integration/sqlitetest"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/memory"
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
}

var targets = []target{
	{"sqlite", func(t *testing.T) string { return sqlitetest.File(t) }, func(file string) (store.Store, error) {
		return openSQL("sqlite", sqlitetest.DSN(file), sqlstore.SQLite, 8)
	}},
	{"postgres", func(t *testing.T) string {
		server := servers.Postgres(t)
		return server.DSN(server.NewDatabase(t), server.Addr)
	}, func(dsn string) (store.Store, error) { return openSQL("pgx", dsn, sqlstore.Postgres, 32) }},
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

func TestSoak(t *testing.T) {
	t.Run("memory", func(t *testing.T) {
		s := new(memory.Store)
		soaked(t, s, 1, func(stripe string) (*process, error) { return serve(s, stripe, nil) })
	})
	for _, target := range targets {
		t.Run(target.name, func(t *testing.T) {
			database := target.database(t)
			s, err := target.open(database)
			require.NoError(t, err)
			soaked(t, s, 2, func(stripe string) (*process, error) { return spawn(target.name, database, stripe) })
		})
	}
}

func soaked(t *testing.T, s store.Store, sites int, start func(stripe string) (*process, error)) {
	n, seed := faults.Number(t, "SOAK_N", 200), faults.Number(t, "SOAK_SEED", time.Now().UnixNano())
	k := newSoak(t, seed, int(n), s, sites, start)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute+time.Duration(n)*100*time.Millisecond)
	defer cancel()
	began := time.Now()
	err := k.run(ctx)
	seen := k.seen
	t.Logf("%s: %s. Seed %d, %d customers, %d sessions paid, %d of %d deliveries lost, %d of %d requests failed, %d kills, %v", t.Name(), &k.tally,
		seed, n, seen.paid, seen.lost, seen.deliveries, seen.failed, seen.requests, k.sites.kills, time.Since(began).Round(100*time.Millisecond))
	for _, difference := range k.tally.first {
		t.Log(difference)
	}
	if err != nil || k.tally.any() {
		t.Fatalf("to repeat, in internal/integration: SOAK_SEED=%d SOAK_N=%d go test -v -run '%s' ./soak (%v)", seed, n, t.Name(), err)
	}
	// It is no soak unless much goes wrong.
	require.Greater(t, seen.paid, int(n)/2)
	require.Greater(t, seen.lost, seen.deliveries/20)
	require.Greater(t, seen.failed, seen.requests/20)
	require.Equal(t, sites-1 > 0, k.sites.kills > 0)
}
