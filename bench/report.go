package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// report collects the results.
type report struct {
	rows   []row
	titles []string
	texts  []string
}

// row is one figure and its target.
type row struct {
	what, target, reached string
	met                   verdict
}

// verdict says whether a target was met.
type verdict string

const (
	met     verdict = "yes"
	missed  verdict = "**no**"
	nothing verdict = "" // there is no target
)

func metIf(ok bool) verdict {
	if ok {
		return met
	}
	return missed
}

func (r *report) add(what, target, reached string, met verdict) {
	r.rows = append(r.rows, row{what, target, reached, met})
}

// detail adds a text below the table.
func (r *report) detail(title, text string) {
	r.titles, r.texts = append(r.titles, title), append(r.texts, strings.TrimRight(text, "\n"))
}

func (r *report) write(w io.Writer, short bool, took time.Duration) error {
	var out strings.Builder
	out.WriteString("| what | target | reached | met |\n|---|---|---|---|\n")
	for _, row := range r.rows {
		_, _ = fmt.Fprintf(&out, "| %s | %s | %s | %s |\n", row.what, row.target, row.reached, row.met)
	}
	_, _ = fmt.Fprintf(&out, "\n%s; the run took %.0f s", machine(), took.Seconds())
	if short {
		out.WriteString(", with -short: rough")
	}
	out.WriteString(".\n")
	for i, title := range r.titles {
		_, _ = fmt.Fprintf(&out, "\n### %s\n\n%s\n", title, r.texts[i])
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// machine describes the machine that ran the measurements.
func machine() string {
	facts := []string{fmt.Sprintf("%d processors", runtime.NumCPU()), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
	var name syscall.Utsname
	if syscall.Uname(&name) == nil {
		var release []byte
		for _, c := range name.Release {
			if c == 0 {
				break
			}
			release = append(release, byte(c))
		}
		facts = append(facts, "kernel "+string(release))
	}
	if sync, err := syncTime(); err == nil {
		facts = append(facts, fmt.Sprintf("fsync of 4 KiB %.1f ms (median)", ms(sync)))
	}
	return strings.Join(facts, ", ")
}

// syncTime returns the median time to append 4 KiB to a file and sync it to disk.
func syncTime() (time.Duration, error) {
	dir, err := os.MkdirTemp("", "sluice-bench-")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	f, err := os.Create(filepath.Join(dir, "file"))
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	var times []float64
	for range 50 {
		started := time.Now()
		if _, err := f.Write(make([]byte, 4096)); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		times = append(times, float64(time.Since(started)))
	}
	return time.Duration(spreadOf(times).median), nil
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
func us(d float64) float64       { return d / float64(time.Microsecond) }
