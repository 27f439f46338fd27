package lambdahost

import (
	"errors"
	"syscall"
)

// The arguments of waitid(2).
const (
	pPID     = 1 // P_PID
	wStopped = 2 // WSTOPPED
)

// awaitStop waits until every thread of the process has stopped, or the process has
// exited: signals are asynchronous.
func awaitStop(pid int) {
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, pPID, uintptr(pid), 0, wStopped, 0, 0)
		if !errors.Is(errno, syscall.EINTR) {
			return
		}
	}
}
