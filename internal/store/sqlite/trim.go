package sqlite

import (
	"context"
	"strings"
	"time"

	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/sqlitedb"
	"github.com/sluicehq/sluice/internal/store"
)

// The maximum number of rows that one step of a trim deletes, so that no writer
// waits long for it. A rejected event can be large.
const (
	trimRows     = 200
	trimRejected = 20
)

// entriesSpare is how many log entries a history may have beyond those it keeps, until a
// commit trims it: many at a time, as that costs hardly more than one.
const entriesSpare = 50

// TrimHistories deletes rows that are no longer read, in small steps: log entries
// created before the given time, all but the newest keep of each integration, and
// everything of deleted integrations, including rows written after the deletion. It
// returns the number of rows deleted, also with an error.
func (s *Store) TrimHistories(ctx context.Context, before time.Time, keep int) (deleted int, err error) {
	for _, part := range parts {
		n, err := s.trimPart(ctx, part, before, keep)
		deleted += n
		if err != nil {
			return deleted, err
		}
	}
	_, err = s.inSteps(ctx, trimRows, unusedTombstones)
	return deleted, err
}

// part is a table with rows of histories, and how to trim it.
type part struct {
	next, clear string
	rows        int  // limit of a step
	cut         bool // keep only the newest rows
}

var parts = []part{
	newPart("entries", "rowid", trimRows, true),
	newPart("rejected", "rowid", trimRejected, false),
	newPart("rejected_list", "(tenant, integration, incarnation, created_at, event_id)", trimRows, false),
	newPart("rejected_counts", "rowid", trimRows, false),
}

const ofHistory = " WHERE tenant = ? AND integration = ? AND incarnation = ?"

// newPart returns the statements for a table whose row is the key of a row.
func newPart(table, row string, rows int, cut bool) part {
	const key = "tenant, integration, incarnation"
	return part{
		next:  "SELECT " + key + " FROM " + table + " WHERE (" + key + ") > (?, ?, ?) ORDER BY " + key + " LIMIT 1",
		clear: "DELETE FROM " + table + " WHERE " + row + " IN (SELECT " + strings.Trim(row, "()") + " FROM " + table + ofHistory + " LIMIT ?)",
		rows:  rows, cut: cut,
	}
}

// cutQuery finds the oldest entry of a history to keep; cutDelete deletes those
// before it.
const (
	cutQuery  = "SELECT created_at, id FROM entries" + ofHistory + " ORDER BY created_at DESC, id DESC LIMIT 1 OFFSET ?"
	cutDelete = "DELETE FROM entries WHERE id IN (SELECT id FROM entries" + ofHistory + " AND (created_at, id) < (?, ?) LIMIT ?)"
)

// unusedTombstones deletes the tombstones of histories that have no rows left to hide.
const unusedTombstones = `DELETE FROM deleted_histories WHERE (tenant, integration, incarnation) IN (
	SELECT tenant, integration, incarnation FROM deleted_histories d
	WHERE NOT EXISTS (SELECT 1 FROM entries e WHERE e.tenant = d.tenant AND e.integration = d.integration AND e.incarnation = d.incarnation)
	AND NOT EXISTS (SELECT 1 FROM rejected r WHERE r.tenant = d.tenant AND r.integration = d.integration AND r.incarnation = d.incarnation)
	LIMIT ?)`

// trimPart trims every history in a table; each costs a few index look-ups.
func (s *Store) trimPart(ctx context.Context, p part, before time.Time, keep int) (deleted int, err error) {
	at := store.History{}
	for {
		found, err := s.db.QueryRow(ctx, p.next, historyArgs(at), &at.Tenant, &at.Integration, &at.Incarnation)
		if err != nil || !found {
			return deleted, err
		}
		n, err := s.trimHistory(ctx, p, at, before, keep)
		deleted += n
		if err != nil {
			return deleted, err
		}
	}
}

func (s *Store) trimHistory(ctx context.Context, p part, h store.History, before time.Time, keep int) (int, error) {
	in, err := s.Integration(ctx, h.Tenant, h.Integration)
	switch {
	// An integration is written before its history, so this one was deleted.
	case problem.CodeOf(err) == problem.NotFound, err == nil && in.Incarnation != h.Incarnation:
		return s.inSteps(ctx, p.rows, p.clear, historyArgs(h)...)
	case err != nil || !p.cut:
		return 0, err
	}
	var createdAt, id int64
	if _, err := s.db.QueryRow(ctx, cutQuery, append(historyArgs(h), max(keep-1, 0)), &createdAt, &id); err != nil {
		return 0, err
	}
	if oldest := nanos(before); createdAt < oldest {
		createdAt, id = oldest, 0
	}
	return s.inSteps(ctx, p.rows, cutDelete, append(historyArgs(h), createdAt, id)...)
}

// inSteps repeats a DELETE, whose last argument is the limit of rows, until it
// deletes fewer than that. It returns the number of rows deleted.
func (s *Store) inSteps(ctx context.Context, rows int, query string, args ...any) (deleted int, err error) {
	args = append(args, rows)
	for {
		var n int64
		err := s.db.Write(ctx, sqlitedb.Turn{Class: sqlitedb.Maintenance}, func(tx *sqlitedb.Tx) (err error) {
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
