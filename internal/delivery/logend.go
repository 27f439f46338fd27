package delivery

import "sync/atomic"

// LogEnd tells a DeliverLive how far its partition's log has grown. It is safe
// for concurrent use.
type LogEnd struct {
	segment atomic.Uint64
	grown   chan struct{}
	fixed   bool
}

// NewLogEnd returns a LogEnd at the given segment number.
func NewLogEnd(segment uint64) *LogEnd {
	l := &LogEnd{grown: make(chan struct{}, 1)}
	l.segment.Store(segment)
	return l
}

// FixedLogEnd returns a LogEnd that does not grow: what comes after it waits
// until the DeliverLive has returned, as the next batch of a stream does.
func FixedLogEnd(segment uint64) *LogEnd {
	l := NewLogEnd(segment)
	l.fixed = true
	return l
}

// Segment is the number of the last segment to be delivered.
func (l *LogEnd) Segment() uint64 { return l.segment.Load() }

// Grow raises the end. A lower one is ignored.
func (l *LogEnd) Grow(segment uint64) {
	for {
		old := l.segment.Load()
		if segment <= old {
			return
		}
		if l.segment.CompareAndSwap(old, segment) {
			break
		}
	}
	select {
	case l.grown <- struct{}{}:
	default:
	}
}
