package node

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A node behind a proxy registers a name that it cannot resolve, and calls it through
// the proxy; a literal address it refuses.
func TestNodeBehindAProxy(t *testing.T) {
	proxy := newReceiver(t)
	n := openNodeWith(t, t.TempDir(), func(c *Config) { c.Dev, c.EgressProxy = false, proxy.URL })
	register(t, n, "hook", "http://hook.internal.example/in")
	publishTo(t, n, 2)
	proxy.wait(t, 2)
	if err := n.life.CheckTarget(t.Context(), "http://10.0.0.1/"); err == nil || !strings.Contains(err.Error(), "a private address") {
		t.Errorf("a private address: %v", err)
	}
	closeNode(t, n)
}

// What is wrong with the way out is known at the start, before the data is touched.
func TestNoStartWithoutTheWayOut(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"SLUICE_CA_FILE is ":                           func(c *Config) { c.CAFile = filepath.Join(c.Data, "none.pem") },
		"SLUICE_EGRESS_PROXY must be http://host:port": func(c *Config) { c.EgressProxy = "proxy:3128" },
	} {
		config := DefaultConfig()
		config.Addr, config.Data = "127.0.0.1:0", filepath.Join(t.TempDir(), "data")
		change(&config)
		if _, err := Open(t.Context(), config, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open = %v; want %q", err, want)
		}
		if _, err := os.Stat(config.Data); !os.IsNotExist(err) {
			t.Errorf("the data directory was created: %v", err)
		}
	}
	config := DefaultConfig()
	config.EgressProxy = "http://me:hush@proxy:3128"
	if err := config.Validate(); err == nil || !strings.Contains(err.Error(), "SLUICE_EGRESS_PROXY") || strings.Contains(err.Error(), "hush") {
		t.Errorf("Validate = %v", err)
	}
}
