package statemachine

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// act does one thing at random. Without harm, nothing happens that takes an
// execution away: every answer may be lost, but none fails for good, each that
// is to be started is, and no step goes on when it is made again.
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
	case "restart": // or a follow loop that parts with it
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

// Whatever answers are lost, as long as the cursor is due somebody drives it,
// without the help of the sweep.
func TestACursorThatIsDueHasAnExecution(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		defer w.end()
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

// After whatever has happened, a cursor that is due is driven, with gaps of no
// more than a sweep, until one execution is left, which drives it at its times.
func TestOneExecutionRemains(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		defer w.end()
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
			w.restart() // so that it need not be waited for
		}
		w.settle(t, 4*time.Hour)
		switch alive := w.alive(); {
		case stopped && len(alive) != 0:
			t.Fatalf("%d executions are left of a stopped cursor", len(alive))
		case !stopped && len(alive) != 1:
			t.Fatalf("%d executions are left of a driven cursor", len(alive))
		}
	})
}

// settle lets time pass, with a sweep now and then, and everything that has
// something to do doing it in any order. It fails if the cursor is due and not
// driven for longer than a sweep takes to find it.
func (w *world) settle(t *rapid.T, span time.Duration) {
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
