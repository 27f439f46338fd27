package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/sqlitedb"
	stored "github.com/sluicehq/sluice/internal/store"
	store "github.com/sluicehq/sluice/internal/store/sqlite"
)

// The way out that a refused start names: it says from when the log goes on, and creates
// nothing in a directory that has no database.
func TestResetClock(t *testing.T) {
	dir := t.TempDir()
	runIt := func() (code int, out, err string) {
		var stdout, stderr bytes.Buffer
		e := &env{out: &stdout, err: &stderr, getenv: func(string) string { return "" }, now: func() time.Time { return time.Unix(1_700_000_000, 0) }}
		code = run(t.Context(), []string{"reset-clock", "--data", dir}, e)
		return code, stdout.String(), stderr.String()
	}
	if code, _, text := runIt(); code == exitOK || !strings.Contains(text, "there is no database in "+dir) {
		t.Errorf("without a database: %d, %s", code, text)
	}
	db, err := sqlitedb.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if code, _, text := runIt(); code == exitOK || text == "" {
		t.Errorf("while a node runs: %d, %s", code, text)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if code, out, text := runIt(); code != exitOK || !strings.Contains(out, "goes on from 2023-11-14T22:13:20Z") {
		t.Errorf("%d, %s, %s", code, out, text)
	}
}

// Nothing that was stored while the clock was ahead waits for such a time: an integration
// that was stopped then is stopped.
func TestResetClockLeavesNothingToWaitFor(t *testing.T) {
	dir, now := t.TempDir(), time.Unix(1_700_000_000, 0)
	db, err := sqlitedb.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	later := now.AddDate(1, 0, 0)
	in := &integration.Integration{Tenant: "acme", ID: "hook", StoppedAt: later, QuietAt: later}
	if err := store.New(db).Commit(t.Context(), stored.PutIntegration{Integration: in}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	e := &env{out: &stdout, err: &stderr, getenv: func(string) string { return "" }, now: func() time.Time { return now }}
	if code := run(t.Context(), []string{"reset-clock", "--data", dir}, e); code != exitOK {
		t.Fatalf("%d, %s", code, &stderr)
	}
	if db, err = sqlitedb.Open(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if in, err = store.New(db).Integration(t.Context(), "acme", "hook"); err != nil {
		t.Fatal(err)
	}
	if soon := now.Add(time.Hour); in.StatusAt(soon) != integration.Stopped || in.StoppedAt.After(soon) {
		t.Errorf("after an hour it is %s: %+v", in.StatusAt(soon), in)
	}
}
