package sqlite

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/secret"
	"github.com/sluicehq/sluice/internal/sqlitedb"
	"github.com/sluicehq/sluice/internal/store"
)

func openStore(t *testing.T) *Store {
	t.Helper()
	db, err := sqlitedb.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return New(db)
}

// A node makes a new key only if nothing is sealed under the old one: any one secret
// counts.
func TestEverySecretIsNoticed(t *testing.T) {
	sealed := secret.Sealed{Ciphertext: []byte("sealed"), Mask: "****"}
	hook := func(w integration.Webhook) integration.Integration { return integration.Integration{Webhook: &w} }
	for name, c := range map[string]struct {
		in   integration.Integration
		want bool
	}{
		"none of a webhook": {hook(integration.Webhook{URL: "https://example.com"}), false},
		"none of a bucket":  {integration.Integration{S3: &integration.S3{Bucket: "b"}}, false},
		"no target":         {integration.Integration{}, false},
		"api key":           {hook(integration.Webhook{APIKey: sealed}), true},
		"signing secret":    {hook(integration.Webhook{SigningSecret: sealed}), true},
		"previous secret":   {hook(integration.Webhook{PreviousSecret: sealed}), true},
		"key of the bucket": {integration.Integration{S3: &integration.S3{SecretAccessKey: sealed}}, true},
	} {
		s := openStore(t)
		c.in.Tenant, c.in.ID = "acme", "x"
		other := integration.Integration{Tenant: "acme", ID: "other"}
		if err := s.Commit(t.Context(), store.PutIntegration{Integration: &c.in}, store.PutIntegration{Integration: &other}); err != nil {
			t.Fatal(err)
		}
		if got, err := s.HasSecrets(t.Context()); err != nil || got != c.want {
			t.Errorf("%s: HasSecrets is %v, %v, want %v", name, got, err, c.want)
		}
	}
}

// The cursors that have something to deliver are found, whether live or scheduled.
func TestCursorsWithSomethingToDeliver(t *testing.T) {
	s := openStore(t)
	for i, state := range []handoff.State{handoff.Live, handoff.Scheduled, handoff.Paused, handoff.Finished} {
		c := &handoff.Cursor{Key: handoff.Key{Tenant: "acme", Integration: fmt.Sprint(i)}, State: state}
		if err := s.Commit(t.Context(), store.PutCursor{Cursor: c}); err != nil {
			t.Fatal(err)
		}
	}
	found, err := s.Cursors(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, c := range found {
		ids = append(ids, c.Key.Integration)
	}
	if !slices.Equal(ids, []string{"0", "1"}) {
		t.Errorf("found the cursors %v, want 0 and 1", ids)
	}
}

// A row that cannot be decoded is an error of every read, never an empty record.
func TestDamagedRowIsNoEmptyRecord(t *testing.T) {
	s := openStore(t)
	ctx, h := t.Context(), store.History{Tenant: "acme", Integration: "x", Incarnation: 1}
	draft := event.Draft{ID: "e", Name: "a.b", Payload: []byte("{}")}
	err := s.Commit(ctx,
		store.PutTenant{Tenant: &store.Tenant{Name: "acme"}},
		store.PutIntegration{Integration: &integration.Integration{Tenant: "acme", ID: "x", Incarnation: 1, CompletedAt: time.Unix(1, 0)}},
		store.PutPartition{State: &handoff.PartitionState{Partition: event.Partition{Tenant: "acme"}}},
		store.PutCursor{Cursor: &handoff.Cursor{Key: handoff.Key{Tenant: "acme", Integration: "x"}, State: handoff.Scheduled}},
		store.PutRejectedCount{History: h, Count: &integration.RejectedCount{Kept: 1}},
		store.PutRejected{History: h, Rejected: &integration.Rejected{Event: draft.Stamp("acme", time.Unix(1, 0))}},
	)
	if err != nil {
		t.Fatal(err)
	}
	err = s.db.Write(ctx, sqlitedb.Turn{}, func(tx *sqlitedb.Tx) error {
		for _, table := range []string{"tenants", "integrations", "records", "cursors", "rejected_counts", "rejected_list", "rejected"} {
			if n, err := tx.Exec("UPDATE " + table + " SET data = X'21'"); err != nil || n != 1 {
				return fmt.Errorf("%s: %d rows, %w", table, n, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, read := range map[string]func() error{
		"tenant":          func() error { _, err := s.Tenant(ctx, "acme"); return err },
		"integration":     func() error { _, err := s.Integration(ctx, "acme", "x"); return err },
		"integrations":    func() error { _, err := s.Integrations(ctx, "acme"); return err },
		"expired replays": func() error { _, err := s.ExpiredReplays(ctx, time.Now(), 10); return err },
		"partition":       func() error { _, err := s.Partition(ctx, event.Partition{Tenant: "acme"}); return err },
		"cursor":          func() error { _, err := s.Cursor(ctx, handoff.Key{Tenant: "acme", Integration: "x"}); return err },
		"cursors":         func() error { _, err := s.Cursors(ctx); return err },
		"rejected count":  func() error { _, err := s.RejectedCount(ctx, h); return err },
		"rejected list":   func() error { _, err := s.OldestRejected(ctx, h, 1); return err },
		"rejected":        func() error { _, err := s.Rejected(ctx, h, "e"); return err },
	} {
		if err := read(); problem.CodeOf(err) != problem.Internal {
			t.Errorf("%s: got %v, want an internal error", name, err)
		}
	}
	if has, err := s.HasSecrets(ctx); err != nil || !has {
		t.Errorf("HasSecrets is %v, %v; the damaged row may have one", has, err)
	}
}

// A read that breaks off halfway is an error, not a shorter list.
func TestReadThatBreaksOffIsNoShorterList(t *testing.T) {
	s := openStore(t)
	rows := 0
	err := s.each(t.Context(), "SELECT 1 UNION ALL SELECT abs(-9223372036854775807 - 1)", nil, func(scan func(...any) error) error {
		var n int
		rows++
		return scan(&n)
	})
	if err == nil || rows != 1 {
		t.Errorf("%d rows, then %v; want one and an error", rows, err)
	}
}
