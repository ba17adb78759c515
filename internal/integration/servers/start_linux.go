package servers

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// StartWithParent starts cmd so that it also ends when this process is killed.
func StartWithParent(cmd *exec.Cmd, stop os.Signal) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = stop.(syscall.Signal)
	started := make(chan error)
	go func() {
		// The signal comes when the thread ends that started the process, so
		// this one must stay: see prctl(2), PR_SET_PDEATHSIG.
		runtime.LockOSThread()
		started <- cmd.Start()
		select {}
	}()
	return <-started
}
