package dynamo

import (
	"context"
	"math/rand/v2"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"

	"github.com/sluicehq/sluice/internal/dynamotable"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/problem"
)

const (
	// inlineBytes is the most data that is stored in an item. A DynamoDB write unit
	// is 1 KB and costs about an eighth of a put to S3. Up to this size an item costs
	// at most twice as much as an object, and saves a round trip for every append and
	// every read.
	inlineBytes = 16 << 10

	// segmentBytes is the approximate limit of the bodies in a segment. A record is
	// never split.
	segmentBytes = 4 << 20
)

// Append implements eventlog.Log. It costs one put while no other process appends to
// the partition, and one more to S3 for a large segment. The first append of a process
// also reads the end of the log, and so does every append while processes take turns.
// Late records cost another put. Records of more than 4 MiB become several segments: if
// Append fails after some of them, the next append resumes there.
func (l *Log) Append(ctx context.Context, p event.Partition, source string, records []eventlog.Record) (uint64, error) {
	if err := ended(ctx); err != nil {
		return 0, err
	}
	// Validate all records before the first is appended: a later chunk is compared with
	// the one before it only as a checkpoint.
	if _, err := (eventlog.Checkpoint{}).After(source, records); err != nil {
		return 0, err
	}
	chunks := chunked(records)
	if len(chunks) == 0 {
		return l.End(ctx, p)
	}
	e, cached := l.ends.get(p, l.Now())
	if !cached {
		var err error
		if e, err = l.readEnd(ctx, p); err != nil {
			return 0, err
		}
	}
	for _, chunk := range chunks {
		var err error
		if e, err = l.appendChunk(ctx, p, e, cached, source, chunk); err != nil {
			return 0, err
		}
		cached = false
	}
	return e.number, nil
}

// chunked splits records into runs of about segmentBytes, each with at least one event.
// It may leave out trailing records without events.
func chunked(records []eventlog.Record) [][]eventlog.Record {
	var chunks [][]eventlog.Record
	start, size, events := 0, 0, 0
	for i := range records {
		bytes := 0
		for j := range records[i].Events {
			bytes += len(records[i].Events[j].Body)
		}
		if events > 0 && size+bytes > segmentBytes {
			chunks = append(chunks, records[start:i])
			start, size, events = i, 0, 0
		}
		size += bytes
		events += len(records[i].Events)
	}
	if events > 0 {
		chunks = append(chunks, records[start:])
	}
	return chunks
}

// appendChunk appends those of the records that the log does not have, as one segment
// after e, and returns the new end. It retries while other processes append. A cached
// end may be stale, so it does not prove that the log has the records.
func (l *Log) appendChunk(ctx context.Context, p event.Partition, e endState, cached bool, source string, records []eventlog.Record) (endState, error) {
	for {
		rest, err := e.checkpoint.After(source, records)
		if err != nil {
			return endState{}, err
		}
		events := eventlog.Events(rest)
		if len(events) == 0 && !cached {
			return e, nil
		}
		if len(events) > 0 {
			next, won, err := l.putSegment(ctx, p, e, e.checkpoint.Advanced(source, rest), events)
			if won || err != nil {
				return next, err
			}
		}
		if e, err = l.readEnd(ctx, p); err != nil {
			return endState{}, err
		}
		cached = false
	}
}

// putSegment puts a segment after e and returns the new end; false if another process
// took the number.
func (l *Log) putSegment(ctx context.Context, p event.Partition, e endState, checkpoint eventlog.Checkpoint, events []event.Event) (endState, bool, error) {
	it, err := l.newItem(p, e, checkpoint, events)
	if err != nil {
		return endState{}, false, err
	}
	if err := l.prepare(ctx, p, e, it); err != nil {
		return endState{}, false, err
	}
	if won, err := l.putItem(ctx, it); !won || err != nil {
		return endState{}, false, err
	}
	next := it.end()
	l.ends.set(p, next, false, l.Now())
	l.recent.add(p, eventlog.Segment{Number: next.number, Events: events}, it.Expires)
	return next, true, nil
}

// prepare writes what must be stored before the item. This is harmless if the item is
// never stored.
func (l *Log) prepare(ctx context.Context, p event.Partition, e endState, it *item) error {
	if len(it.Data) > inlineBytes {
		// The bucket's lifecycle removes an object that has no item.
		packed := it.Data
		it.Data, it.Object = nil, objectKey(p, it.number(), it.Nonce)
		if err := l.putObject(ctx, it.Object, packed); err != nil {
			return err
		}
	}
	if e.number == 0 {
		if err := l.putMarker(ctx, p, 0); err != nil {
			return err
		}
	}
	if l.isLate(e, it) {
		return l.noteLate(ctx, p, it)
	}
	return nil
}

// newItem returns the item of the segment after e, with its events.
func (l *Log) newItem(p event.Partition, e endState, checkpoint eventlog.Checkpoint, events []event.Event) (*item, error) {
	if e.number == maxNumber {
		return nil, problem.New(problem.Internal, "lane %d of tenant %q is full", p.Lane, p.Tenant)
	}
	packed, err := pack(events)
	if err != nil {
		return nil, problem.Wrap(err, problem.Internal, "segment %d in lane %d of tenant %q cannot be stored", e.number+1, p.Lane, p.Tenant)
	}
	it := &item{
		key: segmentKey(p, e.number+1), Source: checkpoint.Source, Sequence: checkpoint.Sequence, Nonce: rand.Uint64(), Data: packed,
		// Segments expire in the order of their numbers, whatever the clocks of the writers.
		Expires: max(l.Now().Add(l.Keep).Unix()+1, e.expires),
	}
	it.describe(events)
	it.countAfter(e.count)
	it.Last = max(it.Last, e.last) // late records are older than those before them: see Seek
	return it, nil
}

// putItem puts an item unless its number is taken. If the stored item is this one, the
// SDK has retried a put whose response was lost.
func (l *Log) putItem(ctx context.Context, it *item) (bool, error) {
	written, stored, err := l.put(ctx, l.Segments, it, expression.Name(dynamotable.PK).AttributeNotExists())
	if written || err != nil {
		return written, err
	}
	var there item
	err = decode(stored, &there)
	return there.Nonce == it.Nonce, err
}
