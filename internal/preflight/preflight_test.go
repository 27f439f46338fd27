package preflight

import (
	"context"
	"crypto/x509"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// fine is an environment without troubles.
func fine() facts {
	roots := x509.NewCertPool()
	roots.AddCert(&x509.Certificate{Raw: []byte{1}, RawSubject: []byte{1}})
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	return facts{
		roots: roots, now: now, built: now.Add(-time.Hour), newest: now.Add(-time.Second),
		nameserver: true, files: fewFiles, dir: "/data", free: littleSpace,
	}
}

func TestEachTroubleIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*facts)
		check string // "": no trouble
		text  string
	}{
		"fine":                         {func(*facts) {}, "", ""},
		"no certificates":              {func(f *facts) { f.roots = x509.NewCertPool() }, "certificates", "SSL_CERT_FILE"},
		"certificates cannot be read":  {func(f *facts) { f.roots, f.rootsErr = nil, errors.New("x") }, "certificates", "install the package ca-certificates"},
		"clock at its beginning":       {func(f *facts) { f.now = time.Unix(0, 0) }, "clock", "the clock says 1970-01-01T00:00:00Z, which is before this program was built"},
		"clock before the build":       {func(f *facts) { f.built = f.now.Add(24*time.Hour + time.Second) }, "clock", "NTP"},
		"clock a day before the build": {func(f *facts) { f.built = f.now.Add(24 * time.Hour) }, "", ""},
		"build without a time":         {func(f *facts) { f.built = time.Time{} }, "", ""},
		"clock behind the log":         {func(f *facts) { f.newest = f.now.Add(time.Hour) }, "clock", "1h0m0s before the newest event"},
		"clock just behind the log":    {func(f *facts) { f.newest = f.now.Add(time.Minute) }, "", ""},
		"empty log":                    {func(f *facts) { f.newest = time.Time{} }, "", ""},
		"no nameserver":                {func(f *facts) { f.nameserver = false }, "resolver", "/etc/resolv.conf has no nameserver"},
		"few descriptors":              {func(f *facts) { f.files = 1024 }, "descriptors", "1024 files and connections, and each call to a receiver needs one; raise the hard limit to 4096"},
		"descriptors just enough":      {func(f *facts) { f.files = 4095 }, "", ""},
		"descriptors not known":        {func(f *facts) { f.files = 0 }, "", ""},
		"little space":                 {func(f *facts) { f.free = littleSpace - 1 }, "space", "1023 MiB are free on the disk of the data directory /data"},
		"space not known":              {func(f *facts) { f.free, f.freeErr = 0, errors.New("x") }, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := fine()
			c.spoil(&f)
			troubles := judge(f)
			if c.check == "" {
				if len(troubles) > 0 {
					t.Errorf("got %v, want no trouble", troubles)
				}
				return
			}
			if len(troubles) != 1 || troubles[0].Check != c.check || !strings.Contains(troubles[0].Text, c.text) || strings.Contains(troubles[0].Text, "\n") {
				t.Errorf("got %v, want %s with %q, in one line", troubles, c.check, c.text)
			}
		})
	}
}

func TestSeveralTroublesAreAllFound(t *testing.T) {
	if troubles := judge(facts{roots: x509.NewCertPool(), files: 1}); len(troubles) != len(checks) {
		t.Errorf("got %v, want one of each check", troubles)
	}
}

func TestNameservers(t *testing.T) {
	for conf, want := range map[string]bool{
		"nameserver 192.0.2.53\n":              true,
		"search a.example\n nameserver\t::1":   true,
		"":                                     false,
		"# nameserver 192.0.2.53\n":            false,
		"nameserver\n":                         false,
		"nameservers 192.0.2.53\nsearch x.y\n": false,
	} {
		if got := hasNameserver([]byte(conf)); got != want {
			t.Errorf("%q: %v, want %v", conf, got, want)
		}
	}
}

// A disk that hangs does not delay the start, and is reported.
func TestLookEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := make(chan struct{})
		defer close(hangs)
		began := time.Now()
		troubles := look(t.Context(), func() facts { <-hangs; return fine() })
		if took := time.Since(began); took != timeLimit || len(troubles) != 1 || !strings.Contains(troubles[0].Text, "within 2s") {
			t.Errorf("after %v: %v", took, troubles)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if troubles := look(ended, func() facts { <-hangs; return fine() }); troubles != nil {
			t.Errorf("of a node that ends: %v", troubles)
		}
	})
}

// What is gathered is what this machine has.
func TestGather(t *testing.T) {
	newest := time.Now()
	f := gather(t.TempDir(), newest)
	if f.files == 0 || f.freeErr != nil || f.free == 0 || f.now.Before(newest) || !f.newest.Equal(newest) || f.rootsErr == nil && f.roots == nil {
		t.Errorf("got %+v", f)
	}
	if f := gather("/nowhere/at/all", newest); f.freeErr == nil {
		t.Error("a directory that is not there has free space")
	}
}

const askForLimit = "PREFLIGHT_TEST_LIMIT"

// The soft limit of descriptors that a process is started with does not count:
// the runtime raises it to the hard one.
func TestSoftLimitIsRaised(t *testing.T) {
	if os.Getenv(askForLimit) != "" {
		var limit syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || gather(".", time.Time{}).files < uint64(limit.Max)-1 {
			t.Errorf("limits %+v, %v", limit, err)
		}
		return
	}
	if runtime.GOOS != "linux" {
		t.Skip("other systems have no such hard limit")
	}
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", `ulimit -Sn 256 && exec "$0" -test.run='^TestSoftLimitIsRaised$'`, os.Args[0])
	cmd.Env = append(os.Environ(), askForLimit+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
