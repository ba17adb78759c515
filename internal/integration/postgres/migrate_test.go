package postgres

import (
	"context"
	"database/sql"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/store/sqlstore"
)

func migrated(t *testing.T, db *sql.DB) []string {
	t.Helper()
	rows, err := db.Query("SELECT name FROM stripebooking_migrations ORDER BY version")
	require.NoError(t, err)
	defer rows.Close()
	var names []string
	for rows.Next() {
		var n string
		require.NoError(t, rows.Scan(&n))
		names = append(names, n)
	}
	require.NoError(t, rows.Err())
	return names
}

func steps(t *testing.T, prefix string) (list []sqlstore.Migration, names []string) {
	t.Helper()
	list, err := sqlstore.Migrations(sqlstore.Postgres, prefix)
	require.NoError(t, err)
	for _, m := range list {
		names = append(names, m.Name)
	}
	return list, names
}

// From an empty database and from every earlier version, twice each.
func TestMigrateFromEveryVersion(t *testing.T) {
	ctx := context.Background()
	list, names := steps(t, "")
	for from := range len(list) + 1 {
		db := pgx.open(t, pgx.newDSN(t))
		if from > 0 {
			_, err := db.Exec("CREATE TABLE stripebooking_migrations (version INTEGER NOT NULL PRIMARY KEY, name VARCHAR(255) NOT NULL)")
			require.NoError(t, err)
		}
		for _, m := range list[:from] {
			_, err := db.Exec(m.SQL)
			require.NoError(t, err)
			_, err = db.Exec("INSERT INTO stripebooking_migrations VALUES ($1, $2)", m.Version, m.Name)
			require.NoError(t, err)
		}
		for range 2 {
			s := newStore(t, db, nil)
			_, err := s.Apply(ctx, paid("a"))
			require.NoError(t, err)
		}
		assert.Equal(t, names, migrated(t, db), "from version %d", from)
		assert.Equal(t, 1, whole(t, db))
	}
}

// Ten processes and ten pools of this one start on an empty database, also where
// a transaction sees only what was there when it began, and through a pooler.
func TestMigrateFromManyAtOnce(t *testing.T) {
	const n = 10
	for _, w := range []way{
		pgx,
		{name: "serializable", driver: "pgx", params: "&default_transaction_isolation=serializable"},
		{name: "PgBouncer, lib pq", driver: "postgres", params: "&binary_parameters=yes", bouncer: true},
	} {
		t.Run(w.name, func(t *testing.T) {
			dsn := w.newDSN(t)
			var start, wait []func() error
			for range n {
				cmd, in, out := process(t, "migrate", w.driver, dsn)
				require.True(t, out.Scan(), "the process is ready")
				start, wait = append(start, in.Close), append(wait, cmd.Wait)
			}
			gun, errs := make(chan struct{}), make(chan error, n)
			for range n {
				s, err := sqlstore.New(sqlstore.Config{DB: w.open(t, dsn), Dialect: sqlstore.Postgres})
				require.NoError(t, err)
				go func() {
					<-gun
					errs <- s.Migrate(context.Background())
				}()
			}
			close(gun)
			for _, start := range start {
				require.NoError(t, start())
			}
			for range n {
				assert.NoError(t, <-errs)
			}
			for _, wait := range wait {
				assert.NoError(t, wait())
			}
			_, names := steps(t, "")
			assert.Equal(t, names, migrated(t, w.open(t, dsn)))
		})
	}
}

func TestMigrateRefusesANewerSchema(t *testing.T) {
	db := pgx.open(t, pgx.newDSN(t))
	s := newStore(t, db, nil)
	_, err := db.Exec("INSERT INTO stripebooking_migrations (version, name) VALUES (99, '0099_tomorrow')")
	require.NoError(t, err)
	assert.ErrorContains(t, s.Migrate(context.Background()), "the schema is at version 99")
}

// A migration that fails leaves nothing behind, and its connection is good for
// the next caller.
func TestMigrateAllOrNothing(t *testing.T) {
	ctx := context.Background()
	for _, w := range ways[:4] {
		t.Run(w.name, func(t *testing.T) {
			db := w.open(t, w.newDSN(t))
			db.SetMaxOpenConns(1)
			_, err := db.Exec("CREATE TABLE stripebooking_events (id TEXT)") // in the way of a later statement
			require.NoError(t, err)
			s, err := sqlstore.New(sqlstore.Config{DB: db, Dialect: sqlstore.Postgres})
			require.NoError(t, err)
			require.ErrorContains(t, s.Migrate(ctx), "0001_records")
			var tables int
			require.NoError(t, db.QueryRow("SELECT COUNT(*) FROM pg_tables WHERE tablename LIKE 'stripebooking%'").Scan(&tables))
			assert.Equal(t, 1, tables)
			_, err = db.Exec("DROP TABLE stripebooking_events")
			require.NoError(t, err)
			assert.NoError(t, s.Migrate(ctx))
		})
	}
}

// Two prefixes are two stores in one database, and the rendered files make the
// same schema in another tool's hands.
func TestMigratePrefixAndOwnTool(t *testing.T) {
	ctx := context.Background()
	db := pgx.open(t, pgx.newDSN(t))
	one := newStore(t, db, nil)
	list, _ := steps(t, "other_")
	for _, m := range list {
		_, err := db.Exec(m.SQL)
		require.NoError(t, err)
	}
	two, err := sqlstore.New(sqlstore.Config{DB: db, Dialect: sqlstore.Postgres, TablePrefix: "other_"})
	require.NoError(t, err)
	for _, s := range []*sqlstore.Store{one, two} {
		res, err := s.Apply(ctx, paid("a"))
		require.NoError(t, err)
		assert.True(t, res.Applied)
	}
}

// Every column that is an id or a key compares byte by byte, though the database
// does not: none was forgotten.
func TestEveryKeyIsBinary(t *testing.T) {
	db := pgx.open(t, pgx.newDSN(t))
	newStore(t, db, nil)
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
