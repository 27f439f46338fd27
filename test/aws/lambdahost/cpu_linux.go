package lambdahost

import (
	"syscall"
	"time"
	"unsafe"
)

// cpuTime returns the CPU time that a process has used so far, its own and the
// kernel's in its name: what clock_getcpuclockid(3) gives the clock of. It is 0
// if the process is gone.
func cpuTime(pid int) time.Duration {
	const scheduler = 2 // CPUCLOCK_SCHED, of all threads
	clock := uintptr(int32(^pid<<3 | scheduler))
	var spent syscall.Timespec
	_, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&spent)), 0)
	if errno != 0 {
		return 0
	}
	return time.Duration(spent.Nano())
}
