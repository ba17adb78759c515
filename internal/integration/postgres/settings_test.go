package postgres

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/servers"
	"github.com/carevia/stripebooking/store/sqlstore"
)

// Settings that would lose bookings are refused, by what to change.
func TestSettings(t *testing.T) {
	server := servers.Postgres(t)
	name := server.NewDatabase(t)
	dsn := server.DSN(name, server.Addr)
	for value, want := range map[string]string{"off": "set it to on", "local": "", "on": ""} {
		_, err := pgx.Open(t, dsn).Exec("ALTER DATABASE " + name + " SET synchronous_commit = " + value)
		require.NoError(t, err)
		db := pgx.Open(t, dsn)
		if want != "" {
			pgx.Refused(t, db, want)
		} else {
			pgx.Store(t, db, nil)
		}
	}
}

func TestEncoding(t *testing.T) {
	server := servers.Postgres(t)
	name := server.NewDatabase(t)
	admin := pgx.Open(t, server.DSN("postgres", server.Addr))
	for _, q := range []string{
		"DROP DATABASE " + name,
		"CREATE DATABASE " + name + " ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0",
	} {
		_, err := admin.Exec(q)
		require.NoError(t, err, q)
	}
	s := pgx.Unmigrated(t, sqlstore.Config{DB: pgx.Open(t, server.DSN(name, server.Addr))})
	assert.ErrorContains(t, s.Migrate(context.Background()), "ENCODING 'UTF8'")
}
