package storetest

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/store"
)

// records: what is written is read back, and is the caller's.
var records = map[string]func(*testing.T, store.Store){
	"absent records are zero or not found": absent,
	"every field is read as it was written": func(t *testing.T, s store.Store) {
		in, files := anIntegration(tenantA, "hook"), anS3Integration(tenantA, "export")
		ten, rec, cur := &store.Tenant{Name: tenantA, Integrations: 2, Generation: 9, Lanes: 4}, aPartition(tenantA, 1), aCursor(tenantA, "hook", 1)
		rej, count := aRejected(eventA), &integration.RejectedCount{Kept: 1, Newest: base.Add(1)}
		entry := anEntry("A line\nwith \"quotes\", <tags> & ünïcode.")
		lanes := &store.Lanes{Open: map[string]int{tenantA: 4, "ünï & co": 32}}
		commit(t, s, store.PutTenant{Tenant: ten}, store.PutLanes{Lanes: lanes}, store.PutIntegration{Integration: in}, store.PutIntegration{Integration: files},
			store.PutPartition{State: rec}, store.PutCursor{Cursor: cur}, store.AddEntry{History: life, Entry: entry},
			store.PutRejected{History: life, Rejected: rej}, store.PutRejectedCount{History: life, Count: count})

		ctx := t.Context()
		gotTenant, err := s.Tenant(ctx, tenantA)
		equal(t, "Tenant", read(t, gotTenant, err), ten)
		gotLanes, err := s.Lanes(ctx)
		equal(t, "Lanes", read(t, gotLanes, err), lanes)
		gotIn, err := s.Integration(ctx, tenantA, "hook")
		equal(t, "Integration", read(t, gotIn, err), in)
		all, err := s.Integrations(ctx, tenantA)
		equal(t, "Integrations, by id", read(t, all, err), []*integration.Integration{files, in})
		gotRec, err := s.Partition(ctx, rec.Partition)
		equal(t, "Record", read(t, gotRec, err), rec)
		gotCur, err := s.Cursor(ctx, cur.Key)
		equal(t, "Cursor", read(t, gotCur, err), cur)
		entries, err := s.Entries(ctx, life, 10)
		equal(t, "Entries", read(t, entries, err), []integration.LogEntry{entry})
		gotRej, err := s.Rejected(ctx, life, eventA)
		equal(t, "Rejected", read(t, gotRej, err), rej)
		gotCount, err := s.RejectedCount(ctx, life)
		equal(t, "RejectedCount", read(t, gotCount, err), count)
		list, err := s.OldestRejected(ctx, life, 10)
		equal(t, "OldestRejected", read(t, list, err), []integration.RejectedRef{rej.Ref()})
	},
	"records given to Commit stay the caller's": func(t *testing.T, s store.Store) {
		writeUsual(t, func(writes []store.Write) {
			commit(t, s, writes...)
			before := snapshot(t, s)
			for _, w := range writes {
				scribble(w)
			}
			equal(t, "after the caller wrote to its own records", snapshot(t, s), before)
		})
	},
	"records returned belong to the caller": func(t *testing.T, s store.Store) {
		writeUsual(t, func(writes []store.Write) { commit(t, s, writes...) })
		before, mine := snapshot(t, s), snapshot(t, s)
		mine.scribble()
		equal(t, "after a reader wrote to what it read", snapshot(t, s), before)
	},
	"large records": func(t *testing.T, s store.Store) {
		rej := aRejected(eventA)
		payload := make([]byte, 0, 256<<10)
		payload = append(payload, `{"a":"`...)
		for len(payload) < 256<<10-2 {
			payload = append(payload, 'x')
		}
		rej.Event = event.Draft{ID: eventA, Name: "order.created", Payload: append(payload, `"}`...)}.Stamp(tenantA, base)
		commit(t, s, store.PutRejected{History: life, Rejected: rej})
		got, err := s.Rejected(t.Context(), life, eventA)
		if !bytes.Equal(read(t, got, err).Event.Body, rej.Event.Body) {
			t.Error("the body read is not the one written")
		}
	},
	"an ended context is an error that says so": func(t *testing.T, s store.Store) {
		ctx := cancelled(t)
		for what, call := range everyCall(s) {
			if err := call(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: got %v, want an error that is context.Canceled", what, err)
			}
		}
		equal(t, "after a Commit with an ended context", len(read(t, snapshot(t, s).Entries, nil)), 0)
	},
}

func absent(t *testing.T, s store.Store) {
	ctx := t.Context()
	ten, err := s.Tenant(ctx, tenantA)
	equal(t, "Tenant", read(t, ten, err), &store.Tenant{Name: tenantA})
	p := event.Partition{Tenant: tenantA, Lane: 3}
	rec, err := s.Partition(ctx, p)
	equal(t, "Record", read(t, rec, err), &handoff.PartitionState{Partition: p})
	count, err := s.RejectedCount(ctx, life)
	equal(t, "RejectedCount", read(t, count, err), &integration.RejectedCount{})
	list, err := s.OldestRejected(ctx, life, 10)
	equal(t, "OldestRejected", len(read(t, list, err)), 0)
	list, err = s.NewestRejected(ctx, life, integration.RejectedRef{}, 10)
	equal(t, "NewestRejected", len(read(t, list, err)), 0)
	all, err := s.Integrations(ctx, tenantA)
	equal(t, "Integrations", len(read(t, all, err)), 0)
	entries, err := s.Entries(ctx, life, 10)
	equal(t, "Entries", len(read(t, entries, err)), 0)
	due, err := s.Due(ctx, base, 10)
	equal(t, "Due", len(read(t, due, err)), 0)
	over, err := s.ExpiredReplays(ctx, base, 10)
	equal(t, "ExpiredReplays", len(read(t, over, err)), 0)

	_, err = s.Integration(ctx, tenantA, "hook")
	notFound(t, "Integration", err)
	_, err = s.Cursor(ctx, handoff.Key{Tenant: tenantA, Integration: "hook"})
	notFound(t, "Cursor", err)
	_, err = s.Rejected(ctx, life, eventA)
	notFound(t, "Rejected", err)
}

func everyCall(s store.Store) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Tenant":       func(ctx context.Context) error { _, err := s.Tenant(ctx, tenantA); return err },
		"Lanes":        func(ctx context.Context) error { _, err := s.Lanes(ctx); return err },
		"Integration":  func(ctx context.Context) error { _, err := s.Integration(ctx, tenantA, "hook"); return err },
		"Integrations": func(ctx context.Context) error { _, err := s.Integrations(ctx, tenantA); return err },
		"Record": func(ctx context.Context) error {
			_, err := s.Partition(ctx, event.Partition{Tenant: tenantA})
			return err
		},
		"Cursor":         func(ctx context.Context) error { _, err := s.Cursor(ctx, handoff.Key{Tenant: tenantA}); return err },
		"Due":            func(ctx context.Context) error { _, err := s.Due(ctx, base, 1); return err },
		"ExpiredReplays": func(ctx context.Context) error { _, err := s.ExpiredReplays(ctx, base, 1); return err },
		"Entries":        func(ctx context.Context) error { _, err := s.Entries(ctx, life, 1); return err },
		"RejectedCount":  func(ctx context.Context) error { _, err := s.RejectedCount(ctx, life); return err },
		"OldestRejected": func(ctx context.Context) error { _, err := s.OldestRejected(ctx, life, 1); return err },
		"NewestRejected": func(ctx context.Context) error {
			_, err := s.NewestRejected(ctx, life, integration.RejectedRef{}, 1)
			return err
		},
		"Rejected": func(ctx context.Context) error { _, err := s.Rejected(ctx, life, eventA); return err },
		"Commit": func(ctx context.Context) error {
			return s.Commit(ctx, store.AddEntry{History: life, Entry: anEntry("never")})
		},
	}
}

// writeUsual calls use with writes of one new record of each kind.
func writeUsual(t *testing.T, use func([]store.Write)) {
	t.Helper()
	use([]store.Write{
		store.PutTenant{Tenant: &store.Tenant{Name: tenantA, Integrations: 1, Generation: 5, Lanes: 4}},
		store.PutLanes{Lanes: &store.Lanes{Open: map[string]int{tenantA: 4}}},
		store.PutIntegration{Integration: anIntegration(tenantA, "hook")},
		store.PutIntegration{Integration: anS3Integration(tenantA, "export")},
		store.PutPartition{State: aPartition(tenantA, 0)},
		store.PutCursor{Cursor: aCursor(tenantA, "hook", 0)},
		store.AddEntry{History: life, Entry: anEntry("created")},
		store.PutRejectedCount{History: life, Count: &integration.RejectedCount{Kept: 1, Newest: base}},
		store.PutRejected{History: life, Rejected: aRejected(eventA)},
	})
}

// scribble modifies everything that a record points to, except the events' bodies:
// they are immutable and may be shared.
func scribble(w store.Write) {
	switch w := w.(type) {
	case store.PutTenant:
		w.Tenant.Integrations = 999
	case store.PutLanes:
		w.Lanes.Open[tenantA] = 999
	case store.PutIntegration:
		scribbleIntegration(w.Integration)
	case store.PutPartition:
		w.State.Live[0].ID, w.State.LowWatermark = "scribbled", 0
	case store.PutCursor:
		w.Cursor.Ahead[0], w.Cursor.State, w.Cursor.DueAt = 999, handoff.Paused, time.Time{}
	case store.PutRejectedCount:
		w.Count.Kept = 999
	case store.PutRejected:
		w.Rejected.Attempts, w.Rejected.CreatedAt = 999, time.Time{}
	}
}

func scribbleIntegration(in *integration.Integration) {
	in.Running, in.Version = !in.Running, 999
	if in.Webhook != nil {
		in.Webhook.URL = "scribbled"
		in.Webhook.APIKey.Ciphertext[0] ^= 0xff
		in.Webhook.SigningSecret.Ciphertext[0] ^= 0xff
		in.Webhook.PreviousSecret.Ciphertext[0] ^= 0xff
		in.Filter.Names[0], in.Filter.Entities[0] = "scribbled", "scribbled"
	}
	if in.S3 != nil {
		in.S3.Bucket = "scribbled"
		in.S3.SecretAccessKey.Ciphertext[0] ^= 0xff
	}
}

func (e *everything) scribble() {
	e.Tenant.Integrations, e.Lanes.Open[tenantA] = 999, 999
	for _, in := range e.Integrations {
		scribbleIntegration(in)
	}
	e.Partition.Live[0].ID = "scribbled"
	for _, c := range e.Cursors {
		c.Ahead[0] = 999
	}
	e.Entries[0].Reason = "scribbled"
	e.Count.Kept, e.List[0].EventID = 999, "scribbled"
	for _, r := range e.Rejected {
		r.Attempts = 999
	}
}
