package delivery_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/store"
)

// unseen appends segments of two events without telling the live loop.
func (r *rig) unseen(segments int, name string) []string {
	r.t.Helper()
	var ids []string
	for range segments {
		var segment []event.Event
		for range 2 {
			d := event.Draft{ID: "u" + time.Now().Format("150405.000000000"), Name: name, Payload: []byte(`{}`)}
			time.Sleep(time.Microsecond)
			ids = append(ids, d.ID)
			segment = append(segment, d.Stamp(tenant, time.Now()))
		}
		if _, err := r.w.log.Append(context.Background(), event.Partition{Tenant: tenant}, "", eventlog.Unnamed(segment...)); err != nil {
			r.t.Fatal(err)
		}
	}
	return ids
}

// The live loop skips segments that were trimmed, says so once in the log of each
// subscriber, and delivers what comes after them.
func TestTrimmedUnderSubscribers(t *testing.T) {
	for _, c := range []struct {
		name      string
		after     int // segments after the gap
		conflicts int32
	}{
		{"nothing is left", 0, 0},
		{"nothing is left, and others join meanwhile", 0, 2},
		{"events follow", 3, 0},
		{"events follow, and others join meanwhile", 3, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, p := t.Context(), event.Partition{Tenant: tenant}
				r := newRig(t, true, nil)
				var conflicts atomic.Int32
				r.screen(func(writes []store.Write) error {
					if _, ok := writes[0].(store.PutPartition); ok && conflicts.Add(-1) >= 0 {
						return store.ErrConflict
					}
					return nil
				})
				for _, id := range []string{"one", "two"} {
					r.register(hookSpec(id))
				}
				r.register(bucketSpec("bucket"))
				time.Sleep(time.Second)
				conflicts.Store(c.conflicts)
				gone := r.unseen(3, "order.created")
				time.Sleep(time.Second)
				r.w.trim(time.Now())
				ids := r.unseen(c.after, "order.created")
				end, err := r.w.log.End(ctx, p)
				if err != nil {
					t.Fatal(err)
				}
				delivering, cancel := context.WithTimeout(ctx, time.Minute)
				defer cancel()
				if err := r.engine.DeliverLive(delivering, p, delivery.NewLogEnd(end)); err != nil || delivering.Err() != nil {
					t.Fatalf("DeliverLive: %v, %v", err, delivering.Err())
				}
				state, err := r.w.records.Partition(ctx, p)
				if err != nil || state.LowWatermark != end {
					t.Errorf("the low watermark is %d, want %d (%v)", state.LowWatermark, end, err)
				}
				time.Sleep(time.Hour)
				for _, id := range []string{"one", "two", "bucket"} {
					if n := len(r.entries(id, integration.ActionEventsSkipped)); n != 1 {
						t.Errorf("the log of %s says %d times that events were skipped, want once", id, n)
					}
					if cur := r.cursor(id); cur.State != handoff.Live {
						t.Errorf("%s is finally %s", id, cur.State)
					}
				}
				for _, id := range []string{"one", "two"} {
					r.wantOnce(id, ids)
				}
				wantFiles(t, r.exported(), ids)
				if n := times(r.got()); n[gone[0]] > 0 {
					t.Error("sent events that were trimmed")
				}
				more := r.publish(2)
				time.Sleep(time.Second)
				r.wantOnce("one", more)
				r.wantOnce("two", more)
			})
		})
	}
}

// staleStore returns an earlier state of a partition, once.
type staleStore struct {
	store.Store
	state atomic.Pointer[handoff.PartitionState]
}

func (s *staleStore) Partition(ctx context.Context, p event.Partition) (*handoff.PartitionState, error) {
	if state := s.state.Swap(nil); state != nil {
		return state, nil
	}
	return s.Store.Partition(ctx, p)
}

// A subscriber that the live loop notices after it has passed trimmed segments, and that
// lacks them too, is told of them in its log.
func TestTrimmedBeforeASubscriberIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, p := t.Context(), event.Partition{Tenant: tenant}
		r := newRig(t, true, nil)
		stale := &staleStore{Store: r.engine.Store}
		r.engine.Store = stale
		r.register(hookSpec("one"))
		time.Sleep(time.Second)
		before, err := r.w.records.Partition(ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		r.register(hookSpec("late"))
		time.Sleep(time.Second)
		r.unseen(3, "order.created")
		time.Sleep(time.Second)
		r.w.trim(time.Now())
		ids := r.unseen(3, "order.created")
		stale.state.Store(before)
		if err := r.engine.DeliverLive(ctx, p, delivery.NewLogEnd(6)); err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{"one", "late"} {
			if n := len(r.entries(id, integration.ActionEventsSkipped)); n != 1 {
				t.Errorf("the log of %s says %d times that events were skipped, want once", id, n)
			}
			r.wantOnce(id, ids)
		}
	})
}

// slowLog is a log whose reads take a while.
type slowLog struct {
	eventlog.Log
	takes time.Duration
}

func (l slowLog) Read(ctx context.Context, p event.Partition, after uint64, maxBytes int) ([]eventlog.Segment, error) {
	time.Sleep(l.takes)
	return l.Log.Read(ctx, p, after, maxBytes)
}

// longLog returns a rig with a bucket and a log of 1000 segments that its filter
// drops, each of which takes 100 ms to read; the filter passes an event before them if
// the test asks for one. Nothing advances the bucket's cursor, which has a lease, as on
// AWS, while the test does.
func longLog(t *testing.T, first bool) (*rig, handoff.Key) {
	r := newRig(t, false, func(s *settings.Settings) { s.S3FileInterval = time.Hour })
	r.engine.SoleOwner = nil
	r.engine.BatchBytes, r.engine.StepBudget = 1, 20*time.Second
	r.engine.Log = slowLog{r.engine.Log, 100 * time.Millisecond}
	since := time.Now()
	time.Sleep(time.Second)
	if first {
		r.unseen(1, "item.created")
	}
	r.unseen(1000, "order.created")
	spec := bucketSpec("bucket")
	spec.StartsAt = since.UTC().Truncate(time.Millisecond)
	spec.Filter = integration.FilterSpec{Names: []string{"item.created"}}
	r.life.Schedule = func(...handoff.Key) {}
	r.register(spec)
	return r, handoff.Key{Tenant: tenant, Integration: "bucket"}
}

// An export that finds nothing in a long log ends its step in time, saves the offset
// it has reached, and eventually reaches the end of the log.
func TestExportThatFindsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, k := longLog(t, false)
		began := time.Now()
		time.AfterFunc(10*time.Second, func() {
			if c := r.cursor("bucket"); c.Offset.Segment < 50 || c.Offset.Segment > 100 || !c.DueAt.After(time.Now()) {
				t.Errorf("after 10 s it is at %+v, due in %v", c.Offset, time.Until(c.DueAt))
			}
		})
		next, err := r.engine.Advance(t.Context(), k)
		if took := time.Since(began); err != nil || next != (delivery.Next{Kind: delivery.Export}) || took < 20*time.Second || took > 21*time.Second {
			t.Errorf("the step took %v and returned %+v, %v", took, next, err)
		}
		if c := r.cursor("bucket"); c.Offset.Segment < 190 || c.Offset.Segment > 200 || c.DueAt.After(time.Now()) {
			t.Errorf("after the step it is at %+v, due in %v", c.Offset, time.Until(c.DueAt))
		}
		for range 10 {
			if next, err = r.engine.Advance(t.Context(), k); err != nil || next.Done {
				break
			}
		}
		if c := r.cursor("bucket"); err != nil || c.State != handoff.Live || len(r.exported()) > 0 {
			t.Errorf("finally %+v, %v, files %v", c, err, r.exported())
		}
	})
}

// A stop ends such an export between two reads, also if a file is started.
func TestStopOfAnExportThatFindsNothing(t *testing.T) {
	for name, first := range map[string]bool{"no file": false, "a file is started": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, k := longLog(t, first)
				ended := make(chan time.Time, 1)
				go func() {
					if _, err := r.engine.Advance(t.Context(), k); err != nil {
						t.Errorf("Advance: %v", err)
					}
					ended <- time.Now()
				}()
				time.Sleep(11 * time.Second) // it wrote its cursor a second ago, and will not for a while
				began := time.Now()
				in, err := r.life.Stop(t.Context(), tenant, "bucket")
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); in.StatusAt(time.Now()) != integration.Stopped || took > 500*time.Millisecond {
					t.Errorf("%s after %v", in.StatusAt(time.Now()), took)
				}
				if took := (<-ended).Sub(began); took > 500*time.Millisecond {
					t.Errorf("the step ended %v after the stop began", took)
				}
				if len(r.exported()) > 0 {
					t.Errorf("files %v", r.exported())
				}
				if c := r.cursor("bucket"); c.State != handoff.Paused || (c.Offset.Segment > 50) == first {
					t.Errorf("cursor %+v", c)
				}
			})
		})
	}
}

// A catch-up that finds nothing to send keeps its lease while it reads, so that no other
// process reads the same.
func TestACatchUpThatFindsNothingKeepsItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := longLog(t, false)
		r.engine.StepBudget = 40 * time.Second
		spec := hookSpec("orders")
		spec.StartsAt = time.Now().Add(-time.Minute).UTC().Truncate(time.Millisecond)
		spec.Filter = integration.FilterSpec{Names: []string{"item.created"}}
		r.register(spec)
		time.AfterFunc(30*time.Second, func() {
			if c := r.cursor("orders"); c.Offset.Segment < 200 || !c.DueAt.After(time.Now()) {
				t.Errorf("after 30 s it is at %+v, due in %v", c.Offset, time.Until(c.DueAt))
			}
		})
		began := time.Now()
		if _, err := r.engine.Advance(t.Context(), handoff.Key{Tenant: tenant, Integration: "orders"}); err != nil || time.Since(began) < 35*time.Second {
			t.Errorf("the step took %v: %v", time.Since(began), err)
		}
	})
}

// A replay that has nothing left to read, as the rest of its span was trimmed, is complete
// and says in its log that events were skipped.
func TestAReplayWhoseRestWasTrimmedSaysSo(t *testing.T) {
	for _, spec := range []integration.Spec{hookSpec("replay"), bucketSpec("replay")} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, true, nil)
			began := time.Now()
			time.Sleep(time.Second)
			r.publish(3)
			time.Sleep(time.Second)
			fails := sink.Verdict{Outcome: sink.Retry, Status: 503}
			r.answer(takes(0, fails))
			r.write = func([]string) sink.Verdict { return fails }
			r.register(replay(spec, began, time.Now()))
			time.Sleep(10 * time.Minute)
			r.w.trim(time.Now())
			time.Sleep(time.Hour)
			in, err := r.w.records.Integration(t.Context(), tenant, "replay")
			if err != nil || in.CompletedAt.IsZero() {
				t.Errorf("it is not complete: %+v, %v", in, err)
			}
			if n := len(r.entries("replay", integration.ActionEventsSkipped)); n != 1 {
				t.Errorf("its log says %d times that events were skipped, want once", n)
			}
		})
	}
}
