package sqlitedb

import (
	"context"
	"database/sql"
	"errors"
)

// Rows is the result of a Query. It holds one of a few connections until it is
// closed: read it, close it, and only then query again.
type Rows struct {
	*sql.Rows
	db *DB
}

// Close ends the query. It may be called more than once.
func (r *Rows) Close() error {
	err := r.Rows.Close()
	if r.db != nil {
		<-r.db.turns
		r.db = nil
	}
	return err
}

// Query runs a SELECT on a connection of its own; it waits for a free one until
// the context ends. The rows must be closed. The statement stays prepared: query
// must be one of a fixed set of strings. Queries are short: once started, a query
// ignores the context.
func (db *DB) Query(ctx context.Context, query string, args ...any) (*Rows, error) {
	if err := ctx.Err(); err != nil {
		return nil, ended(err)
	}
	select {
	case db.turns <- struct{}{}:
	case <-ctx.Done():
		return nil, ended(ctx.Err())
	}
	// The context no longer matters now that there is a connection, and for one
	// that can end the driver would start a goroutine per query.
	rows, err := db.query(context.WithoutCancel(ctx), query, args)
	if err != nil {
		<-db.turns
		return nil, db.Problem(err)
	}
	return &Rows{Rows: rows, db: db}, nil
}

func (db *DB) query(ctx context.Context, query string, args []any) (*sql.Rows, error) {
	s, err := db.prepared(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

// QueryRow scans the first row of a Query into dest and reports whether there
// was one.
func (db *DB) QueryRow(ctx context.Context, query string, args []any, dest ...any) (bool, error) {
	rows, err := db.Query(ctx, query, args...)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	if !rows.Next() {
		return false, db.Problem(rows.Err())
	}
	if err := rows.Scan(dest...); err != nil {
		return false, db.Problem(err)
	}
	return true, db.Problem(rows.Close())
}

// QueryRowAnew is QueryRow over a connection of its own, which it opens and closes: it reads
// the file and not what another connection has in its cache. It is for what is rare.
func (db *DB) QueryRowAnew(ctx context.Context, query string, args []any, dest ...any) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, ended(err)
	}
	anew, err := sql.Open("sqlite", dsn(db.path, readOnly))
	if err != nil {
		return false, err
	}
	defer anew.Close()
	err = anew.QueryRowContext(context.WithoutCancel(ctx), query, args...).Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, db.Problem(err)
}

func (db *DB) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := db.queries.Load(query); ok {
		return s.(*sql.Stmt), nil
	}
	s, err := db.reads.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	if other, loaded := db.queries.LoadOrStore(query, s); loaded {
		_ = s.Close() // another goroutine was first
		return other.(*sql.Stmt), nil
	}
	return s, nil
}
