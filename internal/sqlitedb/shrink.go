package sqlitedb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// What Shrink leaves free, for the next writes: these pages, or an eighth of the
// database. A step moves as many pages as a group may write.
const (
	sparePages  = 1024
	spareShare  = 8
	shrinkPages = groupCost / pageSize
	pageSize    = 4 << 10
)

// incrementalVacuum is auto_vacuum of a database that can give pages back.
const incrementalVacuum = 2

// Shrink gives free pages back to the disk, in small steps between other writes, and
// leaves some for the next ones. It returns how many it gave back, also after an error:
// 0 if the database was created by a release that could not (see Compact).
func (db *DB) Shrink(ctx context.Context) (pages int, err error) {
	for {
		var mode, free, all int
		_, err := db.QueryRow(ctx, "SELECT (SELECT auto_vacuum FROM pragma_auto_vacuum), (SELECT freelist_count FROM pragma_freelist_count), "+
			"(SELECT page_count FROM pragma_page_count)", nil, &mode, &free, &all)
		if err != nil || mode != incrementalVacuum || free <= max(sparePages, all/spareShare) {
			return pages, err
		}
		if err := db.shrinkStep(ctx); err != nil {
			return pages, err
		}
		pages += min(free, shrinkPages)
	}
}

func (db *DB) shrinkStep(ctx context.Context) error {
	outcome := make(chan error, 1)
	op := &Op{
		Turn: Turn{Class: Maintenance, Bytes: shrinkPages * pageSize},
		Run: func(tx *Tx) error {
			_, err := tx.Exec(fmt.Sprintf("PRAGMA incremental_vacuum(%d)", shrinkPages))
			return err
		},
		Done: func(err error) {
			db.writer.checkpoints.ask() // it is what makes the file smaller
			outcome <- err
		},
	}
	if err := db.Submit(ctx, op); err != nil {
		return err
	}
	select {
	case err := <-outcome:
		return err
	case <-ctx.Done():
		return ended(ctx.Err())
	}
}

// Find returns an error if a directory has no database, for commands that must not
// create one.
func Find(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, FileName)); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no database in %s; give the data directory of a node with --data", dir)
	}
	return nil
}

// Compact rewrites the database in a directory without free pages, so that Shrink works
// from then on. No other process may have the directory. It takes free space of twice
// the size of what is stored, partly for a temporary file (SQLITE_TMPDIR). If the
// process stops, the database is as before. It returns the sizes in bytes.
func Compact(ctx context.Context, dir string) (before, after int64, err error) {
	if err := Find(dir); err != nil {
		return 0, 0, err
	}
	db, err := Open(ctx, dir) // it checks and migrates
	if err != nil {
		return 0, 0, err
	}
	path := db.path
	if err := db.Close(); err != nil {
		return 0, 0, err
	}
	lock, err := Lock(filepath.Dir(path))
	if err != nil {
		return 0, 0, err
	}
	defer lock.Close()
	if before, err = sizeOf(path); err != nil {
		return 0, 0, err
	}
	if err := vacuum(ctx, path); err != nil {
		return 0, 0, fmt.Errorf("the database %s cannot be compacted: %w; it is as before", path, err)
	}
	after, err = sizeOf(path)
	return before, after, err
}

func vacuum(ctx context.Context, path string) error {
	file, err := sql.Open("sqlite", dsn(path, writable))
	if err != nil {
		return err
	}
	defer file.Close()
	file.SetMaxOpenConns(1)
	_, err = file.ExecContext(ctx, "PRAGMA auto_vacuum = INCREMENTAL; VACUUM; PRAGMA wal_checkpoint(TRUNCATE)")
	return err
}
