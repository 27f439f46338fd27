package main

import (
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	eventlog "github.com/sluicehq/sluice/internal/eventlog/sqlite"
	"github.com/sluicehq/sluice/internal/sqlitedb"
)

// A purge has no way back: it asks, and takes only the tenant's name for a yes.
func TestTenantPurgeAsks(t *testing.T) {
	dir := t.TempDir()
	db, err := sqlitedb.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	log, err := eventlog.Open(t.Context(), db, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for _, tenant := range []string{"acme", "other"} {
		draft := event.Draft{ID: "6f1c4f0e-0000-4000-8000-000000000001", Name: "order.created", Payload: []byte("{}")}
		if err := log.Publish(t.Context(), tenant, event.Lanes{Each: 1}, []event.Draft{draft}); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	tenant := func(stdin string, args ...string) (code int, out, err string) {
		var stdout, stderr strings.Builder
		e := &env{in: strings.NewReader(stdin), out: &stdout, err: &stderr, getenv: func(string) string { return "" }, now: time.Now}
		code = run(t.Context(), append([]string{"tenant", "--data", dir}, args...), e)
		return code, stdout.String(), stderr.String()
	}
	for _, answer := range []string{"", "y\n", "yes\n", "other\n"} {
		code, out, text := tenant(answer, "purge", "acme")
		if code == 0 || out != "" || !strings.Contains(text, "1 events") || !strings.Contains(text, "nothing was deleted") {
			t.Errorf("%q: code %d, %q, %q", answer, code, out, text)
		}
	}
	if code, out, text := tenant("", "usage", "acme"); code != 0 || !strings.Contains(out, "acme") || strings.Contains(out, "other") {
		t.Errorf("usage: code %d, %q, %q", code, out, text)
	}
	if code, out, text := tenant("acme\n", "purge", "acme"); code != 0 || !strings.Contains(out, "Purged acme: 0 integrations and 1 events") {
		t.Errorf("the tenant's name: code %d, %q, %q", code, out, text)
	}
	if code, out, text := tenant("", "purge", "other", "--yes"); code != 0 || !strings.Contains(out, "Purged other") {
		t.Errorf("--yes: code %d, %q, %q", code, out, text)
	}
	for _, args := range [][]string{{"purge", "unknown"}, {"purge", "unknown", "--yes"}, {"usage", "unknown"}} {
		if code, _, text := tenant("", args...); code == 0 || !strings.Contains(text, `no tenant "unknown"`) {
			t.Errorf("%q: code %d, %q", args, code, text)
		}
	}
}
