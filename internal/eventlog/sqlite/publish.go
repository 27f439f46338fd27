package sqlite

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/sqlitedb"
)

// The limits of a segment: its events, and approximately the bytes of their bodies.
const (
	segmentEvents = 1000
	segmentBytes  = 4 << 20
)

// batchBytes is the approximate limit of one operation of the writer.
const batchBytes = 16 << 20

// batch holds the publishes that one operation of the writer commits together.
type batch struct {
	calls []publication
	bytes int
	done  chan struct{}
	err   error // valid once done is closed
}

type publication struct {
	ctx    context.Context // kept as the writer stamps later, and only for callers that still wait
	tenant string
	lanes  int
	drafts []event.Draft
}

// Publish stamps the drafts with the current time, or with the time of the latest event
// if the clock is behind it, and appends them to their lanes in order. If it returns nil,
// they are durable. After an error none is, unless the context ended: then they may be.
// The drafts must not be modified afterwards.
func (l *Log) Publish(ctx context.Context, tenant string, lanes int, drafts []event.Draft) error {
	if err := ctx.Err(); err != nil {
		return l.db.Problem(err)
	}
	if len(drafts) == 0 {
		return nil
	}
	size := 0
	for i := range drafts {
		size += len(drafts[i].Payload)
	}
	return l.share(ctx, publication{ctx, tenant, lanes, drafts}, size)
}

// Ready takes the path of a publish without events, and writes to the disk. It returns
// an error if a publish would fail now.
func (l *Log) Ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return l.db.Problem(err)
	}
	return l.share(ctx, publication{ctx: ctx}, 0)
}

// share adds a publication to the batch that waits for the writer, and waits for the
// outcome.
func (l *Log) share(ctx context.Context, call publication, size int) error {
	b, created := l.join(call, size)
	if created {
		var c *change
		op := &sqlitedb.Op{
			Bytes: size,
			Run:   func(tx *sqlitedb.Tx) (err error) { c, err = l.flush(tx, b); return err },
			Done:  func(err error) { l.finishChange(c, err); l.finishBatch(b, err) },
		}
		// Other callers share the batch, so it must not end with this caller's context.
		if err := l.db.Submit(context.WithoutCancel(ctx), op); err != nil {
			l.finishBatch(b, err)
		}
	}
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		return l.db.Problem(ctx.Err())
	}
}

// join adds a publication to the batch that is waiting for the writer, or to a
// new one, which the caller must submit.
func (l *Log) join(call publication, size int) (b *batch, created bool) {
	l.publishing.Lock()
	defer l.publishing.Unlock()
	if l.batch == nil || l.batch.bytes+size > batchBytes {
		l.batch = &batch{done: make(chan struct{})}
		created = true
	}
	b = l.batch
	b.calls = append(b.calls, call)
	b.bytes += size
	return b, created
}

// seal closes a batch to further publishes and returns those in it.
func (l *Log) seal(b *batch) []publication {
	l.publishing.Lock()
	defer l.publishing.Unlock()
	if l.batch == b {
		l.batch = nil
	}
	return b.calls
}

// finishBatch reports the outcome to the callers of a batch. If the operation failed
// before it ran, the batch is still open. So finishBatch seals it too: otherwise every
// later publish would join it and get its old error.
func (l *Log) finishBatch(b *batch, err error) {
	l.seal(b)
	b.err = err
	close(b.done)
}

// flush appends a batch: one segment per partition, or several if it is large.
func (l *Log) flush(tx *sqlitedb.Tx, b *batch) (*change, error) {
	c := &change{states: map[event.Partition]state{}}
	runs := l.stamp(l.seal(b))
	if len(runs) == 0 {
		return c, probe(tx)
	}
	for _, run := range runs {
		for rest := run.events; len(rest) > 0; {
			n := segmentLength(rest)
			l.buffer = eventlog.AppendSegment(l.buffer[:0], rest[:n])
			if _, err := l.append(tx, c, run.partition, rest[:n:n], l.buffer); err != nil {
				return c, err
			}
			rest = rest[n:]
		}
	}
	l.stage(c)
	return c, nil
}

// probe writes and deletes a segment of 64 KiB, which needs as much disk space as a
// publish, and leaves something for the commit to write.
func probe(tx *sqlitedb.Tx) error {
	for _, statement := range []string{
		"INSERT INTO segments (id, first_ms, last_ms, events, before, data) VALUES (-1, 0, 0, 0, 0, zeroblob(65536))",
		"DELETE FROM segments WHERE id = -1",
		"INSERT INTO probes (id, written) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET written = written + 1",
	} {
		if _, err := tx.Exec(statement); err != nil {
			return err
		}
	}
	return nil
}

// run holds the events of one partition in a batch.
type run struct {
	partition event.Partition
	events    []event.Event
}

// stamp turns the drafts into events, all with the same time.
func (l *Log) stamp(calls []publication) []run {
	now := l.now()
	l.last = max(l.last, now.UnixMilli())
	at := timeOf(l.last)
	l.warnAhead(now, at)
	var runs []run
	places := map[event.Partition]int{}
	for _, call := range calls {
		if call.ctx.Err() != nil {
			continue // its caller gets the context's error
		}
		for _, d := range call.drafts {
			p := event.Partition{Tenant: call.tenant, Lane: event.LaneOf(d.ID, call.lanes)}
			i, ok := places[p]
			if !ok {
				i = len(runs)
				places[p] = i
				runs = append(runs, run{partition: p})
			}
			runs[i].events = append(runs[i].events, d.Stamp(call.tenant, at))
		}
	}
	return runs
}

const (
	farAhead  = time.Minute // how far stamps must be ahead of the clock for a warning
	warnEvery = time.Hour   // the minimum time between warnings
)

// warnAhead calls onAhead if the stamp is far ahead of the clock: the clock was ahead
// before, and stamps never decrease.
func (l *Log) warnAhead(now, stamp time.Time) {
	if l.onAhead == nil || stamp.Sub(now) <= farAhead || now.Sub(l.warned).Abs() < warnEvery {
		return
	}
	l.warned = now
	l.onAhead(stamp.Sub(now))
}

// segmentLength returns how many of the events fit into a segment, at least one.
func segmentLength(events []event.Event) int {
	size := 0
	for i := range events {
		size += len(events[i].Body)
		if i > 0 && (i == segmentEvents || size > segmentBytes) {
			return i
		}
	}
	return len(events)
}
