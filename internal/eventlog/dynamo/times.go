package dynamo

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/internal/dynamotable"
	"github.com/sluicehq/sluice/internal/event"
)

// Seek and Through use binary search, although the times of segments grow only
// but for Margin: an event that comes after one published at T was published at
// T - Margin or later. So each asks every segment a question that, by this, has
// the same answer for all segments on one side of the one that matters; what lies
// within the margin is answered on the safe side. It does not matter that the
// answers may alternate elsewhere: the search ends between a segment that does
// not match and the next, which does.

// Seek implements eventlog.Log.
//
// A segment matches if it, or one before it, has an event at t - Margin or after:
// the last time of an item never falls along the numbers, so that records which
// were set aside and put back much later do not mislead the search. If a segment
// has an event at t or after, it and every later segment match. The search ends
// at a segment that matches, and the one before it, if any, does not: in that one
// and those before it, nothing was published at t or after.
func (l *Log) Seek(ctx context.Context, p event.Partition, t time.Time) (uint64, error) {
	h, err := l.readEnd(ctx, p)
	if err != nil {
		return 0, err
	}
	from := t.Add(-l.Margin)
	return l.search(ctx, p, 0, h.number, func(it item) bool { return !time.UnixMilli(it.Last).Before(from) })
}

// Through implements eventlog.Log.
//
// A segment matches if all its events are after t + Margin. If a segment has an
// event at t or before, neither it nor any before it matches. The search ends at
// a segment that matches: there and after it, all was published after t, except
// for late segments, of which there is a note.
//
// It is settled if the log has an event after t + Margin: no later one is at t or
// before. While it has none, the clock alone says little, as what was published
// may still be on its way. So a barrier is put on the stream after t + Margin;
// once it has come through, everything has that was published at t or before. The
// one thing that comes after it all the same is what an operator puts back.
func (l *Log) OffsetForTime(ctx context.Context, p event.Partition, t time.Time) (number uint64, settled bool, err error) {
	h, err := l.readEnd(ctx, p)
	if err != nil {
		return 0, false, err
	}
	end := t.Add(l.Margin)
	// Nor can it be settled before t, whatever a clock that is ahead has stamped.
	settled = h.number > 0 && time.UnixMilli(h.last).After(end) && l.Now().After(t)
	if !settled {
		if settled, err = l.passed(ctx, p, end); err != nil {
			return 0, false, err
		}
		// What came before the barrier may have been appended since.
		if settled {
			if h, err = l.readEnd(ctx, p); err != nil {
				return 0, false, err
			}
		}
	}
	noted, err := l.lateThrough(ctx, p, t, h)
	if err != nil {
		return 0, false, err
	}
	number, err = l.search(ctx, p, 0, h.number, func(it item) bool { return time.UnixMilli(it.First).After(end) })
	return max(number, noted), settled, err
}

// Oldest returns when the first event after the given segment was published, as
// far as it is retained; false if there is none. The time is that of the earliest
// event in the first segment after it. It is one small read, or none.
func (l *Log) Oldest(ctx context.Context, p event.Partition, after uint64) (published time.Time, found bool, err error) {
	if err := ended(ctx); err != nil {
		return time.Time{}, false, err
	}
	for after < maxNumber {
		items, _, err := l.query(ctx, p, after, query{limit: 1, only: []string{attrFirst, dynamotable.Expires}})
		if err != nil || len(items) == 0 {
			return time.Time{}, false, err
		}
		if !items[0].expired(l.Now()) {
			return time.UnixMilli(items[0].First).UTC(), true, nil
		}
		if after, err = l.beforeRetained(ctx, p, items[0].number()); err != nil {
			return time.Time{}, false, err
		}
	}
	return time.Time{}, false, nil
}
