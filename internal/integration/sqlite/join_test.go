package sqlite

import (
	"context"
	"database/sql"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/sample"
	"github.com/carevia/stripebooking/internal/integration/sqlitetest"
	"github.com/carevia/stripebooking/internal/integration/sqltest"
	"github.com/carevia/stripebooking/store"
)

func TestInTx(t *testing.T)                   { sqltest.TestInTx(t, recommended) }
func TestInTxErrorOfAnotherCall(t *testing.T) { sqltest.TestInTxErrorOfAnotherCall(t, recommended) }
func TestWithRunsInTx(t *testing.T)           { sqltest.TestWithRunsInTx(t, recommended) }
func TestWithWithinInTx(t *testing.T)         { sqltest.TestWithWithinInTx(t, recommended) }
func TestWithFromManyGoroutines(t *testing.T) { sqltest.TestWithFromManyGoroutines(t, recommended) }

func TestWith(t *testing.T) {
	for _, w := range []sqltest.Way{recommended, unlocked} {
		t.Run(w.Name, func(t *testing.T) { sqltest.TestWith(t, w, sql.LevelDefault) })
	}
}

// A write through another connection would wait for the transaction that waits
// for it.
func TestInTxCallsTheStore(t *testing.T) {
	db := sqlitetest.OpenDB(t, sqlitetest.DSN(sqlitetest.File(t)))
	var s store.Store
	s = sqlitetest.Store(t, db, func(ctx context.Context, _ *sql.Tx, c store.Change) error {
		_, err := s.Apply(ctx, sample.Paid("b"))
		return err
	})
	_, err := s.Apply(context.Background(), sample.Paid("a"))
	require.ErrorContains(t, err, "use With(tx)")
	assert.Equal(t, 0, sqltest.Whole(t, db))
}

// SQLite can end a transaction that its owner believes to be open. A joined store
// then begins none of its own, whose booking a rollback would not undo.
func TestWithTransactionOver(t *testing.T) {
	ctx := context.Background()
	db := sqlitetest.OpenDB(t, sqlitetest.DSN(sqlitetest.File(t)))
	s := sqlitetest.Store(t, db, nil)
	_, err := db.ExecContext(ctx, "CREATE TABLE once (id INTEGER PRIMARY KEY ON CONFLICT ROLLBACK)")
	require.NoError(t, err)
	tx, err := db.BeginTx(ctx, nil)
	require.NoError(t, err)
	defer tx.Rollback()
	_, err = tx.ExecContext(ctx, "INSERT INTO once VALUES (1), (1)")
	require.Error(t, err)
	for range 2 {
		res, err := s.With(tx).Apply(ctx, sample.Paid("a"))
		require.ErrorContains(t, err, "the transaction is over")
		assert.False(t, res.Applied)
	}
	_, err = s.Booking(ctx, "bk_a")
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = s.Apply(ctx, sample.Paid("a"))
	require.NoError(t, err, "the connection is sound again")
}

// Two stores that call each other within their transactions are told so, and do
// not wait for each other.
func TestInTxOfTwoStores(t *testing.T) {
	var one, two store.Store
	one = sqlitetest.Store(t, sqlitetest.OpenDB(t, sqlitetest.DSN(sqlitetest.File(t))), func(ctx context.Context, _ *sql.Tx, c store.Change) error {
		_, err := two.Apply(ctx, c)
		return err
	})
	two = sqlitetest.Store(t, sqlitetest.OpenDB(t, sqlitetest.DSN(sqlitetest.File(t))), func(ctx context.Context, _ *sql.Tx, c store.Change) error {
		_, err := one.Apply(ctx, c)
		return err
	})
	_, err := one.Apply(context.Background(), sample.Paid("a"))
	require.ErrorContains(t, err, "use With(tx)")
}
