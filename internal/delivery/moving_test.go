package delivery_test

import (
	"context"
	"slices"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

// again reports whether an event was delivered since the position was last moved back to
// it, or at all.
func (r *receipt) again() bool { return r.acked > r.before }

// startFrom stops an integration and starts it at another place.
func (w *world) startFrom(tenant, id string, which int) {
	ctx := context.Background()
	to := integration.Place{Latest: which == 0}
	if which > 0 {
		to.At = w.now().UTC().Truncate(time.Millisecond).Add(-time.Duration(which-1) * 4 * time.Second)
	}
	w.user(func(p *process) error { _, err := p.life.Stop(ctx, tenant, id); return err })
	for range 30 { // until it has stopped, unless it is started meanwhile
		var code problem.Code
		w.user(func(p *process) error {
			_, err := p.life.StartFrom(ctx, tenant, id, to)
			if code = problem.CodeOf(err); code == problem.NotStopped || code == problem.InvalidRequest {
				return nil // it runs, is a replay, or the place is not in the log
			}
			return err
		})
		if code != problem.NotStopped {
			break
		}
		time.Sleep(time.Second)
	}
	w.user(func(p *process) error { _, err := p.life.Start(ctx, tenant, id); return err })
}

func wasMoved(writes []store.Write) bool {
	return slices.ContainsFunc(writes, func(x store.Write) bool {
		e, ok := x.(store.AddEntry)
		return ok && e.Entry.Action == integration.ActionPositionMoved
	})
}

// moves notes that a start has moved a position: everything published from there on must
// arrive, again if it has, and nothing before it must any more. w.mu is held.
func (w *world) moves(l *life, writes []store.Write) {
	l.moved, l.updates = true, nil // the present filter decides all that is owed
	for _, x := range writes {
		put, ok := x.(store.PutCursor)
		if !ok {
			continue
		}
		part := put.Cursor.Key.Partition()
		l.gone[part.Lane], l.ends[part.Lane] = len(w.trimmed[part]), 0
		segs, _ := w.log.Read(context.Background(), part, 0, 1<<30)
		for _, seg := range segs {
			if l.in.MovedTo.IsZero() && seg.Number <= put.Cursor.Offset.Segment {
				l.ends[part.Lane] = seg.Number // to the end of the log
				continue
			}
			w.owesAgain(l, seg.Events)
		}
	}
}

func (w *world) owesAgain(l *life, events []event.Event) {
	for i := range events {
		if events[i].PublishedAt.Before(l.in.MovedTo) {
			continue
		}
		r := w.receipt(l.in, events[i].ID)
		r.before = r.acked
		if listed := w.isListed(store.HistoryOf(l.in), events[i].ID); !listed {
			r.kept, r.skipped = false, false
		}
	}
}
