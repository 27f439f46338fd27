package dynamo

import (
	"strconv"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
)

// item is a stored segment. Fields that were not requested are zero.
type item struct {
	key
	Count    int    `dynamodbav:"count"`              // of its events
	Bytes    int    `dynamodbav:"bytes"`              // of their bodies
	First    int64  `dynamodbav:"first"`              // the earliest published_at, in ms
	Last     int64  `dynamodbav:"last"`               // the latest up to this segment, in ms
	Source   string `dynamodbav:"source,omitempty"`   // the checkpoint: the source,
	Sequence string `dynamodbav:"sequence,omitempty"` // and its sequence
	Events   int64  `dynamodbav:"events,omitempty"`   // appended up to this segment, counting from segment Since
	Size     int64  `dynamodbav:"size,omitempty"`     // of the bodies of Events
	Since    uint64 `dynamodbav:"since,omitempty"`    // 0 in the items of releases that did not count
	Nonce    uint64 `dynamodbav:"nonce"`              // of the put that created the item
	Expires  int64  `dynamodbav:"expires"`            // s since 1970
	Data     []byte `dynamodbav:"data,omitempty"`     // the events, or
	Object   string `dynamodbav:"object,omitempty"`   // the key of the S3 object with them
}

// describe fills in the fields that describe the events.
func (it *item) describe(events []event.Event) {
	it.Count = len(events)
	it.First = events[0].PublishedAt.UnixMilli()
	it.Last = it.First
	for i := range events {
		ms := events[i].PublishedAt.UnixMilli()
		it.First, it.Last = min(it.First, ms), max(it.Last, ms)
		it.Bytes += len(events[i].Body)
	}
}

// number returns the segment's number.
func (it *item) number() uint64 {
	n, _ := strconv.ParseUint(it.SK, 10, 64) // queries return only numbers
	return n
}

// end returns the partition's end state with the item as its last segment.
func (it *item) end() endState {
	return endState{
		number: it.number(), checkpoint: eventlog.Checkpoint{Source: it.Source, Sequence: it.Sequence}, last: it.Last, expires: it.Expires,
		count: it.counted(),
	}
}

// count is how many events were appended to a partition, and their size, from a segment
// on. Two of them differ by what was appended between them, if they count from the same
// one: the count begins anew after a segment that has none, as of an earlier release.
type count struct {
	since        uint64 // 0 for no count
	events, size int64
}

func (it *item) counted() count { return count{it.Since, it.Events, it.Size} }

// countAfter continues the count of the segment before, or begins one.
func (it *item) countAfter(before count) {
	if before.since == 0 {
		before.since = it.number()
	}
	it.Since, it.Events, it.Size = before.since, before.events+int64(it.Count), before.size+int64(it.Bytes)
}

func (it *item) expired(now time.Time) bool { return now.Unix() >= it.Expires }
