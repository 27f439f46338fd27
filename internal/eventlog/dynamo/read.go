package dynamo

import (
	"context"
	"sort"

	"github.com/sluicehq/sluice/internal/dynamotable"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
)

// The first page of a read asks for one item per bytesOfItem requested, up to
// firstPage, as the sizes of the items are not known yet. Later pages estimate their
// number from the average size so far, up to nextPage.
const (
	firstPage   = 16
	bytesOfItem = 4 << 10
	nextPage    = 500
)

// Read implements eventlog.Log. Segments that this process appended recently cost no
// request.
func (l *Log) Read(ctx context.Context, p event.Partition, after uint64, maxBytes int) ([]eventlog.Segment, error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	if segments := l.recent.read(p, after, maxBytes, l.Now()); len(segments) > 0 {
		return segments, nil
	}
	items, err := l.items(ctx, p, after, maxBytes)
	if err != nil || len(items) == 0 {
		return nil, err
	}
	return l.segments(ctx, p, items)
}

// items returns the items of the segments after the given number, starting with the
// first that has not expired, without a gap.
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
			if len(found) > 0 && (it.number() != after+1 || size >= maxBytes) {
				return found, nil
			}
			after = it.number()
			// Expired items come before the others, and may have gaps.
			if !it.expired(now) {
				found = append(found, it)
				size += it.Bytes
			}
		}
		if !more || len(found) > 0 && size >= maxBytes {
			break
		}
		if len(found) > 0 {
			limit = min((maxBytes-size)*len(found)/max(size, 1)+1, nextPage)
		} else if after, err = l.beforeRetained(ctx, p, after); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// beforeRetained returns the number before the first unexpired segment after the given
// number, or the end if there is none.
func (l *Log) beforeRetained(ctx context.Context, p event.Partition, after uint64) (uint64, error) {
	e, err := l.readEnd(ctx, p)
	if err != nil {
		return 0, err
	}
	return l.search(ctx, p, min(after, e.number), e.number, func(item) bool { return true })
}

// search returns the number before the first segment in (after, upTo] that matches, by
// binary search. Expired segments do not match.
func (l *Log) search(ctx context.Context, p event.Partition, after, upTo uint64, matches func(item) bool) (uint64, error) {
	found, err := l.searchIn(ctx, p, after, upTo, matches)
	if err != nil {
		return 0, err
	}
	return l.searchEarlier(ctx, p, after, found, matches)
}

// searchIn is search where no number is missing between segments that match.
func (l *Log) searchIn(ctx context.Context, p event.Partition, after, upTo uint64, matches func(item) bool) (uint64, error) {
	var failed error
	now := l.Now()
	n := sort.Search(int(upTo-after), func(i int) bool {
		if failed != nil {
			return true
		}
		var it item
		var found bool
		found, failed = l.segment(ctx, p, after+uint64(i)+1, &it, attrFirst, attrLast, dynamotable.Expires)
		return found && !it.expired(now) && matches(it)
	})
	return after + uint64(n), failed
}
