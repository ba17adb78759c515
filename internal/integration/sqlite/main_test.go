// Package sqlite tests sqlstore on SQLite.
package sqlite

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

	"github.com/carevia/stripebooking/internal/integration/faults"
	"github.com/carevia/stripebooking/internal/integration/sqlitetest"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/sqlstore"
)

// The test binary runs itself where a test needs a process of its own: the
// variable names the part that the new process plays.
const roleVar = "STRIPEBOOKING_TEST_ROLE"

func TestMain(m *testing.M) {
	faults.Child(func(file string) (store.Store, error) {
		db, err := sql.Open("sqlite", sqlitetest.DSN(file))
		if err != nil {
			return nil, err
		}
		return sqlstore.New(sqlstore.Config{DB: db, Dialect: sqlstore.SQLite})
	})
	role := os.Getenv(roleVar)
	if role == "" {
		os.Exit(m.Run())
	}
	if err := play(role, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func play(role, file string) error {
	ctx := context.Background()
	db, err := sql.Open("sqlite", sqlitetest.DSN(file))
	if err != nil {
		return err
	}
	defer db.Close()
	s, err := sqlstore.New(sqlstore.Config{DB: db, Dialect: sqlstore.SQLite})
	if err != nil {
		return err
	}
	switch role {
	case "migrate": // when the parent closes the input, so that all start at once
		fmt.Println("ready")
		if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
			return err
		}
		return s.Migrate(ctx)
	}
	return fmt.Errorf("no such role")
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
