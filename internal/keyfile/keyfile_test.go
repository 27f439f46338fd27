package keyfile_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/sluicehq/sluice/internal/keyfile"
	"github.com/sluicehq/sluice/internal/usertext"
)

func TestReadOrCreateMakesAPrivateFileOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "a.key")
	got, err := keyfile.ReadOrCreate(path, func() ([]byte, error) { return []byte("first"), nil })
	if err != nil || string(got) != "first" {
		t.Fatalf("ReadOrCreate = %q, %v", got, err)
	}
	got, err = keyfile.ReadOrCreate(path, func() ([]byte, error) {
		t.Error("asked for fresh content though the file is there")
		return nil, nil
	})
	if err != nil || string(got) != "first" {
		t.Fatalf("second ReadOrCreate = %q, %v", got, err)
	}
	if runtime.GOOS != "windows" {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode = %v, %v; want 0600", info.Mode(), err)
		}
		info, err = os.Stat(filepath.Dir(path))
		if err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("mode of the directory = %v, %v; want 0700", info.Mode(), err)
		}
	}
	onlyFile(t, path)
}

// Of many concurrent creators one wins, and the others use its content: a second
// key for a data directory could not open what was sealed with the first.
func TestReadOrCreateManyAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.key")
	const creators = 16
	var made, done sync.WaitGroup
	made.Add(creators)
	got := make([]string, creators)
	for i := range creators {
		done.Go(func() {
			content, err := keyfile.ReadOrCreate(path, func() ([]byte, error) {
				made.Done() // all see that the file is missing before any of them writes it
				made.Wait()
				return fmt.Appendf(nil, "from %d", i), nil
			})
			if err != nil {
				t.Error(err)
			}
			got[i] = string(content)
		})
	}
	done.Wait()
	onDisk, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i, content := range got {
		if content != string(onDisk) {
			t.Errorf("creator %d got %q, the file has %q", i, content, onDisk)
		}
	}
	onlyFile(t, path)
}

func TestReadOrCreateLeavesNothingWhenThereIsNoContent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.key")
	boom := errors.New("no randomness")
	if _, err := keyfile.ReadOrCreate(path, func() ([]byte, error) { return nil, boom }); !errors.Is(err, boom) {
		t.Errorf("err = %v, want %v", err, boom)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestReadRefuses(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing.key")
	big := filepath.Join(dir, "big.key")
	if err := os.WriteFile(big, make([]byte, keyfile.MaxBytes+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, want string }{
		{missing, "no such file"},
		{big, "larger than 65536 bytes"},
		{dir, "not a regular file; it must be a file owned by the user that runs this program, with mode 600"},
	} {
		_, err := keyfile.Read(c.path)
		if err == nil || !strings.Contains(err.Error(), c.path) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Read(%s) = %v; want the path and %q", c.path, err, c.want)
		}
	}
	if _, err := keyfile.Read(missing); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v, want fs.ErrNotExist", err)
	}
}

func TestPermissions(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no permission bits")
	}
	for _, c := range []struct {
		mode fs.FileMode
		ok   bool
	}{{0o600, true}, {0o400, true}, {0o640, false}, {0o604, false}, {0o620, false}, {0o610, false}, {0o666, false}} {
		path := filepath.Join(t.TempDir(), "the key")
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		_, err := keyfile.ReadOrCreate(path, nil)
		if c.ok && err != nil {
			t.Errorf("mode %#o: %v", c.mode, err)
		}
		if !c.ok && (err == nil || !strings.Contains(err.Error(), "chmod 600 "+usertext.ShellWord(path))) {
			t.Errorf("mode %#o: %v; want a sentence with the chmod", c.mode, err)
		}
	}
}

func onlyFile(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != filepath.Base(path) {
		t.Errorf("the directory has %v, want %s alone", entries, filepath.Base(path))
	}
}
