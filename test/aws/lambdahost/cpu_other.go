//go:build !linux

package lambdahost

import "time"

// cpuTime is not supported on this system.
func cpuTime(int) time.Duration { return 0 }
