package sqlitedb

import (
	"os"
	"path/filepath"
	"testing"
)

// A first start that was interrupted in the middle of the first page, or just after it,
// is begun anew, with everything that a new file gets.
func TestAnInterruptedFirstStartIsNoDamage(t *testing.T) {
	for _, size := range []int64{100, 2048, 4096} {
		dir := t.TempDir()
		path := filepath.Join(dir, FileName)
		whole, err := Open(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := whole.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		journal := append([]byte{0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7}, make([]byte, 504)...)
		copy(journal[20:], []byte{0, 0, 2, 0, 0, 0, 16, 0}) // sector and page size
		if err := os.WriteFile(path+"-journal", journal, 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := Open(t.Context(), dir)
		if err != nil {
			t.Errorf("%d bytes: %v", size, err)
			continue
		}
		var mode int
		if _, err := db.QueryRow(t.Context(), "PRAGMA auto_vacuum", nil, &mode); err != nil || mode != 2 {
			t.Errorf("%d bytes: auto_vacuum is %d, want 2; %v", size, mode, err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A journal says nothing of a database that has more than a page.
func TestAJournalBesideADatabaseIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	db, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, FileName)
	if err := os.WriteFile(path+"-journal", append(journalMagic[:8:8], make([]byte, 504)...), 0o600); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := discardUnbegun(path); err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadFile(path); err != nil || len(after) != len(before) {
		t.Errorf("%d of %d bytes are left, %v", len(after), len(before), err)
	}
}
