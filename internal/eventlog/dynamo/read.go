package dynamo

import (
	"context"
	"sort"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sluicehq/sluice/internal/awserror"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
)

// The first page of a read is of so many items at most, one for each so many
// bytes that are wanted: it is not known yet how large they are. The next ones
// are as large as the first ones were, on average, and of no more than the
// latter number.
const (
	firstPage     = 16
	bytesOfItem   = 4 << 10
	followingPage = 500
)

// Read implements eventlog.Log. What this process appended last costs no
// request.
func (l *Log) Read(ctx context.Context, p event.Partition, after uint64, maxBytes int) ([]eventlog.Segment, error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	if segments := l.tail.read(p, after, maxBytes, l.Now()); len(segments) > 0 {
		return segments, nil
	}
	items, err := l.items(ctx, p, after, maxBytes)
	if err != nil || len(items) == 0 {
		return nil, err
	}
	return l.segments(ctx, p, items)
}

// items returns the items of the segments after the given number, from the first
// that has not expired on, without a gap.
func (l *Log) items(ctx context.Context, p event.Partition, after uint64, maxBytes int) ([]item, error) {
	var found []item
	size, now := 0, l.Now()
	limit := max(1, min(maxBytes/bytesOfItem, firstPage))
	for after < maxNumber {
		page, more, err := l.query(ctx, p, after, query{limit: limit})
		if err != nil {
			return nil, err
		}
		for i := range page {
			it := page[i]
			if len(found) > 0 && (it.number != after+1 || size >= maxBytes) {
				return found, nil
			}
			after = it.number
			// Expired ones come before those that are not, and may have gaps.
			if !it.expired(now) {
				found = append(found, it)
				size += it.bytes
			}
		}
		if !more || len(found) > 0 && size >= maxBytes {
			break
		}
		if len(found) > 0 {
			limit = min((maxBytes-size)*len(found)/max(size, 1)+1, followingPage)
		} else if after, err = l.beforeRetained(ctx, p, after); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// beforeRetained returns the number before the first segment after the given one
// that has not expired, the head if there is none.
func (l *Log) beforeRetained(ctx context.Context, p event.Partition, after uint64) (uint64, error) {
	h, err := l.readHead(ctx, p)
	if err != nil {
		return 0, err
	}
	return l.search(ctx, p, min(after, h.number), h.number, func(item) bool { return true })
}

// search returns the number before the first segment of those after the first
// number and up to the second for which late holds, by binary search. Segments
// that have expired are early, and so are those before them.
func (l *Log) search(ctx context.Context, p event.Partition, after, upTo uint64, late func(item) bool) (uint64, error) {
	var failed error
	now := l.Now()
	n := sort.Search(int(upTo-after), func(i int) bool {
		if failed != nil {
			return true
		}
		it, found, err := l.glance(ctx, p, after+uint64(i)+1)
		failed = err
		return found && !it.expired(now) && late(it)
	})
	return after + uint64(n), failed
}

// glance reads when a segment's events were published, and when it expires.
func (l *Log) glance(ctx context.Context, p event.Partition, number uint64) (item, bool, error) {
	out, err := l.DynamoDB.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &l.Table, Key: itemKey(p, numberKey(number)), ConsistentRead: aws.Bool(true),
		ProjectionExpression:     aws.String("#first, #last, #expires"),
		ExpressionAttributeNames: map[string]string{"#first": attrFirst, "#last": attrLast, "#expires": attrExpires},
	})
	if err != nil {
		return item{}, false, awserror.Problem(err, "read the log")
	}
	return itemOf(out.Item), len(out.Item) > 0, nil
}

// query says which of the segments after a number are read, and what of them.
type query struct {
	limit     int
	backwards bool     // from the last one
	only      []string // attributes beside the number; all if nil
}

// query reads one page of segments, consistently, and reports whether there may
// be more.
func (l *Log) query(ctx context.Context, p event.Partition, after uint64, q query) ([]item, bool, error) {
	in := &dynamodb.QueryInput{
		TableName: &l.Table, ConsistentRead: aws.Bool(true), Limit: aws.Int32(int32(q.limit)), ScanIndexForward: aws.Bool(!q.backwards),
		KeyConditionExpression:   aws.String("#pk = :pk AND #sk BETWEEN :from AND :to"),
		ExpressionAttributeNames: map[string]string{"#pk": attrPK, "#sk": attrSK},
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":pk": text(partitionKey(p)), ":from": text(numberKey(after + 1)), ":to": text(numberKey(maxNumber)),
		},
	}
	if q.only != nil {
		projection := "#sk"
		for _, name := range q.only {
			in.ExpressionAttributeNames["#"+name] = name
			projection += ", #" + name
		}
		in.ProjectionExpression = &projection
	}
	out, err := l.DynamoDB.Query(ctx, in)
	if err != nil {
		return nil, false, awserror.Problem(err, "read the log")
	}
	items := make([]item, 0, len(out.Items))
	for _, attrs := range out.Items {
		items = append(items, itemOf(attrs))
	}
	return items, len(out.LastEvaluatedKey) > 0, nil
}
