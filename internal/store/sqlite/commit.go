package sqlite

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/sqlitedb"
	"github.com/sluicehq/sluice/internal/store"
)

// Commit implements store.Store. It is one operation of the writer; each
// condition is part of the statement that writes.
func (s *Store) Commit(ctx context.Context, writes ...store.Write) error {
	if err := store.Check(writes); err != nil {
		return err
	}
	// Encoding needs only the records, so it is done outside the writer.
	changes := make([]change, len(writes))
	turn, histories := turnOf(writes), addedTo(writes)
	for i, w := range writes {
		c, err := changeOf(w)
		if err != nil {
			return err
		}
		changes[i] = c
		turn.Bytes += c.size
	}
	s.served.add(turn.Tenant)
	err := s.db.Write(ctx, turn, func(tx *sqlitedb.Tx) error {
		for _, c := range changes {
			if err := c.run(tx); err != nil {
				return err
			}
		}
		return trimLonger(tx, histories)
	})
	if err != nil {
		return err
	}
	for _, c := range changes {
		if c.version != nil {
			*c.version = c.next
		}
	}
	return nil
}

// addedTo returns the histories that get log entries.
func addedTo(writes []store.Write) []store.History {
	var histories []store.History
	for _, w := range writes {
		if w, ok := w.(store.AddEntry); ok && !slices.Contains(histories, w.History) {
			histories = append(histories, w.History)
		}
	}
	return histories
}

// trimLonger trims the histories that have become longer than they may be.
func trimLonger(tx *sqlitedb.Tx, histories []store.History) error {
	for _, h := range histories {
		var createdAt, id int64
		long, err := tx.QueryRow(cutQuery, append(historyArgs(h), store.EntriesKept+entriesSpare), &createdAt, &id)
		if err == nil && long {
			_, err = tx.QueryRow(cutQuery, append(historyArgs(h), store.EntriesKept-1), &createdAt, &id)
		}
		if err == nil && long {
			_, err = tx.Exec(cutDelete, append(historyArgs(h), createdAt, id, trimRows)...)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// turnOf returns the tenant and the class of a Commit. A change of an integration is
// urgent: somebody registers, starts or stops it. Other writes save what delivery did.
func turnOf(writes []store.Write) sqlitedb.Turn {
	var turn sqlitedb.Turn
	for _, w := range writes {
		switch w := w.(type) {
		case store.PutTenant:
			turn.Tenant, turn.Class = w.Tenant.Name, sqlitedb.Urgent
		case store.PutLanes:
			turn.Class = sqlitedb.Urgent
		case store.PutIntegration:
			turn.Tenant, turn.Class = w.Integration.Tenant, sqlitedb.Urgent
		case store.DeleteIntegration:
			turn.Tenant, turn.Class = w.Integration.Tenant, sqlitedb.Urgent
		case store.PutPartition:
			turn.Tenant = w.State.Partition.Tenant
		case store.PutCursor:
			turn.Tenant = w.Cursor.Key.Tenant
		case store.DeleteCursor:
			turn.Tenant = w.Cursor.Key.Tenant
		case store.PutRejectedCount:
			turn.Tenant = w.History.Tenant
		case store.PutRejected:
			turn.Tenant = w.History.Tenant
		case store.AddEntry:
			turn.Tenant = w.History.Tenant
		case store.PutAlert:
			turn.Tenant = w.Alert.History.Tenant
		}
	}
	if onlyTold(writes) {
		turn.Class = sqlitedb.Normal
	}
	return turn
}

// change is one write of a Commit as SQL statements.
type change struct {
	steps   []step
	size    int     // approximate number of bytes it writes
	version *uint64 // set to next after the commit, unless nil
	next    uint64
}

// step is one statement.
type step struct {
	query string
	args  []any
	must  int64 // the number of rows it must change, else it is a conflict; -1: any
}

func (c *change) run(tx *sqlitedb.Tx) error {
	for _, st := range c.steps {
		n, err := tx.Exec(st.query, st.args...)
		if err != nil {
			return err
		}
		if st.must >= 0 && n != st.must {
			return store.ErrConflict
		}
	}
	return nil
}

func changeOf(w store.Write) (change, error) {
	switch w := w.(type) {
	case store.PutTenant:
		return tenants.put(&w.Tenant.Version, w.Tenant, w.Tenant.Name)
	case store.PutLanes:
		return tenants.put(&w.Lanes.Version, w.Lanes, allTenants)
	case store.PutIntegration:
		in := w.Integration
		return integrations.put(&in.Version, in, in.Tenant, in.ID, orNull(in.CompletedAt), orNull(in.Alerts.Since))
	case store.DeleteIntegration:
		return integrations.remove(w.Integration.Version, w.Integration.Tenant, w.Integration.ID), nil
	case store.PutPartition:
		return records.put(&w.State.Version, w.State, w.State.Partition.Tenant, w.State.Partition.Lane)
	case store.PutCursor:
		c := w.Cursor
		if w.KeepDue && c.Version != 0 {
			return cursorsKeptDue.put(&c.Version, c, c.Key.Tenant, c.Key.Integration, c.Key.Lane)
		}
		return cursors.put(&c.Version, c, c.Key.Tenant, c.Key.Integration, c.Key.Lane, orNull(c.DueAt))
	case store.DeleteCursor:
		k := w.Cursor.Key
		return cursors.remove(w.Cursor.Version, k.Tenant, k.Integration, k.Lane), nil
	case store.PutRejectedCount:
		return rejectedCounts.put(&w.Count.Version, w.Count, historyArgs(w.History)...)
	case store.PutRejected:
		return putRejected(w)
	case store.DeleteRejected:
		return deleteRejected(w), nil
	case store.AddEntry:
		return addEntry(w)
	case store.AddDeliveries:
		return addDeliveries(w.Record), nil
	case store.PutAlert:
		a := w.Alert
		return alerts.put(&a.Version, a, append(historyArgs(a.History), int64(a.Number), nanos(a.DueAt))...)
	case store.DeleteAlert:
		return change{steps: []step{{alertDelete, alertArgs(w.Alert), -1}}}, nil
	case store.DeleteHistory:
		return deleteHistory(w.History), nil
	default:
		return change{}, problem.New(problem.Internal, "unknown write %T", w)
	}
}

func addEntry(w store.AddEntry) (change, error) {
	data, err := encode(w.Entry)
	if err != nil {
		return change{}, err
	}
	query := "INSERT INTO entries (tenant, integration, incarnation, created_at, data) VALUES (?, ?, ?, ?, ?)"
	args := append(historyArgs(w.History), nanos(w.Entry.CreatedAt), data)
	return change{steps: []step{{query, args, 1}}, size: len(data)}, nil
}

// deleteHistory deletes the count, one small row, and hides the other rows, which
// can be many: TrimHistories deletes them.
func deleteHistory(h store.History) change {
	return change{steps: []step{
		{"DELETE FROM rejected_counts" + ofHistory, historyArgs(h), -1},
		{"INSERT INTO deleted_histories (tenant, integration, incarnation) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", historyArgs(h), -1},
	}}
}

func historyArgs(h store.History) []any { return []any{h.Tenant, h.Integration, int64(h.Incarnation)} }

func encode(record any) ([]byte, error) {
	data, err := json.Marshal(record)
	if err != nil {
		return nil, problem.Wrap(err, problem.Internal, "cannot encode %T", record)
	}
	return data, nil
}
