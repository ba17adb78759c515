package sqltest

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

// TestConformance runs the suite.
func TestConformance(t *testing.T, w Way, hook InTx) { storetest.Run(t, harness(t, w, hook)) }

// harness gives each case tables of its own in one database, which are there
// sooner than a database is. A store that is opened again has another pool.
func harness(t testing.TB, w Way, hook InTx) storetest.Harness {
	dsn, cases := w.NewDSN(t), 0
	db, again := w.Open(t, dsn), w.Open(t, dsn)
	open := func(t testing.TB, db *sql.DB, prefix string) store.Store {
		return prefixed{w.StoreOf(t, sqlstore.Config{DB: db, TablePrefix: prefix, InTx: hook}), prefix}
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
