// Package descriptors divides the file descriptors that the process may open.
package descriptors

import "syscall"

// Limit returns how many descriptors the process may open, at most a million. The Go
// runtime has raised the soft limit to the hard limit.
func Limit() int {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return 1024 // the usual default
	}
	return int(min(uint64(l.Cur), 1<<20))
}

// A call in flight takes about 75 KiB: the most by default stay below 150 MiB.
const (
	mostCalls = 2048
	fewCalls  = 16
)

// Calls returns how many calls to receivers may be in flight by default, with so many
// descriptors for them.
func Calls(descriptors int) int { return min(max(descriptors, fewCalls), mostCalls) }
