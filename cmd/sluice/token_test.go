package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/internal/auth"
	"github.com/sluicehq/sluice/internal/problem"
)

// A newly generated key is probably not the node's: standard error says so.
func TestTokenTellsOfANewKey(t *testing.T) {
	cli := &cli{t: t}
	dir := filepath.Join(t.TempDir(), "data")
	for _, want := range []string{"generated a new key in " + filepath.Join(dir, "token.key") + "; a node with another data directory will not accept this token\n", ""} {
		code, stdout, stderr := cli.run(nil, "token", "--data", dir, "--tenant", "acme", "--scope", "events:publish")
		if code != exitOK || stderr != want || strings.Count(stdout, ".") != 2 || strings.Count(stdout, "\n") != 1 {
			t.Errorf("exit code %d, %q, %q; want %q", code, stdout, stderr, want)
		}
	}
}

// A token that may do everything was asked for by leaving out --scope: it says so.
func TestTokenTellsThatItHasAllScopes(t *testing.T) {
	cli := &cli{t: t}
	dir := filepath.Join(t.TempDir(), "data")
	cli.run(nil, "token", "--data", dir, "--tenant", "acme") // generates the key
	_, all, stderr := cli.run(nil, "token", "--data", dir, "--tenant", "acme")
	if want := "this token has all scopes (integrations:read, integrations:write, events:publish); use --scope to give it fewer\n"; stderr != want {
		t.Errorf("standard error is %q, want %q", stderr, want)
	}
	key, err := auth.OpenOwnKey(filepath.Join(dir, auth.OwnKeyName))
	if err != nil {
		t.Fatal(err)
	}
	if id, err := key.Verify(t.Context(), strings.TrimSpace(all)); err != nil || len(id.Scopes) != 3 {
		t.Errorf("the token has %v, %v", id.Scopes, err)
	}
	_, one, stderr := cli.run(nil, "token", "--data", dir, "--tenant", "acme", "--scope", "events:publish")
	if id, err := key.Verify(t.Context(), strings.TrimSpace(one)); err != nil || len(id.Scopes) != 1 || stderr != "" {
		t.Errorf("with --scope the token has %v, %v; %q", id.Scopes, err, stderr)
	}
}

func TestPlatformTokenActsForEveryTenant(t *testing.T) {
	cli := &cli{t: t}
	dir := filepath.Join(t.TempDir(), "data")
	code, token, _ := cli.run(nil, "token", "--data", dir, "--any-tenant", "--scope", "events:publish")
	if code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	key, err := auth.OpenOwnKey(filepath.Join(dir, auth.OwnKeyName))
	if err != nil {
		t.Fatal(err)
	}
	if id, err := key.Verify(t.Context(), strings.TrimSpace(token)); err != nil || !id.AnyTenant() || !slices.Equal(id.Scopes, []string{"events:publish", "tenants:any"}) {
		t.Errorf("the token has %+v, %v", id, err)
	}
	_, _, stderr := cli.run(nil, "token", "--data", dir, "--any-tenant")
	if want := "this token has all scopes (integrations:read, integrations:write, events:publish, tenants:any); use --scope to give it fewer\n"; stderr != want {
		t.Errorf("standard error is %q, want %q", stderr, want)
	}
	for _, args := range [][]string{{"--any-tenant", "--tenant", "acme"}, {}, {"--tenant", "acme", "--scope", "tenants:any"}} {
		if code, out, stderr := cli.run(nil, append([]string{"token", "--data", dir}, args...)...); code != exitUsage || out != "" {
			t.Errorf("%v: exit code %d, %q %q", args, code, out, stderr)
		}
	}
}

// A scope that is given is in the token once, and a caller that forgets the tenant learns of both
// ways.
func TestPlatformTokenIsAskedForByItsFlag(t *testing.T) {
	cli := &cli{t: t}
	dir := filepath.Join(t.TempDir(), "data")
	_, token, _ := cli.run(nil, "token", "--data", dir, "--any-tenant", "--scope", "tenants:any,events:publish")
	key, err := auth.OpenOwnKey(filepath.Join(dir, auth.OwnKeyName))
	if err != nil {
		t.Fatal(err)
	}
	if id, err := key.Verify(t.Context(), strings.TrimSpace(token)); err != nil || !slices.Equal(id.Scopes, []string{"tenants:any", "events:publish"}) {
		t.Errorf("the token has %v, %v", id.Scopes, err)
	}
	for args, want := range map[string]string{
		"--scope tenants:any":        "--tenant is missing; for a platform token, which acts for every tenant, use --any-tenant",
		"--any-tenant --tenant acme": "both --tenant and --any-tenant are given; omit one",
	} {
		if code, out, stderr := cli.run(nil, append([]string{"token", "--data", dir}, strings.Fields(args)...)...); code != exitUsage || out != "" || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit code %d, %q, %q", args, code, out, stderr)
		}
	}
}

func TestLongTokenMustBeAskedFor(t *testing.T) {
	cli := &cli{t: t}
	dir := filepath.Join(t.TempDir(), "data")
	sign := func(args ...string) (int, string, string) {
		return cli.run(nil, append([]string{"token", "--data", dir, "--tenant", "acme", "--scope", "events:publish"}, args...)...)
	}
	code, stdout, stderr := sign("--ttl", "24h1s")
	if code != exitUsage || stdout != "" || !strings.Contains(stderr, "--ttl is 24h0m1s; without --long it must be at most 24h0m0s") {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a refused command created a key: %v", err)
	}
	for _, args := range [][]string{{"--ttl", "24h"}, {"--ttl", "720h", "--long"}, {"--long"}} {
		if code, stdout, stderr := sign(args...); code != exitOK || strings.Count(stdout, ".") != 2 {
			t.Errorf("%v: exit code %d, %q, %q", args, code, stdout, stderr)
		}
	}
}

// The runbook's way to revoke tokens: without its key file, a node makes a new key.
func TestReplacedKeyRevokesItsTokens(t *testing.T) {
	cli := &cli{t: t}
	dir := t.TempDir()
	path := filepath.Join(dir, auth.OwnKeyName)
	_, before, _ := cli.run(nil, "token", "--data", dir, "--tenant", "acme")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	key, err := auth.OpenOwnKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := key.Verify(t.Context(), strings.TrimSpace(before)); problem.CodeOf(err) != problem.Unauthorized {
		t.Errorf("a token of the old key: %v", err)
	}
	_, after, _ := cli.run(nil, "token", "--data", dir, "--tenant", "acme")
	if _, err := key.Verify(t.Context(), strings.TrimSpace(after)); err != nil {
		t.Errorf("a token of the new key: %v", err)
	}
}

// A key that others could have put there signs nothing, and none is made there.
func TestTokenRefusesADirectoryThatOthersCanWriteTo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "wide")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := (&cli{t: t}).run(nil, "token", "--tenant", "acme", "--data", dir)
	if code == exitOK || !strings.Contains(stderr, "chmod 700 "+dir) {
		t.Errorf("exit code %d, %q", code, stderr)
	}
	if _, err := os.Stat(filepath.Join(dir, auth.OwnKeyName)); err == nil {
		t.Error("it left a key there")
	}
}
