package sqlite

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/sqlitedb"
	"github.com/sluicehq/sluice/internal/store"
)

// A step of a trim deletes so many rows at most, so that no writer waits long
// for one. A rejected event can have many KiB.
const (
	trimRows     = 200
	trimRejected = 20
)

// TrimEntries deletes the log entries created before the given time, a few at a
// time, and returns how many they were, also after an error.
func (s *Store) TrimEntries(ctx context.Context, before time.Time) (deleted int, err error) {
	return s.inSteps(ctx, trimRows, "DELETE FROM entries WHERE id IN (SELECT id FROM entries WHERE created_at < ? ORDER BY created_at LIMIT ?)",
		nanos(before))
}

// TrimHistories deletes, a few rows at a time, what nobody will read: of each
// integration all log entries but the newest so many, and all that is left of
// integrations that are no more, also what was written after their end. It
// returns how many rows they were, also after an error.
func (s *Store) TrimHistories(ctx context.Context, keep int) (deleted int, err error) {
	for _, part := range parts {
		n, err := s.trimPart(ctx, part, keep)
		deleted += n
		if err != nil {
			return deleted, err
		}
	}
	_, err = s.inSteps(ctx, trimRows, unusedMarks)
	return deleted, err
}

// part is a table that has rows of histories.
type part struct {
	next, clear string
	rows        int  // at most in a step
	cut         bool // to the newest
}

var parts = []part{newPart("entries", trimRows, true), newPart("rejected", trimRejected, false), newPart("rejected_indexes", trimRows, false)}

const ofHistory = " WHERE tenant = ? AND integration = ? AND incarnation = ?"

func newPart(table string, rows int, cut bool) part {
	const key = "tenant, integration, incarnation"
	return part{
		next:  "SELECT " + key + " FROM " + table + " WHERE (" + key + ") > (?, ?, ?) ORDER BY " + key + " LIMIT 1",
		clear: "DELETE FROM " + table + " WHERE rowid IN (SELECT rowid FROM " + table + ofHistory + " LIMIT ?)",
		rows:  rows, cut: cut,
	}
}

// The oldest entry of a history that is kept, and those before it.
const (
	cutQuery  = "SELECT created_at, id FROM entries" + ofHistory + " ORDER BY created_at DESC, id DESC LIMIT 1 OFFSET ?"
	cutDelete = "DELETE FROM entries WHERE id IN (SELECT id FROM entries" + ofHistory + " AND (created_at, id) < (?, ?) LIMIT ?)"
)

// unusedMarks deletes the marks of histories of which nothing is left to hide.
const unusedMarks = `DELETE FROM deleted_histories WHERE (tenant, integration, incarnation) IN (
	SELECT tenant, integration, incarnation FROM deleted_histories d
	WHERE NOT EXISTS (SELECT 1 FROM entries e WHERE e.tenant = d.tenant AND e.integration = d.integration AND e.incarnation = d.incarnation)
	AND NOT EXISTS (SELECT 1 FROM rejected r WHERE r.tenant = d.tenant AND r.integration = d.integration AND r.incarnation = d.incarnation)
	LIMIT ?)`

// trimPart visits every history in a table, at the cost of a few look-ups each.
func (s *Store) trimPart(ctx context.Context, p part, keep int) (deleted int, err error) {
	at := store.History{}
	for {
		found, err := s.db.QueryRow(ctx, p.next, historyArgs(at), &at.Tenant, &at.Integration, &at.Incarnation)
		if err != nil || !found {
			return deleted, err
		}
		n, err := s.trimHistory(ctx, p, at, keep)
		deleted += n
		if err != nil {
			return deleted, err
		}
	}
}

func (s *Store) trimHistory(ctx context.Context, p part, h store.History, keep int) (int, error) {
	in, err := s.Integration(ctx, h.Tenant, h.Integration)
	switch {
	// It was there before anything of its history was, so it is no more.
	case problem.CodeOf(err) == problem.NotFound, err == nil && in.Incarnation != h.Incarnation:
		return s.inSteps(ctx, p.rows, p.clear, historyArgs(h)...)
	case err != nil || !p.cut:
		return 0, err
	}
	var createdAt, id int64
	found, err := s.db.QueryRow(ctx, cutQuery, append(historyArgs(h), max(keep-1, 0)), &createdAt, &id)
	if err != nil || !found {
		return 0, err
	}
	return s.inSteps(ctx, p.rows, cutDelete, append(historyArgs(h), createdAt, id)...)
}

// inSteps repeats a DELETE, whose last argument is how many rows it may delete,
// until there is no more to do, and returns how many rows it was.
func (s *Store) inSteps(ctx context.Context, rows int, query string, args ...any) (deleted int, err error) {
	args = append(args, rows)
	for {
		var n int64
		err := s.db.Write(ctx, 0, func(tx *sqlitedb.Tx) (err error) {
			n, err = tx.Exec(query, args...)
			return err
		})
		if err != nil {
			return deleted, err
		}
		deleted += int(n)
		if n < int64(rows) {
			return deleted, nil
		}
	}
}
