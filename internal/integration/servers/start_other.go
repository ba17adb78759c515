//go:build !linux

package servers

import (
	"os"
	"os/exec"
)

// StartWithParent starts cmd; only on Linux does it end when this process is killed.
func StartWithParent(cmd *exec.Cmd, _ os.Signal) error { return cmd.Start() }
