package sqlitedb

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// LockName is the file in a data directory that the process using it keeps locked.
// The file remains when the process ends; the operating system releases the lock
// even if the process is killed.
const LockName = "lock"

// Lock makes this process the owner of a data directory until the returned file is
// closed. Open calls it.
func Lock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, LockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, cannotLock(dir, err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		owner := ownerOf(f)
		_ = f.Close()
		return nil, fmt.Errorf("the data directory %s is in use by another process%s; stop it, or choose another directory", dir, owner)
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		_ = f.Close()
		return nil, cannotLock(dir, err)
	}
	return f, nil
}

func cannotLock(dir string, err error) error {
	return fmt.Errorf("the data directory %s cannot be locked: %w; its files must be owned by the user that runs this program, on a disk that supports writes and locks", dir, err)
}

// ownerOf returns " (pid 123)", or "" if the file has no pid.
func ownerOf(f *os.File) string {
	text, err := io.ReadAll(io.LimitReader(f, 32))
	if err != nil {
		return ""
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" (pid %d)", pid)
}
