package sqlitedb

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sluicehq/sluice/internal/keyfile"
)

// PartialName is the database in a directory as long as it is not whole.
const PartialName = FileName + ".partial"

// PartialNames are the files of a database that is not whole: those that SQLite
// may leave beside it if the process is killed, too.
func PartialNames() []string {
	return []string{PartialName, PartialName + "-journal", PartialName + "-wal", PartialName + "-shm"}
}

// Partial is a database that is being written into a directory. Open refuses the
// directory until it is finished: a node that started there would begin with an
// empty database.
type Partial struct{ dir string }

// CreatePartial makes an empty file that only its owner may read. If there is one
// already it fails. When it returns, the file survives a power failure.
func CreatePartial(dir string) (*Partial, error) {
	return openPartial(dir, os.O_EXCL)
}

// RecreatePartial is CreatePartial for the owner of a data directory: a file that
// is there was left by a process that was killed, and is emptied. At no moment
// is it missing.
func RecreatePartial(dir string) (*Partial, error) {
	for _, name := range PartialNames()[1:] {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return openPartial(dir, os.O_TRUNC)
}

func openPartial(dir string, flag int) (*Partial, error) {
	p := &Partial{dir}
	f, err := os.OpenFile(p.Path(), os.O_WRONLY|os.O_CREATE|flag, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s is there: a backup into this directory is running or was cut short; remove it, or choose another directory", p.Path())
	}
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Close(), keyfile.SyncDir(dir)); err != nil {
		return nil, errors.Join(err, os.Remove(p.Path()))
	}
	return p, nil
}

// Path is where to write.
func (p *Partial) Path() string { return filepath.Join(p.dir, PartialName) }

// Finish gives the database its name once it is on disk.
func (p *Partial) Finish() error {
	f, err := os.OpenFile(p.Path(), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(p.Path(), filepath.Join(p.dir, FileName)); err != nil {
		return err
	}
	return keyfile.SyncDir(p.dir)
}

// refusePartial refuses a data directory whose restore was cut short.
func refusePartial(dir string) error {
	path := filepath.Join(dir, PartialName)
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("the database in the data directory %s is not whole, as %s is there: a restore was cut short. "+
		"Run sluice restore again, or remove the file to start without what it was to restore", dir, path)
}
