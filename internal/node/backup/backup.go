// Package backup copies the data directory of a node to a directory that can be
// restored, and back. A directory has a database only if it is whole: until then
// the database has another name, under which no node starts.
package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/internal/auth"
	"github.com/sluicehq/sluice/internal/secret/local"
	"github.com/sluicehq/sluice/internal/sqlitedb"
)

// Progress is called now and then with the bytes copied and how many there are.
type Progress func(done, total int64)

// Result is what was written.
type Result struct {
	Bytes      int64    // of the database
	Keys       []string // the names of the key files that were copied
	SecretsKey bool     // the directory has the key of the stored secrets
}

// Create writes a backup of the data directory, whose node may be running, into
// dir, which must be empty or not exist. Of a failure nothing is left; of a
// process that was killed, nothing that Restore takes for a backup.
func Create(ctx context.Context, data, dir string, keys bool, progress Progress) (Result, error) {
	if err := checkApart(dir, data); err != nil {
		return Result{}, err
	}
	if keys {
		if err := checkKeys(data); err != nil {
			return Result{}, err
		}
	}
	w := &writer{source: data, dir: dir}
	return w.create(ctx, keys, progress)
}

func (w *writer) create(ctx context.Context, keys bool, progress Progress) (_ Result, err error) {
	if err := w.makeDir(); err != nil {
		return Result{}, err
	}
	defer w.undo(&err)
	if err := checkEmpty(w.dir); err != nil {
		return Result{}, err
	}
	if err := w.claim(sqlitedb.CreatePartial, sqlitedb.PartialName); err != nil {
		return Result{}, err
	}
	return w.fill(ctx, keys, progress)
}

// Restore puts a backup into a data directory, which must be empty or not exist.
// Keys that are there already stay if they do not differ from those of the
// backup. What is left of a restore that was cut short is overwritten.
func Restore(ctx context.Context, dir, data string, progress Progress) (Result, error) {
	if err := checkApart(dir, data); err != nil {
		return Result{}, err
	}
	if _, err := os.Stat(filepath.Join(dir, sqlitedb.FileName)); err != nil {
		return Result{}, fmt.Errorf("there is no backup in %s: %w", dir, err)
	}
	w := &writer{source: dir, dir: data}
	return w.restore(ctx, progress)
}

func (w *writer) restore(ctx context.Context, progress Progress) (_ Result, err error) {
	if err := w.makeDir(); err != nil {
		return Result{}, err
	}
	allowed := append(sqlitedb.PartialNames(), sqlitedb.LockName, local.Name, auth.OwnKeyName)
	if err := checkEmpty(w.dir, allowed...); err != nil {
		return Result{}, err
	}
	lock, err := sqlitedb.Lock(w.dir)
	if err != nil {
		return Result{}, err
	}
	defer lock.Close()
	defer w.undo(&err) // before a node may start here
	if err := w.claim(sqlitedb.RecreatePartial, allowed...); err != nil {
		return Result{}, err
	}
	return w.fill(ctx, true, progress)
}

// checkApart refuses directories of which one lies in the other: a backup in the
// data directory is lost with it.
func checkApart(dir, data string) error {
	a, err := realPath(dir)
	if err != nil {
		return err
	}
	b, err := realPath(data)
	if err != nil {
		return err
	}
	if within(a, b) || within(b, a) {
		return fmt.Errorf("the backup %s and the data directory %s must be apart, neither in the other; choose another directory", dir, data)
	}
	return nil
}

func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// realPath is a path without symbolic links. Its last part need not exist.
func realPath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return real, err
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return "", fmt.Errorf("the directory %s cannot be used: %w", path, err)
	}
	return filepath.Join(parent, filepath.Base(path)), nil
}

// checkEmpty refuses a directory that has anything but the files allowed.
func checkEmpty(dir string, allowed ...string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !slices.Contains(allowed, entry.Name()) {
			return fmt.Errorf("the directory %s is not empty: it has %s. Nothing is overwritten; choose an empty or a new directory", dir, entry.Name())
		}
	}
	return nil
}

// checkKeys refuses a data directory without the key of its secrets. That of the
// tokens is not there where an issuer makes them.
func checkKeys(data string) error {
	_, err := os.Stat(filepath.Join(data, local.Name))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no %s in the data directory %s to back up; put it back, or leave out --keys", local.Name, data)
	}
	return err
}
