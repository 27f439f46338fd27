package estimate

import (
	"context"
	"math/bits"

	"github.com/sluicehq/sluice/internal/eventlog"
)

// tally is what passes the filter in some segments.
type tally struct{ events, bytes int64 }

// count adds the events of a segment that pass the filter, and notes their times.
func (w *work) count(t *tally, s *eventlog.Segment) {
	for i := range s.Events {
		e := &s.Events[i]
		if !w.filter.Pass(e) {
			continue
		}
		t.events++
		t.bytes += int64(len(e.Body))
		w.found.First = earlier(w.found.First, e.PublishedAt)
		if e.PublishedAt.After(w.found.Last) {
			w.found.Last = e.PublishedAt
		}
	}
}

// scan counts what is in a lane from its beginning on, as far as there are bytes left to
// read. What is left of it is in the span then.
func (w *work) scan(ctx context.Context, l *span) error {
	var t tally
	for l.from < l.to && w.read < maxRead {
		segments, err := w.segments(ctx, l.partition, l.from, readBytes)
		if err != nil {
			return err
		}
		if len(segments) == 0 {
			l.from = l.to // the rest was trimmed
		}
		for i := range segments {
			if l.from = segments[i].Number; l.from > l.to {
				break
			}
			w.read += max(segments[i].Bytes(), 1)
			w.count(&t, &segments[i])
		}
	}
	w.found.Events += t.events
	w.found.Bytes += t.bytes
	return nil
}

// sample estimates what is left of the lanes from single segments, spread evenly, the last
// one of each among them.
func (w *work) sample(ctx context.Context, lanes []*span) error {
	left := uint64(0)
	for _, l := range lanes {
		if l.from < l.to {
			left += l.to - l.from
		}
	}
	for _, l := range lanes {
		if l.from >= l.to {
			continue
		}
		w.sampled = true
		share := float64(l.to-l.from) / float64(left)
		if err := w.sampleLane(ctx, l, max(2, int(share*maxSamples)), max(1, int(share*maxSampled))); err != nil {
			return err
		}
	}
	return nil
}

func (w *work) sampleLane(ctx context.Context, l *span, samples, maxBytes int) error {
	var t tally
	n, read := l.to-l.from, 0
	segments := uint64(0)
	look := func(after uint64) error {
		found, err := w.segments(ctx, l.partition, after, 1)
		if err != nil || len(found) == 0 {
			return err
		}
		read += found[0].Bytes()
		segments++
		w.count(&t, &found[0])
		return nil
	}
	if err := look(l.to - 1); err != nil {
		return err
	}
	for i := range min(uint64(samples), n) {
		if read >= maxBytes && i > 0 {
			break
		}
		if err := look(l.from + spread(i, n)); err != nil {
			return err
		}
	}
	if segments == 0 {
		return nil
	}
	scale := float64(n) / float64(segments)
	w.found.Events += int64(float64(t.events) * scale)
	w.found.Bytes += int64(float64(t.bytes) * scale)
	return nil
}

// golden is the fractional part of the golden ratio, in 64 bits.
const golden = 0x9E3779B97F4A7C15

// spread returns the place of the i-th sample among n. However many are taken, they are
// spread evenly, and are in step with nothing that recurs in the log.
func spread(i, n uint64) uint64 {
	place, _ := bits.Mul64((i+1)*golden, n)
	return place
}
