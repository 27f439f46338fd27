package delivery

import (
	"context"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/backoff"
	"github.com/sluicehq/sluice/internal/fairshare"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/worker"
)

// A subscriber must leave in time while its receiver keeps a call, also if others of its
// calls wait for a place in the process; not while all of them wait, which is no fault
// of its receiver.
func TestWhoMustLeaveLiveDeliveryInTime(t *testing.T) {
	const budget = 5 * time.Second
	moved := time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)
	failed := moved.Add(time.Second)
	for _, c := range []struct {
		name  string
		state worker.State
		want  time.Time
	}{
		{"with calls", worker.State{MovedAt: moved, Calling: true}, moved.Add(budget)},
		{"with calls, and others that wait", worker.State{MovedAt: moved, Calling: true, Waiting: true}, moved.Add(budget)},
		{"with nothing but what waits", worker.State{MovedAt: moved, Waiting: true}, time.Time{}},
		{"halted", worker.State{MovedAt: moved}, moved.Add(budget)},
		{"idle", worker.State{MovedAt: moved, Idle: true}, time.Time{}},
		{"failed", worker.State{MovedAt: moved, Failure: &worker.Failure{At: failed}}, failed.Add(budget)},
	} {
		if got := leaveAt(c.state, budget); !got.Equal(c.want) {
			t.Errorf("%s: leaves at %v, want %v", c.name, got, c.want)
		}
	}
}

// A place that a step takes again is given back once more, and one that it did not get
// is not.
func TestPlaceThatIsTakenAgainIsGivenBack(t *testing.T) {
	places := fairshare.New(1)
	places.Take("acme", nil)
	p := NewPlace(Export, places, "acme")
	p.GiveBack()
	if err := p.take(t.Context()); err != nil || places.Held() != 1 {
		t.Fatalf("took it again: %v, %d held", err, places.Held())
	}
	p.GiveBack()
	p.GiveBack()
	if places.Held() != 0 {
		t.Errorf("%d places are held after the step, want none", places.Held())
	}
	places.Take("other", nil)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.take(ended); err == nil {
		t.Error("took the place of another")
	}
	p.GiveBack()
	if places.Held() != 1 {
		t.Errorf("%d places are held, want that of the other tenant", places.Held())
	}
}

// What is not set has a value with which no loop is busy.
func TestEngineHasDefaults(t *testing.T) {
	var e Engine
	if e.recheckInterval() != time.Minute || e.stepBudget() != time.Minute || e.batchBytes() != 128<<10 {
		t.Errorf("an engine rechecks every %v, steps for %v and reads %d bytes", e.recheckInterval(), e.stepBudget(), e.batchBytes())
	}
}

// One that blocked others stays away longer each time, until it has kept up for long
// enough.
func TestSlowSubscriberIsForgiven(t *testing.T) {
	now := time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)
	s := settings.Default()
	e := &Engine{Settings: s, Now: func() time.Time { return now }}
	c := &handoff.Cursor{}
	for _, step := range []struct {
		joined time.Duration // ago
		want   int
	}{{time.Second, 1}, {s.RetryMax, 2}, {time.Second, 3}, {s.RetryMax + time.Second, 1}} {
		e.penalise(c, handoff.Subscriber{JoinedAt: now.Add(-step.joined)})
		if wait := backoff.Ceiling(s.RetryMin, step.want, s.RetryMax); c.Slowness != step.want || !c.SlowUntil.Equal(now.Add(wait)) {
			t.Errorf("joined %v ago, its slowness is %d until %v, want %d for %v", step.joined, c.Slowness, c.SlowUntil, step.want, wait)
		}
	}
}

// What a sole owner remembers of a cursor ends when another actor has written it, as a
// stop does: the sweep no longer takes it for one that waits.
func TestSoleOwnerForgetsACursorThatWasWritten(t *testing.T) {
	now := time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)
	o := NewSoleOwner(now)
	k := handoff.Key{Tenant: "acme", Integration: "hook"}
	o.remember(&handoff.Cursor{Key: k, Version: 1, Failures: 2, DueAt: now.Add(time.Hour)}, nil)
	if c := o.restore(&handoff.Cursor{Key: k, Version: 1}); c.Failures != 2 || !o.waits(k, now) {
		t.Errorf("restored %+v, want its two failures", c)
	}
	if c := o.restore(&handoff.Cursor{Key: k, Version: 2}); c.Failures != 0 || o.waits(k, now) || o.len() != 0 {
		t.Errorf("restored %+v, want it as it was written; %d are remembered", c, o.len())
	}
}
