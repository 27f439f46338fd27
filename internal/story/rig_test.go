package story

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	logmemory "github.com/sluicehq/sluice/internal/eventlog/memory"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/store/memory"
)

var base = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func minute(n int) time.Time { return base.Add(time.Duration(n) * time.Minute) }

// rig is a service over a store and a log in memory. Its clock is at base plus an hour. It
// lists the integrations that it is given.
type rig struct {
	t testing.TB
	*Service
	store *memory.Store
	log   *logmemory.Log
	now   time.Time
	lanes int // of acme, if more than 1
	all   []*integration.Integration
	get   func(id string) (*integration.Integration, error) // nil: of all

	delivered map[deliveries.At]*deliveries.Delivery // what is recorded
}

func (r *rig) Find(_ context.Context, _ *integration.Integration, at deliveries.At, _ *event.Event) (*deliveries.Delivery, error) {
	return r.delivered[at], nil
}

func newRig(t testing.TB) *rig {
	r := &rig{t: t, store: memory.New(), now: minute(60)}
	now := func() time.Time { return r.now }
	r.log = logmemory.New(now)
	r.Service = &Service{Integrations: r, Records: r.store, Deliveries: r, Cursor: r.store.Cursor, Log: r.log, Settings: settings.Default(), Now: now}
	r.Lanes = func(context.Context) event.Lanes { return event.Lanes{Each: 1, Own: map[string]int{"acme": r.lanes}} }
	return r
}

func (r *rig) List(context.Context, string) ([]*integration.Integration, error) { return r.all, nil }

func (r *rig) Get(_ context.Context, _, id string) (*integration.Integration, error) {
	if r.get != nil {
		return r.get(id)
	}
	for _, in := range r.all {
		if in.ID == id {
			return in, nil
		}
	}
	return nil, problem.New(problem.NotFound, "There is no integration %q.", id)
}

// idOf is the id of the i-th event of a minute, which does not tell the time.
func idOf(minute, i int) string { return fmt.Sprintf("6f1c4f0e-0000-4000-8000-%06d%06d", minute, i) }

// v7 is a UUIDv7 of a time.
func v7(at time.Time) string {
	ms := fmt.Sprintf("%012x", at.UnixMilli())
	return ms[:8] + "-" + ms[8:] + "-7000-8000-000000000001"
}

func named(id string, at time.Time) event.Event {
	return event.Draft{ID: id, Name: "order.created", Payload: []byte("{}")}.Stamp("acme", at)
}

// put appends a segment to a lane.
func (r *rig) put(lane int, events ...event.Event) {
	r.t.Helper()
	if _, err := r.log.Append(context.Background(), event.Partition{Tenant: "acme", Lane: lane}, "", eventlog.Unnamed(events...)); err != nil {
		r.t.Fatal(err)
	}
}

// publish appends a segment of n events of a minute to the first lane.
func (r *rig) publish(at, n int) {
	r.t.Helper()
	var events []event.Event
	for i := range n {
		events = append(events, named(idOf(at, i), minute(at)))
	}
	r.put(0, events...)
}

// hook is a webhook that has run since base.
func hook() *integration.Integration {
	return &integration.Integration{
		Tenant: "acme", ID: "hook", Type: integration.Permanent, Webhook: &integration.Webhook{URL: "https://a.example.com"},
		Running: true, Generation: 1, Incarnation: 1, Lanes: 1, CreatedAt: base,
	}
}

func at(segment uint64, index int, ahead ...int) handoff.AckState {
	return handoff.AckState{Offset: handoff.Offset{Segment: segment, Index: index}, Ahead: ahead}
}

func (r *rig) commit(writes ...store.Write) {
	r.t.Helper()
	if err := r.store.Commit(context.Background(), writes...); err != nil {
		r.t.Fatal(err)
	}
}

// stands adds an integration with its cursor in the first lane, and the live set if that is live.
func (r *rig) stands(in *integration.Integration, c handoff.Cursor, lowWatermark uint64) {
	r.t.Helper()
	c.Key = handoff.Key{Tenant: "acme", Integration: in.ID}
	c.Generation = in.Generation
	r.all = append(r.all, in)
	r.commit(store.PutCursor{Cursor: &c})
	if c.State == handoff.Live {
		state := &handoff.PartitionState{
			Partition: c.Key.Partition(), LowWatermark: lowWatermark, Live: []handoff.Subscriber{{ID: in.ID, Generation: in.Generation, Mode: handoff.Deliver}},
		}
		r.commit(store.PutPartition{State: state})
	}
}

// said adds an entry to the log of an integration.
func (r *rig) said(in *integration.Integration, minutes int, action integration.Action, reason string) {
	r.t.Helper()
	e := integration.LogEntry{Action: action, Reason: reason, CreatedAt: minute(minutes)}
	r.commit(store.AddEntry{History: store.HistoryOf(in), Entry: e})
}

// lists puts an event into the list of rejected ones of an integration.
func (r *rig) lists(in *integration.Integration, e event.Event, reason integration.Reason, minutes int) {
	r.t.Helper()
	h := store.HistoryOf(in)
	count, err := r.store.RejectedCount(context.Background(), h)
	if err != nil {
		r.t.Fatal(err)
	}
	rejected := &integration.Rejected{Event: e, CreatedAt: count.Add(minute(minutes)), Reason: reason, Status: 400, Attempts: 2}
	r.commit(store.PutRejectedCount{History: h, Count: count}, store.PutRejected{History: h, Rejected: rejected})
}

// about is the query for what was published in a minute.
func about(n int) Query { return Query{PublishedAt: minute(n)} }

func (r *rig) tell(id string, q Query) *Story {
	r.t.Helper()
	told, err := r.Tell(context.Background(), "acme", id, q)
	if err != nil {
		r.t.Fatal(err)
	}
	if told.Event.ID != strings.ToLower(id) {
		r.t.Fatalf("asked for %s, and got %s", id, told.Event.ID)
	}
	return told
}

// wants tells of an event of a minute, for which the only integration must have the verdict, and
// a reason with the words.
func (r *rig) wants(n, i int, v Verdict, words ...string) {
	r.t.Helper()
	told := r.tell(idOf(n, i), about(n))
	if len(told.Integrations) != 1 {
		r.t.Fatalf("of %d integrations", len(told.Integrations))
	}
	c := told.Integrations[0]
	if c.Verdict != v {
		r.t.Errorf("event %d of minute %d: %s, want %s. %s", i, n, c.Verdict, v, c.Because)
	}
	if !strings.HasSuffix(c.Because, ".") {
		r.t.Errorf("%q is no sentence", c.Because)
	}
	for _, w := range words {
		if !strings.Contains(c.Because, w) {
			r.t.Errorf("event %d of minute %d: %q does not say %q", i, n, c.Because, w)
		}
	}
}

// fails returns the message of a story that is refused.
func (r *rig) fails(id string, q Query, code problem.Code, words ...string) {
	r.t.Helper()
	_, err := r.Tell(context.Background(), "acme", id, q)
	if problem.CodeOf(err) != code {
		r.t.Fatalf("the story of %s with %v: %v, want %s", id, q, err, code)
	}
	for _, w := range words {
		if !strings.Contains(problem.MessageOf(err), w) {
			r.t.Errorf("%q does not say %q", problem.MessageOf(err), w)
		}
	}
}
