// Package preflight checks a node's environment: root certificates, clock, resolver,
// file descriptors and disk. A problem there would otherwise show up as failures of
// the receivers. It makes no network calls.
package preflight

import (
	"context"
	"crypto/x509"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Trouble is a problem found by a check.
type Trouble struct {
	Check string // certificates, clock, resolver, descriptors or space
	Text  string // what is wrong, the consequence, and what to do
}

// facts is the input of the checks.
type facts struct {
	roots      *x509.CertPool
	rootsErr   error
	now        time.Time
	built      time.Time // time of the commit this program was built from; zero if not recorded
	newest     time.Time // newest timestamp in the log; zero if it is empty
	nameserver bool      // a nameserver is configured
	files      uint64    // limit of open descriptors; 0 if unknown
	dir        string
	free       uint64 // bytes on the disk of dir
	freeErr    error
}

// checks lists all checks. Each returns the Text of a Trouble, or "".
var checks = []struct {
	name  string
	judge func(facts) string
}{
	{"certificates", certificates},
	{"clock", clock},
	{"resolver", resolver},
	{"descriptors", descriptors},
	{"space", space},
}

// timeLimit limits all checks together.
const timeLimit = 2 * time.Second

// Look checks the environment of a node with data directory dir, whose log has newest
// as its latest timestamp. It returns within 2 s, or when ctx ends.
func Look(ctx context.Context, dir string, newest time.Time) []Trouble {
	return look(ctx, func() facts { return gather(dir, newest) })
}

func look(ctx context.Context, gather func() facts) []Trouble {
	ctx, cancel := context.WithTimeout(ctx, timeLimit)
	defer cancel()
	gathered := make(chan facts, 1)
	go func() { gathered <- gather() }()
	select {
	case f := <-gathered:
		return judge(f)
	case <-ctx.Done():
	}
	if ctx.Err() == context.Canceled {
		return nil // the node shuts down
	}
	return []Trouble{{"space", fmt.Sprintf("the checks did not finish within %v, probably because a disk hangs; check the disks of the data directory and of the certificates", timeLimit)}}
}

func judge(f facts) []Trouble {
	var troubles []Trouble
	for _, c := range checks {
		if text := c.judge(f); text != "" {
			troubles = append(troubles, Trouble{c.name, text})
		}
	}
	return troubles
}

func certificates(f facts) string {
	if f.rootsErr == nil && !f.roots.Equal(x509.NewCertPool()) {
		return ""
	}
	return "no root certificates are installed, so no https receiver, bucket or issuer can be verified; " +
		"install the package ca-certificates, mount /etc/ssl/certs from the host, or set SSL_CERT_FILE to a file of certificates"
}

const (
	clockLag = time.Minute    // behind the log: less is an ordinary correction
	buildLag = 24 * time.Hour // behind the build: clocks of build machines differ
)

// earliest is earlier than any build of this release.
var earliest = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func clock(f facts) string {
	const remedy = "set the clock and keep it synchronized with NTP"
	now := f.now.UTC().Format(time.RFC3339)
	floor := earliest
	if built := f.built.Add(-buildLag); built.After(floor) {
		floor = built
	}
	if f.now.Before(floor) {
		return "the clock says " + now + ", which is before this program was built: certificates and access tokens will be refused as not valid yet; " + remedy
	}
	if lag := f.newest.Sub(f.now); lag > clockLag {
		return fmt.Sprintf("the clock says %s, %v before the newest event in the log: published_at runs ahead of the clock until it catches up; %s", now, lag.Round(time.Second), remedy)
	}
	return ""
}

func resolver(f facts) string {
	if f.nameserver {
		return ""
	}
	return "/etc/resolv.conf has no nameserver, so host names of receivers cannot be resolved; add a line like: nameserver 192.0.2.53"
}

func hasNameserver(conf []byte) bool {
	for line := range strings.Lines(string(conf)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "nameserver" {
			return true
		}
	}
	return false
}

// fewFiles is enough for 16 concurrent calls to each of 200 integrations, and for
// clients.
const fewFiles = 4096

func descriptors(f facts) string {
	if f.files == 0 || f.files+1 >= fewFiles { // Go may keep one of the hard limit
		return ""
	}
	return fmt.Sprintf("this process may open only %d files and connections, and each call to a receiver needs one; "+
		"raise the hard limit to %d or more: ulimit -Hn, LimitNOFILE= of systemd, --ulimit nofile= of Docker", f.files, fewFiles)
}

const littleSpace = 1 << 30

func space(f facts) string {
	if f.freeErr != nil || f.free >= littleSpace {
		return ""
	}
	return fmt.Sprintf("only %d MiB are free on the disk of the data directory %s; when it is full, publishing fails with 503. Free or add space, or shorten SLUICE_RETENTION", f.free>>20, f.dir)
}

func gather(dir string, newest time.Time) facts {
	f := facts{now: time.Now(), built: built(), newest: newest, dir: dir}
	f.roots, f.rootsErr = x509.SystemCertPool()
	conf, _ := os.ReadFile("/etc/resolv.conf")                     // a missing file means no nameserver
	f.nameserver = hasNameserver(conf) || runtime.GOOS == "darwin" // macOS has another source
	// The Go runtime has raised the soft limit to the hard limit.
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		f.files = uint64(limit.Cur)
	}
	var disk syscall.Statfs_t
	if f.freeErr = syscall.Statfs(dir, &disk); f.freeErr == nil {
		f.free = uint64(disk.Bavail) * uint64(disk.Bsize)
	}
	return f
}
