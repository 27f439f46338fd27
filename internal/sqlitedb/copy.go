package sqlitedb

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"path/filepath"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// copyPages is how many pages are copied between two checks of the context.
const copyPages = 256

// Copy copies the committed content of the database in a directory to the empty
// file at path, page by page, and checks the copy, which also detects damage to
// the database. Another process may have the database open and keep writing: Copy
// takes one read transaction, during which the write-ahead log grows, and does not
// lock the directory. It does not sync the copy. It calls progress, in bytes, from
// time to time.
func Copy(ctx context.Context, dir, path string, progress func(done, total int64)) error {
	source, err := filepath.Abs(filepath.Join(dir, FileName))
	if err != nil {
		return err
	}
	if path, err = filepath.Abs(path); err != nil {
		return err
	}
	// Only SQLite may open the file: closing it ourselves would release the locks
	// that other connections of this process have on it.
	size, err := sizeOf(source)
	if err != nil {
		return err
	}
	if size == 0 {
		return fmt.Errorf("there is no database %s; give the directory that contains it", source)
	}
	if err := copyDatabase(ctx, source, path, progress); err != nil {
		return copyFailed(ctx, source, path, err)
	}
	if err := verify(ctx, path); err != nil {
		return verifyFailed(ctx, source, err)
	}
	return nil
}

// copyDatabase makes a copy that needs no other file: it includes the write-ahead
// log, and its journal mode needs none.
func copyDatabase(ctx context.Context, source, path string, progress func(done, total int64)) error {
	db, err := sql.Open("sqlite", dsn(source, "mode=ro&_pragma=busy_timeout(5000)"))
	if err != nil {
		return err
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := copySnapshot(ctx, conn, path, progress); err != nil {
		return err
	}
	target, err := sql.Open("sqlite", dsn(path, "_pragma=journal_mode(DELETE)"))
	if err != nil {
		return err
	}
	return errors.Join(target.PingContext(ctx), target.Close())
}

// copySnapshot copies within one read transaction. Otherwise SQLite would restart
// the copy at each step after another process has written.
func copySnapshot(ctx context.Context, conn *sql.Conn, path string, progress func(done, total int64)) error {
	var pageSize int64
	if err := conn.QueryRowContext(ctx, "PRAGMA page_size").Scan(&pageSize); err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, "BEGIN; SELECT count(*) FROM sqlite_schema"); err != nil {
		return err
	}
	return conn.Raw(func(driver any) error {
		// An unfinished copy is useless, so it needs no journal.
		b, err := driver.(backuper).NewBackup(dsn(path, "_pragma=journal_mode(OFF)&_pragma=synchronous(OFF)"))
		if err != nil {
			return err
		}
		for more := true; more && err == nil; {
			if err = ctx.Err(); err != nil {
				break
			}
			more, err = b.Step(copyPages)
			total := int64(b.PageCount()) * pageSize
			progress(total-int64(b.Remaining())*pageSize, total)
		}
		return errors.Join(err, b.Finish())
	})
}

// backuper is a connection of the SQLite driver.
type backuper interface {
	NewBackup(uri string) (*sqlite.Backup, error)
}

func copyFailed(ctx context.Context, source, path string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err() // SQLite's error only says "interrupted"
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch e.Code() & 0xff {
		case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
			return damagedError(source, err.Error())
		case sqlite3.SQLITE_FULL:
			return fmt.Errorf("not enough space in %s for a copy of %s; free some space, or choose another directory", filepath.Dir(path), source)
		}
	}
	return fmt.Errorf("the database %s cannot be copied to %s: %w", source, path, err)
}

// verify checks all of a database that no process has open.
func verify(ctx context.Context, path string) error {
	header := make([]byte, 100)
	if _, err := readHeader(path, header); err != nil {
		return err
	}
	if binary.BigEndian.Uint32(header[68:]) != applicationID { // also rejects one without tables
		return errForeign
	}
	_, err := check(ctx, path, math.MaxInt64)
	return err
}

var errForeign = errors.New("it is not a database of Sluice")

func verifyFailed(ctx context.Context, source string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if d, ok := errors.AsType[*damaged](err); ok {
		return fmt.Errorf("the copy of %s is damaged, and most likely the database itself: %s", source, d.what)
	}
	return fmt.Errorf("%s cannot be used: %w", source, err)
}
