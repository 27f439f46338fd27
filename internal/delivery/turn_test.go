package delivery_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/fairshare"
)

// slowReads is a log whose reads take a while. It records how long each began after the
// one before it had ended.
type slowReads struct {
	eventlog.Log
	takes time.Duration
	ended *time.Time
	gaps  *[]time.Duration
}

func (l slowReads) Read(ctx context.Context, p event.Partition, after uint64, maxBytes int) ([]eventlog.Segment, error) {
	if !l.ended.IsZero() {
		*l.gaps = append(*l.gaps, time.Since(*l.ended))
	}
	time.Sleep(l.takes)
	defer func() { *l.ended = time.Now() }()
	return l.Log.Read(ctx, p, after, maxBytes)
}

// Steps that share the reads of the log leave half of the time to publishing and live
// delivery, even one whose receiver is never busy.
func TestReadsByStepsLeaveHalfOfTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, k := longCatchUp(t, "nothing.matches")
		log := slowReads{r.engine.Log, 100 * time.Millisecond, new(time.Time), new([]time.Duration)}
		r.engine.Log, r.engine.Reads = log, fairshare.New(1)
		r.engine.BatchBytes = 20 * eventSize
		if _, err := r.engine.Advance(t.Context(), k); err != nil {
			t.Fatal(err)
		}
		if len(*log.gaps) < 5 {
			t.Fatalf("%d reads, want several", len(*log.gaps)+1)
		}
		for _, gap := range *log.gaps {
			if gap < log.takes {
				t.Errorf("a read began %s after one that took %s, want at least as long between them", gap, log.takes)
			}
		}
		if held := r.engine.Reads.Held(); held != 0 {
			t.Errorf("%d turns are still held", held)
		}
	})
}
