package streampoller

import (
	"context"
	"time"
)

// maxPayload limits the payload of an invocation:
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html.
const maxPayload = 6291556

// lane delivers the records of some partition keys of a shard, one batch at a
// time.
type lane struct {
	reader *reader
	number int
	more   chan struct{} // signalled when a record is added

	queue []*record // under the poller's lock
	since time.Time // arrival of the first record in the queue; guarded by the poller's lock
}

// put adds a record. The caller holds the poller's lock.
func (l *lane) put(rec *record, now time.Time) {
	if len(l.queue) == 0 {
		l.since = now
	}
	l.queue = append(l.queue, rec)
	signal(l.more)
}

func (l *lane) run(ctx context.Context) {
	for {
		batch := l.next(ctx)
		if batch == nil {
			return
		}
		l.deliver(ctx, batch)
	}
}

// next waits for a batch; it returns nil when the poller stops.
func (l *lane) next(ctx context.Context) []*record {
	for {
		batch, wait := l.ready()
		if ctx.Err() != nil {
			return nil
		}
		if batch != nil {
			return batch
		}
		timer := time.NewTimer(wait)
		select {
		case <-l.more:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// ready takes a batch off the queue if it is full or has waited long enough.
// Otherwise it returns how long to wait at most.
func (l *lane) ready() ([]*record, time.Duration) {
	p := l.reader.poller
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(l.queue) == 0 {
		return nil, time.Hour
	}
	n, full := l.fits(l.queue, 0)
	wait := p.options.BatchingWindow - time.Since(l.since)
	if !full && wait > 0 {
		return nil, wait
	}
	return l.cut(n), 0
}

// fits returns how many of the records fit into a partly filled batch, and whether
// that makes it full.
func (l *lane) fits(records []*record, already int, sizes ...int) (int, bool) {
	size := len(emptyFrame)
	for _, s := range sizes {
		size += s + 1
	}
	for n, rec := range records {
		if already+n >= l.reader.poller.options.BatchSize {
			return n, true
		}
		size += len(rec.event) + 1
		if size > maxPayload && already+n > 0 {
			return n, true
		}
	}
	return len(records), already+len(records) >= l.reader.poller.options.BatchSize
}

// cut takes the first n off the queue.
func (l *lane) cut(n int) []*record {
	batch := l.queue[:n:n]
	l.queue = l.queue[n:]
	l.since = time.Now()
	return batch
}

// extend returns the records plus those after them that still fit into a batch.
func (l *lane) extend(records []*record) []*record {
	l.reader.poller.mu.Lock()
	defer l.reader.poller.mu.Unlock()
	sizes := make([]int, len(records))
	for i, rec := range records {
		sizes[i] = len(rec.event)
	}
	n, _ := l.fits(l.queue, len(records), sizes...)
	return append(records[:len(records):len(records)], l.cut(n)...)
}
