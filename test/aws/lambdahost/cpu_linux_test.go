package lambdahost

import (
	"crypto/sha256"
	"os"
	"syscall"
	"testing"
	"time"
)

// The test compares with the kernel's accounting of the process, which is taken
// later and in steps.
func TestCPUTimeOfProcess(t *testing.T) {
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before, began := cpuTime(os.Getpid()), used()
	block := make([]byte, 1<<20)
	for used()-began < 50*time.Millisecond {
		sha256.Sum256(block)
	}
	took, want := cpuTime(os.Getpid())-before, used()-began
	if took < want-20*time.Millisecond || took > want+20*time.Millisecond {
		t.Errorf("it used %v by its clock and %v by the kernel's accounting", took, want)
	}
	if got := cpuTime(1 << 22); got != 0 { // no process has such a number
		t.Errorf("a process that is not there used %v", got)
	}
}
