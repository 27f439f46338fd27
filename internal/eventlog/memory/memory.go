// Package memory implements the log in memory, as a fake for tests. It keeps every
// promise of the port but stores nothing durably.
package memory

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/idempotency"
	"github.com/sluicehq/sluice/internal/problem"
)

// Log implements eventlog.Log in maps.
type Log struct {
	now func() time.Time

	mu         sync.Mutex
	onAppend   func(p event.Partition, end uint64)
	last       time.Time // no event gets an earlier stamp
	partitions map[event.Partition]*partition
	keys       map[[2]string]keyed // of calls that are done once, by tenant and name
}

type keyed struct {
	body idempotency.Digest
	seed idempotency.Seed
}

type partition struct {
	trimmed     uint64 // the number of the last trimmed segment
	segments    []eventlog.Segment
	checkpoints map[string]eventlog.Checkpoint // by source
}

func (p *partition) end() uint64 { return p.trimmed + uint64(len(p.segments)) }

// New returns an empty log. now is the clock for stamps.
func New(now func() time.Time) *Log {
	return &Log{now: now, partitions: map[event.Partition]*partition{}, keys: map[[2]string]keyed{}}
}

var _ eventlog.Log = (*Log)(nil)

// OnAppend sets the function that is called after every append, without a lock held.
// Call OnAppend before the log is used.
func (l *Log) OnAppend(f func(p event.Partition, end uint64)) { l.onAppend = f }

// Append implements eventlog.Log.
func (l *Log) Append(ctx context.Context, p event.Partition, source string, records []eventlog.Record) (uint64, error) {
	if err := l.lock(ctx); err != nil {
		return 0, err
	}
	part := l.partition(p)
	rest, err := part.checkpoints[source].After(source, records)
	events := eventlog.Events(rest)
	if err != nil || len(events) == 0 {
		defer l.mu.Unlock()
		return part.end(), err
	}
	n := l.append(part, events)
	part.checkpoints[source] = part.checkpoints[source].Advanced(source, rest)
	l.mu.Unlock()
	l.appended(p, n)
	return n, nil
}

// Publish stamps the drafts with the current time, or with the time of the latest event
// if the clock is behind it, and appends them to the lanes of their tenants. If it returns nil, all are
// in the log; after an error none is.
func (l *Log) Publish(ctx context.Context, tenant string, lanes event.Lanes, drafts []event.Draft) error {
	if err := l.lock(ctx); err != nil {
		return err
	}
	at := l.now()
	if at.Before(l.last) {
		at = l.last
	}
	byPartition := map[event.Partition][]event.Event{}
	for _, d := range drafts {
		e := d.Stamp(tenant, at)
		p := lanes.PartitionOf(e.Tenant, e.ID)
		byPartition[p] = append(byPartition[p], e)
	}
	ends := map[event.Partition]uint64{}
	for p, events := range byPartition {
		ends[p] = l.append(l.partition(p), events)
	}
	l.mu.Unlock()
	for p, end := range ends {
		l.appended(p, end)
	}
	return nil
}

// PublishOnce is Publish for a call that is done once. Keys do not expire.
func (l *Log) PublishOnce(ctx context.Context, key idempotency.Key, lanes event.Lanes, drafts []event.Draft) error {
	name := [2]string{key.Tenant, key.Name}
	l.mu.Lock()
	known, found := l.keys[name]
	if !found {
		known.body = key.Body
		known.seed, _ = idempotency.NewSeed() // random bytes alone are made
		l.keys[name] = known
	}
	l.mu.Unlock()
	if known.body != key.Body {
		return idempotency.Mismatch()
	}
	known.seed.Fill(drafts)
	if found {
		return nil
	}
	return l.Publish(ctx, key.Tenant, lanes, drafts)
}

// Trim drops the segments whose events are all older than the given time.
func (l *Log) Trim(before time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.partitions {
		for len(p.segments) > 0 && !slices.ContainsFunc(p.segments[0].Events, func(e event.Event) bool { return !e.PublishedAt.Before(before) }) {
			p.segments = p.segments[1:]
			p.trimmed++
		}
	}
}

// Damage makes a segment one that can never be read.
func (l *Log) Damage(p event.Partition, number uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	part := l.partition(p)
	seg := &part.segments[number-part.trimmed-1]
	d := &eventlog.Damage{Err: problem.New(problem.Internal, "segment %d is damaged", number), Events: len(seg.Events)}
	for i := range seg.Events {
		at := seg.Events[i].PublishedAt
		if i == 0 || at.Before(d.First) {
			d.First = at
		}
		if at.After(d.Last) {
			d.Last = at
		}
	}
	seg.Damage = d
}

// Read implements eventlog.Log.
func (l *Log) Read(ctx context.Context, p event.Partition, after uint64, maxBytes int) ([]eventlog.Segment, error) {
	if err := l.lock(ctx); err != nil {
		return nil, err
	}
	defer l.mu.Unlock()
	part := l.partition(p)
	if after >= part.end() || len(part.segments) == 0 {
		return nil, nil
	}
	rest := part.segments[max(after, part.trimmed)-part.trimmed:]
	n, size := 1, rest[0].Bytes()
	for n < len(rest) && size+rest[n].Bytes() <= maxBytes {
		size += rest[n].Bytes()
		n++
	}
	segments := slices.Clone(rest[:n])
	for i := range segments {
		if segments[i].Damage != nil {
			segments[i].Events = nil
		}
	}
	return segments, nil
}

// End implements eventlog.Log.
func (l *Log) End(ctx context.Context, p event.Partition) (uint64, error) {
	if err := l.lock(ctx); err != nil {
		return 0, err
	}
	defer l.mu.Unlock()
	return l.partition(p).end(), nil
}

// After implements eventlog.Log.
func (l *Log) After(ctx context.Context, p event.Partition, number uint64) (eventlog.Rest, error) {
	if err := l.lock(ctx); err != nil {
		return eventlog.Rest{}, err
	}
	defer l.mu.Unlock()
	var rest eventlog.Rest
	for _, seg := range l.partition(p).segments {
		after := seg.Number > number
		if after && rest.Next == 0 {
			rest.Next, rest.First = seg.Number, seg.Events[0].PublishedAt
		}
		for i := range seg.Events {
			at := seg.Events[i].PublishedAt
			if at.After(rest.Last) {
				rest.Last = at
			}
			if seg.Number == rest.Next && at.Before(rest.First) {
				rest.First = at
			}
		}
		if after {
			rest.Events += len(seg.Events)
			rest.Bytes += int64(seg.Bytes())
		}
	}
	return rest, nil
}

// Seek implements eventlog.Log.
func (l *Log) Seek(ctx context.Context, p event.Partition, t time.Time) (uint64, error) {
	if err := l.lock(ctx); err != nil {
		return 0, err
	}
	defer l.mu.Unlock()
	part := l.partition(p)
	for i := range part.segments {
		if slices.ContainsFunc(part.segments[i].Events, func(e event.Event) bool { return !e.PublishedAt.Before(t) }) {
			return part.segments[i].Number - 1, nil
		}
	}
	return part.end(), nil
}

// OffsetForTime implements eventlog.Log. The offset is final once the clock is past t:
// Publish stamps everything from then on later.
func (l *Log) OffsetForTime(ctx context.Context, p event.Partition, t time.Time) (uint64, bool, error) {
	if err := l.lock(ctx); err != nil {
		return 0, false, err
	}
	defer l.mu.Unlock()
	final := l.now().After(t)
	if next := t.Truncate(time.Millisecond).Add(time.Millisecond); final && l.last.Before(next) {
		l.last = next
	}
	part := l.partition(p)
	for _, seg := range slices.Backward(part.segments) {
		if slices.ContainsFunc(seg.Events, func(e event.Event) bool { return !e.PublishedAt.After(t) }) {
			return seg.Number, final, nil
		}
	}
	return part.trimmed, final, nil
}

// lock locks the log, unless the context has ended.
func (l *Log) lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return problem.Wrap(err, problem.Unavailable, "The request ended before the log was reached. Try again.")
	}
	l.mu.Lock()
	return nil
}

func (l *Log) partition(p event.Partition) *partition {
	part := l.partitions[p]
	if part == nil {
		part = &partition{checkpoints: map[string]eventlog.Checkpoint{}}
		l.partitions[p] = part
	}
	return part
}

func (l *Log) append(part *partition, events []event.Event) uint64 {
	for i := range events {
		if at := events[i].PublishedAt; at.After(l.last) {
			l.last = at
		}
	}
	n := part.end() + 1
	part.segments = append(part.segments, eventlog.Segment{Number: n, Events: events})
	return n
}

func (l *Log) appended(p event.Partition, end uint64) {
	if l.onAppend != nil {
		l.onAppend(p, end)
	}
}
