package servers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// Program is the path of one of these programs or files, by name or path. The test
// ends where there is none.
func Program(t testing.TB, names ...string) string {
	t.Helper()
	path, err := program(names...)
	return got(t, path, err)
}

var bookingserver = sync.OnceValues(func() (string, error) { return build("examples/bookingserver") })

// Bookingserver is the path of the example's program, which is built once for a test
// binary.
func Bookingserver(t testing.TB) string {
	t.Helper()
	path, err := bookingserver()
	return got(t, path, err)
}

// build makes the program in a folder of this repository.
func build(folder string) (path string, err error) {
	tool, err := program("go")
	if err != nil {
		return "", err
	}
	root, err := repository()
	if err != nil {
		return "", err
	}
	name := filepath.Base(folder)
	dir, err := tempDir(name)
	if err != nil {
		return "", err
	}
	cmd := exec.Command(tool, "build", "-o", dir, ".")
	cmd.Dir = filepath.Join(root, folder)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w: %s", name, err, out)
	}
	return filepath.Join(dir, name), nil
}

// Start runs a program of this repository, which answers once ready says nil, for
// as long as the test.
func Start(t testing.TB, cmd *exec.Cmd, ready func() error) {
	t.Helper()
	dir, err := tempDir(filepath.Base(cmd.Path))
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
