package preflight

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// probeFile is written and removed again. It has one name, so that a start that
// was cut short leaves one at most.
const probeFile = ".write-test"

// Writable makes the data directory, if it is not there, and writes a file to it
// durably. Its error is a sentence that says what to do: without that file a node
// can do nothing.
func Writable(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("the data directory %s cannot be made: %w; %s", dir, err, remedy(err))
	}
	if err := probe(filepath.Join(dir, probeFile)); err != nil {
		return fmt.Errorf("nothing can be written to the data directory %s: %w; %s", dir, err, remedy(err))
	}
	return nil
}

func probe(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, 4096))
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	removed := os.Remove(path)
	if err == nil && !errors.Is(removed, fs.ErrNotExist) { // another process may have been faster
		err = removed
	}
	return err
}

func remedy(err error) string {
	const elsewhere = ", or choose another directory with --data"
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "free space on its disk" + elsewhere
	case errors.Is(err, syscall.EROFS):
		return "mount its file system for writing" + elsewhere
	case errors.Is(err, fs.ErrPermission):
		return "give it to the user that runs this program" + elsewhere
	}
	return "choose another directory with --data"
}
