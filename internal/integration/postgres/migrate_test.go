package postgres

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/sqltest"
)

func TestMigrateFromEveryVersion(t *testing.T)    { sqltest.TestMigrateFromEveryVersion(t, pgx) }
func TestMigrateRefusesANewerSchema(t *testing.T) { sqltest.TestMigrateRefusesANewerSchema(t, pgx) }
func TestMigratePrefixAndOwnTool(t *testing.T)    { sqltest.TestMigratePrefixAndOwnTool(t, pgx) }

// Also where a transaction sees only what was there when it began, and through a
// pooler.
func TestMigrateFromManyAtOnce(t *testing.T) {
	for _, w := range []sqltest.Way{pgx, serializable, bounced("lib pq", "postgres", "&binary_parameters=yes")} {
		t.Run(w.Name, func(t *testing.T) { sqltest.TestMigrateFromManyAtOnce(t, w) })
	}
}

func TestMigrateAllOrNothing(t *testing.T) {
	for _, w := range ways[:4] {
		t.Run(w.Name, func(t *testing.T) {
			sqltest.TestMigrateAllOrNothing(t, w, "SELECT tablename FROM pg_tables WHERE tablename LIKE 'stripebooking%'")
		})
	}
}

// Every column that is an id or a key compares byte by byte, though the database
// does not: none was forgotten.
func TestEveryKeyIsBinary(t *testing.T) {
	db := pgx.New(t)
	pgx.Store(t, db, nil)
	rows, err := db.Query(`SELECT c.table_name || '.' || c.column_name, coalesce(c.collation_name, '')
		FROM information_schema.columns c
		WHERE c.table_name LIKE 'stripebooking%' AND c.data_type = 'text' AND
			(c.column_name ~ '(id|_key|slot|handler|account|fingerprint)$' OR EXISTS (
				SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indexrelid AND a.attname = c.column_name
				WHERE i.indrelid = c.table_name::regclass))`)
	require.NoError(t, err)
	defer rows.Close()
	n := 0
	for rows.Next() {
		var column, collation string
		require.NoError(t, rows.Scan(&column, &collation))
		assert.Equal(t, "C", collation, column)
		n++
	}
	require.NoError(t, rows.Err())
	assert.Greater(t, n, 20)
}
