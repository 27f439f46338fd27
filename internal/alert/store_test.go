package alert_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

const (
	failing   = integration.AlertFailing
	recovered = integration.AlertRecovered
	stopped   = integration.AlertStopped
	lagging   = integration.AlertLagging
	rejecting = integration.AlertRejecting
	closing   = integration.AlertWindowClosing
	skipped   = integration.AlertEventsSkipped
)

func TestAnIntegrationThatFailsIsToldOfAfterAWhile(t *testing.T) {
	r := newRig(t)
	r.registered("acme", "hook", 1)
	p := r.process(r.store)
	r.commit(p, store.PutCursor{Cursor: r.failing(0, 14*time.Minute)})
	r.wants()
	c := r.failing(0, 15*time.Minute)
	r.commit(p, store.PutCursor{Cursor: c})
	all := r.wants(failing)
	if a := all[0]; a.name != "integration.failing" || a.Tenant != "acme" || a.ID != "hook" || a.Health.State != "failing" || a.Health.Failing.Attempts != 9 {
		t.Errorf("told %+v, %+v", a, a.Health)
	}
	c.Failures++
	r.commit(p, store.PutCursor{Cursor: c}) // the record that the caller has is the stored one
	r.wants(failing)
	c.EndOutage()
	r.commit(p, store.PutCursor{Cursor: c})
	if all = r.wants(failing, recovered); all[1].Health.State == "failing" {
		t.Errorf("recovered, and still failing: %+v", all[1].Health)
	}
	if in := r.integration(); in.Alerts != (integration.Alerts{Number: in.Alerts.Number}) {
		t.Errorf("left %+v", in.Alerts)
	}
}

// Two invocations see one failure, and one sees that it is over a moment later; each process
// ends after its commit.
func TestAStateThatChangesTwiceInASecondIsToldTwice(t *testing.T) {
	r := newRig(t)
	r.registered("acme", "hook", 1)
	first, second := r.failing(0, time.Hour), r.failing(0, time.Hour)
	r.commit(r.process(r.store), store.PutCursor{Cursor: first})
	if err := r.process(r.store).Commit(t.Context(), store.PutCursor{Cursor: second}); !errors.Is(err, store.ErrConflict) {
		t.Fatalf("the second commit: %v", err)
	}
	again := r.failing(0, time.Hour) // as it would read it then
	r.commit(r.process(r.store), store.PutCursor{Cursor: again})
	r.wants(failing)
	r.at = r.at.Add(time.Second / 2)
	again.EndOutage()
	r.commit(r.process(r.store), store.PutCursor{Cursor: again})
	r.wants(failing, recovered)
	ids := map[string]bool{}
	o := &outlet{store: r.store}
	if n, err := r.publisher(o.publish).Drain(t.Context()); n != 2 || err != nil {
		t.Fatalf("published %d, %v", n, err)
	}
	for _, e := range o.events {
		ids[e.ID] = true
	}
	if len(ids) != 2 {
		t.Errorf("ids %v", ids)
	}
	r.wants()
}

func TestLanesAreToldOfTogether(t *testing.T) {
	r := newRig(t)
	r.registered("acme", "hook", 3)
	p := r.process(r.store)
	stale := r.failing(2, time.Hour)
	r.commit(p, store.PutCursor{Cursor: r.failing(1, time.Hour)})
	r.commit(r.process(r.store), store.PutCursor{Cursor: stale}) // read before the other lane was told of
	r.wants(failing)
	for _, lane := range []int{1, 2} {
		r.wants(failing)
		c := r.cursor(lane)
		c.EndOutage()
		r.commit(p, store.PutCursor{Cursor: c})
	}
	r.wants(failing, recovered)
}

func TestALagThatBecomesAnOutage(t *testing.T) {
	r := newRig(t)
	r.registered("acme", "hook", 1)
	p := r.process(r.store)
	c := r.cursor(0)
	c.Lagging = true
	r.commit(p, store.PutCursor{Cursor: c})
	r.wants(lagging)
	c.Failures, c.FailingSince = 1, r.at
	r.commit(p, store.PutCursor{Cursor: c}) // a moment of failure is no recovery
	r.wants(lagging)
	r.at = r.at.Add(15 * time.Minute)
	r.commit(p, store.PutCursor{Cursor: c})
	r.wants(lagging, failing)
	c.EndOutage()
	r.commit(p, store.PutCursor{Cursor: c})
	r.wants(lagging, failing, recovered)
	if c = r.cursor(0); c.Lagging || !c.LagFrom.Equal(r.at) {
		t.Errorf("after the outage it has no time to catch up: %+v", c)
	}
}

func TestAStopIsToldOfAndItsWindow(t *testing.T) {
	r := newRig(t)
	r.registered("acme", "hook", 1)
	p := r.process(r.store)
	c := r.failing(0, time.Hour)
	r.commit(p, store.PutCursor{Cursor: c})
	stop := func() {
		in := r.integration()
		in.Running, in.StoppedAt, in.StoppedBy = false, r.at, integration.StoppedAfterFailing
		handoff.Pause(&handoff.PartitionState{}, c, 2)
		r.commit(p, store.PutIntegration{Integration: in}, store.PutCursor{Cursor: c}, r.entry(stopped, integration.ActionStopped))
	}
	stop()
	if all := r.wants(failing, stopped); all[1].Health.State != "stopped" { // not that it has recovered
		t.Errorf("told %+v", all[1].Health)
	}
	o := &outlet{store: r.store}
	publisher := r.publisher(o.publish)
	drained := func(want int) {
		t.Helper()
		if n, err := publisher.Drain(t.Context()); n != want || err != nil {
			t.Fatalf("published %d, %v, want %d", n, err, want)
		}
	}
	drained(2)

	in := r.integration()
	in.Running = true
	handoff.Resume(c, 3, r.at)
	r.commit(p, store.PutIntegration{Integration: in}, store.PutCursor{Cursor: c}, r.entry("", integration.ActionStarted))
	if c := r.cursor(0); !c.LagFrom.Equal(r.at) {
		t.Errorf("after a start it has no time to catch up: %+v", c)
	}
	if left, err := r.store.Alerts(t.Context(), base.Add(100*24*time.Hour), 10); err != nil || len(left) > 0 {
		t.Errorf("a start leaves %v, %v", left, err)
	}
	r.at = base.Add(40 * 24 * time.Hour)
	drained(0)

	stop()
	drained(1)
	r.at = r.at.Add(28*24*time.Hour - time.Second)
	drained(0)
	r.at = r.at.Add(time.Second)
	drained(1)
	drained(0)
	if last := o.events[len(o.events)-1]; last.Name != "integration.restart_window_closing" {
		t.Errorf("published %+v", last)
	}
}

// The window closes when what waited at the stop leaves the log, if that is before the
// retention is over: here 13 days and an hour later, less the 48 hours.
func TestAWindowClosesWithWhatWaitedAtTheStop(t *testing.T) {
	r := newRig(t)
	r.registered("acme", "hook", 1)
	in := r.integration()
	in.Running, in.StoppedAt, in.StoppedBy, in.OldestWaiting = false, r.at, integration.StoppedAfterFailing, r.at.Add(-20*24*time.Hour)
	r.commit(r.process(r.store), store.PutIntegration{Integration: in}, r.entry(stopped, integration.ActionStopped))
	if all := r.wants(stopped); all[0].Health.RestartBy != "2026-03-14T13:00:00.000Z" {
		t.Errorf("told %+v", all[0].Health)
	}
	o := &outlet{store: r.store}
	publisher := r.publisher(o.publish)
	for _, step := range []struct {
		after time.Duration
		want  int
	}{{0, 1}, {11 * 24 * time.Hour, 0}, {11*24*time.Hour + time.Hour, 1}, {100 * 24 * time.Hour, 0}} {
		r.at = base.Add(step.after)
		if n, err := publisher.Drain(t.Context()); n != step.want || err != nil {
			t.Errorf("after %v: published %d, %v, want %d", step.after, n, err, step.want)
		}
	}
}

// A retention that was raised moves the end of the window.
func TestAWindowThatClosesLaterThanItDid(t *testing.T) {
	r := newRig(t)
	r.registered("acme", "hook", 1)
	in := r.integration()
	in.Running, in.StoppedAt = false, r.at
	r.commit(r.process(r.store), store.PutIntegration{Integration: in}, r.entry(stopped, integration.ActionStopped))
	o := &outlet{store: r.store}
	r.settings.Retention *= 2
	publisher := r.publisher(o.publish)
	for _, step := range []struct {
		days, want int
	}{{0, 1}, {28, 0}, {57, 0}, {58, 1}, {59, 0}} {
		r.at = base.Add(time.Duration(step.days) * 24 * time.Hour)
		if n, err := publisher.Drain(t.Context()); n != step.want || err != nil {
			t.Errorf("day %d: published %d, %v, want %d", step.days, n, err, step.want)
		}
	}
}

func TestARunOfRejectionsIsToldOfOnce(t *testing.T) {
	r := newRig(t)
	r.registered("acme", "hook", 1)
	r.commit(r.process(r.store), r.entry(rejecting, integration.ActionEventRejected))
	r.at = r.at.Add(time.Minute)
	r.commit(r.process(r.store), r.entry(rejecting, integration.ActionEventRejected)) // after a restart
	r.wants(rejecting)
	c := r.cursor(0)
	c.Tally.DeliveredAt = r.at
	r.commit(r.store, store.PutCursor{Cursor: c})
	r.commit(r.process(r.store), r.entry(rejecting, integration.ActionEventRejected))
	r.wants(rejecting) // not twice within an hour
	r.at = r.at.Add(time.Hour)
	r.commit(r.process(r.store), r.entry(rejecting, integration.ActionEventRejected))
	r.wants(rejecting, rejecting)
}

// An older release that writes an integration forgets how many alerts it had. The numbers of
// those that are left are not used again: each Commit would meet a conflict.
func TestNumbersAreNotUsedAgainAfterAnOlderRelease(t *testing.T) {
	r := newRig(t)
	r.registered("acme", "hook", 1)
	p := r.process(r.store)
	in := r.integration()
	in.Running, in.StoppedAt = false, r.at
	r.commit(p, store.PutIntegration{Integration: in}, r.entry(stopped, integration.ActionStopped))
	in = r.integration()
	in.Alerts, in.Running, in.StoppedAt = integration.Alerts{}, true, time.Time{}
	r.commit(r.store, store.PutIntegration{Integration: in})
	c := r.failing(0, time.Hour)
	r.commit(p, store.PutCursor{Cursor: c})
	c.EndOutage()
	r.commit(p, store.PutCursor{Cursor: c})
	r.wants(stopped, failing, recovered)
}

func TestSkippedEventsAreToldOf(t *testing.T) {
	r := newRig(t)
	r.registered("acme", "hook", 1)
	c := r.cursor(0)
	c.Skipped = true
	r.commit(r.process(r.store), store.PutCursor{Cursor: c}, r.entry(skipped, integration.ActionEventsSkipped))
	r.wants(skipped)
}

func TestNothingIsToldOfTheOperatorsOwn(t *testing.T) {
	r := newRig(t)
	r.settings.OperatorTenant = "acme"
	r.registered("acme", "hook", 1)
	p := r.process(r.store)
	r.commit(p, store.PutCursor{Cursor: r.failing(0, time.Hour)}, r.entry(skipped, integration.ActionEventsSkipped))
	in := r.integration()
	in.Running, in.StoppedAt = false, r.at
	r.commit(p, store.PutIntegration{Integration: in}, r.entry(stopped, integration.ActionStopped))
	r.at = r.at.Add(100 * 24 * time.Hour)
	r.wants()
	if c := r.cursor(0); c.Told != 0 {
		t.Errorf("told %v", c.Told)
	}
}

// faulty is a store whose Commit another process or the network interferes with.
type faulty struct {
	store.Store
	before func()
	failed error // before it commits, and
	after  error // after it has
}

func (f *faulty) Commit(ctx context.Context, writes ...store.Write) error {
	if before := f.before; before != nil {
		f.before = nil
		before()
	}
	if failed := f.failed; failed != nil {
		f.failed = nil
		return failed
	}
	err := f.Store.Commit(ctx, writes...)
	if after := f.after; err == nil && after != nil {
		f.after = nil
		return after
	}
	return err
}

// A commit that happened, and whose response was lost, is repeated by its caller.
func TestALostResponseTellsNothingTwice(t *testing.T) {
	r := newRig(t)
	r.registered("acme", "hook", 1)
	p := r.process(&faulty{Store: r.store, after: problem.New(problem.Unavailable, "lost")})
	c := r.failing(0, time.Hour)
	if err := p.Commit(t.Context(), store.PutCursor{Cursor: c}); problem.CodeOf(err) != problem.Unavailable {
		t.Fatal(err)
	}
	if err := p.Commit(t.Context(), store.PutCursor{Cursor: c}); !errors.Is(err, store.ErrConflict) {
		t.Fatalf("repeated: %v", err)
	}
	r.commit(p, store.PutCursor{Cursor: r.failing(0, time.Hour)})
	r.wants(failing)
}

// A commit that did not happen is repeated with the same records, and tells then.
func TestACommitThatFailedTellsWhenItIsRepeated(t *testing.T) {
	r := newRig(t)
	r.registered("acme", "hook", 1)
	c := r.failing(0, time.Hour)
	p := r.process(&faulty{Store: r.store, failed: problem.New(problem.Unavailable, "busy")})
	if err := p.Commit(t.Context(), store.PutCursor{Cursor: c}); problem.CodeOf(err) != problem.Unavailable {
		t.Fatal(err)
	}
	r.commit(p, store.PutCursor{Cursor: c})
	r.wants(failing)
}

// The caller of a commit knows nothing of the integration that alerts write: that somebody
// changes it meanwhile is no conflict of the caller's.
func TestAChangeOfTheIntegrationIsNoConflictOfACursor(t *testing.T) {
	r := newRig(t)
	r.registered("acme", "hook", 1)
	p := r.process(&faulty{Store: r.store, before: func() {
		in := r.integration()
		in.Unreachable = &integration.Unreachable{Cause: "probed"}
		r.commit(r.store, store.PutIntegration{Integration: in})
	}})
	r.commit(p, store.PutCursor{Cursor: r.failing(0, time.Hour)})
	r.wants(failing)
	if in := r.integration(); in.Unreachable == nil || in.Alerts.Failing != 1 {
		t.Errorf("left %+v", in)
	}
}

// With nothing to tell a commit is as it was given, and reads nothing.
func TestACommitWithNothingToTellIsUnchanged(t *testing.T) {
	r := newRig(t)
	r.registered("acme", "hook", 1)
	in, c := r.integration(), r.failing(0, time.Minute)
	c.Lagging = true
	given := []store.Write{store.PutIntegration{Integration: in}, store.PutCursor{Cursor: c}, r.entry("", integration.ActionUpdated)}
	spy := &spy{Store: r.store}
	r.commit(r.process(spy), given...)
	if diff := cmp.Diff(given, spy.writes); diff != "" || spy.reads > 0 {
		t.Errorf("%d reads; (-given +written):\n%s", spy.reads, diff)
	}
}

type spy struct {
	store.Store
	writes []store.Write
	reads  int
}

func (s *spy) Integration(ctx context.Context, tenant, id string) (*integration.Integration, error) {
	s.reads++
	return s.Store.Integration(ctx, tenant, id)
}

func (s *spy) Commit(ctx context.Context, writes ...store.Write) error {
	s.writes = writes
	return s.Store.Commit(ctx, writes...)
}

// A commit of many cursors has no room for alerts; a smaller one tells later.
func TestACommitOfManyCursorsTellsLater(t *testing.T) {
	r := newRig(t)
	r.registered("acme", "hook", 32)
	var writes []store.Write
	for lane := range 32 {
		writes = append(writes, store.PutCursor{Cursor: r.failing(lane, time.Hour)})
	}
	for i := range 68 {
		writes = append(writes, store.PutCursor{Cursor: &handoff.Cursor{Key: handoff.Key{Tenant: "other", Integration: "hook", Lane: i}}})
	}
	r.commit(r.process(r.store), writes...)
	r.wants()
	r.commit(r.process(r.store), writes[:1]...)
	r.wants(failing)
}

func TestADeletionLeavesNoWindowToClose(t *testing.T) {
	r := newRig(t)
	r.registered("acme", "hook", 1)
	p := r.process(r.store)
	in := r.integration()
	in.Running, in.StoppedAt = false, r.at
	r.commit(p, store.PutIntegration{Integration: in}, r.entry(stopped, integration.ActionStopped))
	r.commit(p, store.DeleteIntegration{Integration: in})
	r.at = r.at.Add(100 * 24 * time.Hour)
	r.wants(stopped)
}

func TestAnAlertAboutADeletedIntegration(t *testing.T) {
	r := newRig(t)
	r.registered("acme", "hook", 1)
	e, c := r.entry(skipped, integration.ActionEventsSkipped), r.failing(0, time.Hour)
	r.commit(r.store, store.DeleteIntegration{Integration: r.integration()})
	r.commit(r.process(r.store), e, store.PutCursor{Cursor: c})
	r.registered("acme", "again", 1)
	r.wants()
}
