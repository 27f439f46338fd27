package sqlitedb

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func ignore(int64, int64) {}

// emptyFile creates the target of a copy.
func emptyFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), PartialName)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// large fills a database with enough pages that a copy takes several steps.
func large(t *testing.T, db *DB) {
	t.Helper()
	err := db.Write(t.Context(), Turn{Bytes: 1}, func(tx *Tx) error {
		for i := range 4 * copyPages {
			if err := put(fmt.Sprintf("tenant-%04d", i), make([]byte, 5000))(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A copy of a database that is written to between any two steps finishes, and is
// the database at the start of the copy, including the write-ahead log.
func TestCopyEndsWhileOthersWrite(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	large(t, db)
	before := names(t, db)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	to := emptyFile(t)
	steps, last := 0, int64(0)
	err := Copy(ctx, dir, to, func(done, total int64) {
		if steps++; steps > 100 {
			cancel() // the copy restarts each time
		}
		if done < last || done > total {
			t.Errorf("%d of %d bytes after %d", done, total, last)
		}
		last = done
		if err := db.Write(t.Context(), Turn{Bytes: 1}, put(fmt.Sprintf("while-%04d", steps), make([]byte, 5000))); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if steps < 4 {
		t.Errorf("%d steps; nothing was written between them", steps)
	}
	if size(t, to) != last {
		t.Errorf("the copy has %d bytes, it reported %d", size(t, to), last)
	}
	restored := t.TempDir()
	if err := os.Rename(to, filepath.Join(restored, FileName)); err != nil {
		t.Fatal(err)
	}
	if got := names(t, open(t, restored)); got != before {
		t.Errorf("the copy has %d names, want the %d from before it began", len(strings.Fields(got)), len(strings.Fields(before)))
	}
}

// A copy is one file: it includes a write-ahead log that no process has open, and
// reading it creates no other file.
func TestCopyOfAnAbruptStopIsOneFile(t *testing.T) {
	dir := filled(t, true)
	to := emptyFile(t)
	if err := Copy(t.Context(), dir, to, ignore); err != nil {
		t.Fatal(err)
	}
	again := emptyFile(t)
	backup := filepath.Dir(to)
	if err := os.Rename(to, filepath.Join(backup, FileName)); err != nil {
		t.Fatal(err)
	}
	if err := Copy(t.Context(), backup, again, ignore); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{backup, filepath.Dir(again)} {
		entries, err := os.ReadDir(path)
		if err != nil || len(entries) != 1 {
			t.Errorf("%s has %v, %v; want the copy alone", path, entries, err)
		}
	}
	if err := os.Rename(again, filepath.Join(filepath.Dir(again), FileName)); err != nil {
		t.Fatal(err)
	}
	if got, want := names(t, open(t, filepath.Dir(again))), names(t, open(t, dir)); got != want || got == "" {
		t.Errorf("the copy has %q, want %q", got, want)
	}
}

// Copy finds damage that the node has not noticed yet: otherwise every backup
// would have it, until no good one is left.
func TestCopyFindsDamage(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, path string){
		"noise":     func(t *testing.T, path string) { overwrite(t, path, size(t, path)/2, make([]byte, 8192)) },
		"truncated": func(t *testing.T, path string) { truncate(t, path, size(t, path)/2) },
		"no schema": func(t *testing.T, path string) { overwrite(t, path, 100, make([]byte, 3000)) },
		"no magic":  func(t *testing.T, path string) { overwrite(t, path, 0, []byte("SQLite format 4")) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filled(t, false)
			damage(t, filepath.Join(dir, FileName))
			err := Copy(t.Context(), dir, emptyFile(t), ignore)
			if err == nil || !strings.Contains(err.Error(), "damaged") || !strings.Contains(err.Error(), dir) {
				t.Errorf("got %v, want that %s is damaged", err, dir)
			}
		})
	}
}

func TestCopyRefusesWhatIsNoDatabaseOfSluice(t *testing.T) {
	for name, c := range map[string]struct{ sql, want string }{
		"nothing":           {"", "there is no database"},
		"no tables":         {"PRAGMA journal_mode = WAL", "not a database of Sluice"},
		"another program's": {"CREATE TABLE theirs (a)", "not a database of Sluice"},
		"a newer release's": {fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = 999; CREATE TABLE ours (a)", applicationID), "version 999"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if c.sql != "" {
				db, err := sql.Open("sqlite", dsn(filepath.Join(dir, FileName), ""))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := db.Exec(c.sql); err != nil {
					t.Fatal(err)
				}
				db.Close()
			}
			err := Copy(t.Context(), dir, emptyFile(t), ignore)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("got %v, want an error that says %q and %s", err, c.want, dir)
			}
		})
	}
}

// The index of a write-ahead log stays after the check by Open: a backup may be
// using it, and once removed it no longer keeps the log from being overwritten.
func TestCheckKeepsTheIndexThatABackupReadsBy(t *testing.T) {
	dir := filled(t, true)
	path := filepath.Join(dir, FileName)
	if _, err := check(t.Context(), path, wholeCheckBytes); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path + "-shm"); err != nil {
		t.Error(err)
	}
}

// A node that started after an interrupted restore would begin with an empty
// database.
func TestOpenRefusesAPartialDatabase(t *testing.T) {
	dir := t.TempDir()
	if _, err := CreatePartial(dir); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), dir)
	if err == nil || !strings.Contains(err.Error(), PartialName) || !strings.Contains(err.Error(), "sluice restore") {
		t.Errorf("got %v, want an error that names the file and what to do", err)
	}
	if _, err := CreatePartial(dir); err == nil || !strings.Contains(err.Error(), "remove the file") {
		t.Errorf("a second one: got %v", err)
	}
}
