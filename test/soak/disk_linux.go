package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// inNamespace is set in the environment of the process that may mount a disk.
const inNamespace = "SOAK_HAS_NAMESPACE"

func ownDisk() bool { return os.Getenv(inNamespace) != "" }

// runWithDisk runs this program again in a mount namespace of its own, where it can mount
// a disk that is small enough to be filled. It returns the exit code.
func runWithDisk(ctx context.Context) int {
	self, err := os.Executable()
	if err != nil {
		return 1
	}
	again := func(flags uintptr) *exec.Cmd {
		cmd := exec.CommandContext(ctx, self, os.Args[1:]...)
		cmd.Env = append(os.Environ(), inNamespace+"=1")
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL}
		if flags != 0 && os.Getuid() != 0 {
			cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
			cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
		}
		return cmd
	}
	cmd := again(syscall.CLONE_NEWNS)
	if err := cmd.Start(); err != nil {
		cmd = again(0) // it says that it cannot mount a disk
		if err := cmd.Start(); err != nil {
			return 1
		}
	}
	if err := cmd.Wait(); err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			return max(exit.ExitCode(), 1)
		}
		return 1
	}
	return 0
}

func mountDisk(dir, size string) error {
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}
	return syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size+",mode=700")
}

func unmountDisk(dir string) error {
	if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) {
		return err
	}
	return nil
}

func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
