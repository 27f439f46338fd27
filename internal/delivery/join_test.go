package delivery_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/store"
)

// joinFirst is a store in which the first join waits until the live loop is about to
// commit, and then goes first.
type joinFirst struct {
	store.Store
	joins, commits      sync.Once
	loopIsThere, joined chan struct{}
}

func (s *joinFirst) Commit(ctx context.Context, writes ...store.Write) error {
	for _, w := range writes {
		if c, ok := w.(store.PutCursor); ok && c.Cursor.State == handoff.Live {
			var err error
			s.joins.Do(func() {
				<-s.loopIsThere
				err = s.Store.Commit(ctx, writes...)
				close(s.joined)
				writes = nil
			})
			if writes == nil {
				return err
			}
		}
	}
	if _, ok := writes[0].(store.PutPartition); ok && len(writes) == 1 {
		s.commits.Do(func() {
			close(s.loopIsThere)
			<-s.joined
		})
	}
	return s.Store.Commit(ctx, writes...)
}

// An integration that joins an empty live set while the live loop commits an event
// gets that event at once, not at the loop's next refresh.
func TestFirstEventIsNotLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, nil)
		r.engine.Store = &joinFirst{Store: r.engine.Store, loopIsThere: make(chan struct{}), joined: make(chan struct{})}
		r.register(hookSpec("orders"))
		synctest.Wait() // it is about to join
		began := time.Now()
		part := event.Partition{Tenant: tenant}
		e := event.Draft{ID: "one", Name: "order.created", Payload: []byte("{}")}.Stamp(tenant, began)
		end, err := r.engine.Log.Append(t.Context(), part, "", eventlog.Unnamed(e))
		if err != nil {
			t.Fatal(err)
		}
		if err := r.engine.DeliverLive(t.Context(), part, delivery.NewLogEnd(end)); err != nil {
			t.Fatal(err)
		}
		if times(r.got())[e.ID] != 1 {
			t.Error("the event is lost")
		}
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("the event came after %v", took)
		}
	})
}
