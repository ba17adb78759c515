package servers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// StripeCLI is the path of Stripe's command-line tool: the one that STRIPE_CLI
// names, the one that scripts/test installs, or the "stripe" of the PATH.
func StripeCLI(t testing.TB) string {
	t.Helper()
	path, err := stripeCLI()
	return got(t, path, err)
}

func stripeCLI() (string, error) {
	if path := os.Getenv("STRIPE_CLI"); path != "" {
		return exec.LookPath(path)
	}
	root, err := repository()
	if err != nil {
		return "", err
	}
	if path, err := program(filepath.Join(root, ".bin/stripe-cli-*/node_modules/@stripe/cli-*/bin/stripe*")); err == nil {
		return path, nil
	}
	path, err := program("stripe")
	if err != nil {
		err = fmt.Errorf("the command-line tool of Stripe, %w", err)
	}
	return path, err
}

// repository is the folder of go.work.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("there is no go.work in this folder or above")
		}
		dir = filepath.Dir(dir)
	}
}
