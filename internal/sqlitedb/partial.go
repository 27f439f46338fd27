package sqlitedb

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sluicehq/sluice/internal/keyfile"
)

// PartialName is the name of the database while it is incomplete.
const PartialName = FileName + ".partial"

// PartialNames returns the files of an incomplete database, including those that
// SQLite may leave next to it if the process is killed.
func PartialNames() []string {
	return []string{PartialName, PartialName + "-journal", PartialName + "-wal", PartialName + "-shm"}
}

// Partial is a database that is being written into a directory. Open refuses that
// directory until Finish: a node started there would begin with an empty database.
type Partial struct{ dir string }

// CreatePartial creates an empty file that only its owner may read. It fails if
// the file exists. When it returns, the file survives a power failure.
func CreatePartial(dir string) (*Partial, error) {
	return openPartial(dir, os.O_EXCL)
}

// RecreatePartial is CreatePartial for the owner of a data directory: an existing
// file was left by a killed process and is emptied. The file is never missing in
// between.
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
		return nil, fmt.Errorf("%s exists: a backup into this directory is running or was interrupted; remove the file, or choose another directory", p.Path())
	}
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Close(), keyfile.SyncDir(dir)); err != nil {
		return nil, errors.Join(err, os.Remove(p.Path()))
	}
	return p, nil
}

// Path returns the path to write to.
func (p *Partial) Path() string { return filepath.Join(p.dir, PartialName) }

// Finish syncs the database and renames it to FileName. When it returns, the
// database survives a power failure.
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

// refusePartial refuses a data directory whose restore was interrupted.
func refusePartial(dir string) error {
	path := filepath.Join(dir, PartialName)
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("the database in the data directory %s is incomplete, because %s exists: a restore was interrupted. "+
		"Run sluice restore again, or remove the file to start without the restored data", dir, path)
}
