// Package keyfile reads and creates the small files that only their owner
// may read: keys. A file is created whole or not at all, and of several
// processes that create the same file at once exactly one wins; the others
// read what it wrote.
package keyfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// MaxBytes is the largest file that Read accepts: a key is a few hundred bytes.
const MaxBytes = 64 << 10

// Read returns the content of the file at path. It refuses what is not a
// regular file, what is larger than MaxBytes, and a file that others than its
// owner may read, with a sentence that says what to do. The error of a missing
// file satisfies errors.Is(err, fs.ErrNotExist).
func Read(path string) ([]byte, error) {
	// Asked before opening, because opening a named pipe would wait for a writer.
	if err := check(os.Stat(path)); err != nil {
		return nil, named(path, err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, named(path, err)
	}
	defer f.Close()
	if err := check(f.Stat()); err != nil {
		return nil, named(path, err)
	}
	content, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return nil, named(path, err)
	}
	if len(content) > MaxBytes {
		return nil, fmt.Errorf("%s is larger than %d bytes, so it is not a key file; put the right file in its place", path, MaxBytes)
	}
	return content, nil
}

// ReadOrCreate is Read; where there is no file it writes what fresh returns,
// with mode 0600, and returns that. A missing directory is created with mode
// 0700. When it returns, the file survives a power failure. Safe for
// concurrent use, between processes too: all callers get the same content.
func ReadOrCreate(path string, fresh func() ([]byte, error)) ([]byte, error) {
	content, err := Read(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return content, err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if content, err = fresh(); err != nil {
		return nil, err
	}
	err = create(path, content)
	if errors.Is(err, fs.ErrExist) { // somebody else was faster
		if content, err = Read(path); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, fmt.Errorf("cannot create %s: %w", path, err)
	}
	if err := SyncDir(dir); err != nil {
		return nil, fmt.Errorf("cannot create %s durably: %w", path, err)
	}
	return content, nil
}

// create writes a temporary file and gives it its name with a hard link, which
// unlike a rename fails where the name is taken, and unlike O_EXCL on the name
// itself never shows a half-written file.
func create(path string, content []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // a link to it stays
	_, err = tmp.Write(content)
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	return os.Link(tmp.Name(), path)
}

// SyncDir makes the names in a directory survive a power failure.
func SyncDir(dir string) error {
	if runtime.GOOS == "windows" { // a directory cannot be synced there
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

type permissionError struct{ mode fs.FileMode }

func (e *permissionError) Error() string {
	return fmt.Sprintf("others than its owner may access it (mode %#o)", e.mode)
}

var errNotRegular = errors.New("it is not a regular file")

func check(info fs.FileInfo, err error) error {
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return errNotRegular
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0:
		return &permissionError{mode: info.Mode().Perm()}
	}
	return nil
}

// named says what is wrong with the file, and what to do.
func named(path string, err error) error {
	if perm, ok := errors.AsType[*permissionError](err); ok {
		return fmt.Errorf("%s holds a key, but %w; run: chmod 600 %s", path, perm, path)
	}
	if errors.Is(err, fs.ErrNotExist) { // the caller knows what a missing one means
		return fmt.Errorf("cannot read the key file %s: %w", path, err)
	}
	return fmt.Errorf("cannot read the key file %s: %w; it must be a file that belongs to the user who runs this program, with mode 600", path, err)
}
