package delivery

import "sync/atomic"

// Tail tells a Follow how far its partition's log has grown. It is safe for
// concurrent use.
type Tail struct {
	head  atomic.Uint64
	grown chan struct{}
	fixed bool
}

// NewTail returns a Tail at the given segment number.
func NewTail(head uint64) *Tail {
	t := &Tail{grown: make(chan struct{}, 1)}
	t.head.Store(head)
	return t
}

// FixedTail returns a Tail that does not grow: what comes after it waits until
// the Follow has returned, as the next batch of a stream does.
func FixedTail(head uint64) *Tail {
	t := NewTail(head)
	t.fixed = true
	return t
}

// Head is the number of the last segment to be delivered.
func (t *Tail) Head() uint64 { return t.head.Load() }

// Grow raises the head. A lower one is ignored.
func (t *Tail) Grow(head uint64) {
	for {
		old := t.head.Load()
		if head <= old {
			return
		}
		if t.head.CompareAndSwap(old, head) {
			break
		}
	}
	select {
	case t.grown <- struct{}{}:
	default:
	}
}
