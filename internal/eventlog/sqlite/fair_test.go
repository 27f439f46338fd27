package sqlite

import (
	"sync"
	"testing"

	"github.com/sluicehq/sluice/internal/event"
)

// A publish of one event is in the first commit after it came, whatever others wait
// for: 16 callers with 5 MiB each, of another tenant, came before it.
func TestASmallPublishDoesNotWaitForAnothersLargeOnes(t *testing.T) {
	l, db := open(t, t.TempDir(), fixed(base))
	var noisy, before uint64 // segments of the noisy tenant: by now, and when the quiet one had its own
	l.OnAppend(func(p event.Partition, end uint64) {
		if p.Tenant == "noisy" {
			noisy = end
		} else {
			before = noisy
		}
	})
	release := hold(t, db)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			if err := l.Publish(t.Context(), "noisy", event.Lanes{Each: 1}, drafts(1000*i, 20, 256<<10)); err != nil {
				t.Error(err)
			}
		})
	}
	queued(db, 16*20)
	wg.Go(func() {
		if err := l.Publish(t.Context(), "quiet", event.Lanes{Each: 1}, drafts(0, 1, 300)); err != nil {
			t.Error(err)
		}
	})
	queued(db, 16*20+1)
	release()
	wg.Wait()
	if before > 1 || noisy != 320 {
		t.Errorf("%d of the noisy tenant's %d segments were committed before it", before, noisy)
	}
}
