package servers

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Program is the path of one of these programs or files, by name or path. The test
// ends where there is none.
func Program(t testing.TB, names ...string) string {
	t.Helper()
	path, err := program(names...)
	return got(t, path, err)
}

// Start runs a program of this repository, which answers once ready says nil, for
// as long as the test.
func Start(t testing.TB, cmd *exec.Cmd, ready func() error) {
	t.Helper()
	dir, err := os.MkdirTemp("", "stripebooking-"+filepath.Base(cmd.Path)+"-")
	if err == nil {
		err = start(cmd, dir, os.Kill, ready)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill() //nolint:errcheck // it may have ended
		if t.Failed() {
			t.Logf("the end of its output:\n%s", tail(filepath.Join(dir, "output")))
		}
	})
}

// FreeAddr is a loopback address that nobody listens on.
func FreeAddr(t testing.TB) string {
	t.Helper()
	addr, err := freeAddr()
	return got(t, addr, err)
}
