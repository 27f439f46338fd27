package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/auth"
)

// consoleAt runs console in a data directory of its own, at a terminal unless piped. It returns
// what the browser was given too.
func consoleAt(t *testing.T, vars map[string]string, piped bool, args ...string) (code int, out, errOut string, opened []string, dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "data")
	var o, e bytes.Buffer
	at := &env{
		out: &o, err: &e, getenv: func(name string) string { return vars[name] }, now: time.Now,
		open: func(address string) error { opened = append(opened, address); return errors.New("there is no browser") },
	}
	if piped {
		at.open = nil
	}
	code = run(t.Context(), append([]string{"console", "--data", dir}, args...), at)
	return code, o.String(), e.String(), opened, dir
}

// identity returns whose token is in an address of the console, which must be below base.
func identity(t *testing.T, dir, base, address string) auth.Identity {
	t.Helper()
	token, ok := strings.CutPrefix(strings.TrimSuffix(address, "\n"), base+"/console/#token=")
	if !ok {
		t.Fatalf("the address is %q", address)
	}
	key, err := auth.OpenOwnKey(filepath.Join(dir, auth.OwnKeyName))
	if err != nil {
		t.Fatal(err)
	}
	id, err := key.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestConsoleOpensWithAToken(t *testing.T) {
	for _, c := range []struct {
		args, url, tenant string
		scopes            []string
		says              string
	}{
		{"", "http://127.0.0.1:8080", "acme", []string{"integrations:read"}, "for the tenant acme for 15m0s and may only read; --write"},
		{"--tenant globex --write", "http://127.0.0.1:8080", "globex", []string{"integrations:read", "integrations:write"}, "for the tenant globex for 15m0s and may read and change"},
		{"--any-tenant --ttl 1h", "http://127.0.0.1:8080", "", []string{"integrations:read", "tenants:any"}, "for every tenant for 1h0m0s and may only read"},
		{"--url https://events.example.com/sluice/", "https://events.example.com/sluice", "acme", []string{"integrations:read"}, ""},
		{"--url http://events.internal --insecure", "http://events.internal", "acme", []string{"integrations:read"}, ""},
	} {
		code, out, stderr, opened, dir := consoleAt(t, nil, false, strings.Fields(c.args)...)
		if code != exitOK || strings.Count(out, "\n") != 1 || !slices.Equal(opened, []string{strings.TrimSpace(out)}) {
			t.Errorf("%q: exit code %d, %q, %q; opened %q", c.args, code, out, stderr, opened)
			continue
		}
		if id := identity(t, dir, c.url, out); id.Tenant != c.tenant || !slices.Equal(id.Scopes, c.scopes) {
			t.Errorf("%q: the token has %+v", c.args, id)
		}
		if !strings.Contains(stderr, c.says) || strings.Contains(stderr, "#token") {
			t.Errorf("%q: standard error is %q", c.args, stderr)
		}
	}
	_, out, _, _, dir := consoleAt(t, map[string]string{"SLUICE_URL": "http://127.0.0.1:9999"}, false)
	identity(t, dir, "http://127.0.0.1:9999", out)
}

// The token must be short: it ends up in histories of terminals and chats.
func TestConsoleTokenEndsSoon(t *testing.T) {
	_, out, _, _, _ := consoleAt(t, nil, true)
	_, token, _ := strings.Cut(out, "#token=")
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct{ Iat, Exp int64 }
	if err := json.Unmarshal(payload, &claims); err != nil || claims.Exp-claims.Iat != 900 {
		t.Errorf("it is valid from %d to %d, %v", claims.Iat, claims.Exp, err)
	}
}

func TestConsoleOpensNoBrowserWithoutAPerson(t *testing.T) {
	for _, c := range []struct {
		piped bool
		args  []string
	}{{true, nil}, {false, []string{"--no-open"}}} {
		code, out, _, opened, _ := consoleAt(t, nil, c.piped, c.args...)
		if code != exitOK || !strings.Contains(out, "/console/#token=") || len(opened) > 0 {
			t.Errorf("%+v: exit code %d, %q; opened %q", c, code, out, opened)
		}
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for _, out := range []any{file, new(bytes.Buffer)} {
		if opener(out) != nil {
			t.Errorf("a browser is opened for a %T", out)
		}
	}
}

func TestConsoleRefuses(t *testing.T) {
	for args, want := range map[string]string{
		"--tenant acme --any-tenant":        "both --tenant and --any-tenant are given",
		"--tenant a/b":                      `the tenant "a/b" is invalid`,
		"--ttl 25h":                         "--ttl is 25h0m0s; it must be at most 24h0m0s",
		"--ttl 0s":                          "the ttl 0s is invalid",
		"--url events.example.com":          "--url: the URL of the API must look like",
		"--url http://events.example.com":   "--insecure",
		"--url https://a.example.com/#x":    "must not have a query or fragment",
		"--url https://me:pw@a.example.com": "must not contain a user",
		"more":                              "more",
	} {
		code, out, stderr, opened, _ := consoleAt(t, nil, false, strings.Fields(args)...)
		if code != exitUsage || out != "" || len(opened) > 0 || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit code %d, %q, %q; opened %q", args, code, out, stderr, opened)
		}
	}
}

func TestBrowserOfEachSystem(t *testing.T) {
	for system, want := range map[string]string{
		"linux": "xdg-open http://a/", "freebsd": "xdg-open http://a/", "darwin": "open http://a/", "windows": "rundll32 url.dll,FileProtocolHandler http://a/",
	} {
		if got := strings.Join(browser(system, "http://a/"), " "); got != want {
			t.Errorf("%s: %q, want %q", system, got, want)
		}
	}
}

// output is what a running command has printed. It is safe for concurrent use.
type output struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{}
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.changed <- struct{}{}:
	default:
	}
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// serveDev starts a development node, stops it when it has printed its hints, and returns them.
func serveDev(t *testing.T, dir string, args ...string) string {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	out, stderr := &output{changed: make(chan struct{}, 1)}, &output{}
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, append([]string{"serve", "--dev", "--addr", "127.0.0.1:0", "--data", dir}, args...), &env{
			out: out, err: stderr, getenv: func(string) string { return "" }, now: time.Now,
		})
	}()
	for !strings.Contains(out.String(), "/metrics") {
		select {
		case <-out.changed:
		case code := <-ended:
			t.Fatalf("it ended with %d: %s", code, stderr)
		}
	}
	stop()
	if code := <-ended; code != exitOK {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if strings.Contains(stderr.String(), "#token") {
		t.Errorf("the token is in the log: %s", stderr)
	}
	return out.String()
}

// What a newcomer sees first is where to look, with a token that may try out everything there.
func TestDevelopmentNodePrintsTheConsoleFirst(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	hints := serveDev(t, dir)
	at := regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(hints)
	first, rest, _ := strings.Cut(strings.TrimSpace(hints), "\n\n")
	address, rest, _ := strings.Cut(rest, "\n\n")
	if first != "The console, for 15 minutes:" {
		t.Errorf("the hints begin with %q", first)
	}
	if id := identity(t, dir, at, strings.TrimSpace(address)); id.Tenant != "acme" || !slices.Equal(id.Scopes, []string{"integrations:read", "integrations:write", "events:publish"}) {
		t.Errorf("the token has %+v", id)
	}
	_, command, _ := strings.Cut(rest, "this opens it with a new token: "+self()+" ")
	command, _, _ = strings.Cut(command, "\n")
	if want := fmt.Sprintf("console --data %s --write --url %s", dir, at); command != want {
		t.Errorf("the command is %q, want %q", command, want)
	}
	if err := checkArgs(strings.Fields(command)); err != nil {
		t.Error(err)
	}
}

func TestDevelopmentNodeWithoutTheConsole(t *testing.T) {
	if hints := serveDev(t, filepath.Join(t.TempDir(), "data"), "--console=false"); strings.Contains(hints, "The console") || strings.Contains(hints, "#token") {
		t.Errorf("the hints are %s", hints)
	}
}
