package sqlitedb

import (
	"context"
	"errors"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/sluicehq/sluice/internal/problem"
)

// Problem gives an error of the database its code and a sentence for the
// caller. An error that has a code already, or that is none of the database's,
// is returned as it is.
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
		return problem.Wrap(err, problem.Unavailable, "The disk is full; nothing was written. Try again once there is room.")
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY:
		return problem.Wrap(err, problem.Unavailable, "The disk cannot be read or written at the moment. Try again.")
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT:
		return problem.Wrap(err, problem.Unavailable, "The database is busy. Try again.")
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return problem.Wrap(err, problem.Internal, "the database %s is damaged", db.path)
	default:
		return problem.Wrap(err, problem.Internal, "the database %s failed", db.path)
	}
}

func ended(err error) error {
	if problem.CodeOf(err) == problem.Unavailable {
		return err
	}
	return problem.Wrap(err, problem.Unavailable, "The request ended before the database was done with it. Try again.")
}

func closedError() error {
	return problem.New(problem.Unavailable, "The service is shutting down. Try again.")
}
