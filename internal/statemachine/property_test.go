package statemachine

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// act performs one random action. Without harm, no action removes an execution: any
// response may be lost, but no execution fails for good, each one that should be started
// is, and no step still runs when it is retried.
func act(t *rapid.T, w *world, harm bool) {
	actions := []string{"run", "run", "run", "run", "tick", "leap", "lose", "stop", "restart", "twice"}
	if harm {
		actions = append(actions, "zombie", "fail", "forget", "sweep")
	}
	e := func(from []*execution) *execution {
		if len(from) == 0 {
			return nil
		}
		return from[rapid.IntRange(0, len(from)-1).Draw(t, "execution")]
	}
	switch rapid.SampledFrom(actions).Draw(t, "action") {
	case "run":
		if e := e(w.ready()); e != nil {
			w.run(e)
		}
	case "tick":
		w.now = w.now.Add(time.Duration(rapid.IntRange(1, 8000).Draw(t, "ms")) * time.Millisecond)
	case "leap":
		w.now = w.now.Add(time.Duration(rapid.IntRange(10, 400).Draw(t, "s")) * time.Second)
	case "lose":
		if e := e(w.ready()); e != nil && e.step != nil {
			w.lose(e, false)
		}
	case "zombie":
		if e := e(w.ready()); e != nil && e.step != nil {
			w.lose(e, true)
		}
		for _, z := range w.zombies {
			z.next()
		}
	case "stop":
		w.stop()
	case "restart": // or live delivery that evicts it
		w.restart()
		w.schedule("")
	case "twice":
		w.schedule("again")
	case "fail":
		if e := e(w.alive()); e != nil {
			w.fail(e)
		}
	case "forget":
		w.restart()
	case "sweep":
		w.sweep()
	}
}

func drawOutcome(t *rapid.T, longest int) func() outcome {
	return func() outcome {
		switch rapid.IntRange(0, 5).Draw(t, "outcome") {
		case 0:
			return outcome{done: true}
		case 1, 2:
			return outcome{}
		default:
			return outcome{wait: time.Duration(rapid.IntRange(1, longest).Draw(t, "wait")) * time.Second}
		}
	}
}

// Whatever responses are lost, a cursor with a due time has an execution, without the
// sweep's help.
func TestACursorThatIsDueHasAnExecution(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		defer w.end()
		w.replay = rapid.Bool().Draw(t, "replay")
		w.outcome = drawOutcome(t, 600)
		w.schedule("")
		for range rapid.IntRange(1, 150).Draw(t, "actions") {
			act(t, w, false)
			if c := w.cursor(); !c.DueAt.IsZero() && len(w.alive()) == 0 {
				t.Fatalf("the cursor is due in %v and has no execution", c.DueAt.Sub(w.now))
			}
		}
	})
}

// Whatever has happened, a due cursor is advanced, with gaps of at most a sweep, until
// one execution is left, which advances it whenever it is due.
func TestOneExecutionRemains(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		defer w.end()
		w.replay = rapid.Bool().Draw(t, "replay")
		w.outcome = drawOutcome(t, 8000)
		w.schedule("")
		for range rapid.IntRange(1, 150).Draw(t, "actions") {
			act(t, w, true)
		}
		w.outcome = func() outcome {
			return outcome{wait: time.Duration(rapid.IntRange(0, 300).Draw(t, "wait")) * time.Second}
		}
		stopped := w.cursor().DueAt.IsZero()
		if c := w.cursor(); c.DueAt.Sub(w.now) > time.Hour {
			w.restart() // do not wait that long
		}
		w.runFor(t, 4*time.Hour)
		switch alive := w.alive(); {
		case stopped && len(alive) != 0:
			t.Fatalf("%d executions are left for a stopped cursor", len(alive))
		case !stopped && len(alive) != 1:
			t.Fatalf("%d executions are left for a scheduled cursor", len(alive))
		}
	})
}

// runFor advances the time by span, with a sweep now and then, and runs the executions
// that are ready in random order. It fails if the cursor is overdue for longer than a
// sweep takes to find it.
func (w *world) runFor(t *rapid.T, span time.Duration) {
	start, end, nextSweep := w.now, w.now.Add(span), w.now.Add(sweepEvery)
	for w.now.Before(end) {
		ready := w.ready()
		if len(ready) > 0 {
			w.run(ready[rapid.IntRange(0, len(ready)-1).Draw(t, "execution")])
			continue
		}
		c := w.cursor()
		since := c.DueAt
		if since.Before(start) {
			since = start
		}
		if overdue := w.now.Sub(since); !c.DueAt.IsZero() && overdue > sweepAfter+sweepEvery+time.Second {
			t.Fatalf("the cursor is overdue by %v", overdue)
		}
		next := nextSweep
		for _, e := range w.alive() {
			if e.wakeAt.Before(next) {
				next = e.wakeAt
			}
		}
		if w.now = next; next.Equal(nextSweep) {
			w.sweep()
			nextSweep = nextSweep.Add(sweepEvery)
		}
	}
}
