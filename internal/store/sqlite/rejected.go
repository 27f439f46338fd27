package sqlite

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

// A rejected event is a row of rejected, with the event, and one of rejected_list, which is
// small, as the event can be large: the list is read in its order without the events.

// rejectedRow is the JSON of a rejected event; the event is a column.
type rejectedRow struct {
	CreatedAt  time.Time          `json:"created_at"`
	Reason     integration.Reason `json:"reason,omitzero"`
	Status     int                `json:"status,omitzero"`
	Attempts   int                `json:"attempts,omitzero"`
	RetryUntil time.Time          `json:"retry_until,omitzero"`
}

// listRow is the JSON of an event in the list; when it was rejected and its id are columns.
type listRow struct {
	Name   string             `json:"name,omitzero"`
	Reason integration.Reason `json:"reason,omitzero"`
	Status int                `json:"status,omitzero"`
}

const (
	listInsert = "INSERT INTO rejected_list (tenant, integration, incarnation, created_at, event_id, data) VALUES (?, ?, ?, ?, ?, ?)"
	listDelete = "DELETE FROM rejected_list" + ofHistory + " AND created_at = ? AND event_id = ?"
	listNewest = "SELECT created_at, event_id, data FROM rejected_list AS x" + ofHistory + notDeleted + " ORDER BY created_at DESC, event_id DESC LIMIT ?"
	listAfter  = "SELECT created_at, event_id, data FROM rejected_list AS x" + ofHistory + " AND (created_at, event_id) < (?, ?)" + notDeleted +
		" ORDER BY created_at DESC, event_id DESC LIMIT ?"
	listOldest = "SELECT created_at, event_id, data FROM rejected_list AS x" + ofHistory + notDeleted + " ORDER BY created_at, event_id LIMIT ?"
)

// RejectedCount implements store.Store.
func (s *Store) RejectedCount(ctx context.Context, h store.History) (*integration.RejectedCount, error) {
	r := &integration.RejectedCount{}
	_, err := s.one(ctx, r, &r.Version, "SELECT version, data FROM rejected_counts"+ofHistory, historyArgs(h)...)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// NewestRejected implements store.Store.
func (s *Store) NewestRejected(ctx context.Context, h store.History, after integration.RejectedRef, limit int) ([]integration.RejectedRef, error) {
	if after.EventID == "" {
		return s.refs(ctx, listNewest, append(historyArgs(h), max(limit, 0)))
	}
	return s.refs(ctx, listAfter, append(historyArgs(h), nanos(after.CreatedAt), after.EventID, max(limit, 0)))
}

// OldestRejected implements store.Store.
func (s *Store) OldestRejected(ctx context.Context, h store.History, limit int) ([]integration.RejectedRef, error) {
	return s.refs(ctx, listOldest, append(historyArgs(h), max(limit, 0)))
}

func (s *Store) refs(ctx context.Context, query string, args []any) ([]integration.RejectedRef, error) {
	var refs []integration.RejectedRef
	err := s.each(ctx, query, args, func(scan func(...any) error) error {
		var createdAt int64
		var ref integration.RejectedRef
		var data []byte
		if err := scan(&createdAt, &ref.EventID, &data); err != nil {
			return err
		}
		var row listRow
		if err := decode(data, &row); err != nil {
			return err
		}
		ref.CreatedAt, ref.Name, ref.Reason, ref.Status = time.Unix(0, createdAt).UTC(), row.Name, row.Reason, row.Status
		refs = append(refs, ref)
		return nil
	})
	return refs, err
}

// Rejected implements store.Store.
func (s *Store) Rejected(ctx context.Context, h store.History, eventID string) (*integration.Rejected, error) {
	r := &integration.Rejected{}
	var data, encoded []byte
	query := "SELECT version, data, event FROM rejected AS x" + ofHistory + " AND event_id = ?" + notDeleted
	found, err := s.db.QueryRow(ctx, query, append(historyArgs(h), eventID), &r.Version, &data, &encoded)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, problem.New(problem.NotFound, "There is no rejected event %q.", eventID)
	}
	var row rejectedRow
	if err := decode(data, &row); err != nil {
		return nil, err
	}
	events, err := eventlog.DecodeSegment(h.Tenant, encoded)
	if err != nil || len(events) != 1 {
		return nil, problem.Wrap(err, problem.Internal, "the rejected event %q is damaged", eventID)
	}
	r.Event, r.CreatedAt, r.Reason, r.Status = events[0], row.CreatedAt, row.Reason, row.Status
	r.Attempts, r.RetryUntil = row.Attempts, row.RetryUntil
	return r, nil
}

func putRejected(w store.PutRejected) (change, error) {
	r := w.Rejected
	row := rejectedRow{CreatedAt: r.CreatedAt, Reason: r.Reason, Status: r.Status, Attempts: r.Attempts, RetryUntil: r.RetryUntil}
	encoded := eventlog.AppendSegment(nil, []event.Event{r.Event})
	c, err := rejected.put(&r.Version, row, append(historyArgs(w.History), r.Event.ID, encoded)...)
	if err != nil || r.Version != 0 {
		return c, err
	}
	data, err := encode(listRow{Name: r.Event.Name, Reason: r.Reason, Status: r.Status})
	if err != nil {
		return change{}, err
	}
	c.steps = append(c.steps, step{listInsert, append(historyArgs(w.History), nanos(r.CreatedAt), r.Event.ID, data), 1})
	c.size += len(encoded) + len(data)
	return c, nil
}

func deleteRejected(w store.DeleteRejected) change {
	return change{steps: []step{
		{"DELETE FROM rejected" + ofHistory + " AND event_id = ?", append(historyArgs(w.History), w.Ref.EventID), -1},
		{listDelete, append(historyArgs(w.History), nanos(w.Ref.CreatedAt), w.Ref.EventID), -1},
	}}
}
