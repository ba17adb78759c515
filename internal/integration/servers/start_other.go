//go:build !linux

package servers

import (
	"os"
	"os/exec"
)

func startWithParent(cmd *exec.Cmd, _ os.Signal) error { return cmd.Start() }
