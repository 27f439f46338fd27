package dynamo

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/internal/event"
)

// Seek and OffsetForTime use binary search, although the times of segments are in order
// only to within Margin: an event that follows one published at T was published at
// T - Margin or later. So each tests segments with a predicate that gives the same
// result for all segments on one side of the one that matters, and errs on the safe side
// within the margin. The results may alternate elsewhere: the search still ends between
// a segment that does not match and a next one that does.

// Seek implements eventlog.Log.
//
// A segment matches if it, or one before it, has an event at t - Margin or after: an
// item's last time never decreases along the numbers, so that late records do not
// mislead the search. If a segment has an event at t or after, it and every later
// segment match. The search ends at a segment that matches; the one before it, if any,
// does not: in that one and those before it, nothing was published at t or after.
func (l *Log) Seek(ctx context.Context, p event.Partition, t time.Time) (uint64, error) {
	e, err := l.readEnd(ctx, p)
	if err != nil {
		return 0, err
	}
	from := t.Add(-l.Margin)
	return l.search(ctx, p, 0, e.number, func(it item) bool { return !time.UnixMilli(it.Last).Before(from) })
}

// OffsetForTime implements eventlog.Log.
//
// A segment matches if all its events are after t + Margin. If a segment has an event at
// t or before, neither it nor any before it matches. The search ends at a segment that
// matches: in it and after it, everything was published after t, except in late
// segments, which have a note.
//
// The offset is final if the log has an event after t + Margin: no later one is at t or
// before. Until then the clock alone does not decide, because published events may still
// be in the stream. So a watermark marker is put on the stream after t + Margin. Once it
// has arrived, so has everything published at t or before. The only exception is records
// that an operator puts back.
func (l *Log) OffsetForTime(ctx context.Context, p event.Partition, t time.Time) (number uint64, final bool, err error) {
	e, err := l.readEnd(ctx, p)
	if err != nil {
		return 0, false, err
	}
	end := t.Add(l.Margin)
	// It cannot be final before t, even if a clock that is ahead has stamped later events.
	final = e.number > 0 && time.UnixMilli(e.last).After(end) && l.Now().After(t)
	if !final {
		if final, err = l.passed(ctx, p, end); err != nil {
			return 0, false, err
		}
		// Events before the marker may have been appended since.
		if final {
			if e, err = l.readEnd(ctx, p); err != nil {
				return 0, false, err
			}
		}
	}
	late, err := l.lastLate(ctx, p, t, e)
	if err != nil {
		return 0, false, err
	}
	number, err = l.search(ctx, p, 0, e.number, func(it item) bool { return time.UnixMilli(it.First).After(end) })
	return max(number, late), final, err
}

// Oldest returns the published_at of the earliest event in the first retained segment
// after the given one; false if there is none. It usually costs one small read.
func (l *Log) Oldest(ctx context.Context, p event.Partition, after uint64) (published time.Time, found bool, err error) {
	if err := ended(ctx); err != nil {
		return time.Time{}, false, err
	}
	it, found, err := l.firstAfter(ctx, p, after)
	if err != nil || !found {
		return time.Time{}, false, err
	}
	return time.UnixMilli(it.First).UTC(), true, nil
}
