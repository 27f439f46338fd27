package preflight

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// probeFile is written and removed. Its name is fixed, so that interrupted starts
// leave at most one.
const probeFile = ".write-test"

// Writable creates the data directory if it does not exist, and checks that a file
// can be written to it durably. Its error says what to do.
func Writable(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("the data directory %s cannot be created: %w; %s", dir, err, remedy(err))
	}
	if err := probe(filepath.Join(dir, probeFile)); err != nil {
		return fmt.Errorf("the data directory %s is not writable: %w; %s", dir, err, remedy(err))
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
	if err == nil && !errors.Is(removed, fs.ErrNotExist) { // another process may have removed it
		err = removed
	}
	return err
}

func remedy(err error) string {
	const elsewhere = ", or choose another directory (SLUICE_DATA)"
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "free space on its disk" + elsewhere
	case errors.Is(err, syscall.EROFS):
		return "mount its file system read-write" + elsewhere
	case errors.Is(err, fs.ErrPermission):
		return "make it writable for the user that runs this program" + elsewhere
	}
	return "choose another directory (SLUICE_DATA)"
}
