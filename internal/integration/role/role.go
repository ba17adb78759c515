// Package role starts a test binary again, where a test needs a process of its own,
// to play a part in it.
package role

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
)

// variable names the part of a process.
const variable = "STRIPEBOOKING_TEST_ROLE"

// Play must be called by the TestMain of a package that starts this role, before all
// else: in the process that is to play it, it does so and does not return.
func Play(role string, part func(args []string) error) {
	if os.Getenv(variable) != role {
		return
	}
	if err := part(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Child is a process that plays a part.
type Child struct {
	*exec.Cmd
	In  io.WriteCloser
	Out *bufio.Scanner // line by line
}

// Start starts the test binary in a role, and kills it when the test ends.
func Start(t testing.TB, role string, args ...string) (*Child, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &Child{Cmd: exec.Command(exe, args...)}
	c.Env = append(os.Environ(), variable+"="+role)
	c.Stderr = os.Stderr
	if c.In, err = c.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.Out = bufio.NewScanner(out)
	if err := c.Cmd.Start(); err != nil {
		return nil, err
	}
	t.Cleanup(func() { c.Process.Kill() }) //nolint:errcheck // it may have ended
	return c, nil
}
