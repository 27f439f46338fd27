package dynamo

import (
	"context"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/story"
)

// nobody are the integrations of a tenant that has none.
type nobody struct{ story.Integrations }

func (nobody) List(context.Context, string) ([]*integration.Integration, error) { return nil, nil }

// The story of an event is told from a log that is out of order by up to its margin, with few
// reads however much the log has around the event.
func TestStoriesAreTold(t *testing.T) {
	t.Parallel()
	const segments = 200
	r := newRig(t)
	r.options.Margin = 15 * time.Minute
	l := r.process()
	times := make([]time.Time, segments)
	for i := range segments {
		back := time.Duration(i*i%15) * time.Minute // what a clock that is behind makes of it
		times[i] = base.Add(time.Duration(i)*time.Minute - back)
		r.append(l, "", eventlog.Unnamed(eventAt(i, 4<<10, times[i]))...)
	}
	lanes := func(context.Context) event.Lanes { return event.Lanes{Each: 1} }
	s := &story.Service{Lanes: lanes, Integrations: nobody{}, Log: r.process(), Settings: settings.Default(), Now: r.Now, Margin: r.options.Margin}
	told := func(i int, q story.Query) {
		t.Helper()
		r.dynamo.take()
		if got, err := s.Tell(t.Context(), "acme", idOf(i), q); err != nil || !got.Event.PublishedAt.Equal(times[i]) {
			t.Errorf("event %d of %v, asked for %+v: %+v, %v", i, times[i], q, got, err)
		}
	}
	for i := 0; i < segments; i += 19 {
		told(i, story.Query{PublishedAt: times[i]})
		if n := len(r.dynamo.take()); n > 12 {
			t.Errorf("event %d took %d requests", i, n)
		}
		told(i, story.Query{PublishedAt: times[i].Add(time.Hour)})
		told(i, story.Query{PublishedAt: times[i].Add(-time.Hour)})
		told(i, story.Query{From: times[i], To: times[i]})
		told(i, story.Query{From: times[i].Add(-24 * time.Hour), To: times[i]})
	}
}
