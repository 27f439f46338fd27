package sqlitedb

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func fileBytes(t *testing.T, dir string) int64 {
	t.Helper()
	size, err := sizeOf(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	return size
}

// clearAll deletes what fill wrote, but for the last.
func clearAll(t *testing.T, db *DB, keep string) {
	t.Helper()
	err := db.Write(t.Context(), Turn{}, func(tx *Tx) error {
		_, err := tx.Exec("DELETE FROM tenants WHERE tenant <> ?", keep)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What was deleted makes the file smaller, in small steps between other writes, which
// lose nothing.
func TestTheFileShrinksAfterADeletion(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	fill(t, db, "a", 24)
	fill(t, db, "z", 1) // at the end of the file, to be moved
	clearAll(t, db, "z0003")
	commits := db.Commits()
	pages, err := db.Shrink(t.Context())
	if err != nil || pages < 4000 {
		t.Fatalf("Shrink: %d pages, %v, want most of 24 MiB", pages, err)
	}
	if steps := db.Commits() - commits; steps < uint64(pages/shrinkPages) {
		t.Errorf("%d pages took %d transactions, want small steps", pages, steps)
	}
	for fileBytes(t, dir) > 8<<20 { // as soon as a checkpoint has run
		runtime.Gosched()
	}
	var data []byte
	if _, err := db.QueryRow(t.Context(), "SELECT data FROM tenants WHERE tenant = 'z0003'", nil, &data); err != nil || !bytes.Equal(data, make([]byte, 256<<10)) {
		t.Errorf("what was kept has %d bytes, %v", len(data), err)
	}
	if pages, err := db.Shrink(t.Context()); err != nil || pages != 0 {
		t.Errorf("Shrink again: %d, %v: what is left is for the next writes", pages, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if names(t, open(t, dir)) != "z0003" {
		t.Error("after a restart the database has not what was kept")
	}
}

// A database of before cannot, until it was compacted.
// A mistyped directory must not get a new database.
func TestCompactCreatesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "typo")
	if _, _, err := Compact(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "there is no database in "+dir) {
		t.Errorf("Compact: %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it created the directory: %v", err)
	}
}

func TestCompactMakesAnOldDatabaseShrink(t *testing.T) {
	old, conn := older(t, 1)
	want := contentsOf(t, conn)
	dir := snapshot(t, old)
	db := open(t, dir)
	stored := names(t, db)
	fill(t, db, "x", 8)
	err := db.Write(t.Context(), Turn{}, func(tx *Tx) error {
		_, err := tx.Exec("DELETE FROM tenants WHERE tenant LIKE 'x%'")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if pages, err := db.Shrink(t.Context()); err != nil || pages != 0 {
		t.Errorf("Shrink: %d, %v, want nothing", pages, err)
	}
	if _, _, err := Compact(t.Context(), dir); err == nil {
		t.Error("a database in use was compacted")
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	before, after, err := Compact(t.Context(), dir)
	if err != nil || before < 8<<20 || after > 1<<20 || fileBytes(t, dir) != after {
		t.Errorf("Compact: from %d to %d bytes, %v", before, after, err)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*-wal")); len(files) > 0 {
		if info, err := os.Stat(files[0]); err != nil || info.Size() > 0 {
			t.Error("the write-ahead log is left")
		}
	}
	db = open(t, dir)
	migrated(t, db, 1, want)
	if got := names(t, db); got != stored {
		t.Errorf("stored: %q, want %q", got, stored)
	}
	fill(t, db, "x", 8)
	clearAll(t, db, "acme")
	if pages, err := db.Shrink(t.Context()); err != nil || pages == 0 {
		t.Errorf("Shrink after Compact: %d, %v", pages, err)
	}
}
