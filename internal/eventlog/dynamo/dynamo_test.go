package dynamo

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/eventlog/logtest"
)

// restarted is the log of a process that restarts after every trim, with empty caches.
type restarted struct {
	*Log
	rig *rig
}

func (l *restarted) trim(ctx context.Context, before time.Time) error {
	for _, p := range []event.Partition{{Tenant: "tenant-a"}, {Tenant: "tenant-a", Lane: 1}} {
		items := l.rig.items(p)
		var gone []uint64
		for i := range items {
			if items[i].Last >= before.UnixMilli() {
				break
			}
			gone = append(gone, items[i].number())
		}
		if len(gone) == 0 {
			continue
		}
		// The markers were last raised a third of the segments' life ago.
		end, err := l.End(ctx, p)
		if err == nil {
			err = l.putMarker(ctx, p, end)
		}
		if err != nil {
			return err
		}
		l.rig.expire(p, gone[len(gone)-1])
		rand.Shuffle(len(gone), func(i, j int) { gone[i], gone[j] = gone[j], gone[i] })
		l.rig.remove(p, gone[:len(gone)/2]...)
	}
	l.Log = l.rig.process()
	return nil
}

// damage changes a byte of a segment. It restarts with empty caches.
func (l *restarted) damage(t *testing.T, p event.Partition, number uint64) {
	t.Helper()
	items := l.rig.items(p)
	it := items[number-1]
	it.Data[len(it.Data)/2] ^= 1
	l.rig.overwrite(&it)
	l.Log = l.rig.process()
}

func TestLog(t *testing.T) {
	logtest.Run(t, func(t *testing.T, now func() time.Time) logtest.Harness {
		t.Parallel()
		r := newRig(t)
		r.set(now())
		r.options.Now = now
		l := &restarted{Log: r.process(), rig: r}
		return logtest.Harness{Log: l, Trim: l.trim, Damage: l.damage, Margin: r.options.Margin}
	})
}

// each is a log that makes every call in a new process, with empty caches.
type each struct{ *rig }

func (e each) Append(ctx context.Context, p event.Partition, source string, records []eventlog.Record) (uint64, error) {
	return e.process().Append(ctx, p, source, records)
}

func (e each) Read(ctx context.Context, p event.Partition, after uint64, maxBytes int) ([]eventlog.Segment, error) {
	return e.process().Read(ctx, p, after, maxBytes)
}

func (e each) End(ctx context.Context, p event.Partition) (uint64, error) {
	return e.process().End(ctx, p)
}

func (e each) After(ctx context.Context, p event.Partition, number uint64) (eventlog.Rest, error) {
	return e.process().After(ctx, p, number)
}

func (e each) Seek(ctx context.Context, p event.Partition, t time.Time) (uint64, error) {
	return e.process().Seek(ctx, p, t)
}

func (e each) OffsetForTime(ctx context.Context, p event.Partition, t time.Time) (uint64, bool, error) {
	return e.process().OffsetForTime(ctx, p, t)
}

// Seek and OffsetForTime use no state of the process.
func TestLogOfManyProcesses(t *testing.T) {
	logtest.RunWithoutTimes(t, func(t *testing.T, now func() time.Time) logtest.Harness {
		t.Parallel()
		r := newRig(t)
		r.set(now())
		r.options.Now = now
		l := &restarted{Log: r.process(), rig: r}
		return logtest.Harness{Log: each{r}, Trim: l.trim, Damage: l.damage, Margin: r.options.Margin}
	})
}
