package lifecycle_test

import (
	"context"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

const days = 24 * time.Hour

// at puts the cursor of a lane at the end of a segment.
func (b *bundle) at(id string, lane int, segment uint64) {
	b.t.Helper()
	c := b.cursor(id, lane)
	c.AckState = handoff.AckState{Offset: handoff.Offset{Segment: segment}}
	b.ok(b.store.Store.Commit(b.t.Context(), store.PutCursor{Cursor: c}))
}

// failed stops an integration as the engine does.
func (b *bundle) failed(id string) *integration.Integration {
	b.t.Helper()
	in, err := b.Get(b.t.Context(), tenant, id)
	b.ok(err)
	b.ok(b.StopFailing(b.t.Context(), tenant, id, in.Generation, "It failed."))
	in, err = b.Get(b.t.Context(), tenant, id)
	b.ok(err)
	return in
}

func (b *bundle) restartBy(in *integration.Integration) time.Time {
	return in.RestartBy(b.Settings.Retention, b.Settings.Kept())
}

// A stop keeps when the first event was published that waits, of all lanes: that event is
// the first one to leave the log.
func TestAStopKeepsSinceWhenEventsWait(t *testing.T) {
	stops := map[string]func(*bundle, string) *integration.Integration{"by hand": (*bundle).stop, "for failures": (*bundle).failed}
	for name, c := range map[string]struct {
		spec func(*bundle) integration.Spec
		set  func(b *bundle) // after events of each day from 0 to 9 in each of two lanes
		want time.Duration   // after the start of the test
		none bool
	}{
		"all of it":               {set: func(*bundle) {}, want: 0},
		"what is not through yet": {set: func(b *bundle) { b.at("x", 0, 4); b.at("x", 1, 7) }, want: 4 * days},
		"the other lane":          {set: func(b *bundle) { b.at("x", 0, 10); b.at("x", 1, 7) }, want: 7 * days},
		"a part of a segment": {set: func(b *bundle) {
			b.at("x", 0, 10)
			c := b.cursor("x", 1)
			c.AckState = handoff.AckState{Offset: handoff.Offset{Segment: 5, Index: 1}}
			b.ok(b.store.Store.Commit(b.t.Context(), store.PutCursor{Cursor: c}))
		}, want: 5 * days},
		"nothing": {set: func(b *bundle) { b.at("x", 0, 10); b.at("x", 1, 10) }, none: true},
		"what is beyond the low watermark of a live one": {set: func(b *bundle) {
			b.at("x", 0, 10)
			b.goLive("x", 1) // at the start of the log
			state := b.partition(1)
			state.LowWatermark = 6
			b.ok(b.store.Store.Commit(b.t.Context(), store.PutPartition{State: state}))
		}, want: 6 * days},
		"of a replay, whose other lane is read": {
			spec: func(b *bundle) integration.Spec { return b.replay("x") },
			set: func(b *bundle) {
				c := b.cursor("x", 0)
				handoff.Finish(c)
				b.ok(b.store.Store.Commit(b.t.Context(), store.PutCursor{Cursor: c}))
				b.at("x", 1, 9)
			},
			want: 9 * days,
		},
		"of a bucket": {spec: func(*bundle) integration.Spec { return s3("x") }, set: func(b *bundle) { b.at("x", 1, 3); b.at("x", 0, 10) }, want: 3 * days},
	} {
		for how, stop := range stops {
			t.Run(name+", "+how, func(t *testing.T) {
				b := setup(t)
				b.Settings.Lanes = 2
				spec := webhook("x")
				if c.spec != nil {
					spec = c.spec(b)
				}
				b.register(spec)
				for day := range 10 {
					for lane := range 2 {
						b.publishAt(lane, began.Add(time.Duration(day)*days))
					}
				}
				b.pass(10 * days)
				c.set(b)
				in := stop(b, "x")
				want, by := began.Add(c.want), began.Add(c.want).Add(b.Settings.Kept())
				if c.none {
					want = time.Time{}
				}
				if latest := began.Add(10*days + b.Settings.Retention); c.none || by.After(latest) {
					by = latest
				}
				if !in.OldestWaiting.Equal(want) || !b.restartBy(in).Equal(by) {
					t.Errorf("the first that waits is from %v, want %v; it must be started by %v, want %v", in.OldestWaiting, want, b.restartBy(in), by)
				}
			})
		}
	}
}

// What waited at an earlier stop says nothing of a later one.
func TestAStartForgetsWhatWaited(t *testing.T) {
	b := setup(t)
	b.register(webhook("x"))
	b.publish(0)
	b.pass(5 * days)
	if in := b.stop("x"); !in.OldestWaiting.Equal(began) {
		t.Errorf("from %v, want %v", in.OldestWaiting, began)
	}
	if in := b.start("x"); !in.OldestWaiting.IsZero() {
		t.Errorf("running, it has %v", in.OldestWaiting)
	}
	b.at("x", 0, 1)
	if in := b.stop("x"); !in.OldestWaiting.IsZero() || !b.restartBy(in).Equal(b.now().Add(b.Settings.Retention)) {
		t.Errorf("stopped when nothing waits, it has %v", in.OldestWaiting)
	}
}

// unreadable is a log that does not say what it has.
type unreadable struct{ eventlog.Log }

func (unreadable) After(ctx context.Context, _ event.Partition, _ uint64) (eventlog.Rest, error) {
	if _, limited := ctx.Deadline(); !limited {
		panic("a stop may wait for the log for ever")
	}
	return eventlog.Rest{}, problem.New(problem.Internal, "damaged")
}

// A log that cannot be read keeps no integration running, and makes no promise that it
// cannot keep: as much may wait as ever can.
func TestAStopWithoutTheLogPromisesTheLeast(t *testing.T) {
	for name, c := range map[string]struct {
		age  time.Duration
		want time.Duration // from the stop
	}{
		"of yesterday": {1 * days, 30 * days},
		"of last week": {7 * days, 33*days + time.Hour - 7*days},
		"old":          {100 * days, 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			b.Log = unreadable{b.log}
			b.register(webhook("x"))
			b.pass(c.age)
			if in := b.stop("x"); in.Running || !b.restartBy(in).Equal(b.now().Add(c.want)) {
				t.Errorf("running %v, to be started by %v, %v from the stop, want %v", in.Running, b.restartBy(in), b.restartBy(in).Sub(b.now()), c.want)
			}
		})
	}
}
