package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/sqlstore"
	"github.com/carevia/stripebooking/storetest"
)

// prefixed remembers where its records are, for those who open it again.
type prefixed struct {
	*sqlstore.Store
	prefix string
}

// The contract holds through both drivers, whatever protocol they speak, through a
// pooler that keeps no session together, and where all that does not say otherwise
// is serializable.
func TestConformance(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) { storetest.Run(t, harness(t, w)) })
	}
}

func BenchmarkStore(b *testing.B) { storetest.Bench(b, harness(b, pgx)) }

// harness gives each case tables of its own in one database, which are there
// sooner than a database is. A store that is opened again has another pool.
func harness(t testing.TB, w way) storetest.Harness {
	dsn, cases := w.newDSN(t), 0
	db, again := w.open(t, dsn), w.open(t, dsn)
	open := func(t testing.TB, db *sql.DB, prefix string) store.Store {
		s, err := sqlstore.New(sqlstore.Config{DB: db, Dialect: sqlstore.Postgres, TablePrefix: prefix})
		require.NoError(t, err)
		require.NoError(t, s.Migrate(context.Background()))
		return prefixed{s, prefix}
	}
	return storetest.Harness{
		Open: func(t testing.TB) store.Store {
			cases++
			return open(t, db, fmt.Sprintf("case%d_", cases))
		},
		Reopen: func(t testing.TB, s store.Store) store.Store { return open(t, again, s.(prefixed).prefix) },
		Join: func(t testing.TB, s store.Store) (store.Store, func() error, func() error) {
			tx, err := db.BeginTx(context.Background(), nil)
			require.NoError(t, err)
			return s.(prefixed).With(tx), tx.Commit, tx.Rollback
		},
	}
}
