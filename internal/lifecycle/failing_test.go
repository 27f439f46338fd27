package lifecycle_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/secret"
	"github.com/sluicehq/sluice/internal/store"
)

// countdown makes one call of the ports that share it fail: the last one it counts.
type countdown struct {
	mu   sync.Mutex
	left int
}

func (c *countdown) err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left--; c.left == 0 {
		return problem.New(problem.Unavailable, "a port is down")
	}
	return nil
}

// failingStore, failingLog and failingSealer fail when their countdown does.
type (
	failingStore struct {
		store.Store
		*countdown
	}
	failingLog struct {
		eventlog.Log
		*countdown
	}
	failingSealer struct {
		secret.Sealer
		*countdown
	}
)

func (f failingStore) Tenant(ctx context.Context, tenant string) (*store.Tenant, error) {
	if err := f.err(); err != nil {
		return nil, err
	}
	return f.Store.Tenant(ctx, tenant)
}

func (f failingStore) Integration(ctx context.Context, tenant, id string) (*integration.Integration, error) {
	if err := f.err(); err != nil {
		return nil, err
	}
	return f.Store.Integration(ctx, tenant, id)
}

func (f failingStore) Integrations(ctx context.Context, tenant string) ([]*integration.Integration, error) {
	if err := f.err(); err != nil {
		return nil, err
	}
	return f.Store.Integrations(ctx, tenant)
}

func (f failingStore) Cursor(ctx context.Context, k handoff.Key) (*handoff.Cursor, error) {
	if err := f.err(); err != nil {
		return nil, err
	}
	return f.Store.Cursor(ctx, k)
}

func (f failingStore) Partition(ctx context.Context, p event.Partition) (*handoff.PartitionState, error) {
	if err := f.err(); err != nil {
		return nil, err
	}
	return f.Store.Partition(ctx, p)
}

func (f failingLog) End(ctx context.Context, p event.Partition) (uint64, error) {
	if err := f.err(); err != nil {
		return 0, err
	}
	return f.Log.End(ctx, p)
}

func (f failingLog) Seek(ctx context.Context, p event.Partition, at time.Time) (uint64, error) {
	if err := f.err(); err != nil {
		return 0, err
	}
	return f.Log.Seek(ctx, p, at)
}

func (f failingSealer) Seal(ctx context.Context, o secret.Owner, clear secret.String) (secret.Sealed, error) {
	if err := f.err(); err != nil {
		return secret.Sealed{}, err
	}
	return f.Sealer.Seal(ctx, o, clear)
}

func (f failingSealer) Open(ctx context.Context, o secret.Owner, sealed secret.Sealed) (secret.String, error) {
	if err := f.err(); err != nil {
		return secret.String{}, err
	}
	return f.Sealer.Open(ctx, o, sealed)
}

func (f failingStore) Entries(ctx context.Context, h store.History, limit int) ([]integration.LogEntry, error) {
	if err := f.err(); err != nil {
		return nil, err
	}
	return f.Store.Entries(ctx, h, limit)
}

func (f failingStore) ExpiredReplays(ctx context.Context, before time.Time, limit int) ([]*integration.Integration, error) {
	if err := f.err(); err != nil {
		return nil, err
	}
	return f.Store.ExpiredReplays(ctx, before, limit)
}

// failAt makes the n-th call of a port fail, counted from 1, until it is undone. It
// returns the countdown.
func (b *bundle) failAt(n int) (c *countdown, undo func()) {
	whole := *b.Service
	c = &countdown{left: n}
	b.Store, b.Log, b.Sealer = failingStore{whole.Store, c}, failingLog{whole.Log, c}, failingSealer{whole.Sealer, c}
	return c, func() { b.Store, b.Log, b.Sealer = whole.Store, whole.Log, whole.Sealer }
}

// moreChanges are changes that call the ports in further ways.
func moreChanges() []change {
	register := func(spec func(*bundle) integration.Spec) func(*bundle) error {
		return func(b *bundle) error { _, err := b.Register(b.t.Context(), tenant, spec(b)); return err }
	}
	update := func(edited func(*integration.Spec)) func(*bundle) error {
		return func(b *bundle) error { _, err := b.Update(b.t.Context(), tenant, "x", edit(edited)); return err }
	}
	reveal := func(b *bundle) error {
		in, err := b.store.Store.Integration(b.t.Context(), tenant, "x")
		b.ok(err)
		_, err = b.Reveal(b.t.Context(), in)
		return err
	}
	return []change{
		{name: "reveal a webhook", set: func(b *bundle) { b.register(webhook("x")) }, call: reveal},
		{name: "reveal a bucket", set: func(b *bundle) { b.register(s3("x")) }, call: reveal},
		{
			name: "read the log entries", set: func(b *bundle) { b.register(webhook("x")) },
			call: func(b *bundle) error { _, err := b.Entries(b.t.Context(), tenant, "x"); return err },
		},
		{
			name: "delete expired replays",
			set: func(b *bundle) {
				in := b.register(b.replay("x"))
				in.Running, in.CompletedAt = false, began
				b.ok(b.store.Store.Commit(b.t.Context(), store.PutIntegration{Integration: in}))
				b.pass(24 * time.Hour)
			},
			call: func(b *bundle) error { return b.DeleteExpiredReplays(b.t.Context()) },
		},
		{name: "register a replay", set: func(b *bundle) { b.publish(1) }, call: register(func(b *bundle) integration.Spec { return b.replay("x") })},
		{name: "register a bucket", set: func(*bundle) {}, call: register(func(*bundle) integration.Spec { return s3("x") })},
		{
			name: "start after the retention", set: func(b *bundle) { b.stopped(webhook("x")); b.pass(365 * 24 * time.Hour) },
			call: func(b *bundle) error { _, err := b.Start(b.t.Context(), tenant, "x"); return err },
		},
		{name: "update a bucket", set: func(b *bundle) { b.stopped(s3("x")) }, call: update(func(s *integration.Spec) {
			s.S3.SecretAccessKey = secret.NewString(clears[0])
		})},
		{name: "update with the secrets in clear", set: func(b *bundle) { b.stopped(webhook("x")) }, call: update(func(s *integration.Spec) {
			*s = webhook("x")
			s.Webhook.URL += "/new"
		})},
		{name: "replace both secrets", set: func(b *bundle) { b.stopped(webhook("x")) }, call: update(func(s *integration.Spec) {
			s.Webhook.APIKey, s.Webhook.SigningSecret = secret.NewString(clears[3]), secret.NewString(clears[2])
		})},
	}
}

// Whichever call of the store, the log or the sealer fails, the change fails with its
// error and writes nothing: no integration without a secret, a target or a cursor.
func TestAFailedCallOfAPortChangesNothing(t *testing.T) {
	for _, c := range append(changes(), moreChanges()...) {
		t.Run(c.name, func(t *testing.T) {
			for n, done := 1, false; !done; n++ {
				b := setup(t)
				c.set(b)
				before := b.state(tenant)
				count, undo := b.failAt(n)
				err := c.call(b)
				undo()
				if done = count.left > 0; done {
					b.ok(err)
					continue
				}
				if diff := cmp.Diff(before, b.state(tenant)); diff != "" || problem.CodeOf(err) != problem.Unavailable {
					t.Errorf("call %d failed: error %v; changed: %s", n, err, diff)
				}
			}
		})
	}
}
