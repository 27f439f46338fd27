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
	// inlineBytes is the most that is stored in the item. A write unit of
	// DynamoDB is 1 KB and costs about an eighth of a put to S3, and S3 takes
	// longer: up to twice the price of the object, the item saves a round trip
	// in the hot path, and another for every read.
	inlineBytes = 16 << 10

	// segmentBytes is about how many bytes of bodies a segment has at most. A
	// record is not split.
	segmentBytes = 4 << 20
)

// Append implements eventlog.Log. It costs one put while no other process appends
// to the partition, and for a large segment one more to S3. The first append of a
// process reads the head before, and so does each while processes take turns;
// records that were put back cost another put. Records of more than 4 MiB become
// several segments: if it fails after some of them, the next append resumes there.
func (l *Log) Append(ctx context.Context, p event.Partition, source string, records []eventlog.Record) (uint64, error) {
	if err := ended(ctx); err != nil {
		return 0, err
	}
	// Of all records before the first is appended: a later chunk is compared with
	// the one before it only as what the log already has.
	if _, err := (eventlog.Checkpoint{}).After(source, records); err != nil {
		return 0, err
	}
	chunks := chunked(records)
	if len(chunks) == 0 {
		return l.End(ctx, p)
	}
	h, cached := l.ends.get(p, l.Now())
	if !cached {
		var err error
		if h, err = l.readEnd(ctx, p); err != nil {
			return 0, err
		}
	}
	for _, chunk := range chunks {
		var err error
		if h, err = l.appendChunk(ctx, p, h, cached, source, chunk); err != nil {
			return 0, err
		}
		cached = false
	}
	return h.number, nil
}

// chunked splits records into runs of about segmentBytes, each with an event at
// least. Records without events at the end may be left out.
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

// appendChunk appends after the head, as one segment, those of the records that
// the log does not have, and returns the new head. It retries while other
// processes append. A cached head may be stale: it does not show that the log has
// the records.
func (l *Log) appendChunk(ctx context.Context, p event.Partition, h endState, cached bool, source string, records []eventlog.Record) (endState, error) {
	for {
		rest, err := h.checkpoint.After(source, records)
		if err != nil {
			return endState{}, err
		}
		events := eventlog.Events(rest)
		if len(events) == 0 && !cached {
			return h, nil
		}
		if len(events) > 0 {
			next, won, err := l.putSegment(ctx, p, h, h.checkpoint.Advanced(source, rest), events)
			if won || err != nil {
				return next, err
			}
		}
		if h, err = l.readEnd(ctx, p); err != nil {
			return endState{}, err
		}
		cached = false
	}
}

// putSegment puts a segment after the head and returns the new head; false if
// another process took the number.
func (l *Log) putSegment(ctx context.Context, p event.Partition, h endState, mark eventlog.Checkpoint, events []event.Event) (endState, bool, error) {
	it, err := l.newItem(p, h, mark, events)
	if err != nil {
		return endState{}, false, err
	}
	if err := l.prepare(ctx, p, h, it); err != nil {
		return endState{}, false, err
	}
	if won, err := l.putItem(ctx, it); !won || err != nil {
		return endState{}, false, err
	}
	next := it.head()
	l.ends.set(p, next, false, l.Now())
	l.recent.add(p, eventlog.Segment{Number: next.number, Events: events}, it.Expires)
	return next, true, nil
}

// prepare writes what must be stored before the item is. It does no harm if the
// item is never stored.
func (l *Log) prepare(ctx context.Context, p event.Partition, h endState, it *item) error {
	if len(it.Data) > inlineBytes {
		// An object without an item is removed with those of its age.
		packed := it.Data
		it.Data, it.Object = nil, objectKey(p, it.number(), it.Nonce)
		if err := l.putObject(ctx, it.Object, packed); err != nil {
			return err
		}
	}
	if h.number == 0 {
		if err := l.putMarker(ctx, p, 0); err != nil {
			return err
		}
	}
	if l.isLate(h, it) {
		return l.noteLate(ctx, p, it)
	}
	return nil
}

// newItem returns the item of the segment after the head, with its events.
func (l *Log) newItem(p event.Partition, h endState, mark eventlog.Checkpoint, events []event.Event) (*item, error) {
	if h.number == maxNumber {
		return nil, problem.New(problem.Internal, "lane %d of tenant %q is full", p.Lane, p.Tenant)
	}
	packed, err := pack(events)
	if err != nil {
		return nil, problem.Wrap(err, problem.Internal, "segment %d in lane %d of tenant %q cannot be stored", h.number+1, p.Lane, p.Tenant)
	}
	it := &item{
		key: segmentKey(p, h.number+1), Source: mark.Source, Sequence: mark.Sequence, Nonce: rand.Uint64(), Data: packed,
		// Segments expire in the order of their numbers, whatever the clock that wrote them.
		Expires: max(l.Now().Add(l.Keep).Unix()+1, h.expires),
	}
	it.describe(events)
	it.Last = max(it.Last, h.last) // records that were put back are older than those before them: see Seek
	return it, nil
}

// putItem puts an item unless there is another with its number. If it finds itself
// there, the SDK has retried a put whose response was lost.
func (l *Log) putItem(ctx context.Context, it *item) (bool, error) {
	written, stored, err := l.put(ctx, it, expression.Name(dynamotable.PK).AttributeNotExists())
	if written || err != nil {
		return written, err
	}
	var there item
	err = decode(stored, &there)
	return there.Nonce == it.Nonce, err
}
