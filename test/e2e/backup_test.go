package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestBackupOfABusyNode backs up a node that publishes and delivers the whole
// time, and restores the backup while the first node goes on. A node that starts
// there has every event that was acknowledged before the backup began.
func TestBackupOfABusyNode(t *testing.T) {
	t.Parallel()
	n := newNode(t, checked, fast, "--dev")
	c := newClient(n, "acme")
	receiver, down := newSink(t), newSink(t)
	down.hanging = true // and so what it is owed is delivered by the restored node
	c.register(t, "shop", fmt.Sprintf(`"callback_parameters":{"callback_url":%q,"api_key":"key-of-the-shop"}`, receiver.url))
	c.register(t, "owed", down.url)
	began := time.Now().Add(-time.Second)
	mustPublishLarge(t, c, 12)
	l := startLoad(t, c, 3)
	until(t, "there is some load", func() bool { return len(l.all()) > 300 })

	backup := filepath.Join(t.TempDir(), "backup")
	before := l.all()
	got := run(t, checked, nil, "", "backup", backup, "--data", n.data, "--keys")
	during := len(l.all()) - len(before)
	if got.code != 0 || got.stderr != "" {
		t.Fatalf("backup: %+v", got)
	}
	for _, words := range []string{"checked", "secrets.key and token.key", "protect it like the node", "sluice restore " + backup} {
		if !strings.Contains(got.stdout, words) {
			t.Errorf("it does not say %q: %s", words, got.stdout)
		}
	}
	if during == 0 {
		t.Error("nothing was acknowledged during the backup")
	}
	t.Logf("%d events acknowledged before the backup, %d during it", len(before), during)
	until(t, "publishing goes on", func() bool { return len(l.all()) > len(before)+during })
	l.end()
	until(t, "all arrived", func() bool { return receiver.lacks(l.all()) == 0 })
	n.noErrors()
	if code, _ := n.end(); code != 0 { // both at once would deliver to the same receivers
		t.Fatalf("it ended with %d", code)
	}

	m := &node{t: t, binary: checked, data: filepath.Join(t.TempDir(), "restored"), env: fast, args: []string{"--dev"}}
	got = run(t, checked, nil, "", "restore", backup, "--data", m.data)
	if got.code != 0 || !strings.Contains(got.stdout, "sluice serve --data "+m.data) {
		t.Fatalf("restore: %+v", got)
	}
	down.mu.Lock()
	down.hanging = false
	down.mu.Unlock()
	m.open()
	m.start()
	restored := newClient(m, "acme")
	until(t, "what was owed is delivered from the restored node", func() bool { return down.lacks(before) == 0 })
	replay := newSink(t)
	a := restored.call(t, "POST", eventstream, fmt.Sprintf(`{"id":"replay","integration_type":"temporary","starts_at":%q,"ends_at":%q,"callback_parameters":{"callback_url":%q}}`,
		began.UTC().Format(time.RFC3339), time.Now().UTC().Format(time.RFC3339Nano), replay.url))
	if a.status != http.StatusOK {
		t.Fatalf("registering the replay: %d %s", a.status, a.body)
	}
	until(t, "the log of the restored node has everything", func() bool { return replay.lacks(before) == 0 })
	ids := mustPublish(t, restored, 3)
	until(t, "it goes on", func() bool { return receiver.lacks(ids) == 0 })
}

// mustPublishLarge publishes n MiB, so that a backup takes some time.
func mustPublishLarge(t *testing.T, c *client, n int) {
	t.Helper()
	for i := range n * 4 {
		noise := make([]byte, 0, 1<<18)
		for seed := uint32(i); len(noise) < 250_000; { // what does not compress
			seed = seed*1664525 + 1013904223
			noise = fmt.Appendf(noise, "%08x", seed)
		}
		if _, status, err := c.publish(t.Context(), 1, `{"text":"`+string(noise)+`"}`); err != nil || status != http.StatusAccepted {
			t.Fatalf("publishing: %d, %v", status, err)
		}
	}
}

// Backup and restore report that the keys are missing, and a node that has
// secrets does not start on it until secrets.key is back.
func TestBackupWithoutKeys(t *testing.T) {
	t.Parallel()
	data := goodData(t)
	backup, restored := filepath.Join(t.TempDir(), "backup"), filepath.Join(t.TempDir(), "restored")
	got := run(t, plain, map[string]string{"SLUICE_DATA": data}, "", "backup", backup)
	if got.code != 0 || !strings.Contains(got.stdout, "Without secrets.key the stored secrets of the integrations cannot be decrypted") {
		t.Fatalf("backup: %+v", got)
	}
	got = run(t, plain, nil, "", "restore", backup, "--data", restored)
	if got.code != 0 || !strings.Contains(got.stdout, "does not contain secrets.key. Before you start the node, copy the original") || !strings.Contains(got.stdout, restored) {
		t.Fatalf("restore: %+v", got)
	}
	serve := []string{"serve", "--addr", "127.0.0.1:0", "--data", restored}
	checkRefusal(t, run(t, plain, nil, "", serve...), 1, []string{"secrets.key", "backup"})

	key, err := os.ReadFile(filepath.Join(data, "secrets.key"))
	if err == nil {
		err = os.WriteFile(filepath.Join(restored, "secrets.key"), key, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	m := &node{t: t, binary: plain, data: restored, args: []string{"--dev"}}
	m.open()
	m.start()
	if got := newClient(m, "acme").status(t, "shop"); got != "running" {
		t.Errorf("the integration is %s", got)
	}
}

// What is refused says so in one line.
func TestBackupRefusals(t *testing.T) {
	t.Parallel()
	data, full, none := goodData(t), t.TempDir(), filepath.Join(t.TempDir(), "none")
	if err := os.WriteFile(filepath.Join(full, "notes"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	n := newNode(t, plain, nil, "--dev")
	for _, c := range []struct {
		args  []string
		code  int
		words []string
	}{
		{[]string{"backup"}, 2, []string{"DIR is missing", "--help"}},
		{[]string{"restore"}, 2, []string{"DIR is missing", "--help"}},
		{[]string{"backup", full, "--data", data}, 1, []string{full, "not empty", "notes"}},
		{[]string{"backup", none, "--data", full}, 1, []string{"no database", full}},
		{[]string{"backup", data + "/backup", "--data", data}, 1, []string{"must not contain each other", data}},
		{[]string{"restore", full, "--data", none}, 1, []string{"does not contain a backup", full}},
		{[]string{"restore", data, "--data", n.data}, 1, []string{n.data, "not empty", "sluice.db"}},
	} {
		checkRefusal(t, run(t, plain, nil, "", c.args...), c.code, c.words)
	}
	if _, err := os.Stat(none); err == nil {
		t.Errorf("%s was made", none)
	}
	n.noErrors()
}
