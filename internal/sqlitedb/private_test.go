package sqlitedb

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whatever others may read or replace is refused before anything is opened, and is
// opened once what the error says has been done.
func TestDatabaseThatOthersCanReachIsRefused(t *testing.T) {
	dir := t.TempDir()
	running, err := Open(t.Context(), dir) // with a write-ahead log
	if err != nil {
		t.Fatal(err)
	}
	copied := t.TempDir()
	if err := running.Write(t.Context(), Turn{}, put("a", []byte("x"))); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{FileName, FileName + "-wal"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(copied, name), content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := running.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string // "" for the directory
		mode os.FileMode
		want string
	}{
		{FileName, 0o644, "(mode 0644); run: chmod 600 "},
		{FileName, 0o660, "(mode 0660); run: chmod 600 "},
		{FileName + "-wal", 0o640, "(mode 0640); run: chmod 600 "},
		{"", 0o777, "(mode 0777); run: chmod 700 "},
	} {
		path := filepath.Join(copied, c.name)
		before, err := os.Stat(path)
		if err == nil {
			err = os.Chmod(path, c.mode)
		}
		if err != nil {
			t.Fatal(err)
		}
		if db, err := Open(t.Context(), copied); err == nil || !strings.Contains(err.Error(), c.want+path) {
			t.Errorf("%s with mode %o: %v; want %q", path, c.mode, err, c.want+path)
			if db != nil {
				_ = db.Close()
			}
		}
		if err := os.Chmod(path, before.Mode().Perm()); err != nil {
			t.Fatal(err)
		}
	}
	open(t, copied)
}

// The umask that the program is started with does not decide who can read the data.
func TestNewDatabaseIsItsOwners(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "data")
	db := open(t, dir)
	if err := db.Write(t.Context(), Turn{}, put("a", []byte("x"))); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{
		"..": 0o700, "": 0o700, FileName: 0o600, FileName + "-wal": 0o600, FileName + "-shm": 0o600, LockName: 0o600,
	} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%q has mode %v, %v; want %o", name, info.Mode(), err, want)
		}
	}
}
