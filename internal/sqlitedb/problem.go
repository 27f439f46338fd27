package sqlitedb

import (
	"context"
	"errors"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/sluicehq/sluice/internal/problem"
)

// Problem turns an error of the database into a problem with a message for the
// client. It returns unchanged what is already a problem or not an error of the
// database.
func (db *DB) Problem(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return ended(err)
	}
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return err
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		return problem.Wrap(err, problem.Unavailable, "The disk is full; nothing was written. Free some space, then try again.")
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY:
		return problem.Wrap(err, problem.Unavailable, "The disk cannot be read or written. Try again in a moment.")
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT:
		return problem.Wrap(err, problem.Unavailable, "The database is busy. Try again.")
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return problem.Wrap(err, problem.Internal, "the database %s is damaged", db.path)
	default:
		return problem.Wrap(err, problem.Internal, "the database %s returned an error", db.path)
	}
}

// Corrupt reports whether an error of the database says that its file is damaged.
func Corrupt(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && (e.Code()&0xff == sqlite3.SQLITE_CORRUPT || e.Code()&0xff == sqlite3.SQLITE_NOTADB)
}

// Damaged reports whether a check found that the database is damaged, rather than that it
// cannot be checked for now.
func Damaged(err error) bool {
	_, ok := errors.AsType[*damaged](err)
	return ok
}

func ended(err error) error {
	if problem.CodeOf(err) == problem.Unavailable {
		return err
	}
	return problem.Wrap(err, problem.Unavailable, "The request ended before the database had finished it. Try again.")
}

func closedError() error {
	return problem.New(problem.Unavailable, "The service is shutting down. Try again.")
}
