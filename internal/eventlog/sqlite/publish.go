package sqlite

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/sqlitedb"
)

// A segment has at most so many events, of about so many bytes of bodies.
const (
	segmentEvents = 1000
	segmentBytes  = 4 << 20
)

// batchBytes is about how much is published in one operation of the writer.
const batchBytes = 16 << 20

// batch is the publishes that one operation of the writer takes together.
type batch struct {
	calls []publication
	bytes int
	done  chan struct{}
	err   error // valid once done is closed
}

type publication struct {
	ctx    context.Context
	tenant string
	lanes  int
	drafts []event.Draft
}

// Publish stamps the drafts with the current time, or the time of the latest
// event if the clock is behind it, and appends them to their lanes, in their
// order. When it returns without an error they are durable; after an error none
// is, except that after the end of the context they may be. The drafts must not
// be written to afterwards.
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

// Ready goes the way of a publish, with no events: an error says that a publish
// would fail now. It writes to the disk.
func (l *Log) Ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return l.db.Problem(err)
	}
	return l.share(ctx, publication{ctx: ctx}, 0)
}

// share has a publication written with those that wait for the writer, and
// waits for their outcome.
func (l *Log) share(ctx context.Context, call publication, size int) error {
	b, created := l.join(call, size)
	if created {
		var c *change
		op := &sqlitedb.Op{
			Bytes: size,
			Run:   func(tx *sqlitedb.Tx) (err error) { c, err = l.flush(tx, b); return err },
			Done:  func(err error) { l.finishChange(c, err); l.end(b, err) },
		}
		// The batch is not this caller's alone, so it does not end with its context.
		if err := l.db.Submit(context.WithoutCancel(ctx), op); err != nil {
			l.end(b, err)
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
// new one, which the caller has to submit.
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

// seal keeps further publishes out of a batch and returns those in it.
func (l *Log) seal(b *batch) []publication {
	l.publishing.Lock()
	defer l.publishing.Unlock()
	if l.batch == b {
		l.batch = nil
	}
	return b.calls
}

// end tells the callers of a batch its outcome. Its operation may have ended
// before it ran, and the batch is then still open: it is sealed here too, or
// every later publish would join it and be told of an error that is over.
func (l *Log) end(b *batch, err error) {
	l.seal(b)
	b.err = err
	close(b.done)
}

// flush appends a batch: for each partition one segment, or more if it is large.
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

// probe writes a segment of 64 KiB, which needs the room on the disk that a publish
// needs, takes it away again, and leaves something for the commit to write.
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

// run is the events of one partition in a batch.
type run struct {
	partition event.Partition
	events    []event.Event
}

// stamp makes events of the drafts, all with the same time.
func (l *Log) stamp(calls []publication) []run {
	now := l.now()
	l.last = max(l.last, now.UnixMilli())
	at := timeOf(l.last)
	l.compare(now, at)
	var runs []run
	places := map[event.Partition]int{}
	for _, call := range calls {
		if call.ctx.Err() != nil {
			continue // its caller is told so
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

// Stamps that are so far ahead of the clock are told of, so often at most.
const (
	farAhead  = time.Minute
	tellEvery = time.Hour
)

// compare tells of stamps that are far ahead of the clock: it was, and stamps
// never go back.
func (l *Log) compare(now, stamp time.Time) {
	if l.onAhead == nil || stamp.Sub(now) <= farAhead || now.Sub(l.told).Abs() < tellEvery {
		return
	}
	l.told = now
	l.onAhead(stamp.Sub(now))
}

// segmentLength is how many of the events fit a segment, at least one.
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
