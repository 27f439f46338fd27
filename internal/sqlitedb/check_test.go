package sqlitedb

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// filled creates a data directory with some content and returns it after a clean
// close, or as an abrupt stop would leave it.
func filled(t *testing.T, abrupt bool) string {
	t.Helper()
	dir, left := t.TempDir(), t.TempDir()
	db := open(t, dir)
	for i := range 3 {
		err := db.Write(t.Context(), Turn{Bytes: 1}, func(tx *Tx) error {
			for j := range 100 {
				if err := put(fmt.Sprintf("tenant-%d%02d", i, j), bytes.Repeat([]byte{byte(j)}, 700))(tx); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if i == 1 && abrupt { // so that the database file itself has content, too
			var a, b, c int
			if _, err := db.QueryRow(t.Context(), "PRAGMA wal_checkpoint(PASSIVE)", nil, &a, &b, &c); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !abrupt {
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	copyFiles(t, dir, left)
	return left
}

func TestDamagedDatabaseIsRefusedAndLeftAlone(t *testing.T) {
	file := func(dir string) string { return filepath.Join(dir, FileName) }
	tests := []struct {
		name   string
		abrupt bool
		damage func(t *testing.T, dir string)
	}{
		{"wrong magic", false, func(t *testing.T, dir string) { overwrite(t, file(dir), 0, []byte("SQLite format 4")) }},
		{"not a database", false, func(t *testing.T, dir string) { replace(t, file(dir), bytes.Repeat([]byte("text\n"), 1000)) }},
		{"a few bytes", false, func(t *testing.T, dir string) { replace(t, file(dir), []byte("SQLite format 3\x00")) }},
		{"zeros in the middle", false, func(t *testing.T, dir string) { overwrite(t, file(dir), size(t, file(dir))/2, make([]byte, 8192)) }},
		{"noise in the middle", false, func(t *testing.T, dir string) {
			overwrite(t, file(dir), size(t, file(dir))/2, bytes.Repeat([]byte{0xa5, 0x17, 0xff}, 4000))
		}},
		{"the schema is gone", false, func(t *testing.T, dir string) { overwrite(t, file(dir), 100, make([]byte, 3000)) }},
		{"truncated", false, func(t *testing.T, dir string) { truncate(t, file(dir), size(t, file(dir))/2) }},
		{"truncated within a page", false, func(t *testing.T, dir string) { truncate(t, file(dir), size(t, file(dir))-1000) }},
		{"emptied, with its write-ahead log", true, func(t *testing.T, dir string) { truncate(t, file(dir), 0) }},
		{"zeros in the middle, with a write-ahead log", true, func(t *testing.T, dir string) {
			overwrite(t, file(dir), size(t, file(dir))/2, make([]byte, 8192))
		}},
		{"truncated, with a write-ahead log", true, func(t *testing.T, dir string) { truncate(t, file(dir), size(t, file(dir))/2) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := filled(t, test.abrupt)
			if db, err := Open(t.Context(), dir); err != nil {
				t.Fatalf("before the damage: %v", err)
			} else if !test.abrupt {
				db.Close()
			} else { // opening it has used up the write-ahead log
				db.Close()
				dir = filled(t, true)
			}
			test.damage(t, dir)
			before := hashes(t, dir)
			_, err := Open(t.Context(), dir)
			if err == nil {
				t.Fatal("the damaged database was opened")
			}
			for _, part := range []string{file(dir), "is damaged", "Move it away", "restore a backup (sluice restore)"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
			if diff := cmp.Diff(before, hashes(t, dir)); diff != "" {
				t.Errorf("the files changed (-before +after):\n%s", diff)
			}
			if missing := "bytes and should have"; strings.HasPrefix(test.name, "truncated") && !test.abrupt && !strings.Contains(err.Error(), missing) {
				t.Errorf("%q does not say how much is missing", err) // of a large database only the size is known
			}
		})
	}
}

// A large database is not read to its end before it is opened.
func TestDamageInALargeDatabaseIsFoundInUse(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	for i := range wholeCheckBytes>>20 + 1 {
		if err := db.Write(t.Context(), Turn{Bytes: 1}, put(fmt.Sprintf("tenant-%03d", i), make([]byte, 1<<20))); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, dir)
	if err := db.Check(t.Context()); err != nil {
		t.Fatalf("before the damage: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, FileName)
	overwrite(t, path, size(t, path)/2, make([]byte, 8192))
	if err := open(t, dir).Check(t.Context()); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("Check = %v, want an error that says that the database is damaged", err)
	}
}

func TestForeignAndNewerDatabasesAreRefused(t *testing.T) {
	tests := map[string]struct{ sql, want string }{
		"another program's": {"PRAGMA application_id = 0; CREATE TABLE theirs (a)", "not one of Sluice;"},
		"a newer release's": {fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = 999; CREATE TABLE ours (a)", applicationID), "version 999"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if _, err := createPrivate(filepath.Join(dir, FileName)); err != nil {
				t.Fatal(err)
			}
			db, err := sql.Open("sqlite", dsn(filepath.Join(dir, FileName), ""))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := db.Exec(test.sql); err != nil {
				t.Fatal(err)
			}
			db.Close()
			before := hashes(t, dir)
			if _, err := Open(t.Context(), dir); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error that says %q", err, test.want)
			}
			if diff := cmp.Diff(before, hashes(t, dir)); diff != "" {
				t.Errorf("the files changed (-before +after):\n%s", diff)
			}
		})
	}
}

// An interrupted first start leaves a database without tables.
func TestUnfinishedFirstStart(t *testing.T) {
	for name, script := range map[string]string{"empty file": "", "empty database": "PRAGMA journal_mode = WAL"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, FileName), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			db, err := sql.Open("sqlite", dsn(filepath.Join(dir, FileName), ""))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := db.Exec(script); err != nil {
				t.Fatal(err)
			}
			db.Close()
			if got := names(t, open(t, dir)); got != "" {
				t.Errorf("stored: %q", got)
			}
		})
	}
}

func TestOddDirectoryNames(t *testing.T) {
	for _, name := range []string{"with space", "per%20cent", "question?mark", "hash#sign", "ünïcode", "a&b=c;d"} {
		dir := filepath.Join(t.TempDir(), name)
		db := open(t, dir)
		if err := db.Write(t.Context(), Turn{Bytes: 1}, put("a", nil0)); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(dir, FileName)); err != nil {
			t.Error(err)
		}
	}
}

func TestFilesArePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	db := open(t, dir)
	if err := db.Write(t.Context(), Turn{Bytes: 1}, put("a", nil0)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".", FileName, FileName + "-wal", FileName + "-shm", LockName} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has the mode %v: others may use it", name, info.Mode())
		}
	}
}

// hashes are of every file in dir but the lock.
func hashes(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]string{}
	for _, entry := range entries {
		if entry.Name() == LockName {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		sums[entry.Name()] = fmt.Sprint(len(data), " ", hex.EncodeToString(sum[:8]))
	}
	return sums
}

func overwrite(t *testing.T, path string, at int64, data []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(data, at); err != nil {
		t.Fatal(err)
	}
}

func replace(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func truncate(t *testing.T, path string, size int64) {
	t.Helper()
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
