package postgres

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/sqlstore"
	"github.com/carevia/stripebooking/storetest"
)

// dsnStore remembers its database, for those who open it again.
type dsnStore struct {
	*sqlstore.Store
	dsn string
}

// The contract holds through both drivers, whatever protocol they speak, through a
// pooler that keeps no session together, and where all that does not say otherwise
// is serializable.
func TestConformance(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) { conformance(t, w) })
	}
}

func conformance(t *testing.T, w way) {
	open := func(t *testing.T, dsn string) store.Store {
		return dsnStore{newStore(t, w.open(t, dsn), nil), dsn}
	}
	storetest.Run(t, storetest.Harness{
		Open:   func(t *testing.T) store.Store { return open(t, w.newDSN(t)) },
		Reopen: func(t *testing.T, s store.Store) store.Store { return open(t, s.(dsnStore).dsn) },
		Join: func(t *testing.T, s store.Store) (store.Store, func() error, func() error) {
			ds := s.(dsnStore)
			tx, err := w.open(t, ds.dsn).BeginTx(context.Background(), nil)
			require.NoError(t, err)
			return ds.With(tx), tx.Commit, tx.Rollback
		},
	})
}
