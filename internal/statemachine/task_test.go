package statemachine

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/problem"
)

func TestStep(t *testing.T) {
	const mine, theirs = 35, 36
	at := func(d time.Duration) handoff.Cursor { return handoff.Cursor{DueAt: now.Add(d), Version: mine} }
	owner := State{Tenant: "acme", Integration: "orders", Lane: 2, Version: "z", Count: 4}
	shadow := owner
	shadow.Shadow = true
	moved := owner
	moved.Version = "y"
	movedShadow := shadow
	movedShadow.Version = "y"
	unknown := owner
	unknown.Version = ""
	gone := handoff.Cursor{}
	type want struct {
		advanced bool
		next     string
		wait     int
		version  string
		shadow   bool
	}
	done := func(s State, advanced bool) want { return want{advanced, Done, 0, s.Version, s.Shadow} }
	tests := []struct {
		name   string
		state  State
		cursor handoff.Cursor // before; of Version 0: there is none
		step   delivery.Next
		after  handoff.Cursor // the step, if it advances
		want   want
	}{
		{"there is none", owner, gone, delivery.Next{}, gone, done(owner, false)},
		{"not due", owner, handoff.Cursor{Version: mine}, delivery.Next{}, gone, done(owner, false)},
		{"not due, of others", moved, handoff.Cursor{Version: mine}, delivery.Next{}, gone, done(moved, false)},
		{"owner", owner, at(0), delivery.Next{Wait: 1500 * time.Millisecond}, handoff.Cursor{DueAt: now, Version: theirs}, want{true, Wait, 2, "10", false}},
		{"owner, again at once", owner, at(0), delivery.Next{}, handoff.Cursor{DueAt: now, Version: theirs}, want{true, Wait, 0, "10", false}},
		{"owner, whole seconds", owner, at(0), delivery.Next{Wait: 300 * time.Second}, handoff.Cursor{DueAt: now, Version: theirs}, want{true, Wait, 300, "10", false}},
		{"owner, years", owner, at(0), delivery.Next{Wait: 30_000 * time.Hour}, handoff.Cursor{DueAt: now, Version: theirs}, want{true, Wait, 3600, "10", false}},
		{"owner of what is overdue", owner, at(-time.Hour), delivery.Next{Wait: -time.Hour}, handoff.Cursor{DueAt: now, Version: theirs}, want{true, Wait, 0, "10", false}},
		{"owner that lost the cursor to others", owner, at(0), delivery.Next{Lost: true}, handoff.Cursor{DueAt: now.Add(time.Minute), Version: theirs}, want{true, Wait, 65, "10", true}},
		{"owner, done", owner, at(0), delivery.Next{Done: true}, at(0), done(owner, true)},
		{"owner, deleted meanwhile", owner, at(0), delivery.Next{}, gone, done(owner, true)},
		{"owner, stopped meanwhile", owner, at(0), delivery.Next{}, handoff.Cursor{Version: theirs}, done(owner, true)},
		{"of any version", unknown, at(0), delivery.Next{}, handoff.Cursor{DueAt: now, Version: theirs}, want{true, Wait, 0, "10", false}},
		{"moved by others", moved, at(90 * time.Second), delivery.Next{}, gone, want{false, Wait, 95, "z", true}},
		{"moved by others, overdue", moved, at(-time.Minute), delivery.Next{}, gone, want{false, Wait, 5, "z", true}},
		{"moved by others, due after long", moved, at(time.Hour + time.Millisecond), delivery.Next{}, gone, done(moved, false)},
		{"moved by others, due within the hour", moved, at(time.Hour), delivery.Next{}, gone, want{false, Wait, 3600, "z", true}},
		{"shadow, moved again", movedShadow, at(-time.Minute), delivery.Next{}, gone, done(movedShadow, false)},
		{"shadow, not moved", shadow, at(-shadowMargin), delivery.Next{}, gone, want{false, Wait, 0, "z", false}},
		{"shadow, too early", shadow, at(-time.Second), delivery.Next{}, gone, want{false, Wait, 4, "z", true}},
		{"shadow, much too early", shadow, at(time.Hour), delivery.Next{}, gone, want{false, Wait, 3600, "z", true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := &cursors{cursor: map[handoff.Key]handoff.Cursor{}}
			put := func(cursor handoff.Cursor) {
				delete(c.cursor, key)
				if cursor.Version != 0 {
					c.cursor[key] = cursor
				}
			}
			put(tt.cursor)
			var got want
			d := Task{Cursors: c, Now: func() time.Time { return now }, Advance: func(_ context.Context, k handoff.Key) (delivery.Next, error) {
				if k != key {
					t.Errorf("advanced %v", k)
				}
				got.advanced = true
				put(tt.after)
				return tt.step, nil
			}}
			next, err := d.Step(t.Context(), tt.state)
			if err != nil {
				t.Fatal(err)
			}
			got.next, got.wait, got.version, got.shadow = next.Next, next.WaitSeconds, next.Version, next.Shadow
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if next.Count != 5 || next.Key() != key {
				t.Errorf("next state %+v", next)
			}
			if wantName := executionName(key, next.Version, "5", "sx6eo0"); next.Next == Wait && next.Renewal != wantName {
				t.Errorf("renewed as %q, want %q", next.Renewal, wantName)
			}
		})
	}
}

func TestStepHandsErrorsOn(t *testing.T) {
	unavailable := problem.New(problem.Unavailable, "Throttled.")
	for name, failing := range map[string]int{"the first read": 1, "Advance": 2, "the second read": 3} {
		c := &cursors{cursor: map[handoff.Key]handoff.Cursor{key: {DueAt: now, Version: 35}}, err: map[handoff.Key]error{}}
		calls := 0
		d := Task{Now: func() time.Time { return now }, Advance: func(context.Context, handoff.Key) (delivery.Next, error) {
			if calls++; calls == failing {
				return delivery.Next{}, unavailable
			}
			return delivery.Next{Wait: time.Second}, nil
		}}
		d.Cursors = counting{c, func() error {
			if calls++; calls == failing {
				return unavailable
			}
			return nil
		}}
		if _, err := d.Step(t.Context(), State{Tenant: "acme", Integration: "orders", Lane: 2, Version: "z", Count: 1}); !errors.Is(err, unavailable) || calls != failing {
			t.Errorf("%s: error %v after %d calls", name, err, calls)
		}
	}
}

type counting struct {
	Cursors
	call func() error
}

func (c counting) Cursor(ctx context.Context, k handoff.Key) (*handoff.Cursor, error) {
	if err := c.call(); err != nil {
		return nil, err
	}
	return c.Cursors.Cursor(ctx, k)
}

// pass advances the time and runs the executions that are ready, in turn.
func (w *world) pass(span time.Duration) {
	for end := w.now.Add(span); w.now.Before(end); w.now = w.now.Add(time.Second) {
		for _, e := range w.ready() {
			w.finish(e)
		}
	}
}

// advanced reports whether a lease was taken within about the last minute, the interval
// of the world.
func (w *world) advanced() bool { return w.now.Sub(w.lastTime) <= 70*time.Second }

func TestLostResponseIsRecovered(t *testing.T) {
	for calls := range 7 { // the function is killed at each call of the store
		for _, twice := range []bool{false, true} { // and at its take-over, too
			w := newWorld()
			w.schedule("")
			e := w.execs[0]
			w.crash(e, calls)
			w.pass(25 * time.Second)
			if twice {
				w.now = e.wakeAt
				w.crash(e, calls)
			}
			w.pass(5 * time.Minute)
			if n := len(w.alive()); n != 1 || !w.advanced() {
				t.Errorf("after %d calls, twice %v: %d executions, last advanced %v ago", calls, twice, n, w.now.Sub(w.lastTime))
			}
			w.end()
		}
	}
}

// crash kills the function at the given call of the store, or when it has made
// its last.
func (w *world) crash(e *execution, call int) {
	for range call + 1 {
		if w.run(e); e.step == nil {
			return
		}
	}
	w.lose(e, false)
}

// A step that still runs alongside its retry may be the last to move the cursor, and has
// no execution.
func TestSweepRecoversFromAStepThatRunsOn(t *testing.T) {
	for calls := range 6 {
		w := newWorld()
		w.schedule("")
		e := w.execs[0]
		for range calls + 1 {
			w.run(e)
		}
		w.lose(e, true)
		w.pass(10 * time.Second)
		for range 9 {
			w.zombies[0].next()
		}
		w.pass(2 * time.Minute)
		w.sweep()
		w.pass(5 * time.Minute)
		if n := len(w.alive()); n != 1 || !w.advanced() {
			t.Errorf("after %d calls: %d executions, last advanced %v ago", calls, n, w.now.Sub(w.lastTime))
		}
		w.end()
	}
}

func TestSecondExecutionDiesOut(t *testing.T) {
	w := newWorld()
	defer w.end()
	w.schedule("")
	w.pass(90 * time.Second)
	for _, salt := range []string{"a", "b", "c"} { // as by an early sweep, for the same version
		w.schedule(salt)
	}
	w.pass(20 * time.Second)
	w.schedule("d")
	if n := len(w.alive()); n < 4 {
		t.Fatalf("%d executions are running", n)
	}
	before := w.leases
	w.pass(4 * time.Minute)
	if n, leases := len(w.alive()), w.leases-before; n != 1 || leases < 3 || leases > 5 || !w.advanced() {
		t.Errorf("%d executions, %d leases in four minutes", n, leases)
	}
}

func TestStopEndsAllAndAStartBeginsAnew(t *testing.T) {
	w := newWorld()
	defer w.end()
	w.outcome = func() outcome { return outcome{wait: 10 * time.Minute} } // a long back-off
	w.schedule("")
	w.pass(time.Minute)
	w.stop()
	w.schedule("")
	w.pass(time.Minute)
	w.outcome = func() outcome { return outcome{wait: time.Minute} }
	w.restart()
	w.schedule("")
	if n := len(w.alive()); n != 2 {
		t.Fatalf("%d executions, want the old one, which waits, and the new one", n)
	}
	w.pass(2 * time.Second)
	if !w.advanced() {
		t.Error("the start has to wait for the old execution")
	}
	w.pass(11 * time.Minute)
	if old, fresh := w.execs[0].state.Next, w.execs[1].state.Next; old != Done || fresh != Wait || !w.advanced() {
		t.Errorf("the old execution is at %q, the new one at %q", old, fresh)
	}
	w.stop()
	w.pass(2 * time.Minute)
	if n := len(w.alive()); n != 0 {
		t.Errorf("%d executions of a stopped integration", n)
	}
}

func TestDeletedEndsAll(t *testing.T) {
	w := newWorld()
	defer w.end()
	w.schedule("")
	w.schedule("twice")
	w.pass(30 * time.Second)
	w.remove()
	w.pass(2 * time.Minute)
	if n := len(w.alive()); n != 0 {
		t.Errorf("%d executions of a deleted integration", n)
	}
}

// An execution that fails for good leaves its work to the sweep, which may find
// its name used.
func TestSweepReplacesAFailedExecution(t *testing.T) {
	w := newWorld()
	defer w.end()
	w.schedule("")
	w.fail(w.execs[0]) // before its first step: the cursor keeps its version
	w.pass(time.Minute)
	w.schedule("")
	if n := len(w.alive()); n != 0 {
		t.Fatalf("%d executions: a name is used again", n)
	}
	w.sweep()
	w.pass(10 * time.Second)
	if n := len(w.alive()); n != 1 || !w.advanced() {
		t.Errorf("%d executions, last advanced %v ago", n, w.now.Sub(w.lastTime))
	}
}

// An execution may be renewed many times while its cursor keeps its version.
func TestRenewalsHaveNamesOfTheirOwn(t *testing.T) {
	w := newWorld()
	defer w.end()
	w.change(func(c *handoff.Cursor) { c.DueAt = w.now.AddDate(1, 0, 0) })
	w.schedule("")
	e, names := w.execs[0], map[string]bool{w.execs[0].name: true}
	for range 50 {
		e.state.Count = 0 // as in a renewed execution
		for range 3 {
			w.now = e.wakeAt
			w.finish(e)
		}
		if names[e.state.Renewal] {
			t.Fatalf("the name %q is used again", e.state.Renewal)
		}
		names[e.state.Renewal] = true
	}
	if e.state.Next != Wait || w.leases > 0 {
		t.Errorf("at %q after %d leases", e.state.Next, w.leases)
	}
}
