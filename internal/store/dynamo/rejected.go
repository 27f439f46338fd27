package dynamo

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/sluicehq/sluice/internal/dynamotable"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

// A rejected event is two items: one with the event, by its id, and a small one in the
// list, by time. A third item has the count. Earlier releases had the list as the doc
// of that one: what they wrote is read there until it has left the list, and a release
// before may go on with it.

// rejectedDoc is the JSON of a rejected event; the event is an attribute.
type rejectedDoc struct {
	CreatedAt  time.Time          `json:"created_at"`
	Reason     integration.Reason `json:"reason,omitzero"`
	Status     int                `json:"status,omitzero"`
	Attempts   int                `json:"attempts,omitzero"`
	RetryUntil time.Time          `json:"retry_until,omitzero"`
}

func newRejected(k key, r *integration.Rejected) (*item, error) {
	doc := rejectedDoc{CreatedAt: r.CreatedAt, Reason: r.Reason, Status: r.Status, Attempts: r.Attempts, RetryUntil: r.RetryUntil}
	it, err := newItem(k, doc)
	if err != nil {
		return nil, err
	}
	it.Event = eventlog.AppendSegment(nil, []event.Event{r.Event})
	return it, nil
}

func putRejected(w store.PutRejected) ([]change, error) {
	r := w.Rejected
	it, err := newRejected(rejectedKey(w.History, r.Event.ID), r)
	if err != nil {
		return nil, err
	}
	changes := []change{put(it, &r.Version)}
	if r.Version != 0 {
		return changes, nil
	}
	listed, err := newItem(listKey(w.History, r.Ref()), r.Ref())
	if err != nil {
		return nil, err
	}
	return append(changes, change{key: listed.key, put: listed}), nil
}

func (it *item) rejected(tenant string) (*integration.Rejected, error) {
	var doc rejectedDoc
	r := &integration.Rejected{}
	if err := it.decodeVersioned(&doc, &r.Version); err != nil {
		return nil, err
	}
	events, err := eventlog.DecodeSegment(tenant, it.Event)
	if err != nil || len(events) != 1 {
		return nil, problem.Wrap(err, problem.Internal, "the rejected event %q is damaged", it.SK)
	}
	r.Event, r.CreatedAt, r.Reason, r.Status = events[0], doc.CreatedAt, doc.Reason, doc.Status
	r.Attempts, r.RetryUntil = doc.Attempts, doc.RetryUntil
	return r, nil
}

// Rejected implements store.Store. It reads the event together with the tombstone
// of its history.
func (s *Store) Rejected(ctx context.Context, h store.History, eventID string) (*integration.Rejected, error) {
	items, err := s.items(ctx, []key{rejectedKey(h, eventID), deletedKey(h)})
	if err != nil {
		return nil, err
	}
	if len(items) != 1 || items[0].SK == skDeleted {
		return nil, problem.New(problem.NotFound, "There is no rejected event %q.", eventID)
	}
	return items[0].rejected(h.Tenant)
}

func putCount(w store.PutRejectedCount) ([]change, error) {
	it, err := newItem(countKey(w.History), w.Count.Older)
	if err != nil {
		return nil, err
	}
	count, err := json.Marshal(w.Count)
	it.Count = string(count)
	return []change{put(it, &w.Count.Version)}, err
}

// RejectedCount implements store.Store. The count of a deleted history is deleted with it;
// one that is written later is returned.
func (s *Store) RejectedCount(ctx context.Context, h store.History) (*integration.RejectedCount, error) {
	r := &integration.RejectedCount{}
	it, err := s.item(ctx, countKey(h))
	if err != nil || it == nil {
		return r, err
	}
	if it.Count == "" {
		return s.recount(ctx, h, it)
	}
	if err := json.Unmarshal([]byte(it.Count), r); err != nil {
		return nil, problem.Wrap(err, problem.Internal, "cannot decode the stored %T", r)
	}
	return r, it.decodeVersioned(&r.Older, &r.Version)
}

// recount counts a list whose count an earlier release wrote last.
func (s *Store) recount(ctx context.Context, h store.History, it *item) (*integration.RejectedCount, error) {
	r := &integration.RejectedCount{}
	if err := it.decodeVersioned(&r.Older, &r.Version); err != nil {
		return nil, err
	}
	listed, err := s.listed(ctx, h, true, "", math.MaxInt32)
	if err != nil {
		return nil, err
	}
	r.Kept = len(listed) + len(r.Older)
	for _, ref := range slices.Concat(r.Older, listed) {
		if ref.CreatedAt.After(r.Newest) {
			r.Newest = ref.CreatedAt
		}
	}
	return r, nil
}

// NewestRejected implements store.Store.
func (s *Store) NewestRejected(ctx context.Context, h store.History, after integration.RejectedRef, limit int) ([]integration.RejectedRef, error) {
	return s.list(ctx, h, false, after, limit)
}

// OldestRejected implements store.Store.
func (s *Store) OldestRejected(ctx context.Context, h store.History, limit int) ([]integration.RejectedRef, error) {
	return s.list(ctx, h, true, integration.RejectedRef{}, limit)
}

// list reads the list in one direction, with what an earlier release listed, unless its
// history is deleted.
func (s *Store) list(ctx context.Context, h store.History, forward bool, after integration.RejectedRef, limit int) ([]integration.RejectedRef, error) {
	if limit <= 0 {
		return nil, nil
	}
	items, err := s.items(ctx, []key{countKey(h), deletedKey(h)})
	if err != nil {
		return nil, err
	}
	var older []integration.RejectedRef
	for _, it := range items {
		if it.SK == skDeleted {
			return nil, nil
		}
		if err := it.decode(&older); err != nil {
			return nil, err
		}
	}
	from := ""
	if after.EventID != "" {
		from = listKey(h, after).SK
		older = slices.DeleteFunc(older, func(r integration.RejectedRef) bool { return r.Compare(after) >= 0 })
	}
	refs, err := s.listed(ctx, h, forward, from, limit)
	if err != nil || len(older) == 0 {
		return refs, err
	}
	refs = append(refs, older...)
	slices.SortStableFunc(refs, func(a, b integration.RejectedRef) int {
		if forward {
			return a.Compare(b)
		}
		return b.Compare(a)
	})
	return refs[:min(len(refs), limit)], nil
}

// listed reads the items of the list in one direction; backward, those before a sort key,
// unless that is "".
func (s *Store) listed(ctx context.Context, h store.History, forward bool, before string, limit int) ([]integration.RejectedRef, error) {
	last, page := listPrefix+"~", limit
	if before != "" {
		last, page = before, limit+1 // it comes first
	}
	expr := expression.NewBuilder().WithKeyCondition(inPartition(historyPK(h)).
		And(expression.Key(dynamotable.SK).Between(expression.Value(listPrefix), expression.Value(last))))
	var refs []integration.RejectedRef
	for it, err := range s.query(ctx, dynamodb.QueryInput{
		ConsistentRead: aws.Bool(true), ScanIndexForward: aws.Bool(forward), Limit: pageSize(page),
	}, expr) {
		if err != nil {
			return nil, err
		}
		if it.SK == before || !strings.HasPrefix(it.SK, listPrefix) {
			continue
		}
		var ref integration.RejectedRef
		if err := it.decode(&ref); err != nil {
			return nil, err
		}
		if refs = append(refs, ref); len(refs) == limit {
			break
		}
	}
	return refs, nil
}
