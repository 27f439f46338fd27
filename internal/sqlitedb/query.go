package sqlitedb

import (
	"context"
	"database/sql"
)

// Rows are the answer to a Query. They hold one of a few connections until they
// are closed: collect what they say, close them, and only then ask again.
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

// Query runs a SELECT over a connection of its own, and waits for one for as
// long as the context holds. The rows must be closed. The statement is kept
// prepared: query must be one of a fixed set of strings. A query is short and
// runs to its end once it has started.
func (db *DB) Query(ctx context.Context, query string, args ...any) (*Rows, error) {
	if err := ctx.Err(); err != nil {
		return nil, ended(err)
	}
	select {
	case db.turns <- struct{}{}:
	case <-ctx.Done():
		return nil, ended(ctx.Err())
	}
	// From here on without the context's end: there is a connection, and for a
	// context that can end the driver starts a goroutine for each query.
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

func (db *DB) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := db.queries.Load(query); ok {
		return s.(*sql.Stmt), nil
	}
	s, err := db.reads.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	if other, loaded := db.queries.LoadOrStore(query, s); loaded {
		_ = s.Close() // somebody else was first
		return other.(*sql.Stmt), nil
	}
	return s, nil
}
