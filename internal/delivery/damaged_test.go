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
	logmemory "github.com/sluicehq/sluice/internal/eventlog/memory"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/store"
)

// skips counts the events that were skipped, and no attempts.
type skips struct{ n atomic.Int64 }

func (*skips) AttemptStarted()                                                                {}
func (*skips) AttemptEnded(*integration.Integration, sink.Verdict, int, time.Time, time.Time) {}
func (s *skips) EventsSkipped(events int)                                                     { s.n.Add(int64(events)) }

// damaged appends three segments of two events and damages the second. It returns the
// events of the others, and the times between which those of the second were published.
func (r *rig) damaged() (ids []string, from, to string) {
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
	r.w.log.(*logmemory.Log).Damage(partition, end-1)
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
func TestADamagedSegmentIsSkippedAlone(t *testing.T) {
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
				ids, from, to := r.damaged()
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
					if !strings.Contains(e.Reason, "2 skipped. This log says what") {
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
func TestADamagedSegmentUnderSubscribers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, true, nil)
		for _, id := range []string{"one", "two"} {
			r.register(hookSpec(id))
		}
		r.register(bucketSpec("bucket"))
		time.Sleep(time.Second)
		ids, from, to := r.damaged()
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
func TestADamagedSegmentBehindAFailureIsSaidOnce(t *testing.T) {
	for _, sole := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, true, nil)
			if !sole {
				r.engine.SoleOwner = nil
			}
			r.answer(takes(0, busy))
			spec := hookSpec("a")
			spec.StartsAt = time.Now().UTC().Truncate(time.Millisecond)
			ids, from, to := r.damaged()
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

// The commit that moves a cursor past a damaged segment is the one that says so: if the
// process stops at any moment, neither is there without the other.
func TestADamagedSegmentIsSaidInTheCommitThatPassesIt(t *testing.T) {
	for name, c := range map[string]struct {
		spec   func(id string) integration.Spec
		budget time.Duration // of a step
		sole   bool
	}{
		"a node's steps":          {hookSpec, 0, true},
		"a node's short steps":    {hookSpec, time.Millisecond, true},
		"leased steps":            {hookSpec, 0, false},
		"short leased steps":      {hookSpec, time.Millisecond, false},
		"files":                   {bucketSpec, 0, true},
		"files in short steps":    {bucketSpec, time.Millisecond, true},
		"files under a lease":     {bucketSpec, 0, false},
		"files that find nothing": {filteredBucket, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, true, nil)
				r.engine.BatchBytes, r.engine.StepBudget = 1, c.budget
				r.engine.Log = slowLog{r.engine.Log, 100 * time.Millisecond}
				if !c.sole {
					r.engine.SoleOwner = nil
				}
				r.answer(takes(700*time.Millisecond, delivered))
				spec := c.spec("a")
				spec.StartsAt = time.Now().UTC().Truncate(time.Millisecond)
				_, from, to := r.damaged()
				r.unseen(100, "order.created")
				var passed, said atomic.Bool
				r.screen(func(writes []store.Write) error {
					for _, w := range writes {
						switch w := w.(type) {
						case store.AddEntry:
							said.Store(said.Load() || w.Entry.Action == integration.ActionEventsSkipped)
						case store.PutCursor:
							passed.Store(passed.Load() || w.Cursor.Offset.Segment >= 2)
						}
					}
					if passed.Load() != said.Load() {
						t.Errorf("a commit has passed the segment: %v, and has said so: %v", passed.Load(), said.Load())
					}
					return nil
				})
				r.register(spec)
				time.Sleep(time.Hour)
				r.wantSkipped("a", from, to)
			})
		})
	}
}

func filteredBucket(id string) integration.Spec {
	spec := bucketSpec(id)
	spec.Filter = integration.FilterSpec{Names: []string{"item.created"}}
	return spec
}

// A segment may be damaged while the receiver of its events fails. The attempts of an
// outage are saved late, and what must be said is not forgotten with them.
func TestASegmentDamagedInAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, true, nil)
		r.engine.Observer = &skips{}
		r.register(hookSpec("a"))
		time.Sleep(time.Second)
		r.answer(takes(0, busy))
		from := event.FormatTime(time.Now())
		r.publish(1)
		ids := r.publish(1)
		time.Sleep(time.Hour)
		r.w.log.(*logmemory.Log).Damage(partition, 1)
		time.Sleep(time.Hour)
		if err := r.engine.SaveAttempts(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.crash() // what was not saved is forgotten
		r = r.restart()
		r.answer(takes(0, delivered))
		time.Sleep(time.Hour)
		if e := r.entries("a", integration.ActionEventsSkipped); len(e) != 1 || !strings.Contains(e[0].Reason, "1 event that was published at "+from[:19]) {
			t.Errorf("log: %+v", e)
		}
		if got := times(r.got()); got[ids[0]] == 0 {
			t.Errorf("the event after it did not arrive: %v", got)
		}
	})
}

// An integration that joins live delivery while its loop passes a damaged segment for the
// others, and that has not passed it, is sent back to its cursor, which says what it skips.
func TestJoiningBeforeADamagedSegment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		r := newRig(t, true, nil)
		joins := func() error {
			state, err := r.w.records.Partition(ctx, partition)
			if err != nil {
				return err
			}
			c := r.cursor("late")
			c.AckState = handoff.AckState{Offset: handoff.Offset{Segment: 1}}
			if !handoff.Join(state, c, handoff.Deliver, 0, time.Time{}, time.Now()) {
				t.Error("it cannot join")
			}
			return r.w.records.Commit(ctx, store.PutPartition{State: state}, store.PutCursor{Cursor: c})
		}
		joined := false
		r.screen(func(writes []store.Write) error {
			put, leaves := writes[0].(store.PutCursor)
			if joined || !leaves || put.Cursor.Key.Integration != "fast" || put.Cursor.State != handoff.Scheduled || put.Cursor.Offset.Segment != 1 {
				return nil
			}
			if joined = true; joins() != nil {
				t.Error("it did not join")
			}
			return store.ErrConflict
		})
		r.register(hookSpec("fast"))
		time.Sleep(time.Second)
		schedule := r.life.Schedule
		r.life.Schedule = func(...handoff.Key) {} // it waits before its first step
		r.register(hookSpec("late"))
		r.life.Schedule = schedule
		ids, from, to := r.damaged()
		end, err := r.w.log.End(ctx, partition)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.engine.DeliverLive(ctx, partition, delivery.NewLogEnd(end)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if !joined {
			t.Fatal("nobody joined meanwhile")
		}
		r.wantOnce("fast", ids)
		r.wantOnce("late", ids[2:])
		for _, id := range []string{"fast", "late"} {
			r.wantSkipped(id, from, to)
		}
	})
}

// The last one that needed a damaged segment may leave others who have long passed it: they
// get the next one at once.
func TestADamagedSegmentThatNobodyNeedsIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, nil)
		r.engine.BatchBytes = 1 // one segment fills the buffer
		r.register(hookSpec("behind"))
		time.Sleep(time.Second)
		ahead := hookSpec("ahead")
		ahead.StartsAt = time.Now().UTC().Truncate(time.Millisecond)
		ids, _, _ := r.damaged()
		r.register(ahead)
		time.Sleep(10 * time.Millisecond)
		if c := r.cursor("ahead"); c.State != handoff.Live {
			t.Fatalf("it has not joined: %+v", c)
		}
		ids = append(ids, r.publish(1)...)
		time.Sleep(100 * time.Millisecond)
		r.wantOnce("ahead", ids)
	})
}
