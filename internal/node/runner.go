package node

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
)

// runner calls the engine where there is something to do: one goroutine for
// each partition that is being followed, one for each cursor that is driven.
// An idle tenant has none. It is what Kinesis and Step Functions are on AWS.
type runner struct {
	engine *delivery.Engine
	logger *slog.Logger
	ctx    context.Context // ends with stop
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	follows map[event.Partition]*delivery.Tail
	drivers map[handoff.Key]chan struct{} // told when the cursor changed
}

func newRunner(engine *delivery.Engine, logger *slog.Logger) *runner {
	ctx, cancel := context.WithCancel(context.Background())
	return &runner{
		engine: engine, logger: logger, ctx: ctx, cancel: cancel,
		follows: make(map[event.Partition]*delivery.Tail),
		drivers: make(map[handoff.Key]chan struct{}),
	}
}

// grown tells that a partition's log has grown.
func (r *runner) grown(p event.Partition, head uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if tail := r.follows[p]; tail != nil {
		tail.Grow(head)
		return
	}
	if r.closed {
		return
	}
	tail := delivery.NewTail(head)
	r.follows[p] = tail
	r.wg.Go(func() { r.follow(p, tail) })
}

// follow keeps a partition's follow loop going until the tail is delivered.
func (r *runner) follow(p event.Partition, tail *delivery.Tail) {
	for failures := 0; ; {
		head := tail.Head()
		err := r.engine.Follow(r.ctx, p, tail)
		if err == nil {
			failures = 0
		} else if r.ctx.Err() == nil {
			failures++
			r.logger.Error("follow loop failed; it goes on from the record", "tenant", p.Tenant, "lane", p.Lane, "error", err)
			r.pause(failures, nil)
		}
		r.mu.Lock()
		if r.ctx.Err() != nil || err == nil && tail.Head() == head {
			delete(r.follows, p)
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
	}
}

// drive tells that cursors are due, or have changed.
func (r *runner) drive(keys ...handoff.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range keys {
		if changed := r.drivers[k]; changed != nil {
			select {
			case changed <- struct{}{}:
			default:
			}
			continue
		}
		if r.closed {
			return
		}
		changed := make(chan struct{}, 1)
		r.drivers[k] = changed
		r.wg.Go(func() { r.driveOne(k, changed) })
	}
}

// driveOne advances a cursor until nobody needs to drive it.
func (r *runner) driveOne(k handoff.Key, changed chan struct{}) {
	said := ""
	for failures := 0; ; {
		step, err := r.engine.Advance(r.ctx, k)
		switch {
		case r.ctx.Err() != nil:
			r.mu.Lock()
			delete(r.drivers, k)
			r.mu.Unlock()
			return
		case err != nil:
			failures++
			if said != err.Error() { // once, however long it goes on
				said = err.Error()
				r.logger.Error("catch-up step failed; it is tried again", "tenant", k.Tenant, "integration", k.Integration, "lane", k.Lane, "error", err)
			}
			r.pause(failures, changed)
		case step.Done:
			r.mu.Lock()
			if len(changed) == 0 {
				delete(r.drivers, k)
				r.mu.Unlock()
				return
			}
			r.mu.Unlock()
			<-changed
		default:
			failures, said = 0, ""
			r.sleep(step.Wait, changed)
		}
	}
}

// pause waits after an error of our own, longer each time, up to 30 s.
func (r *runner) pause(failures int, changed <-chan struct{}) {
	r.sleep(min(100*time.Millisecond<<min(failures, 10), 30*time.Second), changed)
}

func (r *runner) sleep(d time.Duration, changed <-chan struct{}) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-changed:
	case <-r.ctx.Done():
	}
}

// stop ends everything in good order and returns when nothing runs any more.
func (r *runner) stop() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.cancel()
	r.wg.Wait()
	r.engine.Wait()
}
