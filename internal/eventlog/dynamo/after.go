package dynamo

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/internal/dynamotable"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
)

// After implements eventlog.Log. It costs one small read at the end of the log, else two:
// each segment has the count of all up to it. Segments of releases that did not count
// cost one more, and the result is an estimate.
func (l *Log) After(ctx context.Context, p event.Partition, number uint64) (eventlog.Rest, error) {
	e, err := l.readEnd(ctx, p)
	if err != nil {
		return eventlog.Rest{}, err
	}
	rest := eventlog.Rest{}
	if e.last > 0 {
		rest.Last = time.UnixMilli(e.last).UTC()
	}
	if number >= e.number {
		return rest, nil
	}
	next, found, err := l.firstAfter(ctx, p, number)
	if err != nil || !found {
		return rest, err
	}
	rest.Next, rest.First = next.number(), time.UnixMilli(next.First).UTC()
	if from := next.counted(); from.since > 0 && from.since == e.count.since {
		rest.Events = int(e.count.events - from.events + int64(next.Count))
		rest.Bytes = e.count.size - from.size + int64(next.Bytes)
		return rest, nil
	}
	return rest, l.estimate(ctx, p, &rest, e.number)
}

// firstAfter returns the description of the first retained segment after the given one;
// false if there is none.
func (l *Log) firstAfter(ctx context.Context, p event.Partition, number uint64) (item, bool, error) {
	for number < maxNumber {
		items, _, err := l.query(ctx, p, number, query{limit: 1, only: []string{
			attrFirst, attrCount, attrBytes, attrEvents, attrSize, attrSince, dynamotable.Expires,
		}})
		if err != nil || len(items) == 0 {
			return item{}, false, err
		}
		if !items[0].expired(l.Now()) {
			return items[0], true, nil
		}
		if number, err = l.beforeRetained(ctx, p, items[0].number()); err != nil {
			return item{}, false, err
		}
	}
	return item{}, false, nil
}

// sampled is how many segments an estimate looks at.
const sampled = 100

// estimate counts what is between rest.Next and the end by the first segments of it.
func (l *Log) estimate(ctx context.Context, p event.Partition, rest *eventlog.Rest, end uint64) error {
	items, _, err := l.query(ctx, p, rest.Next-1, query{limit: sampled, only: []string{attrCount, attrBytes}})
	if err != nil || len(items) == 0 {
		return err
	}
	events, size, last := 0, int64(0), items[len(items)-1].number()
	for i := range items {
		events += items[i].Count
		size += int64(items[i].Bytes)
	}
	all, of := float64(end-rest.Next+1), float64(last-rest.Next+1)
	rest.Events, rest.Bytes = int(float64(events)*all/of), int64(float64(size)*all/of)
	return nil
}
