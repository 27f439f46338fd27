package sqlitedb

import (
	"context"
	"database/sql"
)

// Tx is the writer's transaction. It is valid during one operation.
type Tx struct {
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
}

// Exec runs a statement and returns how many rows it changed. The statement stays
// prepared: query must be one of a fixed set of strings.
func (tx *Tx) Exec(query string, args ...any) (int64, error) {
	s, err := tx.prepared(query)
	if err != nil {
		return 0, err
	}
	result, err := s.ExecContext(context.Background(), args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// QueryRow scans the first row of a query into dest and reports whether there
// was one.
func (tx *Tx) QueryRow(query string, args []any, dest ...any) (bool, error) {
	s, err := tx.prepared(query)
	if err != nil {
		return false, err
	}
	rows, err := s.QueryContext(context.Background(), args...)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	if !rows.Next() {
		return false, rows.Err()
	}
	if err := rows.Scan(dest...); err != nil {
		return false, err
	}
	return true, rows.Close()
}

func (tx *Tx) prepared(query string) (*sql.Stmt, error) {
	if s := tx.stmts[query]; s != nil {
		return s, nil
	}
	s, err := tx.conn.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	tx.stmts[query] = s
	return s, nil
}

func (tx *Tx) close() error {
	var err error
	for _, s := range tx.stmts {
		err = firstError(err, s.Close())
	}
	return firstError(err, tx.conn.Close())
}
