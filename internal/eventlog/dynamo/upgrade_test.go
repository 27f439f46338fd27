package dynamo

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/eventlog/logtest"
)

// earlier is the log as an earlier release has it: all in the main table.
func (r *rig) earlier() *Log {
	o := r.options
	o.Segments = o.Table
	return New(o)
}

// upgraded is a log whose first appends are by an earlier release. Nothing else happens
// during the upgrade.
type upgraded struct {
	rig  *rig
	each bool // a new process for each call

	mu      sync.RWMutex
	earlier int // appends
	log     *Log
}

func upgrade(r *rig, earlier int, each bool) *upgraded {
	u := &upgraded{rig: r, earlier: earlier, each: each}
	u.restart()
	return u
}

func (u *upgraded) restart() {
	u.log = u.rig.process()
	if u.earlier > 0 {
		u.log = u.rig.earlier()
	}
}

func (u *upgraded) now() *Log {
	if u.each && u.earlier == 0 {
		return u.rig.process()
	}
	return u.log
}

func (u *upgraded) Append(ctx context.Context, p event.Partition, source string, records []eventlog.Record) (uint64, error) {
	u.mu.Lock()
	if u.earlier > 0 {
		defer u.mu.Unlock()
		n, err := u.log.Append(ctx, p, source, records)
		if u.earlier--; u.earlier == 0 {
			u.restart()
		}
		return n, err
	}
	u.mu.Unlock()
	u.mu.RLock()
	defer u.mu.RUnlock()
	return u.now().Append(ctx, p, source, records)
}

func (u *upgraded) Read(ctx context.Context, p event.Partition, after uint64, maxBytes int) ([]eventlog.Segment, error) {
	u.mu.RLock()
	defer u.mu.RUnlock()
	return u.now().Read(ctx, p, after, maxBytes)
}

func (u *upgraded) End(ctx context.Context, p event.Partition) (uint64, error) {
	u.mu.RLock()
	defer u.mu.RUnlock()
	return u.now().End(ctx, p)
}

func (u *upgraded) After(ctx context.Context, p event.Partition, number uint64) (eventlog.Rest, error) {
	u.mu.RLock()
	defer u.mu.RUnlock()
	return u.now().After(ctx, p, number)
}

func (u *upgraded) Seek(ctx context.Context, p event.Partition, t time.Time) (uint64, error) {
	u.mu.RLock()
	defer u.mu.RUnlock()
	return u.now().Seek(ctx, p, t)
}

func (u *upgraded) OffsetForTime(ctx context.Context, p event.Partition, t time.Time) (uint64, bool, error) {
	u.mu.RLock()
	defer u.mu.RUnlock()
	return u.now().OffsetForTime(ctx, p, t)
}

// A log whose first segments are in the main table is a log like any other.
func TestLogOverAnUpgrade(t *testing.T) {
	for _, c := range []struct {
		appends int
		each    bool
	}{{1, false}, {2, true}} {
		t.Run(fmt.Sprintf("after %d appends, each call a process: %v", c.appends, c.each), func(t *testing.T) {
			logtest.Run(t, func(t *testing.T, now func() time.Time) logtest.Harness {
				t.Parallel()
				r := newRig(t)
				r.set(now())
				r.options.Now = now
				u := upgrade(r, c.appends, c.each)
				l := &restarted{Log: r.process(), rig: r}
				return logtest.Harness{
					Log: u, Margin: r.options.Margin,
					Trim: func(ctx context.Context, before time.Time) error {
						defer u.restart()
						return l.trim(ctx, before)
					},
					Damage: func(t *testing.T, p event.Partition, number uint64) {
						defer u.restart()
						l.damage(t, p, number)
					},
				}
			})
		})
	}
}
