// Package sqlitedb is the single database file of a node, shared by the SQLite
// adapters of the store and of the log. One writer groups waiting operations into
// a transaction, so that many callers share one disk sync; reads use a few
// connections of their own and never wait for the writer. The package manages the
// file and its schema; the adapters own the content.
package sqlitedb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	_ "modernc.org/sqlite" // registers the driver

	"github.com/sluicehq/sluice/internal/private"
)

// FileName is the name of the database in a data directory.
const FileName = "sluice.db"

// readers is how many queries run concurrently. Further ones wait for one to end,
// so a caller that has rows open must not query again.
const readers = 4

// DB is an open database. Its methods are safe for concurrent use.
type DB struct {
	path    string
	checked bool // all pages, by Open
	lock    *os.File
	file    *sql.DB // of the writer's connection
	writer  *writer
	reads   *sql.DB
	turns   chan struct{} // one token per open query
	queries sync.Map      // of string to *sql.Stmt

	closing sync.Once
	err     error // of Close
}

// Open opens the database in a data directory and creates both if missing. It
// refuses a directory that another process uses or whose restore was interrupted,
// one that others may write to, a database that others may read, and a database that is
// damaged, not of Sluice, or of a newer release; it does not change such a database. Damage
// inside a large one is only found in use (DB.Check). A database of an older release is migrated, for good: each
// function in migrating is called first, with its version and that of this release. The
// context limits Open only.
func Open(ctx context.Context, dir string, migrating ...func(from, to int)) (*DB, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("the data directory %s: %w", dir, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("the data directory cannot be created: %w", err)
	}
	if err := private.Dir("the data directory", dir); err != nil {
		return nil, err
	}
	lock, err := Lock(dir)
	if err != nil {
		return nil, err
	}
	db := &DB{path: filepath.Join(dir, FileName), lock: lock, turns: make(chan struct{}, readers)}
	if err := db.open(ctx, migrating); err != nil {
		return nil, errors.Join(err, db.closeAll())
	}
	return db, nil
}

func (db *DB) open(ctx context.Context, migrating []func(from, to int)) error {
	if err := refusePartial(filepath.Dir(db.path)); err != nil {
		return err
	}
	// First, as SQLite gives the files that it makes the mode of the database.
	err := checkPrivate(db.path)
	if err != nil {
		return err
	}
	if err := discardUnbegun(db.path); err != nil {
		return err
	}
	if db.checked, err = check(ctx, db.path, wholeCheckBytes); err != nil {
		return err
	}
	options := writable + "&_pragma=busy_timeout(5000)&_pragma=cache_size(-16384)"
	isNew, err := createPrivate(db.path)
	if err != nil {
		return err
	}
	if isNew {
		options = newFile + "&" + options
	}
	if db.file, err = sql.Open("sqlite", dsn(db.path, options)); err != nil {
		return err
	}
	conn, err := db.file.Conn(ctx)
	if err != nil {
		return fmt.Errorf("the database %s cannot be opened: %w", db.path, err)
	}
	say := func(from, to int) {
		for _, f := range migrating {
			f(from, to)
		}
	}
	if err := migrate(ctx, conn, migrations(), say); err != nil {
		_ = conn.Close()
		return fmt.Errorf("the database %s cannot be migrated: %w", db.path, err)
	}
	checkpoints, err := db.checkpointConn(ctx)
	if err != nil {
		_ = conn.Close()
		return fmt.Errorf("the database %s cannot be opened: %w", db.path, err)
	}
	if db.reads, err = sql.Open("sqlite", dsn(db.path, readOnly)); err != nil {
		return errors.Join(err, checkpoints.Close(), conn.Close())
	}
	db.reads.SetMaxOpenConns(readers)
	db.reads.SetMaxIdleConns(readers)
	db.writer = startWriter(db, conn, checkpoints)
	return nil
}

// checkPrivate refuses a database that other users may read or write.
func checkPrivate(path string) error {
	for _, end := range []string{"", "-wal", "-shm"} {
		if err := private.File("the database file", path+end); err != nil {
			return err
		}
	}
	return nil
}

// checkpointConn opens the connection of the checkpointer.
func (db *DB) checkpointConn(ctx context.Context) (*sql.Conn, error) {
	conn, err := db.file.Conn(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.ExecContext(ctx, "PRAGMA busy_timeout = 50"); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// writable are the options of every connection that may write. With synchronous=FULL a
// commit is on disk when it returns, and a checkpoint before the log begins anew. What a
// savepoint keeps of the pages that an operation changes stays in memory (temp_store): there
// are hundreds of them if it is a publish for as many tenants, and a file would be written
// for each.
const writable = "_pragma=temp_store(MEMORY)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=wal_autocheckpoint(0)&_pragma=journal_size_limit(67108864)"

// readOnly are the options of the connections that only read. They are opened as those that
// write: one that cannot write cannot make the index of the write-ahead log.
const readOnly = "_pragma=busy_timeout(5000)&_pragma=query_only(1)&_pragma=cache_size(-4096)"

// newFile lets a new database give free pages back to the disk in small steps: Shrink.
// It must come before the first page is written, and would change a file that exists.
const newFile = "_pragma=auto_vacuum(INCREMENTAL)"

// createPrivate creates a file that only its owner may read, if it is missing, and
// reports whether it is empty. SQLite gives its other files the same mode.
func createPrivate(path string) (empty bool, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return false, fmt.Errorf("the database %s cannot be created: %w", path, err)
	}
	info, err := f.Stat()
	return err == nil && info.Size() == 0, errors.Join(err, f.Close())
}

func dsn(path, options string) string {
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: options}).String()
}

// Close finishes the queued operations, rejects later ones, and unlocks the data
// directory. It may be called more than once.
func (db *DB) Close() error {
	db.closing.Do(func() {
		db.err = db.closeAll()
	})
	return db.err
}

// closeAll closes everything that is open. The last connection to close moves the
// write-ahead log into the database.
func (db *DB) closeAll() error {
	var err error
	if db.writer != nil {
		err = db.writer.stop()
	}
	if db.reads != nil {
		err = firstError(err, db.reads.Close())
	}
	if db.file != nil {
		err = firstError(err, db.file.Close())
	}
	if err != nil {
		err = fmt.Errorf("close the database %s: %w", db.path, err)
	}
	return firstError(err, db.lock.Close())
}

func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}
