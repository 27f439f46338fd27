// Package backup backs up and restores the data directory of a node. The database
// gets its name only when the copy is complete; a node does not start with one under
// its temporary name.
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
	"github.com/sluicehq/sluice/internal/node/operator"
	"github.com/sluicehq/sluice/internal/private"
	"github.com/sluicehq/sluice/internal/secret/local"
	"github.com/sluicehq/sluice/internal/sqlitedb"
)

// Progress is called repeatedly with the number of bytes copied and in total.
type Progress func(done, total int64)

// Result describes what was written.
type Result struct {
	Bytes      int64    // of the database
	Keys       []string // the names of the key files that were copied
	SecretsKey bool     // the directory contains the key of the stored secrets
}

// Create backs up the data directory, whose node may be running, into dir, which
// must be empty or not exist. On failure it removes what it wrote. If the process is
// killed, Restore does not accept the remains.
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

// Restore restores a backup into a data directory, which must be empty or not exist.
// It may contain keys if they equal those of the backup. The remains of an
// interrupted restore are overwritten. Others may be able to read the backup, but only
// the user that runs this program can read what is restored.
func Restore(ctx context.Context, dir, data string, progress Progress) (Result, error) {
	if err := checkApart(dir, data); err != nil {
		return Result{}, err
	}
	if _, err := os.Stat(filepath.Join(dir, sqlitedb.FileName)); err != nil {
		return Result{}, fmt.Errorf("%s does not contain a backup: %w; give a directory that sluice backup wrote", dir, err)
	}
	w := &writer{source: dir, dir: data}
	return w.restore(ctx, progress)
}

func (w *writer) restore(ctx context.Context, progress Progress) (_ Result, err error) {
	if err := w.makeDir(); err != nil {
		return Result{}, err
	}
	if err := private.Dir("the data directory", w.dir); err != nil { // no node would start there
		return Result{}, err
	}
	allowed := append(sqlitedb.PartialNames(), sqlitedb.LockName, operator.SocketName, local.Name, auth.OwnKeyName)
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

// checkApart refuses a directory within the other: a backup in the data directory
// would be lost with it.
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
		return fmt.Errorf("the backup %s and the data directory %s must not contain each other; choose another directory", dir, data)
	}
	return nil
}

func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// realPath resolves the symbolic links of a path. Its last element need not exist.
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
		return "", fmt.Errorf("the directory %s cannot be created: %w", path, err)
	}
	return filepath.Join(parent, filepath.Base(path)), nil
}

// checkEmpty refuses a directory that contains other files than allowed.
func checkEmpty(dir string, allowed ...string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !slices.Contains(allowed, entry.Name()) {
			return fmt.Errorf("the directory %s is not empty: it contains %s. Nothing was overwritten; choose an empty or a new directory", dir, entry.Name())
		}
	}
	return nil
}

// checkKeys refuses a data directory without the key of its secrets. The key of the
// tokens is optional: it does not exist if an issuer signs the tokens.
func checkKeys(data string) error {
	_, err := os.Stat(filepath.Join(data, local.Name))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the data directory %[2]s does not contain %[1]s; restore the key, or omit --keys", local.Name, data)
	}
	return err
}
