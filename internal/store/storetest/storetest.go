// Package storetest is the conformance suite of package store: tests for what its
// doc comments promise. Every adapter runs it, including the in-memory double that
// other packages use in tests, so that the double behaves like the others.
package storetest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/secret"
	"github.com/sluicehq/sluice/internal/store"
)

// Run runs the suite. Each test calls open for a new, empty store; open closes it
// with t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for _, group := range []map[string]func(*testing.T, store.Store){
		records, conditions, tenants, histories, deliveryRecords, dueIndexes, troubles, alerts, races,
	} {
		for name, test := range group {
			t.Run(name, func(t *testing.T) {
				s := open(t)
				t.Logf("adapter %T", s)
				test(t, s)
			})
		}
	}
}

// base is the time of the suite's records, more or less.
var base = time.Date(2025, 6, 1, 12, 0, 0, int(123*time.Millisecond), time.UTC)

// anIntegration is a webhook integration with every field set.
func anIntegration(tenant, id string) *integration.Integration {
	return &integration.Integration{
		Tenant: tenant, ID: id, Type: integration.Temporary,
		StartsAt: base.Add(-time.Hour), EndsAt: base.Add(time.Hour),
		Webhook: &integration.Webhook{
			URL:             "https://example.com/hook?a=b&c=<d>",
			APIKey:          secret.Sealed{Ciphertext: []byte{0, 1, 2, 0xff}, Mask: "********cdef", Bound: true},
			SigningSecret:   secret.Sealed{Ciphertext: []byte("sealed"), Mask: "********"},
			PreviousSecret:  secret.Sealed{Ciphertext: []byte("sealed before"), Mask: "********"},
			PreviousExpires: base.Add(24 * time.Hour),
		},
		Filter:     event.Filter{Names: []string{"order.created", "order.items_cancelled"}, Entities: []string{"return"}},
		Running:    true,
		QuietAt:    base.Add(time.Minute),
		Generation: 7, Incarnation: 5, Lanes: 2, OpenLanes: 1,
		CreatedAt: base, StoppedAt: base.Add(time.Second), OldestWaiting: base.Add(-time.Minute), CompletedAt: base.Add(2 * time.Second),
	}
}

func anS3Integration(tenant, id string) *integration.Integration {
	return &integration.Integration{
		Tenant: tenant, ID: id, Type: integration.Permanent, Generation: 1, Incarnation: 1, Lanes: 1, CreatedAt: base,
		S3: &integration.S3{
			AccessKeyID: "AKIAEXAMPLE", SecretAccessKey: secret.Sealed{Ciphertext: []byte{9, 8, 7}, Mask: "********", Bound: true},
			Region: "eu-central-1", Bucket: "a-bucket", KeyPrefix: "in/coming", Endpoint: "https://s3.example.com",
		},
	}
}

func aPartition(tenant string, lane int) *handoff.PartitionState {
	return &handoff.PartitionState{
		Partition: event.Partition{Tenant: tenant, Lane: lane}, LowWatermark: 1 << 40,
		Live: []handoff.Subscriber{
			{ID: "one", Generation: 3, Mode: handoff.Deliver, From: 12, JoinedAt: base},
			{ID: "two", Generation: 4, Mode: handoff.Wake, WakeDelay: 90 * time.Second, From: 13, JoinedAt: base.Add(time.Second)},
		},
	}
}

func aCursor(tenant, id string, lane int) *handoff.Cursor {
	return &handoff.Cursor{
		Key: handoff.Key{Tenant: tenant, Integration: id, Lane: lane}, Generation: 7, State: handoff.Scheduled,
		AckState: handoff.AckState{Offset: handoff.Offset{Segment: 44, Index: 3}, Ahead: []int{0, handoff.Acked, 2}},
		DueAt:    base, Failures: 2, FailingSince: base.Add(-time.Minute), Slowness: 1, SlowUntil: base.Add(time.Hour),
		Upload: &handoff.Upload{
			Key: "acme/1-data-a.export", ID: "upload", ETags: []string{`"one"`, `"two"`}, Size: 1 << 40,
			From: handoff.Offset{Segment: 44, Index: 3}, To: handoff.Offset{Segment: 45, Index: 1},
			Next: base.Add(time.Minute), Created: base, Until: base.Add(time.Hour),
		},
		UploadUntil: base.Add(2 * time.Hour), Skipped: true,
		Lagging: true, LagFrom: base.Add(-time.Hour), Told: handoff.ToldLagging,
	}
}

func aRejected(id string) *integration.Rejected {
	d := event.Draft{ID: id, Name: "order.created", Payload: []byte(`{"a":"ü\u0000\"","b":[1,2.50]}`)}
	return &integration.Rejected{
		Event: d.Stamp(tenantA, base), CreatedAt: base.Add(time.Second + 1), Reason: integration.ReasonSkipped, Status: 503,
		Attempts: 3, RetryUntil: base.Add(time.Minute),
	}
}

func anEntry(reason string) integration.LogEntry {
	return integration.LogEntry{Action: integration.ActionUpdated, Reason: reason, CreatedAt: base}
}

const (
	tenantA = "tenant-a"
	eventA  = "6f1c4f0e-0000-4000-8000-000000000001"
	eventB  = "6f1c4f0e-0000-4000-8000-000000000002"
)

var life = store.History{Tenant: tenantA, Integration: "hook", Incarnation: 5}

// commit commits the writes and expects success.
func commit(t *testing.T, s store.Store, writes ...store.Write) {
	t.Helper()
	if err := s.Commit(t.Context(), writes...); err != nil {
		t.Fatalf("Commit: %v", err)
	}
}

// refused commits the writes and expects ErrConflict.
func refused(t *testing.T, s store.Store, writes ...store.Write) {
	t.Helper()
	if err := s.Commit(t.Context(), writes...); !errors.Is(err, store.ErrConflict) {
		t.Fatalf("Commit: got %v, want ErrConflict", err)
	}
}

// read expects a read of the store to succeed and returns its result.
func read[T any](t *testing.T, value T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	return value
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func notFound(t *testing.T, what string, err error) {
	t.Helper()
	if problem.CodeOf(err) != problem.NotFound {
		t.Errorf("%s: got %v, want a problem.NotFound", what, err)
	}
}

// everything is all that a store returns about the suite's usual records.
type everything struct {
	Tenant       *store.Tenant
	Lanes        *store.Lanes
	Integrations []*integration.Integration
	Partition    *handoff.PartitionState
	Cursors      []*handoff.Cursor
	Due          []handoff.Key
	Entries      []integration.LogEntry
	Count        *integration.RejectedCount
	List         []integration.RejectedRef
	Rejected     []*integration.Rejected
}

func snapshot(t *testing.T, s store.Store) everything {
	t.Helper()
	ctx := t.Context()
	var e everything
	var err [8]error
	e.Tenant, err[0] = s.Tenant(ctx, tenantA)
	e.Integrations, err[1] = s.Integrations(ctx, tenantA)
	e.Partition, err[2] = s.Partition(ctx, event.Partition{Tenant: tenantA})
	e.Due, err[3] = s.Due(ctx, base.Add(1000*time.Hour), 1000)
	e.Entries, err[4] = s.Entries(ctx, life, 1000)
	e.Count, err[5] = s.RejectedCount(ctx, life)
	e.List, err[6] = s.OldestRejected(ctx, life, 1000)
	e.Lanes, err[7] = s.Lanes(ctx)
	if err := errors.Join(err[:]...); err != nil {
		t.Fatalf("snapshot: %v", err)
	}
	for _, id := range []string{"hook", "export", "new"} {
		if c, err := s.Cursor(ctx, handoff.Key{Tenant: tenantA, Integration: id}); err == nil {
			e.Cursors = append(e.Cursors, c)
		}
	}
	for _, id := range []string{eventA, eventB} {
		if r, err := s.Rejected(ctx, life, id); err == nil {
			e.Rejected = append(e.Rejected, r)
		}
	}
	return e
}

// cancelled returns a context that has ended.
func cancelled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func keysOf(cursors ...*handoff.Cursor) []handoff.Key {
	var keys []handoff.Key
	for c := range slices.Values(cursors) {
		keys = append(keys, c.Key)
	}
	return keys
}
