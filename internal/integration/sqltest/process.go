package sqltest

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/store/sqlstore"
)

// The test binary runs itself where a test needs a process of its own: the
// variable names the part that the new process plays.
const roleVar = "STRIPEBOOKING_TEST_ROLE"

// Child must be called by the TestMain of a package that uses TestMigrateFromManyAtOnce,
// before all else: in a process that is to migrate it does so and does not return.
func Child(d *sqlstore.Dialect) {
	if os.Getenv(roleVar) != "migrate" {
		return
	}
	if err := migrate(d, os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// migrate does so when the parent closes the input, so that all start at once.
func migrate(d *sqlstore.Dialect, driver, dsn string) error {
	db, err := sql.Open(driver, dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	s, err := sqlstore.New(sqlstore.Config{DB: db, Dialect: d})
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
