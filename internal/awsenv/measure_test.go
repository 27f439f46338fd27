package awsenv

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/problem"
)

// oneCursor is a store with one cursor. Its index may have another time for it.
type oneCursor struct {
	indexed time.Time
	cursor  *handoff.Cursor // nil if it was deleted
	failing error
}

func (o *oneCursor) Due(_ context.Context, before time.Time, limit int) ([]handoff.Key, error) {
	if o.failing != nil || limit < 1 || o.indexed.After(before) {
		return nil, o.failing
	}
	return []handoff.Key{{Tenant: "acme", Integration: "shop"}}, nil
}

func (o *oneCursor) Cursor(context.Context, handoff.Key) (*handoff.Cursor, error) {
	if o.cursor == nil {
		return nil, problem.New(problem.NotFound, "deleted")
	}
	return o.cursor, nil
}

func TestHowOverdueACursorIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const quietAfter = 66 * time.Second
		due := func(ago time.Duration, state handoff.State) *handoff.Cursor {
			return &handoff.Cursor{State: state, DueAt: time.Now().Add(-ago)}
		}
		past := time.Now().Add(-time.Hour)
		fault := errors.New("no table")
		for name, c := range map[string]struct {
			store oneCursor
			want  time.Duration
			err   error
		}{
			"stuck for an hour":                 {oneCursor{indexed: past, cursor: due(time.Hour, handoff.Scheduled)}, time.Hour, nil},
			"due, and its owner may be at work": {oneCursor{indexed: time.Now().Add(-time.Minute), cursor: due(time.Minute, handoff.Scheduled)}, 0, nil},
			"waits for its next attempt":        {oneCursor{indexed: time.Now().Add(time.Hour), cursor: due(-time.Hour, handoff.Scheduled)}, 0, nil},
			"was advanced just now":             {oneCursor{indexed: past, cursor: due(-time.Minute, handoff.Scheduled)}, 0, nil},
			"is live again":                     {oneCursor{indexed: past, cursor: due(time.Hour, handoff.Live)}, 0, nil},
			"was deleted":                       {oneCursor{indexed: past}, 0, nil},
			"the table is out":                  {oneCursor{failing: fault}, 0, fault},
		} {
			got, err := longestOverdue(t.Context(), &c.store, quietAfter)
			if got != c.want || !errors.Is(err, c.err) {
				t.Errorf("%s: %v, %v; want %v, %v", name, got, err, c.want, c.err)
			}
		}
	})
}
