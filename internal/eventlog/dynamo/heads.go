package dynamo

import (
	"context"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/sluicehq/sluice/internal/awserror"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
)

// head is what is known of the last segment of a partition.
type head struct {
	number  uint64
	mark    eventlog.Mark
	last    int64 // ms
	expires int64 // s
}

// heads keeps the heads that this process has seen, so that an append is one
// put. A head that is no longer the last one does no harm: the put of the next
// number fails, and the head is read again.
type heads struct {
	mu    sync.Mutex
	known map[event.Partition]seen
}

type seen struct {
	head
	at time.Time
	// shared: when it was last read, another process had appended since. The
	// next append reads it first, which costs less than a put that fails.
	shared bool
}

const (
	// maxHeads is how many heads are kept, of about 200 bytes each.
	maxHeads = 10_000
	// headLife bounds how long a head is believed that nothing was appended to:
	// long before its next number can be there, expired and gone.
	headLife = time.Hour
)

func (h *heads) get(p event.Partition, now time.Time) (head, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s, ok := h.known[p]
	return s.head, ok && !s.shared && now.Sub(s.at).Abs() < headLife
}

// set remembers a head that was read, or that this process has appended.
func (h *heads) set(p event.Partition, to head, read bool, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.known == nil {
		h.known = map[event.Partition]seen{}
	}
	s, ok := h.known[p]
	if ok && s.number > to.number {
		return // another goroutine has seen more
	}
	shared := s.shared
	if read {
		shared = ok && s.number < to.number
	}
	if len(h.known) >= maxHeads {
		for any := range h.known {
			delete(h.known, any)
			break
		}
	}
	h.known[p] = seen{to, now, shared}
}

// readHead reads the head of a partition. Where its last segment has expired, or
// is gone, the marker may know a higher number.
func (l *Log) readHead(ctx context.Context, p event.Partition) (head, error) {
	if err := ended(ctx); err != nil {
		return head{}, err
	}
	now := l.Now()
	items, _, err := l.query(ctx, p, 0, query{limit: 1, backwards: true, only: []string{attrLast, attrSource, attrSequence, attrExpires}})
	if err != nil {
		return head{}, err
	}
	var h head
	if len(items) > 0 {
		it := items[0]
		h = head{number: it.number, mark: it.mark, last: it.last, expires: it.expires}
	}
	if len(items) == 0 || items[0].expired(now) {
		marked, err := l.marked(ctx, p)
		if err != nil {
			return head{}, err
		}
		h.number = max(h.number, marked)
	}
	l.heads.set(p, h, true, now)
	return h, nil
}

func (l *Log) marked(ctx context.Context, p event.Partition) (uint64, error) {
	out, err := l.DynamoDB.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &l.Table, Key: itemKey(p, markerKey), ConsistentRead: aws.Bool(true),
		ProjectionExpression: aws.String("#number"), ExpressionAttributeNames: map[string]string{"#number": attrNumber},
	})
	if err != nil {
		return 0, awserror.Problem(err, "read the log")
	}
	return uintIn(out.Item, attrNumber), nil
}
