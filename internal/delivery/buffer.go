package delivery

import (
	"context"
	"slices"

	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/problem"
)

// buffered returns the number of the last buffered segment, or the low watermark.
func (l *live) buffered() uint64 {
	if len(l.segs) == 0 {
		return l.state.LowWatermark
	}
	return l.segs[len(l.segs)-1].Number
}

// full reports whether the buffer is full: two reads of the log.
func (l *live) full() bool {
	n := 0
	for i := range l.segs {
		n += l.segs[i].Bytes()
	}
	return n >= 2*l.engine.batchBytes()
}

// starved reports whether a new subscriber needs segments that were not read yet:
// without subscribers nothing is read.
func (l *live) starved() bool {
	return len(l.subscribers) > 0 && len(l.segs) == 0 && l.buffered() < l.end.Segment()
}

// fill reads more of the log into the buffer, if there are subscribers.
func (l *live) fill(ctx context.Context) error {
	for len(l.subscribers) > 0 && l.buffered() < l.end.Segment() && !l.full() {
		segs, err := l.engine.Log.Read(ctx, l.partition, l.buffered(), l.engine.batchBytes())
		if err != nil {
			return l.unreadable(ctx, err)
		}
		if err := l.passTrimmed(ctx, segs); err != nil || len(segs) == 0 {
			return err
		}
		if segs, err = l.beforeDamaged(ctx, segs); err != nil || len(segs) == 0 {
			return err
		}
		l.segs = append(l.segs, segs...)
		l.end.Grow(l.buffered()) // the log may have grown past the end that was announced
		for _, sub := range l.subscribers {
			sub.Give(segs)
		}
		l.discard() // those who left for a damaged one may have raised the low watermark beyond it
	}
	return nil
}

// beforeDamaged returns the segments before the first damaged one. If that is the next, it
// evicts the subscribers that have not passed it, and returns it: their own steps skip it,
// and say so in their logs.
func (l *live) beforeDamaged(ctx context.Context, segs []eventlog.Segment) ([]eventlog.Segment, error) {
	first := slices.IndexFunc(segs, func(s eventlog.Segment) bool { return s.Damage != nil })
	switch {
	case first < 0:
		return segs, nil
	case first > 0:
		return segs[:first], nil
	}
	var leavers []leaver
	for _, sub := range l.subscribers {
		if sub.State().Acked < segs[0].Number {
			leavers = append(leavers, halted(sub, leaveReason{}))
		}
	}
	return segs[:1], l.evictThese(ctx, leavers)
}

// damagedAfter reports whether a damaged segment is buffered after the given one.
func (l *live) damagedAfter(segment uint64) bool {
	return slices.ContainsFunc(l.segs, func(s eventlog.Segment) bool { return s.Damage != nil && s.Number > segment })
}

// unreadable evicts every subscriber if the next segment cannot be read although the log
// can: their own steps try it again, and subscribers that join later start after it.
func (l *live) unreadable(ctx context.Context, err error) error {
	if problem.CodeOf(err) == problem.Unavailable || len(l.segs) > 0 { // what is buffered comes first
		return err
	}
	var leavers []leaver
	for _, sub := range l.subscribers {
		leavers = append(leavers, halted(sub, leaveReason{err: err}))
	}
	return l.evictThese(ctx, leavers)
}

// passTrimmed skips segments that were trimmed: those between the buffered segments
// and the given ones, or up to the end if none are given. It says so in the
// integrations' logs.
func (l *live) passTrimmed(ctx context.Context, segs []eventlog.Segment) error {
	upTo := l.end.Segment()
	if len(segs) > 0 {
		upTo = segs[0].Number - 1
	}
	if upTo <= l.buffered() || len(segs) == 0 && len(l.segs) > 0 {
		return nil // no gap, or what is buffered comes first
	}
	for _, sub := range l.subscribers {
		if sub.State().Acked >= upTo {
			continue // logged before a commit that met a conflict
		}
		if err := l.engine.logTrimmedLive(ctx, sub.in, l.partition.Lane); err != nil {
			return err
		}
		sub.Skip(upTo)
	}
	return nil
}

// discard removes the segments up to the low watermark from the buffer.
func (l *live) discard() {
	l.segs = slices.DeleteFunc(l.segs, func(s eventlog.Segment) bool { return s.Number <= l.state.LowWatermark })
}
