package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/sqlitedb"
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
