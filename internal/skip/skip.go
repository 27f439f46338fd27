// Package skip acknowledges an event by hand: one that a receiver can never take, and
// that its integration's stream waits for. The event goes into the list of rejected
// events, and the stream goes on.
//
// A skip is one Commit: the cursor, under its version, with the rejected event and the
// log entry. So of a skip, a delivery, a stop and another skip that know the same cursor
// one succeeds, and the others read again. A step that had the cursor loses it with that: it
// may send once more what it had in flight, the skipped event too.
package skip

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/worker"
)

// Integrations returns an integration, or problem.NotFound: lifecycle.Service.
type Integrations interface {
	Get(ctx context.Context, tenant, id string) (*integration.Integration, error)
}

// Rejected returns the writes that put a skipped event into the list of rejected events:
// rejected.Service.
type Rejected interface {
	AddSkipped(ctx context.Context, h store.History, ev *event.Event, attempts, status int) ([]store.Write, error)
}

// Cursors returns a cursor with the failed attempts that its owner has not saved, or
// problem.NotFound: delivery.Engine.
type Cursors interface {
	Cursor(ctx context.Context, k handoff.Key) (*handoff.Cursor, error)
}

// Service skips events. Every field but KeepDeliveries is required. It is safe for concurrent use, also by
// several processes.
type Service struct {
	Store        store.Store
	Log          eventlog.Log
	Integrations Integrations
	Rejected     Rejected
	Cursors      Cursors
	// Schedule tells the scheduler that a cursor is due. If a call is lost, the sweep
	// finds the cursor.
	Schedule func(keys ...handoff.Key)
	Now      func() time.Time
	// KeepDeliveries is how long delivery records are kept; 0 for none.
	KeepDeliveries time.Duration
}

// Skip acknowledges an event that the stream waits for, or that was tried and failed beside
// that one; also while the integration is stopped. Errors: problem.NotFound if there is
// no such integration, problem.NotBlocked if the stream does not wait for the event,
// problem.Conflict if the same records kept changing.
func (s *Service) Skip(ctx context.Context, tenant, id, eventID string) error {
	var key handoff.Key
	err := store.Transact(func() (err error) {
		key, err = s.skip(ctx, tenant, id, eventID)
		return err
	})
	if key != (handoff.Key{}) && !errors.Is(err, store.ErrConflict) {
		s.Schedule(key) // after an error too: the skip may have happened
	}
	return store.Contended(err, id)
}

// skip is one attempt. It returns the key of the cursor that it commits.
func (s *Service) skip(ctx context.Context, tenant, id, eventID string) (handoff.Key, error) {
	none := handoff.Key{}
	in, err := s.Integrations.Get(ctx, tenant, id)
	if err != nil {
		return none, err
	}
	if in.S3 != nil {
		return none, problem.New(problem.NotBlocked, "Integration %q writes files: what waits is a file, and no event can be skipped.", id)
	}
	for lane := range in.Lanes {
		k := handoff.Key{Tenant: tenant, Integration: id, Lane: lane}
		c, err := s.cursor(ctx, k, in)
		if err != nil {
			return none, err
		}
		found, err := s.find(ctx, c, in, eventID)
		if err != nil {
			return none, err
		}
		if found != nil {
			return k, s.commit(ctx, in, c, found)
		}
	}
	return none, problem.New(problem.NotBlocked, "Integration %q does not wait for event %q: the event is unknown, has not been tried, or is through. "+
		"Its health names the event that it waits for, and its log those that failed.", id, eventID)
}

// cursor reads a cursor of the integration. It returns store.ErrConflict if either has
// changed since the other was read.
func (s *Service) cursor(ctx context.Context, k handoff.Key, in *integration.Integration) (*handoff.Cursor, error) {
	c, err := s.Cursors.Cursor(ctx, k)
	switch {
	case problem.CodeOf(err) == problem.NotFound:
		return nil, store.ErrConflict
	case err != nil:
		return nil, err
	case c.Generation != in.Generation:
		return nil, store.ErrConflict
	}
	return c, nil
}

// blocked is an event that a stream waits for.
type blocked struct {
	event    *event.Event
	attempts int
	status   int              // of the response to its last attempt, 0 if it is not known
	after    handoff.AckState // without it
	result   deliveries.Result
}

// readBytes is the size of one read of the log. A cursor knows the state of events in
// about two reads of that size.
const readBytes = 128 << 10

// find returns the event if the cursor says that it was tried and not acknowledged, else
// nil. It reads the log only as far as the cursor knows more than its offset.
func (s *Service) find(ctx context.Context, c *handoff.Cursor, in *integration.Integration, eventID string) (*blocked, error) {
	tried := 0
	for _, state := range c.Ahead {
		if state > 0 {
			tried++
		}
	}
	if tried == 0 || c.State != handoff.Scheduled && c.State != handoff.Paused {
		return nil, nil
	}
	look := worker.NewSkip(in.EventFilter(), c.AckState, eventID)
	for look.Open() {
		segs, err := s.Log.Read(ctx, c.Key.Partition(), look.Last(), readBytes)
		if err != nil || len(segs) == 0 {
			return nil, err
		}
		if ev, attempts := look.Find(segs); ev != nil {
			found := &blocked{event: ev, attempts: attempts, after: look.AckState(), result: look.Result()}
			if tried == 1 { // of several, the cursor knows the last response, and not to which
				found.status = c.Status
				found.result.Status, found.result.Cause, found.result.Took = c.Status, c.Cause, c.TookMS
				if !c.TriedAt.IsZero() {
					found.result.Last = c.TriedAt.UnixMilli()
				}
			}
			return found, nil
		}
	}
	return nil, nil
}

func (s *Service) commit(ctx context.Context, in *integration.Integration, c *handoff.Cursor, b *blocked) error {
	h, now := store.HistoryOf(in), s.Now()
	writes, err := s.Rejected.AddSkipped(ctx, h, b.event, b.attempts, b.status)
	if err != nil {
		return err
	}
	attempts := "1 failed attempt"
	if b.attempts > 1 {
		attempts = fmt.Sprintf("%d failed attempts", b.attempts)
	}
	handoff.Skip(c, b.after, now)
	writes = append(writes, s.deliveryRecord(in, c, b, now)...)
	return store.CommitDetached(ctx, s.Store, append(writes, store.PutCursor{Cursor: c},
		store.AddEntry{History: h, Entry: integration.LogEntry{Action: integration.ActionEventSkipped, CreatedAt: now, Reason: fmt.Sprintf(
			"Event %s (%s) was skipped via API after %s. It is in the list of rejected events, from where it can be retried.", b.event.ID, b.event.Name, attempts)}})...)
}

// deliveryRecord returns the write that records that the event was skipped.
func (s *Service) deliveryRecord(in *integration.Integration, c *handoff.Cursor, b *blocked, now time.Time) (writes []store.Write) {
	if s.KeepDeliveries <= 0 {
		return nil
	}
	part := deliveries.Part{Integration: in.ID, Incarnation: in.Incarnation, Results: []deliveries.Result{b.result}}
	for _, r := range deliveries.Pack(c.Key.Partition(), in.ID, now, s.KeepDeliveries, []deliveries.Part{part}) {
		writes = append(writes, store.AddDeliveries{Record: r})
	}
	return writes
}
