package delivery

import "sync/atomic"

// LogEnd tells DeliverLive the end of its partition's log. It is safe for concurrent
// use.
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

// FixedLogEnd returns a LogEnd for a caller that handles nothing else until
// DeliverLive returns, such as a consumer of stream batches: a slow subscriber
// blocks what comes next even if it is the only one.
func FixedLogEnd(segment uint64) *LogEnd {
	l := NewLogEnd(segment)
	l.fixed = true
	return l
}

// Segment returns the number of the last segment to deliver.
func (l *LogEnd) Segment() uint64 { return l.segment.Load() }

// Grow raises the end. It ignores a lower number.
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
