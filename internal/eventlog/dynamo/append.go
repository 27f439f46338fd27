package dynamo

import (
	"context"
	"errors"
	"math/rand/v2"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sluicehq/sluice/internal/awserror"
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
	// record is not cut.
	segmentBytes = 4 << 20
)

// Append implements eventlog.Log. It costs one put while nobody else appends to
// the partition, and for a large segment one more to S3. The first append of a
// process reads the head before, and so does each while processes take turns;
// records that were put back cost another put. Records of more than 4 MiB become
// several segments: if it fails after some of them, the next append goes on from
// there.
func (l *Log) Append(ctx context.Context, p event.Partition, source string, records []eventlog.Record) (uint64, error) {
	if err := ended(ctx); err != nil {
		return 0, err
	}
	h, known := l.heads.get(p, l.Now())
	for {
		if !known {
			var err error
			if h, err = l.readHead(ctx, p); err != nil {
				return 0, err
			}
		}
		rest, err := h.mark.After(source, records)
		if err != nil {
			return 0, err
		}
		n := chunk(rest)
		if n == 0 && !known {
			return h.number, nil
		}
		won := false
		if n > 0 {
			if won, err = l.put(ctx, p, &h, source, rest[:n]); err != nil {
				return 0, err
			}
		}
		// What a lost race, or an old head with nothing to add, has taught is
		// only that the head must be read. Each time it was somebody's progress.
		known = won
		if won {
			if records = rest[n:]; chunk(records) == 0 {
				return h.number, nil
			}
		}
	}
}

// chunk is how many of the records are to be one segment: 0 if they have no
// events, and otherwise so many that there is one.
func chunk(records []eventlog.Record) int {
	size, events := 0, 0
	for i := range records {
		bytes := 0
		for j := range records[i].Events {
			bytes += len(records[i].Events[j].Body)
		}
		if events > 0 && size+bytes > segmentBytes {
			return i
		}
		size += bytes
		events += len(records[i].Events)
	}
	if events == 0 {
		return 0
	}
	return len(records)
}

// put appends one segment after the head, which it moves; false if the number
// was taken.
func (l *Log) put(ctx context.Context, p event.Partition, h *head, source string, records []eventlog.Record) (bool, error) {
	if h.number == maxNumber {
		return false, problem.New(problem.Internal, "lane %d of tenant %q is full", p.Lane, p.Tenant)
	}
	events := eventlog.Events(records)
	it := item{
		number: h.number + 1, mark: h.mark.Moved(source, records), nonce: rand.Uint64(),
		// In the order of numbers, whoever's clock it is by: see the package.
		expires: max(l.Now().Add(l.Keep).Unix()+1, h.expires),
	}
	it.describe(events)
	it.last = max(it.last, h.last) // records that were put back are older than what is before them: see Seek
	packed, err := pack(events)
	if err != nil {
		return false, problem.Wrap(err, problem.Internal, "segment %d in lane %d of tenant %q cannot be stored", it.number, p.Lane, p.Tenant)
	}
	it.data = packed
	if len(packed) > inlineBytes {
		// Before the item: an item without its object would be a loss. An object
		// without an item is removed with those of its age.
		it.data, it.object = nil, objectKey(p, it.number, it.nonce)
		if err := l.putObject(ctx, it.object, packed); err != nil {
			return false, err
		}
	}
	if h.number == 0 {
		if err := l.putMarker(ctx, p, 0); err != nil {
			return false, err
		}
	}
	if l.isBelated(*h, &it) {
		if err := l.noteBelated(ctx, p, &it); err != nil {
			return false, err
		}
	}
	if won, err := l.putItem(ctx, p, &it); !won || err != nil {
		return false, err
	}
	*h = head{number: it.number, mark: it.mark, last: it.last, expires: it.expires}
	l.heads.set(p, *h, false, l.Now())
	l.tail.add(p, eventlog.Segment{Number: it.number, Events: events}, it.expires)
	return true, nil
}

// putItem puts an item unless there is another with its number. If the one there
// is this one, then the answer to the put was lost, and the SDK has sent it
// again.
func (l *Log) putItem(ctx context.Context, p event.Partition, it *item) (bool, error) {
	_, err := l.DynamoDB.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &l.Table, Item: it.attributes(p),
		ConditionExpression:                 aws.String("attribute_not_exists(#pk)"),
		ExpressionAttributeNames:            map[string]string{"#pk": attrPK},
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	if failed := (*types.ConditionalCheckFailedException)(nil); errors.As(err, &failed) {
		return len(failed.Item) > 0 && uintIn(failed.Item, attrNonce) == it.nonce, nil
	}
	return err == nil, awserror.Problem(err, "append to the log")
}
