package runner

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/store"
)

// A log that grows while its live delivery runs, even in the moment in which that ends,
// is delivered to its new end.
func TestGrowthDuringLiveDeliveryIsNotLost(t *testing.T) {
	s, p := NewScheduler(), event.Partition{Tenant: "acme"}
	s.Grown(p, 1)
	live, _ := s.take()
	end := live[p]
	if end == nil || end.Segment() != 1 {
		t.Fatalf("live delivery up to %v, want segment 1", end)
	}
	s.Grown(p, 2)
	if end.Segment() != 2 {
		t.Errorf("the loop knows of segment %d, want 2", end.Segment())
	}
	if s.endLive(p, 1) {
		t.Error("it ended before what was appended last")
	}
	if live, _ := s.take(); len(live) != 0 {
		t.Error("a second loop was started beside the first")
	}
	if !s.endLive(p, 2) || len(s.live) != 0 {
		t.Errorf("%d partitions are remembered after the end of the log", len(s.live))
	}
	s.Grown(p, 3)
	if live, _ := s.take(); live[p] == nil || live[p].Segment() != 3 {
		t.Error("the next growth starts no loop")
	}
}

// After its end a scheduler takes no new work, and its timers end.
func TestClosedSchedulerTakesNoWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewScheduler()
		waits := handoff.Key{Tenant: "acme", Integration: "waits"}
		s.Schedule(waits)
		_, due := s.take()
		s.again(due[0], time.Minute)
		s.close()
		s.Grown(event.Partition{Tenant: "acme"}, 1)
		s.Schedule(handoff.Key{Tenant: "acme", Integration: "new"})
		time.Sleep(time.Hour)
		synctest.Wait()
		if live, due := s.take(); len(live) != 0 || len(due) != 0 {
			t.Errorf("%d partitions and %d cursors after the end, want none", len(live), len(due))
		}
	})
}

// brokenStore is a store that fails in the same way each time.
type brokenStore struct {
	store.Store
	reads int
}

func (b *brokenStore) Cursor(context.Context, handoff.Key) (*handoff.Cursor, error) {
	b.reads++
	return nil, errors.New("the row is damaged")
}

// A step that fails again and again is tried less and less often, and logged once.
func TestRepeatedFailureOfAStepIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		b := &brokenStore{}
		schedule, r := running(b, 1)
		r.logger = slog.New(slog.NewTextHandler(&log, nil))
		schedule.Schedule(handoff.Key{Tenant: "acme", Integration: "hook"})
		time.Sleep(time.Hour)
		synctest.Wait()
		r.Stop()
		if !schedule.closed {
			t.Error("after the shutdown the scheduler takes work that nobody does")
		}
		if n := strings.Count(log.String(), "the row is damaged"); n != 1 {
			t.Errorf("it is logged %d times, want once:\n%s", n, log.String())
		}
		if b.reads < 100 || b.reads > 150 {
			t.Errorf("%d tries in an hour, want one in half a minute", b.reads)
		}
	})
}
