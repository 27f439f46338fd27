package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of the times in /proc/PID/stat, on every Linux.
const tick = 10 * time.Millisecond

// cpuTime returns the CPU time that a process has used, user and kernel.
func cpuTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseStat(stat)
}

// parseStat parses the times in a line of /proc/PID/stat. The program's name, in
// parentheses, can contain any character.
func parseStat(stat []byte) (time.Duration, error) {
	_, rest, _ := bytes.Cut(stat[max(bytes.LastIndexByte(stat, ')'), 0):], []byte(" "))
	fields := strings.Fields(string(rest))
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/PID/stat has %d fields after the name", len(fields))
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	if err != nil {
		return 0, err
	}
	return time.Duration(user+system) * tick, nil
}

// memory is the resident memory of a process, in bytes.
type memory struct{ now, peak int64 }

// memoryOf returns a process's resident memory and its peak since the start or
// the last clearPeak.
func memoryOf(pid int) (memory, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return memory{}, err
	}
	now, err := parseStatus(status, "VmRSS")
	if err != nil {
		return memory{}, err
	}
	peak, err := parseStatus(status, "VmHWM")
	return memory{now, peak}, err
}

// clearPeak resets the peak to the current memory.
func clearPeak(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}

// descriptorsOf returns how many descriptors a process has open.
func descriptorsOf(pid int) (int, error) {
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(open), err
}

// parseIO parses a number in /proc/PID/io.
func parseIO(io []byte, name string) (int64, error) {
	for line := range strings.Lines(string(io)) {
		if key, value, _ := strings.Cut(line, ":"); key == name {
			return strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		}
	}
	return 0, fmt.Errorf("/proc/PID/io has no %s", name)
}

// parseStatus parses a size in /proc/PID/status.
func parseStatus(status []byte, name string) (int64, error) {
	for line := range strings.Lines(string(status)) {
		key, value, _ := strings.Cut(line, ":")
		if key != name {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		return kib << 10, err
	}
	return 0, fmt.Errorf("/proc/PID/status has no %s", name)
}

func mib(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }
