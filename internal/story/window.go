package story

import (
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/problem"
)

// Query says when an event was published: about PublishedAt, or from From to To. All are
// zero where its id tells it.
type Query struct{ PublishedAt, From, To time.Time }

const (
	around  = time.Hour      // a time that is given, or told by an id, is meant so far before and after it
	longest = 24 * time.Hour // from From to To
)

// window is the time in which an event was published.
type window struct {
	id          string
	from, until time.Time // both included
	near        time.Time // where to look first
	// exact: of several events with the id, the one that was published at near is meant.
	exact bool
}

func windowOf(id string, q Query) (*window, error) {
	between := !q.From.IsZero() || !q.To.IsZero()
	switch {
	case !q.PublishedAt.IsZero() && between:
		return nil, problem.New(problem.InvalidRequest, "published_at is given, and from or to as well; give published_at, or from and to.")
	case !q.PublishedAt.IsZero():
		return &window{id, q.PublishedAt.Add(-around), q.PublishedAt.Add(around), q.PublishedAt, true}, nil
	case between:
		return windowBetween(id, q.From, q.To)
	}
	at, ok := event.TimeOfID(id)
	if !ok {
		return nil, problem.New(problem.WindowRequired,
			"The id %s does not tell when the event was published. Say so: with published_at, to within an hour, or with from and to, at most 24 hours apart.", id)
	}
	return &window{id, at.Add(-around), at.Add(around), at, false}, nil
}

func windowBetween(id string, from, to time.Time) (*window, error) {
	switch {
	case from.IsZero():
		return nil, problem.New(problem.WindowRequired, "to is given without from; give both, at most 24 hours apart.")
	case to.IsZero():
		return nil, problem.New(problem.WindowRequired, "from is given without to; give both, at most 24 hours apart.")
	case to.Before(from):
		return nil, problem.New(problem.InvalidRequest, "to is %s; it must not be before from, which is %s.", event.FormatTime(to), event.FormatTime(from))
	case to.Sub(from) > longest:
		return nil, problem.New(problem.InvalidRequest, "to is %s, more than 24 hours after from; ask for one day after another.", event.FormatTime(to))
	}
	return &window{id, from, to, from, false}, nil
}

// has reports whether a time is within the window.
func (w *window) has(at time.Time) bool { return !at.Before(w.from) && !at.After(w.until) }

// better reports whether an event that was published at a is meant rather than one at b: the
// first at or after near, else the last before it.
func (w *window) better(a, b time.Time) bool {
	if before := a.Before(w.near); before != b.Before(w.near) {
		return !before
	} else if before {
		return a.After(b)
	}
	return a.Before(b)
}

// settles reports whether no event can be better than one that was published at best, once
// none of before reached comes any more.
func (w *window) settles(best, reached time.Time) bool {
	return !w.exact || best.Equal(w.near) || best.After(w.near) && !reached.Before(best)
}
