package sqlite

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/sqlitetest"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/sqlstore"
	"github.com/carevia/stripebooking/storetest"
)

// fileStore remembers its file, for those who open it again.
type fileStore struct {
	*sqlstore.Store
	dsn string
}

// The contract holds with the settings that are recommended, and also when
// transactions begin without a lock and the pool has one connection only: no call
// needs a second while it has the first.
func TestConformance(t *testing.T) {
	t.Run("recommended", func(t *testing.T) { storetest.Run(t, harness(sqlitetest.DSN, 0)) })
	t.Run("deferred, one connection", func(t *testing.T) {
		storetest.Run(t, harness(func(file string) string { return deferred(sqlitetest.DSN(file)) }, 1))
	})
}

func BenchmarkStore(b *testing.B) { storetest.Bench(b, harness(sqlitetest.DSN, 0)) }

func harness(dsn func(file string) string, maxConns int) storetest.Harness {
	open := func(t testing.TB, dsn string) store.Store {
		db := sqlitetest.OpenDB(t, dsn)
		db.SetMaxOpenConns(maxConns)
		return fileStore{sqlitetest.Store(t, db, nil), dsn}
	}
	return storetest.Harness{
		Open:   func(t testing.TB) store.Store { return open(t, dsn(sqlitetest.File(t))) },
		Reopen: func(t testing.TB, s store.Store) store.Store { return open(t, s.(fileStore).dsn) },
		Join: func(t testing.TB, s store.Store) (store.Store, func() error, func() error) {
			fs := s.(fileStore)
			tx, err := sqlitetest.OpenDB(t, fs.dsn).BeginTx(context.Background(), nil)
			require.NoError(t, err)
			return fs.With(tx), tx.Commit, tx.Rollback
		},
	}
}
