package producer

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/sluicehq/sluice/internal/event"
)

// call is one Publish.
type call struct {
	mu      sync.Mutex
	waiting int // events of which nothing is known yet
	failed  []int
	cause   error
	done    chan struct{} // closed when none is waiting
}

// settle notes what became of an event: err is nil if the stream accepted it.
func (c *call) settle(index int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.failed, c.cause = append(c.failed, index), err
	}
	if c.waiting--; c.waiting == 0 {
		close(c.done)
	}
}

// err returns the call's error, once done is closed.
func (c *call) err() error {
	if len(c.failed) == 0 {
		return nil
	}
	slices.Sort(c.failed)
	return &NotAcceptedError{Indices: c.failed, Err: c.cause}
}

// run puts what is pending, in batches, until the producer is closed and nothing is.
func (p *Producer) run() {
	defer close(p.ended)
	var putting sync.WaitGroup
	defer putting.Wait()
	for {
		closing := p.await()
		p.places <- struct{}{}
		batch := p.take()
		if len(batch) == 0 {
			<-p.places
			if closing {
				return
			}
			continue
		}
		putting.Go(func() {
			defer func() { <-p.places }()
			p.put(batch)
		})
	}
}

// await returns when there is a batch to put: a while after its first event, or when it is
// full. It reports whether the producer is being closed.
func (p *Producer) await() (closing bool) {
	select {
	case <-p.closing:
		return true
	case <-p.filled:
	}
	timer := time.NewTimer(linger)
	defer timer.Stop()
	for !p.full() {
		select {
		case <-p.closing:
			return true
		case <-timer.C:
			return false
		case <-p.filled:
		}
	}
	return false
}

func (p *Producer) full() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bytes >= batchBytes
}

// take removes a batch from what is pending.
func (p *Producer) take() []pending {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, size := 0, 0
	for n < len(p.pending) && size < batchBytes {
		size += len(p.pending[n].draft.Payload)
		n++
	}
	batch := slices.Clone(p.pending[:n])
	p.pending, p.bytes = slices.Delete(p.pending, 0, n), p.bytes-size
	if len(p.pending) > 0 {
		p.signal()
	}
	return batch
}

// put puts a batch, and settles its events.
func (p *Producer) put(batch []pending) {
	before := p.clock.shift()
	left, err := p.stamped(batch)
	if len(left) > 0 && p.clock.shift() != before { // the stream refused the clock's time
		again := make([]pending, len(left))
		for i, at := range left {
			again[i] = batch[at]
		}
		settleOthers(batch, left)
		batch = again
		left, err = p.stamped(batch)
	}
	settleOthers(batch, left)
	for _, at := range left {
		batch[at].call.settle(batch[at].index, err)
	}
}

// stamped stamps the events with the current time and puts them. It returns the indices of
// those that the stream did not accept.
func (p *Producer) stamped(batch []pending) ([]int, error) {
	events, now := make([]event.Event, len(batch)), p.clock.now()
	for i := range batch {
		events[i] = batch[i].draft.Stamp("", now)
	}
	// Whatever lanes a tenant has, the first one is among them.
	return p.stream.PutEvents(context.Background(), event.Lanes{Each: 1}, events)
}

// settleOthers settles the events that are not left: the stream has accepted them.
func settleOthers(batch []pending, left []int) {
	for i := range batch {
		if _, found := slices.BinarySearch(left, i); !found {
			batch[i].call.settle(batch[i].index, nil)
		}
	}
}
