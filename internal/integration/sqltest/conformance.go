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

// TestConformance runs the suite. Each case has tables of its own in one database,
// which are there sooner than a database is. A store that is opened again has another
// pool.
func TestConformance(t *testing.T, w Way, hook InTx) {
	dsn, cases := w.NewDSN(t), 0
	db, again := w.Open(t, dsn), w.Open(t, dsn)
	open := func(t *testing.T, db *sql.DB, prefix string) store.Store {
		return prefixed{w.StoreOf(t, sqlstore.Config{DB: db, TablePrefix: prefix, InTx: hook}), prefix}
	}
	storetest.Run(t, storetest.Harness{
		Open: func(t *testing.T) store.Store {
			cases++
			return open(t, db, fmt.Sprintf("case%d_", cases))
		},
		Reopen: func(t *testing.T, s store.Store) store.Store { return open(t, again, s.(prefixed).prefix) },
		Join: func(t *testing.T, s store.Store) (store.Store, func() error, func() error) {
			tx, err := db.BeginTx(context.Background(), nil)
			require.NoError(t, err)
			return s.(prefixed).With(tx), tx.Commit, tx.Rollback
		},
	})
}
