package delivery_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/sink"
)

// skips counts the events that were skipped, and no attempts.
type skips struct{ n atomic.Int64 }

func (*skips) AttemptStarted()                                                         {}
func (*skips) AttemptEnded(*integration.Integration, sink.Verdict, int, time.Duration) {}
func (s *skips) EventsSkipped(events int)                                              { s.n.Add(int64(events)) }

// broken appends three segments of two events and damages the second. It returns the
// events of the others, and the times between which those of the second were published.
func (r *rig) broken() (ids []string, from, to string) {
	r.t.Helper()
	r.engine.Observer = &skips{}
	ids = r.unseen(1, "order.created")
	from = event.FormatTime(time.Now())
	r.unseen(1, "order.created")
	to = event.FormatTime(time.Now())
	time.Sleep(5 * time.Millisecond)
	ids = append(ids, r.unseen(1, "order.created")...)
	end, err := r.w.log.End(context.Background(), partition)
	if err != nil {
		r.t.Fatal(err)
	}
	r.w.log.Damage(partition, end-1)
	return ids, from, to
}

// wantSkipped checks that an integration's log names the damaged segment once.
func (r *rig) wantSkipped(id, from, to string) {
	r.t.Helper()
	e := r.entries(id, integration.ActionEventsSkipped)
	if len(e) != 1 || !strings.Contains(e[0].Reason, "2 events") || !strings.Contains(e[0].Reason, from[:19]) || !strings.Contains(e[0].Reason, to[:19]) {
		r.t.Errorf("the log of %s says %+v, want once that 2 events between %s and %s were skipped", id, e, from, to)
	}
}

// wantOperatorKnows checks that the operator's log and metric have what so many
// integrations skipped.
func (r *rig) wantOperatorKnows(integrations int) {
	r.t.Helper()
	lines := r.logged("events skipped; their stored bytes can never be read")
	if len(lines) != integrations || lines[0]["level"] != "ERROR" || lines[0]["segments"] != 1.0 || lines[0]["error"] == nil {
		r.t.Errorf("the operator's log has %v", lines)
	}
	if n := r.engine.Observer.(*skips).n.Load(); n != 2*int64(integrations) {
		r.t.Errorf("%d events are counted as skipped, want 2 for each of %d integrations", n, integrations)
	}
}

// A segment that can never be read is skipped alone, and the integration's log names it:
// what is before it and after it is delivered, by whatever reads the log.
func TestABrokenSegmentIsSkippedAlone(t *testing.T) {
	for name, read := range map[string]func(r *rig, since time.Time){
		"a catch-up": func(r *rig, since time.Time) {
			spec := hookSpec("a")
			spec.StartsAt = since
			r.register(spec)
		},
		"files": func(r *rig, since time.Time) {
			spec := bucketSpec("a")
			spec.StartsAt = since
			r.register(spec)
		},
		"a replay": func(r *rig, since time.Time) { r.register(replay(hookSpec("a"), since, time.Now())) },
		"a replay to files": func(r *rig, since time.Time) {
			r.register(replay(bucketSpec("a"), since, time.Now()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, false, nil)
				since := time.Now().UTC().Truncate(time.Millisecond)
				ids, from, to := r.broken()
				time.Sleep(time.Second)
				read(r, since)
				time.Sleep(time.Hour)
				if files := r.exported(); len(files) > 0 {
					wantFiles(t, files, ids)
				} else {
					r.wantOnce("a", ids)
				}
				r.wantSkipped("a", from, to)
				r.wantOperatorKnows(1)
				for _, e := range r.entries("a", integration.ActionStopped) {
					if !strings.Contains(e.Reason, "except those that this log says were skipped") {
						t.Errorf("the replay says %q", e.Reason)
					}
				}
				if stopped := r.status("a") == integration.Stopped; stopped != strings.Contains(name, "replay") {
					t.Errorf("%s is %s", name, r.status("a"))
				}
			})
		})
	}
}

// Live delivery leaves a segment that can never be read to the cursors of its
// subscribers, once they have what is before it, and goes on with them after it.
func TestABrokenSegmentUnderSubscribers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, true, nil)
		for _, id := range []string{"one", "two"} {
			r.register(hookSpec(id))
		}
		r.register(bucketSpec("bucket"))
		time.Sleep(time.Second)
		ids, from, to := r.broken()
		end, err := r.w.log.End(t.Context(), partition)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.engine.DeliverLive(t.Context(), partition, delivery.NewLogEnd(end)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		for _, id := range []string{"one", "two"} {
			r.wantOnce(id, ids)
		}
		wantFiles(t, r.exported(), ids)
		for _, id := range []string{"one", "two", "bucket"} {
			r.wantSkipped(id, from, to)
			if c := r.cursor(id); c.State != handoff.Live {
				t.Errorf("%s is finally %s", id, c.State)
			}
		}
		r.wantOperatorKnows(3)
		more := r.publish(2)
		time.Sleep(time.Second)
		r.wantOnce("one", more)
		r.wantOnce("two", more)
	})
}

// While a receiver fails, each attempt reads the same part of the log again: that it has
// a damaged segment is said once the receiver has what comes before it.
func TestABrokenSegmentBehindAFailureIsSaidOnce(t *testing.T) {
	for _, sole := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, true, nil)
			if !sole {
				r.engine.SoleOwner = nil
			}
			r.answer(takes(0, busy))
			spec := hookSpec("a")
			spec.StartsAt = time.Now().UTC().Truncate(time.Millisecond)
			ids, from, to := r.broken()
			r.register(spec)
			time.Sleep(5 * time.Hour)
			if e := r.entries("a", integration.ActionEventsSkipped); len(e) > 0 {
				t.Errorf("before anything arrived the log says %+v", e)
			}
			r.answer(func(_ context.Context, _ *integration.Integration, e *event.Event, _ int) sink.Verdict {
				if e.ID == ids[2] { // the first one after the segment
					return busy
				}
				return delivered
			})
			time.Sleep(5 * time.Hour)
			r.wantSkipped("a", from, to)
			r.answer(takes(0, delivered))
			time.Sleep(time.Hour)
			r.wantSkipped("a", from, to)
			r.wantOperatorKnows(1)
			if got := times(r.got()); len(got) != len(ids) {
				t.Errorf("arrived: %v, want %v", got, ids)
			}
		})
	}
}
