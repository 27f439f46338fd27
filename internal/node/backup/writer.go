package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/sluicehq/sluice/internal/auth"
	"github.com/sluicehq/sluice/internal/keyfile"
	"github.com/sluicehq/sluice/internal/secret/local"
	"github.com/sluicehq/sluice/internal/sqlitedb"
)

// writer copies a database and keys from source to dir.
type writer struct {
	source, dir string
	partial     *sqlitedb.Partial
	made        []string // paths to remove on failure, last first
}

// makeDir creates the directory if it does not exist. Its parent must exist, so that
// a disk that is not mounted is noticed.
func (w *writer) makeDir() error {
	err := os.Mkdir(w.dir, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	w.made = append(w.made, w.dir)
	return keyfile.SyncDir(filepath.Dir(w.dir))
}

// claim creates the partial database, so that no other backup starts in the
// directory. It then checks again that no other one has finished there since.
func (w *writer) claim(create func(dir string) (*sqlitedb.Partial, error), allowed ...string) error {
	partial, err := create(w.dir)
	if err != nil {
		return err
	}
	w.partial = partial
	for _, name := range sqlitedb.PartialNames() {
		w.made = append(w.made, filepath.Join(w.dir, name))
	}
	return checkEmpty(w.dir, allowed...)
}

// fill copies everything and renames the database last.
func (w *writer) fill(ctx context.Context, keys bool, progress Progress) (Result, error) {
	var r Result
	if err := sqlitedb.Copy(ctx, w.source, w.partial.Path(), progress); err != nil {
		return r, err
	}
	info, err := os.Stat(w.partial.Path())
	if err != nil {
		return r, err
	}
	r.Bytes = info.Size()
	if keys {
		if r.Keys, err = w.copyKeys(); err != nil {
			return r, err
		}
	}
	_, err = os.Stat(filepath.Join(w.dir, local.Name))
	r.SecretsKey = err == nil
	w.made = append(w.made, filepath.Join(w.dir, sqlitedb.FileName))
	return r, w.partial.Finish()
}

// copyKeys copies the key files that exist and returns their names.
func (w *writer) copyKeys() ([]string, error) {
	var names []string
	for _, name := range []string{local.Name, auth.OwnKeyName} {
		copied, err := w.copyKey(name)
		if err != nil {
			return nil, err
		}
		if copied {
			names = append(names, name)
		}
	}
	return names, nil
}

func (w *writer) copyKey(name string) (bool, error) {
	from, to := filepath.Join(w.source, name), filepath.Join(w.dir, name)
	content, err := keyfile.Read(from)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := checkKey(name, from); err != nil {
		return false, err
	}
	created := false
	there, err := keyfile.ReadOrCreate(to, func() ([]byte, error) {
		created = true
		return content, nil
	})
	if err != nil {
		return false, err
	}
	if !bytes.Equal(there, content) {
		return false, fmt.Errorf("%s already exists and differs from %s; move the wrong one away", to, from)
	}
	if created {
		w.made = append(w.made, to)
	}
	return true, nil
}

// checkKey refuses a damaged key: the damage is easier to repair while the original
// exists.
func checkKey(name, path string) error {
	if name == local.Name {
		_, err := local.Open(path)
		return err
	}
	_, err := auth.OpenOwnKey(path)
	return err
}

// undo removes everything in made if *failed is not nil. It keeps dir if that has
// other files by now.
func (w *writer) undo(failed *error) {
	if *failed == nil {
		return
	}
	for _, path := range slices.Backward(w.made) {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) && path != w.dir {
			*failed = errors.Join(*failed, err)
		}
	}
}
