package lambdahost

import (
	"syscall"
	"time"
	"unsafe"
)

// cpuTime returns the CPU time that a process has used, user and kernel: that of
// its clock_getcpuclockid(3) clock. It is 0 if the process is gone.
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
