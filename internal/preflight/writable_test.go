package preflight

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestWritableLeavesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "data")
	for range 2 {
		if err := Writable(dir); err != nil {
			t.Fatal(err)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory: %v, %v", info, err)
	}
}

// A start that was cut short leaves its file, which the next one takes away.
func TestWritableAfterAStartCutShort(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, probeFile)
	if err := os.WriteFile(path, []byte("of before"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Writable(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("it is still there: %v", err)
	}
}

func TestNotWritableSaysWhatToDo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	full := t.TempDir() // every write to its probe fails as on a full disk
	if err := os.Symlink("/dev/full", filepath.Join(full, probeFile)); err != nil {
		t.Fatal(err)
	}
	taken := t.TempDir()
	if err := os.Mkdir(filepath.Join(taken, probeFile), 0o700); err != nil {
		t.Fatal(err)
	}
	for dir, words := range map[string][]string{
		file:                      {"cannot be created", "not a directory", "choose another directory (SLUICE_DATA)"},
		filepath.Join(file, "in"): {"cannot be created", "not a directory", "SLUICE_DATA"},
		full:                      {"the data directory " + full + " is not writable", "no space left on device", "free space on its disk, or choose"},
		taken:                     {"is not writable", "is a directory", "SLUICE_DATA"},
	} {
		if dir == full {
			if _, err := os.Stat("/dev/full"); err != nil {
				continue
			}
		}
		err := Writable(dir)
		if err == nil {
			t.Errorf("%s can be written to", dir)
			continue
		}
		for _, word := range append(words, dir) {
			if !strings.Contains(err.Error(), word) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v; want one line with %q", err, word)
			}
		}
	}
}

func TestRemedies(t *testing.T) {
	for err, want := range map[error]string{
		syscall.ENOSPC:   "free space",
		syscall.EDQUOT:   "free space",
		syscall.EROFS:    "mount its file system read-write",
		syscall.EACCES:   "make it writable for the user",
		syscall.EPERM:    "make it writable for the user",
		syscall.ENOTDIR:  "choose another directory",
		fs.ErrPermission: "make it writable for the user",
	} {
		got := remedy(&fs.PathError{Op: "open", Path: "x", Err: fmt.Errorf("wrapped: %w", err)})
		if !strings.HasPrefix(got, want) || !strings.Contains(got, "SLUICE_DATA") {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}
