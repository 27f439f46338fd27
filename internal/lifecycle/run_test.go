package lifecycle_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/store"
)

func (b *bundle) stop(id string) *integration.Integration {
	b.t.Helper()
	in, err := b.Stop(b.t.Context(), tenant, id)
	b.ok(err)
	return in
}

func (b *bundle) start(id string) *integration.Integration {
	b.t.Helper()
	in, err := b.Start(b.t.Context(), tenant, id)
	b.ok(err)
	return in
}

func TestStopAndStart(t *testing.T) {
	b := setup(t)
	b.Settings.Lanes = 2
	b.register(webhook("orders"))
	b.goLive("orders", 0)
	b.publish(1)
	b.scheduled = nil
	b.pass(time.Minute)

	in := b.stop("orders")
	if in.StatusAt(b.now()) != integration.Stopping || in.Generation != 2 || in.Incarnation != 1 || !in.StoppedAt.Equal(b.now()) {
		t.Errorf("stopped: %+v", in)
	}
	b.pass(quietAfter - time.Millisecond)
	if got := in.StatusAt(b.now()); got != integration.Stopping {
		t.Errorf("%s before the last actor has finished", got)
	}
	b.pass(time.Millisecond)
	if got := in.StatusAt(b.now()); got != integration.Stopped {
		t.Errorf("%s after the last actor has finished", got)
	}
	if len(b.partition(0).Live) != 0 {
		t.Errorf("still in the live set: %+v", b.partition(0))
	}
	for lane := range 2 {
		if c := b.cursor("orders", lane); c.State != handoff.Paused || c.Generation != 2 || !c.DueAt.IsZero() {
			t.Errorf("cursor of lane %d: %+v", lane, c)
		}
	}
	if len(b.scheduled) != 2 {
		t.Errorf("scheduled %v, want both lanes", b.scheduled)
	}
	b.scheduled = nil

	b.pass(30*24*time.Hour - quietAfter) // not longer than the retention
	in = b.start("orders")
	if in.StatusAt(b.now()) != integration.Running || in.Generation != 3 {
		t.Errorf("started: %+v", in)
	}
	for lane := range 2 {
		if c := b.cursor("orders", lane); c.State != handoff.Scheduled || c.Generation != 3 || !c.DueAt.Equal(b.now()) || c.Offset.Segment != 0 {
			t.Errorf("cursor of lane %d: %+v", lane, c)
		}
	}
	if len(b.scheduled) != 2 {
		t.Errorf("scheduled %v", b.scheduled)
	}
	entries, err := b.Entries(t.Context(), tenant, "orders")
	b.ok(err)
	want := []integration.LogEntry{
		{Action: integration.ActionStarted, Reason: "Started via API.", CreatedAt: b.now()},
		{Action: integration.ActionStopped, Reason: "Stopped via API.", CreatedAt: began.Add(time.Minute)},
	}
	if diff := cmp.Diff(want, entries); diff != "" { // the first two are 30 days old
		t.Error(diff)
	}
}

func TestNoOps(t *testing.T) {
	b := setup(t)
	b.register(webhook("orders"))
	for range 2 {
		b.scheduled = nil
		before := b.state(tenant)
		if in := b.start("orders"); !in.Running {
			t.Error("not running")
		}
		if diff := cmp.Diff(before, b.state(tenant)); diff != "" || b.scheduled != nil {
			t.Errorf("scheduled %v, changed: %s", b.scheduled, diff)
		}
	}
	b.stop("orders")
	before := b.state(tenant)
	b.pass(time.Second)
	if in := b.stop("orders"); in.Running {
		t.Error("running")
	}
	if diff := cmp.Diff(before, b.state(tenant)); diff != "" {
		t.Error(diff)
	}
}

func TestQuiesceMakesStoppedReadableAtOnce(t *testing.T) {
	for _, all := range []bool{true, false} {
		b := setup(t)
		b.register(webhook("orders"))
		var below uint64
		b.Quiesce = func(_ context.Context, tenant, id string, generation uint64) bool {
			in, err := b.Get(t.Context(), tenant, id)
			b.ok(err)
			if in.Running {
				t.Error("quiesced before the stop is committed: a new actor could begin")
			}
			below = generation
			return all
		}
		in := b.stop("orders")
		stored, err := b.Get(t.Context(), tenant, "orders")
		b.ok(err)
		want := map[bool]integration.Status{true: integration.Stopped, false: integration.Stopping}[all]
		if in.StatusAt(b.now()) != want || stored.StatusAt(b.now()) != want {
			t.Errorf("all %v: returned %s, stored %s, want %s", all, in.StatusAt(b.now()), stored.StatusAt(b.now()), want)
		}
		if below != 2 {
			t.Errorf("quiesced below generation %d, want 2", below)
		}
		before := b.state(tenant)
		b.stop("orders")
		if diff := cmp.Diff(before, b.state(tenant)); diff != "" {
			t.Error(diff)
		}
	}
}

// A bucket may complete a request whose outcome is unknown after all calls have ended:
// until then a stop is not shown as done, whatever Quiesce says.
func TestStopWaitsForWhatABucketMayStillComplete(t *testing.T) {
	for _, c := range []struct {
		name         string
		until, quiet time.Duration // after the stop
		quiesce      bool
	}{
		{"it may", time.Hour, time.Hour, true},
		{"it may, on AWS", time.Hour, time.Hour, false},
		{"no more", -time.Second, 0, true},
		{"no more, on AWS", time.Second, quietAfter, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := setup(t)
			b.Settings.Lanes = 2
			b.register(s3("bucket"))
			cursor := b.cursor("bucket", 0)
			cursor.Upload = &handoff.Upload{Key: "file", Until: b.now().Add(c.until)}
			b.ok(b.store.Store.Commit(t.Context(), store.PutCursor{Cursor: cursor}))
			if c.quiesce {
				b.Quiesce = func(context.Context, string, string, uint64) bool { return true }
			}
			if in := b.stop("bucket"); !in.QuietAt.Equal(began.Add(c.quiet)) {
				t.Errorf("quiet at %v, want %v", in.QuietAt, began.Add(c.quiet))
			}
		})
	}
}

// limited is a store that notes how long a commit of an integration may take.
type limited struct {
	store.Store
	most time.Duration
}

func (l *limited) Commit(ctx context.Context, writes ...store.Write) error {
	l.most = 1 << 62
	if at, ok := ctx.Deadline(); ok {
		l.most = time.Until(at)
	}
	return l.Store.Commit(ctx, writes...)
}

// Until the commit of a stop takes effect, actors read that the integration is running, and
// may go on for QuietAfter from then. It is stopping for that long, however late the commit
// is.
func TestAStopIsQuietHoweverLateItsCommit(t *testing.T) {
	for name, stop := range map[string]func(b *bundle, in *integration.Integration) error{
		"by a user": func(b *bundle, in *integration.Integration) error {
			_, err := b.Stop(t.Context(), tenant, in.ID)
			return err
		},
		"for failures": func(b *bundle, in *integration.Integration) error {
			return b.StopFailing(t.Context(), tenant, in.ID, in.Generation, "It fails.")
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			in := b.register(webhook("orders"))
			l := &limited{Store: b.Store}
			b.Store = l
			b.ok(stop(b, in))
			in, err := b.Get(t.Context(), tenant, "orders")
			b.ok(err)
			if least := b.QuietAfter + l.most; l.most <= 0 || in.QuietAt.Sub(b.now()) < least {
				t.Errorf("it is stopping for %v; its commit may take %v, and the calls %v from then", in.QuietAt.Sub(b.now()), l.most, b.QuietAfter)
			}
		})
	}
}

// If the cursors cannot be read after a Quiesce, it is unknown whether a bucket may
// still complete a request: the stop holds, and is shown as done later.
func TestStopIsNotQuietIfItsCursorsCannotBeRead(t *testing.T) {
	b := setup(t)
	b.register(s3("bucket"))
	b.Quiesce = func(context.Context, string, string, uint64) bool { b.failAt(1); return true }
	if in := b.stop("bucket"); in.Running || !in.QuietAt.Equal(began.Add(quietAfter)) {
		t.Errorf("running %v, quiet at %v, want %v", in.Running, in.QuietAt, began.Add(quietAfter))
	}
}

// If an integration is started while a stop waits in Quiesce, the stop must not
// overwrite it.
func TestStartDuringQuiesce(t *testing.T) {
	b := setup(t)
	b.register(webhook("orders"))
	b.Quiesce = func(context.Context, string, string, uint64) bool {
		b.start("orders")
		return true
	}
	b.stop("orders")
	in, err := b.Get(t.Context(), tenant, "orders")
	b.ok(err)
	if !in.Running || in.Generation != 3 {
		t.Errorf("got %+v", in)
	}
}

func TestStartAfterTheRetention(t *testing.T) {
	b := setup(t)
	b.Settings.Lanes = 2
	b.register(webhook("orders"))
	old := b.cursor("orders", 1)
	old.AckState = handoff.AckState{Offset: handoff.Offset{Index: 1}, Ahead: []int{handoff.Acked}}
	b.ok(b.store.Store.Commit(t.Context(), store.PutCursor{Cursor: old}))
	b.stop("orders")
	b.publish(1)
	b.pass(30*24*time.Hour + time.Millisecond)
	b.publish(1)
	b.start("orders")
	for lane, end := range []uint64{0, 2} {
		want := handoff.AckState{Offset: handoff.Offset{Segment: end}}
		if diff := cmp.Diff(want, b.cursor("orders", lane).AckState); diff != "" {
			t.Error(diff)
		}
	}
	entries, err := b.Entries(t.Context(), tenant, "orders")
	b.ok(err)
	if entries[0].Action != integration.ActionEventsSkipped || entries[1].Action != integration.ActionStarted ||
		!strings.HasPrefix(entries[0].Reason, "Stopped from 2025-06-01T12:00:00.000Z to 2025-07-01T12:00:00.001Z, longer than the retention of 30 days") {
		t.Errorf("log: %+v", entries)
	}
}

// A replay reads what is left of the log; it never skips to the end.
func TestReplayStartedAfterTheRetentionSkipsNothing(t *testing.T) {
	b := setup(t)
	b.publish(0)
	b.register(b.replay("replay"))
	b.stop("replay")
	b.pass(40 * 24 * time.Hour)
	b.start("replay")
	if got := b.cursor("replay", 0).Offset.Segment; got != 0 {
		t.Errorf("offset is segment %d, want 0", got)
	}
}

func TestReplayThatIsFinished(t *testing.T) {
	b := setup(t)
	b.Settings.Lanes = 2
	in := b.register(b.replay("replay"))
	c := b.cursor("replay", 0)
	c.State, c.DueAt = handoff.Finished, time.Time{}
	in.OpenLanes--
	b.ok(b.store.Store.Commit(t.Context(), store.PutIntegration{Integration: in}, store.PutCursor{Cursor: c}))
	b.stop("replay")
	b.scheduled = nil
	b.start("replay")
	if one, two := b.cursor("replay", 0), b.cursor("replay", 1); one.State != handoff.Finished || two.State != handoff.Scheduled || one.Generation != 3 {
		t.Errorf("cursors %+v, %+v", one, two)
	}
	if len(b.scheduled) != 1 || b.scheduled[0].Lane != 1 {
		t.Errorf("scheduled %v", b.scheduled)
	}

	b.stop("replay")
	in, err := b.Get(t.Context(), tenant, "replay")
	b.ok(err)
	in.CompletedAt = b.now()
	b.ok(b.store.Store.Commit(t.Context(), store.PutIntegration{Integration: in}))
	_, err = b.Start(t.Context(), tenant, "replay")
	b.is(err, problem.ReplayFinished)
}

func TestStopFailing(t *testing.T) {
	b := setup(t)
	b.Quiesce = func(context.Context, string, string, uint64) bool {
		t.Error("waits for its own caller")
		return true
	}
	b.register(webhook("orders"))
	before := b.state(tenant)
	b.ok(b.StopFailing(t.Context(), tenant, "orders", 2, "It failed."))
	b.ok(b.StopFailing(t.Context(), tenant, "nobody", 1, "It failed."))
	if diff := cmp.Diff(before, b.state(tenant)); diff != "" {
		t.Errorf("of another generation: %s", diff)
	}
	b.ok(b.StopFailing(t.Context(), tenant, "orders", 1, "It failed."))
	b.ok(b.StopFailing(t.Context(), tenant, "orders", 1, "It failed."))
	in, err := b.Get(t.Context(), tenant, "orders")
	b.ok(err)
	entries, err := b.Entries(t.Context(), tenant, "orders")
	b.ok(err)
	if in.StatusAt(b.now()) != integration.Stopping || len(entries) != 3 || entries[0].Action != integration.ActionStopped || entries[0].Reason != "It failed. Start it again by 2025-07-01T12:00:00.000Z to lose no event." {
		t.Errorf("%+v, log %+v", in, entries)
	}
}

// With the maximum number of lanes, every change fits into one Commit.
func TestMaxLanes(t *testing.T) {
	b := setup(t)
	b.Settings.Lanes = settings.MaxLanes
	b.register(webhook("orders"))
	allGoLive := func() {
		for lane := range settings.MaxLanes {
			b.goLive("orders", lane)
		}
	}
	allGoLive()
	b.stop("orders")
	b.pass(31 * 24 * time.Hour)
	b.update("orders", func(s *integration.Spec) { s.Webhook.URL = "https://example.com/2" })
	b.start("orders")
	allGoLive()
	b.ok(b.Delete(t.Context(), tenant, "orders"))
	if n := len(b.scheduled); n != 4*settings.MaxLanes { // registered, stopped, started, deleted
		t.Errorf("scheduled %d times, want %d", n, 4*settings.MaxLanes)
	}
}

func TestGrowLanes(t *testing.T) {
	b := setup(t)
	before := b.publish(2) // from a time with more lanes
	b.pass(time.Hour)
	b.register(webhook("running"))
	b.register(b.replay("replay")) // reads lane 2 too
	b.register(webhook("stopped"))
	b.register(webhook("long-stopped"))
	b.stop("long-stopped")
	b.Settings.Lanes = 4
	b.pass(time.Minute)
	b.publishAt(3, began.Add(30*time.Minute)) // late: the replay gets it, others do not
	b.publish(3)
	b.publish(2) // no integration has a cursor there yet
	b.stop("stopped")
	b.scheduled = nil

	for range 2 {
		b.ok(b.GrowLanes(t.Context(), tenant))
		if len(b.scheduled) != 4 {
			t.Fatalf("scheduled %v, want three lanes of one and one of another", b.scheduled)
		}
	}
	for id, want := range map[string]int{"running": 4, "replay": 4, "stopped": 4} {
		if in, err := b.Get(t.Context(), tenant, id); err != nil || in.Lanes != want {
			t.Errorf("%s has %+v, %v; want %d lanes", id, in, err, want)
		}
	}
	if in, _ := b.Get(t.Context(), tenant, "replay"); in.OpenLanes != 4 {
		t.Errorf("the replay has %d open lanes, want 4", in.OpenLanes)
	}
	if c := b.cursor("stopped", 2); c.State != handoff.Paused || !c.DueAt.IsZero() {
		t.Errorf("stopped: %+v, want it paused", c)
	}
	b.start("stopped")
	for _, id := range []string{"running", "stopped"} {
		if c := b.cursor(id, 2); c.Offset.Segment != before || c.State != handoff.Scheduled || c.DueAt.IsZero() {
			t.Errorf("%s: %+v, want it scheduled after segment %d", id, c, before)
		}
	}
	if c := b.cursor("replay", 3); c.Offset.Segment != 0 {
		t.Errorf("the replay misses what lies in its span: %+v", c)
	}
	if c := b.cursor("running", 3); c.Offset.Segment != 1 {
		t.Errorf("%+v, want it to begin with its registration", c)
	}
	b.pass(31 * 24 * time.Hour)
	b.start("long-stopped")
	if c := b.cursor("long-stopped", 2); c.Offset.Segment != 2 {
		t.Errorf("after the retention: %+v, want the end of the log", c)
	}
}
