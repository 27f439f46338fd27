package logtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
)

// Publisher is a log that stamps events itself, in the order of the log.
type Publisher interface {
	eventlog.Log
	Publish(ctx context.Context, tenant string, lanes event.Lanes, drafts []event.Draft) error
	OnAppend(func(p event.Partition, end uint64))
}

// RunPublish runs the suite of logs that stamp events themselves.
func RunPublish(t *testing.T, open func(t *testing.T, now func() time.Time) Publisher) {
	for name, test := range publishes {
		t.Run(name, func(t *testing.T) {
			clock := &Clock{at: base}
			log := open(t, clock.Now)
			t.Logf("adapter %T", log)
			test(t, log, clock)
		})
	}
}

var publishes = map[string]func(*testing.T, Publisher, *Clock){
	"a call's events, stamped and in order": func(t *testing.T, log Publisher, clock *Clock) {
		clock.Set(base.Add(1500 * time.Microsecond))
		publish(t, log, "tenant", 1, 0, 3)
		var want []event.Event
		for _, d := range drafts(0, 3) {
			want = append(want, d.Stamp("tenant", base.Add(time.Millisecond)))
		}
		equal(t, "segments", readAll(t, Harness{Log: log}, event.Partition{Tenant: "tenant"}, 0), []eventlog.Segment{{Number: 1, Events: want}})
	},
	"nothing to publish": func(t *testing.T, log Publisher, clock *Clock) {
		publish(t, log, "tenant", 1, 0, 0)
		endIs(t, Harness{Log: log}, event.Partition{Tenant: "tenant"}, 0)
	},
	"events go to the lanes of their ids, in order": func(t *testing.T, log Publisher, clock *Clock) {
		const lanes = 4
		for i := range 10 {
			publish(t, log, "tenant", lanes, 20*i, 20)
		}
		total := 0
		for lane := range lanes {
			last := ""
			for _, s := range readAll(t, Harness{Log: log}, event.Partition{Tenant: "tenant", Lane: lane}, 0) {
				for _, e := range s.Events {
					if event.LaneOf(e.ID, lanes) != lane || e.ID <= last {
						t.Fatalf("event %s is in lane %d after %q", e.ID, lane, last)
					}
					last = e.ID
					total++
				}
			}
		}
		equal(t, "events in all lanes", total, 200)
	},
	"each draft goes to the tenant that it names, or to that of the call": func(t *testing.T, log Publisher, clock *Clock) {
		list := drafts(0, 6)
		for i := range list {
			list[i].Tenant = []string{"", "one", "two"}[i%3]
		}
		if err := log.Publish(t.Context(), "of the call", event.Lanes{Each: 1}, list); err != nil {
			t.Fatalf("Publish: %v", err)
		}
		for i, tenant := range []string{"of the call", "one", "two"} {
			want := []event.Event{list[i].Stamp(tenant, base), list[i+3].Stamp(tenant, base)}
			equal(t, tenant, readAll(t, Harness{Log: log}, event.Partition{Tenant: tenant}, 0), []eventlog.Segment{{Number: 1, Events: want}})
		}
	},
	"concurrent publishes are each there once, and in order of time": func(t *testing.T, log Publisher, clock *Clock) {
		const publishers, each = 8, 15
		atOnce(publishers, func(i int) {
			for j := range each {
				clock.Set(base.Add(time.Duration(j%7) * time.Second)) // back and forth
				if err := log.Publish(t.Context(), fmt.Sprint("tenant-", i%2), event.Lanes{Each: 1}, drafts((i*each+j)*2, 2)); err != nil {
					t.Errorf("Publish: %v", err)
				}
			}
		})
		seen := map[string]bool{}
		for _, tenant := range []string{"tenant-0", "tenant-1"} {
			var last time.Time
			for _, s := range readAll(t, Harness{Log: log}, event.Partition{Tenant: tenant}, 0) {
				for _, e := range s.Events {
					if e.PublishedAt.Before(last) || seen[e.ID] {
						t.Fatalf("event %s at %v comes after %v, or twice", e.ID, e.PublishedAt, last)
					}
					last, seen[e.ID] = e.PublishedAt, true
				}
			}
		}
		equal(t, "events", len(seen), publishers*each*2)
	},
	"with the clock set back, numbers and times still grow": func(t *testing.T, log Publisher, clock *Clock) {
		publish(t, log, "tenant", 1, 0, 1)
		clock.Set(base.Add(-time.Hour))
		publish(t, log, "tenant", 1, 1, 1)
		publish(t, log, "other", 1, 2, 1)
		for tenant, want := range map[string]int{"tenant": 2, "other": 1} {
			got := readAll(t, Harness{Log: log}, event.Partition{Tenant: tenant}, 0)
			equal(t, "segments", len(got), want)
			for _, s := range got {
				equal(t, "published_at", s.Events[0].PublishedAt, base)
			}
		}
	},
	"a final offset stays final": func(t *testing.T, log Publisher, clock *Clock) {
		p := event.Partition{Tenant: "tenant"}
		for i, now := range []time.Duration{time.Millisecond, 1, 1500 * time.Microsecond, 999 * time.Microsecond} {
			at := base.Add(time.Duration(i) * time.Hour)
			clock.Set(at.Add(now))
			n, final, err := log.OffsetForTime(t.Context(), p, at)
			if err != nil || !final {
				t.Fatalf("OffsetForTime at %v after the time: final %v, %v", now, final, err)
			}
			for _, back := range []time.Duration{0, time.Millisecond, 10 * time.Minute} {
				clock.Set(at.Add(now - back))
				publish(t, log, "tenant", 1, 10*i, 1)
			}
			for _, s := range readAll(t, Harness{Log: log}, p, n) {
				if got := s.Events[0].PublishedAt; !got.After(at) {
					t.Errorf("with the clock %v after: an event was published at %v, final was %v", now, got, at)
				}
			}
		}
	},
	"OnAppend is called once an append is readable": func(t *testing.T, log Publisher, clock *Clock) {
		var mu sync.Mutex
		called := map[event.Partition]uint64{}
		log.OnAppend(func(p event.Partition, end uint64) {
			if got, err := log.End(t.Context(), p); err != nil || got < end {
				t.Errorf("called with the end %d, but the end is %d, %v", end, got, err)
			}
			mu.Lock()
			defer mu.Unlock()
			called[p] = max(called[p], end)
		})
		p := event.Partition{Tenant: "tenant", Lane: 0}
		publish(t, log, "tenant", 1, 0, 1)
		publish(t, log, "tenant", 1, 1, 1)
		if _, err := log.Append(t.Context(), event.Partition{Tenant: "b", Lane: 2}, "", eventlog.Unnamed(events(0, 1)...)); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		defer mu.Unlock()
		equal(t, "ends", called, map[event.Partition]uint64{p: 2, {Tenant: "b", Lane: 2}: 1})
	},
	"an ended context publishes nothing": func(t *testing.T, log Publisher, clock *Clock) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := log.Publish(ctx, "tenant", event.Lanes{Each: 1}, drafts(0, 1)); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want an error that is context.Canceled", err)
		}
		endIs(t, Harness{Log: log}, event.Partition{Tenant: "tenant"}, 0)
	},
}

func drafts(from, n int) []event.Draft {
	var list []event.Draft
	for i := range n {
		list = append(list, event.Draft{ID: idOf(from + i), Name: "order.created", Payload: fmt.Appendf(nil, `{"number":%d}`, from+i)})
	}
	return list
}

func publish(t *testing.T, log Publisher, tenant string, lanes, from, n int) {
	t.Helper()
	if err := log.Publish(t.Context(), tenant, event.Lanes{Each: lanes}, drafts(from, n)); err != nil {
		t.Fatalf("Publish: %v", err)
	}
}
