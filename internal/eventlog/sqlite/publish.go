package sqlite

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/sqlitedb"
)

// batchBytes is the approximate limit of one operation of the writer, about what it commits
// at a time. A larger call is written in several.
const batchBytes = 64 << 10

// batch holds the publishes that one operation of the writer commits together: those of
// one tenant's token, or of platform tokens, whose events are of many tenants.
type batch struct {
	tenant string // whose turn it takes, and of the drafts that name none; "" of platform tokens
	calls  []publication
	bytes  int
	done   chan struct{}
	err    error // valid once done is closed
}

// publication is a call, or a part of one, for one batch.
type publication struct {
	ctx    context.Context // kept as the writer stamps later, and only for callers that still wait
	lanes  event.Lanes
	drafts []event.Draft
	once   *once // unless nil, the call is done once,
	from   int   // and these are its drafts after so many
	with   With  // unless nil, what the transaction does besides
}

// With is a part of the transaction that publishes. If it returns false, nothing is
// published.
type With func(tx *sqlitedb.Tx) (bool, error)

// PublishWith is Publish of drafts that fit into one operation of the writer, about 64 KiB.
// They are published together with what else the transaction does, or not at all.
func (l *Log) PublishWith(ctx context.Context, tenant string, lanes event.Lanes, drafts []event.Draft, with With) error {
	if n, _ := partOf(drafts); n < len(drafts) {
		return problem.New(problem.Internal, "%d of %d events fit into a transaction", n, len(drafts))
	}
	if err := l.checkPublish(ctx); err != nil {
		return err
	}
	parts, err := l.submit(publication{ctx: ctx, lanes: lanes, with: with}, tenant, drafts)
	if err != nil {
		return err
	}
	return l.wait(ctx, parts...)
}

// Publish stamps the drafts with the current time, or with the time of the latest event
// if the clock is behind it, and appends them to the lanes of their tenants in order. If it returns nil,
// they are durable. After an error none is, unless the context ended or the call has more
// than batchBytes: then some may be. The drafts must not be modified afterwards.
func (l *Log) Publish(ctx context.Context, tenant string, lanes event.Lanes, drafts []event.Draft) error {
	if err := l.checkPublish(ctx); err != nil {
		return err
	}
	parts, err := l.submit(publication{ctx: ctx, lanes: lanes}, tenant, drafts)
	if err != nil {
		return err
	}
	return l.wait(ctx, parts...)
}

// checkPublish returns an error if nothing can be published for the context now.
func (l *Log) checkPublish(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return l.db.Problem(err)
	}
	return l.allowed()
}

// submit gives the drafts of a call to the writer, in parts. After an error it returns the
// parts before it.
func (l *Log) submit(call publication, tenant string, drafts []event.Draft) (parts []*batch, err error) {
	for len(drafts) > 0 {
		n, size := partOf(drafts)
		call.drafts = drafts[:n:n]
		if call.once != nil {
			size += onceBytes
		}
		b, err := l.share(tenant, call, size)
		if err != nil {
			return parts, err
		}
		parts = append(parts, b)
		drafts, call.from = drafts[n:], call.from+n
	}
	return parts, nil
}

// partOf returns how many of the drafts fit into a batch, at least one, and their size.
func partOf(drafts []event.Draft) (n, size int) {
	for n = range drafts {
		more := len(drafts[n].Payload) + eventOverhead
		if n > 0 && size+more > batchBytes {
			return n, size
		}
		size += more
	}
	return len(drafts), size
}

// Ready takes the path of a publish without events, and writes to the disk. It returns
// an error if a publish would fail now.
func (l *Log) Ready(ctx context.Context) error {
	if err := l.checkPublish(ctx); err != nil {
		return err
	}
	b, err := l.share("", publication{ctx: ctx}, 0)
	if err != nil {
		return err
	}
	return l.wait(ctx, b)
}

// wait waits until all batches are done, and returns the first error. It is an error too if
// ctx has ended by then: the writer may have left out the call.
func (l *Log) wait(ctx context.Context, batches ...*batch) error {
	var failed error
	for _, b := range batches {
		select {
		case <-b.done:
		case <-ctx.Done():
			return l.db.Problem(ctx.Err())
		}
		if failed == nil {
			failed = b.err
		}
	}
	if failed == nil {
		failed = l.db.Problem(ctx.Err())
	}
	return failed
}

// share adds a publication to the tenant's batch that waits for the writer, or to a new
// one that it submits.
func (l *Log) share(tenant string, call publication, size int) (*batch, error) {
	l.publishing.Lock()
	defer l.publishing.Unlock()
	b := l.batches[tenant]
	if b != nil && b.bytes+size <= batchBytes {
		b.calls = append(b.calls, call)
		b.bytes += size
		return b, nil
	}
	b = &batch{tenant: tenant, calls: []publication{call}, bytes: size, done: make(chan struct{})}
	var c *change
	op := &sqlitedb.Op{
		Turn: sqlitedb.Turn{Tenant: tenant, Class: sqlitedb.Urgent},
		Seal: func() int { return l.seal(b) },
		Run:  func(tx *sqlitedb.Tx) (err error) { c, err = l.flush(tx, b); return err },
		Done: func(err error) { l.finishChange(c, err); b.err = err; close(b.done) },
	}
	// Other callers share the batch, so it must not end with this caller's context. It
	// is submitted under the lock, so that the parts of a call are queued in order.
	if err := l.db.Submit(context.WithoutCancel(call.ctx), op); err != nil {
		return nil, err
	}
	l.batches[tenant] = b
	return b, nil
}

// seal closes a batch to further publishes and returns its size.
func (l *Log) seal(b *batch) int {
	l.publishing.Lock()
	defer l.publishing.Unlock()
	if l.batches[b.tenant] == b {
		delete(l.batches, b.tenant)
	}
	return b.bytes
}

// flush appends a sealed batch: one segment per lane.
func (l *Log) flush(tx *sqlitedb.Tx, b *batch) (*change, error) {
	runs, err := l.stamp(tx, b)
	c := l.newChange(len(runs))
	if err != nil {
		return c, err
	}
	if len(runs) == 0 {
		return c, probe(tx)
	}
	for _, run := range runs {
		if _, err := l.append(tx, c, run.partition, run.events); err != nil {
			return c, err
		}
	}
	return c, l.stage(tx, c)
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

// stamp turns the drafts into events, all with the same time. Of a call that is done once it
// notes what will be written.
func (l *Log) stamp(tx *sqlitedb.Tx, b *batch) ([]run, error) {
	now := l.now()
	l.last = max(l.last, now.UnixMilli())
	at := timeOf(l.last)
	l.warnAhead(now, at)
	var runs []run
	places := map[event.Partition]int{}
	for _, call := range b.calls {
		if call.ctx.Err() != nil {
			continue // its caller gets the context's error
		}
		if call.once != nil {
			if ok, err := call.once.note(tx, call.from, call.from+len(call.drafts), now); err != nil {
				return nil, err
			} else if !ok {
				continue
			}
		}
		if call.with != nil {
			if ok, err := call.with(tx); err != nil {
				return nil, err
			} else if !ok {
				continue
			}
		}
		for _, d := range call.drafts {
			e := d.Stamp(b.tenant, at)
			p := call.lanes.PartitionOf(e.Tenant, e.ID)
			i, ok := places[p]
			if !ok {
				i = len(runs)
				places[p] = i
				runs = append(runs, run{partition: p})
			}
			runs[i].events = append(runs[i].events, e)
		}
	}
	return runs, nil
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
