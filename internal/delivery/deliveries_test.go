package delivery_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/sink"
)

// deliveries lists what was sent to an integration, newest first.
func (r *rig) deliveries(id string, q deliveries.Request) []deliveries.Delivery {
	r.t.Helper()
	s := &deliveries.Service{Integrations: r.life, Records: r.w.records, Log: r.w.log, Cursors: r.engine, Keep: r.w.settings.DeliveryRetention, Now: r.w.now, Logger: r.engine.Logger}
	q.Limit = 200
	found, next, err := s.List(r.t.Context(), tenant, id, q)
	if err != nil || next != "" {
		r.t.Fatalf("next %q, %v", next, err)
	}
	return found
}

// records returns how many delivery records there are, of live delivery or of an
// integration's own steps.
func (r *rig) records(integration string) int {
	r.t.Helper()
	found, err := r.w.records.Deliveries(r.t.Context(), deliveries.Query{Partition: event.Partition{Tenant: tenant}, Integration: integration, Limit: 10_000})
	if err != nil {
		r.t.Fatal(err)
	}
	return len(found)
}

func (r *rig) wantDeliveries(id string, want ...string) {
	r.t.Helper()
	var got []string
	for _, d := range r.deliveries(id, deliveries.Request{}) {
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s x%d %d %s", d.Event.ID, d.Outcome, d.Attempts, d.Status, d.Cause)))
	}
	if !slices.Equal(got, want) {
		r.t.Errorf("%s has the deliveries\n%s\nwant\n%s", id, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// One record has the deliveries of all live integrations, and says when each was sent.
func TestLiveDeliveriesShareARecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, nil)
		for i := range 5 {
			r.register(hookSpec(fmt.Sprint("hook-", i)))
		}
		time.Sleep(time.Second)
		r.answer(func(ctx context.Context, in *integration.Integration, _ *event.Event, _ int) sink.Verdict {
			time.Sleep(70 * time.Millisecond)
			if in.ID == "hook-4" {
				v := refused
				v.Cause = "bad request"
				return v
			}
			return delivered
		})
		began := r.w.now()
		ids := r.publish(3)
		time.Sleep(time.Second)
		for i := range 4 {
			r.wantDeliveries(fmt.Sprint("hook-", i), ids[2]+" delivered x1 200", ids[1]+" delivered x1 200", ids[0]+" delivered x1 200")
		}
		r.wantDeliveries("hook-4", ids[2]+" rejected x1 400 bad request", ids[1]+" rejected x1 400 bad request", ids[0]+" rejected x1 400 bad request")
		for _, d := range r.deliveries("hook-0", deliveries.Request{}) {
			if after := d.Last.Sub(began); after < -time.Millisecond || after > 20*time.Millisecond || !d.First.Equal(d.Last) || d.Took != 70*time.Millisecond {
				t.Errorf("it was sent %v after it was published, first at %v and last at %v, and took %v", after, d.First, d.Last, d.Took)
			}
		}
		if n := r.records(""); n < 1 || n > 3 {
			t.Errorf("there are %d records of 3 events to 5 integrations", n)
		}
	})
}

// An outage has no record, however long it is. What is delivered after it says when the first
// attempt was.
func TestAnOutageHasNoRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, func(s *settings.Settings) { s.InFlight = 3 })
		r.register(hookSpec("orders"))
		time.Sleep(time.Second)
		v := busy
		v.Cause = "service unavailable"
		r.answer(cannotTakeWith(v, "e000000", "e000001"))
		began := r.w.now()
		ids := r.publish(3)
		time.Sleep(time.Hour)
		live, own := r.records(""), r.records("orders")
		time.Sleep(10 * time.Hour)
		if r.records("") != live || r.records("orders") != own || live+own > 2 {
			t.Errorf("there are %d records of live delivery and %d others, and %d and %d before ten hours of failures", r.records(""), r.records("orders"), live, own)
		}
		waiting := r.deliveries("orders", deliveries.Request{Outcome: deliveries.Retrying})
		if len(waiting) != 2 || waiting[0].Attempts < 100 || waiting[0].Cause != v.Cause || waiting[0].Status != 503 || waiting[0].Last.Sub(began) < 10*time.Hour {
			t.Fatalf("retried are %+v", waiting)
		}
		for i, d := range waiting {
			if first := d.First.Sub(began); d.Event.ID != ids[i] || first < -time.Millisecond || first > time.Second {
				t.Errorf("%s was first tried %v after it was published", d.Event.ID, first)
			}
		}
		r = r.restart() // the first attempts are known to the next process
		time.Sleep(10 * time.Minute)
		r.answer(func(context.Context, *integration.Integration, *event.Event, int) sink.Verdict { return delivered })
		time.Sleep(10 * time.Minute)
		all := r.deliveries("orders", deliveries.Request{})
		if len(all) != 3 {
			t.Fatalf("there are %+v", all)
		}
		for _, d := range all {
			first, last := d.First.Sub(began), d.Last.Sub(began)
			failed := d.Event.ID != ids[2]
			if d.Outcome != deliveries.Delivered || first < -time.Millisecond || first > time.Second || failed != (last > 11*time.Hour) || failed != (d.Attempts > 1) {
				t.Errorf("%s: %s after %d attempts, the first %v and the last %v after it was published", d.Event.ID, d.Outcome, d.Attempts, first, last)
			}
		}
	})
}

// cannotTakeWith returns a receiver that fails on some events.
func cannotTakeWith(v sink.Verdict, ids ...string) func(context.Context, *integration.Integration, *event.Event, int) sink.Verdict {
	return func(_ context.Context, _ *integration.Integration, e *event.Event, _ int) sink.Verdict {
		if slices.Contains(ids, e.ID) {
			return v
		}
		return delivered
	}
}

func TestASkipIsADelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, nil)
		r.register(hookSpec("orders"))
		time.Sleep(time.Second)
		v := busy
		v.Cause = "service unavailable"
		r.answer(cannotTakeWith(v, "e000000"))
		began := r.w.now()
		r.publish(1)
		time.Sleep(time.Hour)
		r.skip("orders", "e000000")
		all := r.deliveries("orders", deliveries.Request{})
		if len(all) != 1 || all[0].Outcome != deliveries.Skipped || all[0].Attempts < 5 || all[0].Cause != v.Cause || all[0].First.Sub(began) > time.Second || all[0].Last.Sub(began) < 50*time.Minute {
			t.Errorf("there are %+v", all)
		}
	})
}

// A file is one record, whatever it has.
func TestAFileIsARecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, nil)
		r.register(bucketSpec("files"))
		time.Sleep(time.Second)
		r.mu.Lock()
		r.write = func([]string) sink.Verdict { v := busy; v.Cause = "slow down"; return v }
		r.mu.Unlock()
		ids := r.publish(4)
		time.Sleep(10 * time.Minute)
		waiting := r.deliveries("files", deliveries.Request{})
		if len(waiting) != 1 || waiting[0].Outcome != deliveries.Retrying || waiting[0].Event.ID != ids[0] || waiting[0].Cause != "slow down" {
			t.Fatalf("the file that waits is %+v", waiting)
		}
		r.mu.Lock()
		r.write = func([]string) sink.Verdict { return delivered }
		r.mu.Unlock()
		time.Sleep(20 * time.Minute)
		all := r.deliveries("files", deliveries.Request{})
		for i, d := range all {
			if d.Event.ID != ids[3-i] || d.Outcome != deliveries.Delivered || d.File == "" || d.Attempts < 2 || !d.First.Before(d.Last) {
				t.Errorf("one is %+v", d)
			}
		}
		if n := r.records("files"); len(all) != 4 || n != 1 {
			t.Errorf("there are %d deliveries in %d records", len(all), n)
		}
	})
}

// Without a retention nothing is recorded, also not by a skip; what is retried is still known.
func TestNoDeliveryIsRecordedWithoutRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, func(s *settings.Settings) { s.DeliveryRetention = 0 })
		r.register(hookSpec("orders"))
		r.register(bucketSpec("files"))
		time.Sleep(time.Second)
		r.answer(cannotTake("e000001", "e000002"))
		r.publish(3)
		time.Sleep(time.Hour)
		if all := r.deliveries("orders", deliveries.Request{}); len(all) != 2 || all[0].Outcome != deliveries.Retrying {
			t.Errorf("there are %+v", all)
		}
		r.skip("orders", "e000001")
		r.answer(cannotTake())
		time.Sleep(time.Hour)
		if n := r.records("") + r.records("orders") + r.records("files"); n != 0 || len(r.deliveries("orders", deliveries.Request{})) != 0 {
			t.Errorf("there are %d records", n)
		}
	})
}
