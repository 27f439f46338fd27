package sqlitedb

import "sync"

// Class is the priority of an operation.
type Class int

// Every group has room for each class, so none waits for ever. What waits in a
// higher one goes first.
const (
	Normal      Class = iota // what delivery saves
	Urgent                   // what a caller of the API waits for
	Maintenance              // nobody waits for it
)

// byPriority is every class, the highest priority first.
var byPriority = [...]Class{Urgent, Normal, Maintenance}

// Turn tells where an operation queues. Within a class, tenants take turns.
type Turn struct {
	Tenant string // "" for what belongs to no tenant
	Class  Class
	Bytes  int // approximately what it writes
}

// The limits of a group, the operations that one transaction commits, in bytes. What a
// neighbour waits for is about one and a half groups. Twice the size would write a twentieth
// more in the same time, and hold a neighbour up for half as long again.
const (
	groupCost = 64 << 10
	classCost = groupCost / 4 // of a group, left to each class whatever waits before it
	turnCost  = 32 << 10      // of a tenant, before it is the next one's turn
	opCost    = 2 << 10       // the minimum of an operation, which takes time without bytes too
)

// queue holds the operations that wait for the writer. Tenants of a class share it
// by deficit round robin: one that took more than its turn waits until it has paid.
type queue struct {
	mu      sync.Mutex
	filled  sync.Cond // an operation was added, or the queue was closed
	classes [len(byPriority)]class
	waiting int
	closed  bool
}

func newQueue() *queue {
	q := &queue{}
	q.filled.L = &q.mu
	return q
}

// class holds the waiting operations of one class.
type class struct {
	lines map[string]*line // by tenant
	turns []*line          // all lines, the next one first
}

// line holds the waiting operations of one tenant, at least one.
type line struct {
	tenant string
	ops    []*Op
	credit int // what it may still take in this turn; negative if it took more. Only the writer changes it
}

// add queues an operation and reports whether the queue is open.
func (q *queue) add(op *Op) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.classes[op.Class].add(op)
	q.waiting++
	q.filled.Signal()
	return true
}

// close refuses further operations. Those that wait are still given out.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.filled.Broadcast()
}

func (q *queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting
}

// take appends the next group to the given slice. It waits until there is one;
// none means that the queue is closed and empty. Operations that come while a group
// is written form the next ones, so groups grow with the load up to their limit.
// Only the writer calls it.
func (q *queue) take(group []*Op) []*Op {
	q.mu.Lock()
	for q.waiting == 0 && !q.closed {
		q.filled.Wait()
	}
	q.mu.Unlock()
	left := groupCost
	for _, c := range byPriority {
		for limit := max(left, classCost); limit > 0; {
			op := q.next(c)
			if op == nil {
				break
			}
			group = append(group, op)
			limit -= op.cost()
			left -= op.cost()
		}
	}
	return group
}

// next removes the next operation of a class and seals it; nil if none waits.
func (q *queue) next(c Class) *Op {
	q.mu.Lock()
	op, l := q.classes[c].next()
	if op != nil {
		q.waiting--
	}
	q.mu.Unlock()
	if op == nil {
		return nil
	}
	if op.Seal != nil { // not under the lock: it takes others
		op.Bytes = op.Seal()
	}
	l.credit -= op.cost()
	return op
}

func (op *Op) cost() int { return max(op.Bytes, opCost) }

func (c *class) add(op *Op) {
	l := c.lines[op.Tenant]
	if l == nil {
		if c.lines == nil {
			c.lines = map[string]*line{}
		}
		l = &line{tenant: op.Tenant, credit: turnCost}
		c.lines[op.Tenant] = l
		c.turns = append(c.turns, l)
	}
	l.ops = append(l.ops, op)
}

// next removes the next operation and returns it with its line, which has to pay for
// it; nil if none waits.
func (c *class) next() (*Op, *line) {
	if len(c.turns) == 0 {
		return nil, nil
	}
	for c.turns[0].credit <= 0 {
		l := c.turns[0]
		l.credit += turnCost
		c.turns = append(c.turns[1:], l)
	}
	l := c.turns[0]
	op := l.ops[0]
	l.ops[0] = nil
	l.ops = l.ops[1:]
	if len(l.ops) == 0 {
		c.turns[0] = nil
		c.turns = c.turns[1:]
		delete(c.lines, l.tenant)
	}
	return op, l
}
