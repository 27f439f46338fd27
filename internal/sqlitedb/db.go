// Package sqlitedb is the one database file of a node, which the adapters of
// the store and of the log share. A single writer groups what is waiting into
// one transaction, so that many callers share one wait for the disk; reads go
// over a few connections of their own and wait for no writer. What is in the file is the
// adapters' business.
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
)

// FileName is the database within a data directory.
const FileName = "sluice.db"

// readers is how many reads run side by side. Further ones wait for one to end,
// so whoever has rows open must not ask for others.
const readers = 4

// DB is an open database. Its methods are safe for concurrent use.
type DB struct {
	path    string
	lock    *os.File
	file    *sql.DB // of the writer's connection
	writer  *writer
	reads   *sql.DB
	turns   chan struct{} // one for each query that is open
	queries sync.Map      // of string to *sql.Stmt

	closing sync.Once
	err     error // of the closing
}

// Open opens the database in a data directory and makes both if they are not
// there yet. It refuses a directory that another process uses or whose restore was
// cut short, and a database that is damaged, not Sluice's, or of a newer release;
// it then changes nothing in it. The context bounds the opening only.
func Open(ctx context.Context, dir string) (*DB, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("the data directory %s: %w", dir, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("the data directory cannot be made: %w", err)
	}
	lock, err := Lock(dir)
	if err != nil {
		return nil, err
	}
	db := &DB{path: filepath.Join(dir, FileName), lock: lock, turns: make(chan struct{}, readers)}
	if err := db.open(ctx); err != nil {
		return nil, errors.Join(err, db.release())
	}
	return db, nil
}

func (db *DB) open(ctx context.Context) error {
	if err := refusePartial(filepath.Dir(db.path)); err != nil {
		return err
	}
	if err := check(ctx, db.path, wholeCheckBytes); err != nil {
		return err
	}
	if err := createPrivate(db.path); err != nil {
		return err
	}
	var err error
	if db.file, err = sql.Open("sqlite", dsn(db.path, "_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)"+
		"&_pragma=cache_size(-16384)&_pragma=wal_autocheckpoint(4000)&_pragma=journal_size_limit(67108864)")); err != nil {
		return err
	}
	conn, err := db.file.Conn(ctx)
	if err != nil {
		return fmt.Errorf("the database %s cannot be opened: %w", db.path, err)
	}
	if err := migrate(ctx, conn); err != nil {
		_ = conn.Close()
		return fmt.Errorf("the database %s cannot be brought up to date: %w", db.path, err)
	}
	if db.reads, err = sql.Open("sqlite", dsn(db.path, "_pragma=busy_timeout(5000)&_pragma=query_only(1)&_pragma=cache_size(-4096)")); err != nil {
		_ = conn.Close()
		return err
	}
	db.reads.SetMaxOpenConns(readers)
	db.reads.SetMaxIdleConns(readers)
	db.writer = startWriter(db, conn)
	return nil
}

// createPrivate makes an empty file that only its owner may read. SQLite gives
// the files beside it the same mode.
func createPrivate(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("the database %s cannot be made: %w", path, err)
	}
	return f.Close()
}

func dsn(path, options string) string {
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: options}).String()
}

// Close finishes what was queued, refuses what comes later, and lets go of the
// data directory. It may be called more than once.
func (db *DB) Close() error {
	db.closing.Do(func() {
		db.writer.stop()
		db.err = db.release()
	})
	return db.err
}

// release closes whatever is open. The last connection that closes moves the
// write-ahead log into the database.
func (db *DB) release() error {
	var err error
	if db.reads != nil {
		err = db.reads.Close()
	}
	if db.writer != nil {
		err = firstError(err, db.writer.conn.close())
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
