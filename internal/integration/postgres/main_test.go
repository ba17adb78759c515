// Package postgres tests sqlstore on PostgreSQL.
package postgres

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "github.com/lib/pq"              // the driver "postgres"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/faults"
	"github.com/carevia/stripebooking/internal/integration/servers"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/sqlstore"
)

// The test binary runs itself where a test needs a process of its own: the
// variable names the part that the new process plays.
const roleVar = "STRIPEBOOKING_TEST_ROLE"

func TestMain(m *testing.M) {
	faults.Child(openStore)
	if os.Getenv(roleVar) == "migrate" {
		if err := migrate(os.Args[1], os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	servers.Main(m)
}

// migrate does so when the parent closes the input, so that all start at once.
func migrate(driver, dsn string) error {
	db, err := sql.Open(driver, dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	s, err := sqlstore.New(sqlstore.Config{DB: db, Dialect: sqlstore.Postgres})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return s.Migrate(context.Background())
}

// process starts the test binary in a role. Its output comes line by line.
func process(t *testing.T, role string, args ...string) (*exec.Cmd, io.WriteCloser, *bufio.Scanner) {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), roleVar+"="+role)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill() })
	return cmd, in, bufio.NewScanner(out)
}

// way is one way to the server: the driver, what is added to the data source name,
// and whether PgBouncer is between.
type way struct {
	name, driver, params string
	bouncer              bool
}

var (
	pgx  = way{name: "pgx", driver: "pgx"}
	ways = []way{
		pgx,
		{name: "pgx, exec", driver: "pgx", params: "&default_query_exec_mode=exec"},
		{name: "pgx, simple protocol", driver: "pgx", params: "&default_query_exec_mode=simple_protocol"},
		{name: "lib pq", driver: "postgres"},
		{name: "serializable", driver: "pgx", params: "&default_transaction_isolation=serializable"},
		{name: "PgBouncer, pgx, exec", driver: "pgx", params: "&default_query_exec_mode=exec", bouncer: true},
		{name: "PgBouncer, lib pq, binary parameters", driver: "postgres", params: "&binary_parameters=yes", bouncer: true},
	}
)

// newDSN is the data source name of a new database, this way.
func (w way) newDSN(t testing.TB) string {
	t.Helper()
	server := servers.Postgres(t)
	addr := server.Addr
	if w.bouncer {
		addr = servers.PgBouncer(t).Addr
	}
	return server.DSN(server.NewDatabase(t), addr) + w.params
}

// open opens a database until the test ends.
func (w way) open(t testing.TB, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open(w.driver, dsn)
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(40)
	db.SetMaxIdleConns(40)
	return db
}

type inTx = func(context.Context, *sql.Tx, store.Change) error

// newStore is a store over db, migrated.
func newStore(t testing.TB, db *sql.DB, hook inTx) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.New(sqlstore.Config{DB: db, Dialect: sqlstore.Postgres, InTx: hook})
	require.NoError(t, err)
	require.NoError(t, s.Migrate(context.Background()))
	return s
}
