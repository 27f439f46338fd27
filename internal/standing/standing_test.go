package standing

import (
	"context"
	"testing"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/problem"
)

// moving has a partition state and a cursor that change while they are read.
type moving struct {
	states  []*handoff.PartitionState // one read after another, the last one for ever
	cursors []*handoff.Cursor
}

func next[T any](list *[]*T) *T {
	first := (*list)[0]
	if len(*list) > 1 {
		*list = (*list)[1:]
	}
	return first
}

func (m *moving) Partition(context.Context, event.Partition) (*handoff.PartitionState, error) {
	return next(&m.states), nil
}

func (m *moving) cursor(context.Context, handoff.Key) (*handoff.Cursor, error) {
	if c := next(&m.cursors); c != nil {
		return c, nil
	}
	return nil, problem.New(problem.NotFound, "There is no such cursor.")
}

var key = handoff.Key{Tenant: "acme", Integration: "shop"}

func cursor(state handoff.State, segment uint64) *handoff.Cursor {
	return &handoff.Cursor{Key: key, State: state, AckState: handoff.AckState{Offset: handoff.Offset{Segment: segment}}}
}

func live(lowWatermark, from uint64) *handoff.PartitionState {
	return &handoff.PartitionState{LowWatermark: lowWatermark, Live: []handoff.Subscriber{{ID: "shop", From: from}}}
}

func TestStandings(t *testing.T) {
	empty := &handoff.PartitionState{LowWatermark: 9}
	for name, c := range map[string]struct {
		moving
		want uint64
		live bool
	}{
		"by its cursor":              {moving{[]*handoff.PartitionState{live(9, 0)}, []*handoff.Cursor{cursor(handoff.Scheduled, 4)}}, 4, false},
		"live":                       {moving{[]*handoff.PartitionState{live(9, 0)}, []*handoff.Cursor{cursor(handoff.Live, 4)}}, 9, true},
		"joined just now":            {moving{[]*handoff.PartitionState{live(3, 7)}, []*handoff.Cursor{cursor(handoff.Live, 4)}}, 7, true},
		"left beside it":             {moving{[]*handoff.PartitionState{empty}, []*handoff.Cursor{cursor(handoff.Live, 4), cursor(handoff.Scheduled, 10)}}, 10, false},
		"joined beside it":           {moving{[]*handoff.PartitionState{empty, live(11, 0)}, []*handoff.Cursor{cursor(handoff.Live, 4)}}, 11, true},
		"neither, again and again":   {moving{[]*handoff.PartitionState{empty}, []*handoff.Cursor{cursor(handoff.Live, 4)}}, 4, false},
		"live, though cursor is new": {moving{[]*handoff.PartitionState{live(9, 12)}, []*handoff.Cursor{cursor(handoff.Live, 12)}}, 12, true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := New(&c.moving, c.cursor).Find(t.Context(), key)
			if err != nil || got.AckState.Offset.Segment != c.want || (got.Member != nil) != c.live {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestDeletedCursorsHaveNoStanding(t *testing.T) {
	for _, cursors := range [][]*handoff.Cursor{{nil}, {cursor(handoff.Live, 4), nil}} {
		m := &moving{[]*handoff.PartitionState{{}}, cursors}
		if got, err := New(m, m.cursor).Find(t.Context(), key); problem.CodeOf(err) != problem.NotFound {
			t.Errorf("got %+v, %v", got, err)
		}
	}
}

// The integrations of one look share the states of their partitions.
func TestStatesAreReadOnce(t *testing.T) {
	m := &moving{[]*handoff.PartitionState{live(1, 0), live(2, 0)}, []*handoff.Cursor{cursor(handoff.Live, 0)}}
	look := New(m, m.cursor)
	for range 3 {
		if got, err := look.Find(t.Context(), key); err != nil || got.AckState.Offset.Segment != 1 {
			t.Errorf("got %+v, %v", got, err)
		}
	}
}
