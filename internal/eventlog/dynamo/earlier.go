package dynamo

import (
	"context"
	"sync"
	"time"

	"github.com/sluicehq/sluice/internal/dynamotable"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/lru"
)

// Earlier releases put segments into the main table, and this one goes on with the numbers
// where they ended. So the first segments of a partition may be in the main table, up to
// its border, and all after them are in Segments. Nothing is appended to the main table any
// more: the upgrade stops whatever still would (docs/operations.md, ADR 33).
//
// Once the last of them have expired, Options.Keep after the upgrade, this file can go: query
// is then page, and last and segment read Segments alone.

// border is the last segment that a partition has in the main table. Its segments expire in
// the order of their numbers, so once this one has, all have.
type border struct {
	number  uint64 // 0 for none
	expires int64  // s
}

// before reports whether the segment of the given number is retained before the border, or
// at it.
func (b border) before(number uint64, now time.Time) bool {
	return number <= b.number && now.Unix() < b.expires
}

// borders caches the borders that this process has seen, which do not move.
type borders struct {
	mu    sync.Mutex
	known *lru.Cache[event.Partition, border]
}

const (
	bordersBytes = 2 << 20 // those of ten thousand partitions
	borderBytes  = 200     // of one, about
)

func newBorders() *borders {
	return &borders{known: lru.New[event.Partition](bordersBytes, func(border) int { return borderBytes })}
}

func (c *borders) get(p event.Partition) (border, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known.Get(p)
}

func (c *borders) set(p event.Partition, b border) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known.Put(p, b)
}

// query reads one page of segments after the given number, in order, and reports whether
// there may be more. A page is of one table. It asks for the border only if it is not
// known and Segments does not have the next number.
func (l *Log) query(ctx context.Context, p event.Partition, after uint64, q query) ([]item, bool, error) {
	b, _ := l.borders.get(p) // if it is not known, Segments is asked first
	if older, err := l.pageBefore(ctx, p, b, after, q); err != nil || len(older) > 0 {
		return older, true, err
	}
	items, more, err := l.page(ctx, l.Segments, p, after, q)
	if err != nil || len(items) > 0 && items[0].number() == after+1 {
		return items, more, err
	}
	if b, err = l.border(ctx, p); err != nil {
		return nil, false, err
	}
	if older, err := l.pageBefore(ctx, p, b, after, q); err != nil || len(older) > 0 {
		return older, true, err
	}
	return items, more, nil
}

// pageBefore reads one page of the segments before the border, and at it. There is none
// after it, or if DynamoDB, whose clock may be ahead, has removed them.
func (l *Log) pageBefore(ctx context.Context, p event.Partition, b border, after uint64, q query) ([]item, error) {
	if !b.before(after+1, l.Now()) {
		return nil, nil
	}
	items, _, err := l.page(ctx, l.Table, p, after, q)
	return items, err
}

// last reads attributes of the last segment of a partition. There is none if it never had
// one, or if all have been removed.
func (l *Log) last(ctx context.Context, p event.Partition, only []string) ([]item, error) {
	q := query{limit: 1, backwards: true, only: only}
	items, _, err := l.page(ctx, l.Segments, p, 0, q)
	if err != nil || len(items) > 0 {
		return items, err
	}
	if b, known := l.borders.get(p); known && !b.before(b.number, l.Now()) {
		return nil, nil
	}
	return l.lastEarlier(ctx, p, q)
}

// isEarlier reports whether a segment that last has returned is in the main table.
func (l *Log) isEarlier(p event.Partition, number uint64) bool {
	b, _ := l.borders.get(p) // last has just set it, unless the segment is in Segments
	return number <= b.number
}

// searchEarlier corrects what a search has found. Behind the border numbers may be missing, if
// Segments was lost: a binary search that meets them goes on behind them, also if what it looks
// for is before the border. Only if it met some is the border known.
func (l *Log) searchEarlier(ctx context.Context, p event.Partition, after, found uint64, matches func(item) bool) (uint64, error) {
	b, _ := l.borders.get(p)
	if found < b.number || !b.before(after+1, l.Now()) {
		return found, nil
	}
	last, err := l.searchIn(ctx, p, b.number-1, b.number, matches)
	if err != nil || last == b.number {
		return found, err
	}
	return l.searchIn(ctx, p, after, b.number, matches)
}

// segment reads attributes of one segment, or all; false if there is none.
func (l *Log) segment(ctx context.Context, p event.Partition, number uint64, to *item, names ...string) (bool, error) {
	k := segmentKey(p, number)
	found, err := l.get(ctx, l.Segments, k, to, names...)
	if found || err != nil {
		return found, err
	}
	b, err := l.border(ctx, p)
	if err != nil || !b.before(number, l.Now()) {
		return false, err
	}
	return l.get(ctx, l.Table, k, to, names...)
}

// border returns the border of a partition. It costs one small read for each partition
// that a process asks for.
func (l *Log) border(ctx context.Context, p event.Partition) (border, error) {
	if b, known := l.borders.get(p); known {
		return b, nil
	}
	items, err := l.lastEarlier(ctx, p, query{limit: 1, backwards: true, only: []string{dynamotable.Expires}})
	return borderOf(items), err
}

// lastEarlier reads the last segment in the main table, and remembers the border.
func (l *Log) lastEarlier(ctx context.Context, p event.Partition, q query) ([]item, error) {
	items, _, err := l.page(ctx, l.Table, p, 0, q)
	if err == nil {
		l.borders.set(p, borderOf(items))
	}
	return items, err
}

func borderOf(last []item) border {
	if len(last) == 0 {
		return border{}
	}
	return border{last[0].number(), last[0].Expires}
}
