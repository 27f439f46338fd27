package node

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/secret/local"
	"github.com/sluicehq/sluice/internal/store"
)

// The offset of an integration that failed until it was stopped is still in the
// log as long as it can be started again.
func TestTrimKeepsWhatAStartMayNeed(t *testing.T) {
	n := openNodeWith(t, t.TempDir(), func(c *Config) { c.Retention, c.FailureStopAfter = time.Hour, 72*time.Hour })
	defer closeNode(t, n)
	p := event.Partition{Tenant: "acme"}
	now := time.Now()
	for _, age := range []time.Duration{75 * time.Hour, 73 * time.Hour, 0} {
		draft := event.Draft{ID: "6f1c4f0e-0000-4000-8000-000000000001", Name: "order.created", Payload: []byte("{}")}
		if _, err := n.log.Append(t.Context(), p, "", eventlog.Unnamed(draft.Stamp("acme", now.Add(-age)))); err != nil {
			t.Fatal(err)
		}
	}
	n.trim(t.Context(), n.now())
	segments, err := n.log.Read(t.Context(), p, 0, 1<<20)
	if err != nil || len(segments) != 2 || segments[0].Number != 2 {
		t.Errorf("left are %d segments, %v, want the second and the third", len(segments), err)
	}
}

// Log entries are kept for 30 days, whatever the retention of events is, and
// those of an integration that is no more not at all.
func TestTrimOfEntries(t *testing.T) {
	n := openNodeWith(t, t.TempDir(), func(c *Config) { c.Retention = time.Hour })
	defer closeNode(t, n)
	life, gone := store.History{Tenant: "acme", Integration: "hook", Incarnation: 1}, store.History{Tenant: "acme", Integration: "gone", Incarnation: 1}
	entry := func(h store.History, age time.Duration) store.Write {
		return store.AddEntry{History: h, Entry: integration.LogEntry{CreatedAt: time.Now().Add(-age)}}
	}
	writes := []store.Write{
		store.PutIntegration{Integration: &integration.Integration{Tenant: "acme", ID: "hook", Incarnation: 1}},
		entry(life, 30*24*time.Hour+time.Minute), entry(life, 29*24*time.Hour), entry(gone, 0), entry(gone, time.Hour),
	}
	if err := n.store.Commit(t.Context(), writes...); err != nil {
		t.Fatal(err)
	}
	n.trim(t.Context(), n.now())
	for h, want := range map[store.History]int{life: 1, gone: 0} {
		if entries, err := n.store.Entries(t.Context(), h, 10); err != nil || len(entries) != want {
			t.Errorf("%s has %d entries left, %v, want %d", h.Integration, len(entries), err, want)
		}
	}
}

// No goroutine waits for a cursor that no longer exists.
func TestDeletedReplaysLeaveNoGoroutineWaiting(t *testing.T) {
	n := openNode(t, t.TempDir())
	defer closeNode(t, n)
	r := newReceiver(t)
	publishTo(t, n, 1)
	for i := range 20 {
		id := fmt.Sprint("replay-", i)
		_, err := n.life.Register(t.Context(), "acme", integration.Spec{
			ID: id, Type: integration.Temporary, StartsAt: time.Now().Add(-time.Hour), EndsAt: time.Now().AddDate(50, 0, 0),
			Webhook: &integration.WebhookSpec{URL: r.URL},
		})
		if err != nil {
			t.Fatal(err)
		}
		r.wait(t, 1)
		if i%2 == 0 {
			if _, err := n.life.Stop(t.Context(), "acme", id); err != nil {
				t.Fatal(err)
			}
		}
		if err := n.life.Delete(t.Context(), "acme", id); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "no cursor of a deleted replay is scheduled", func() bool { return n.schedule.Cursors() == 0 })
}

// The key file matters once something is sealed under it, not before.
func TestNodeWithoutSecretsNeedsNoOldKey(t *testing.T) {
	dir, r := t.TempDir(), newReceiver(t)
	n := openNode(t, dir)
	_, err := n.life.Register(t.Context(), "acme", integration.Spec{
		ID: "open", Type: integration.Permanent, Webhook: &integration.WebhookSpec{URL: r.URL},
	})
	if err != nil {
		t.Fatal(err)
	}
	closeNode(t, n)
	key := filepath.Join(dir, local.Name)
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	n = openNode(t, dir)
	defer closeNode(t, n)
	if _, err := os.Stat(key); err != nil {
		t.Error(err)
	}
}
