// Package servers finds and starts the programs that the tests of this module need:
// the repository's own, browsers, and throwaway database servers, these last
// from the programs that the machine has, each in a temporary folder and on a free
// port of the loopback address, or uses the server that an environment variable
// names. A server is started once for a test binary, by the first test that asks
// for it, and ends with it. It finds Stripe's command-line tool, too.
//
// A test that misses a program skips and says so; with REQUIRE_SERVERS=1, which
// `.ci/run` sets, it fails.
package servers

import (
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Main runs the tests of a package, ends the servers that they started and then
// whatever else, and exits.
func Main(m *testing.M, then ...func()) {
	code := m.Run()
	stopAll()
	for _, end := range then {
		end()
	}
	os.Exit(code)
}

// missing ends a test that can't have its server.
func missing(t testing.TB, err error) {
	t.Helper()
	if os.Getenv("REQUIRE_SERVERS") == "1" {
		t.Fatalf("REQUIRE_SERVERS=1, but %v", err)
	}
	t.Skipf("SKIPPED: %v", err)
}

// errMissing wraps what is not on this machine. Any other error of a start is a
// failure, never a skip.
var errMissing = errors.New("is missing")

// got is a server that was asked for, or the end of the test.
func got[S any](t testing.TB, s S, err error) S {
	t.Helper()
	if errors.Is(err, errMissing) {
		missing(t, err)
	} else if err != nil {
		t.Fatal(err)
	}
	return s
}

// program finds one of the programs, by name or path.
func program(names ...string) (string, error) {
	for _, name := range names {
		if paths, _ := filepath.Glob(name); filepath.IsAbs(name) && len(paths) > 0 {
			return paths[len(paths)-1], nil // the newest version
		}
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s %w", names[0], errMissing)
}

// freeAddr is a loopback address that nobody listens on.
func freeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

// newDatabase makes an empty database, which is dropped when the test has ended, and
// returns its name.
func newDatabase(t testing.TB, admin *sql.DB, drop string) string {
	t.Helper()
	name := "test_" + strings.ToLower(rand.Text())
	if _, err := admin.Exec("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := admin.Exec(fmt.Sprintf(drop, name)); err != nil {
			t.Error(err)
		}
	})
	return name
}

// process is a program that runs until the tests have ended.
type process struct {
	cmd  *exec.Cmd
	stop os.Signal
	log  string // a file with its output
	done chan struct{}
}

var (
	mu      sync.Mutex
	running []*process
	folders []string
)

// tempDir makes a folder, which is removed when the tests have ended.
func tempDir(name string) (string, error) {
	dir, err := os.MkdirTemp("", "stripebooking-"+name+"-")
	mu.Lock()
	defer mu.Unlock()
	folders = append(folders, dir)
	return dir, err
}

// start runs cmd, which works in the folder dir, until the tests have ended, and
// returns once ready says nil. stop is the signal that ends it at once.
func start(cmd *exec.Cmd, dir string, stop os.Signal, ready func() error) error {
	p := &process{cmd: cmd, stop: stop, log: filepath.Join(dir, "output"), done: make(chan struct{})}
	out, err := os.Create(p.log)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	if err := StartWithParent(cmd, stop); err != nil {
		return err
	}
	go func() {
		cmd.Wait() //nolint:errcheck // it is ended by a signal
		close(p.done)
	}()
	mu.Lock()
	running = append(running, p)
	mu.Unlock()

	deadline := time.After(time.Minute)
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s has ended: %s", filepath.Base(cmd.Path), tail(p.log))
		case <-deadline:
			return fmt.Errorf("%s does not answer: %w: %s", filepath.Base(cmd.Path), err, tail(p.log))
		case <-time.After(20 * time.Millisecond): // between two looks
		}
	}
}

func stopAll() {
	mu.Lock()
	defer mu.Unlock()
	for i := len(running) - 1; i >= 0; i-- { // a pooler before its server
		p := running[i]
		p.cmd.Process.Signal(p.stop) //nolint:errcheck // it may have ended
		select {
		case <-p.done:
		case <-time.After(10 * time.Second):
			p.cmd.Process.Kill() //nolint:errcheck // it may have ended
			<-p.done
		}
	}
	for _, dir := range folders {
		os.RemoveAll(dir)
	}
	running, folders = nil, nil
}

func tail(file string) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	return string(data[max(0, len(data)-2000):])
}
