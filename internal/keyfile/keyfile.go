// Package keyfile reads and creates key files: small files that only their owner
// may read. A file is created whole or not at all. If several processes create the
// same file concurrently, exactly one wins and the others read what it wrote.
package keyfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/sluicehq/sluice/internal/usertext"
)

// MaxBytes is the largest file that Read accepts: a key is a few hundred bytes.
const MaxBytes = 64 << 10

// Read returns the content of the file at path. It rejects anything that is not a
// regular file, is larger than MaxBytes, or is accessible to users other than its
// owner; the error says what to do. For a missing file the error satisfies
// errors.Is(err, fs.ErrNotExist).
func Read(path string) ([]byte, error) {
	// Checked before opening: opening a named pipe would wait for a writer.
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
		return nil, fmt.Errorf("%s is larger than %d bytes, so it is not a key file; replace it with the right file", path, MaxBytes)
	}
	return content, nil
}

// ReadOrCreate is Read, but creates a missing file with what fresh returns, mode
// 0600, and a missing directory with mode 0700. When it returns, the file survives
// a power failure. It is safe for concurrent use, also by several processes: all
// callers get the same content.
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
	if errors.Is(err, fs.ErrExist) { // another process was faster
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

// create writes a temporary file and hard-links it to path. Unlike a rename, a
// link fails if path exists; unlike O_EXCL on path itself, it never exposes a
// partly written file.
func create(path string, content []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // the link at path stays
	_, err = tmp.Write(content)
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	return os.Link(tmp.Name(), path)
}

// SyncDir syncs a directory, so that the names in it survive a power failure.
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
	return fmt.Sprintf("users other than its owner can access it (mode %#o)", e.mode)
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

// named adds to an error the path and what to do.
func named(path string, err error) error {
	if perm, ok := errors.AsType[*permissionError](err); ok {
		return fmt.Errorf("%s holds a key, but %w; run: chmod 600 %s", path, perm, usertext.ShellWord(path))
	}
	if errors.Is(err, fs.ErrNotExist) { // the caller adds what to do
		return fmt.Errorf("cannot read the key file %s: %w", path, err)
	}
	return fmt.Errorf("cannot read the key file %s: %w; it must be a file owned by the user that runs this program, with mode 600", path, err)
}
