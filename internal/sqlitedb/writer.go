package sqlitedb

import (
	"context"
	"database/sql"
	"sync"
	"sync/atomic"
)

// A group is what one transaction commits: at most so many operations, of
// about so many bytes.
const (
	groupOps   = 512
	groupBytes = 16 << 20
)

// Op is a unit of work for the writer.
type Op struct {
	// Bytes is about how much it writes.
	Bytes int
	// Run writes. An error undoes what it wrote, and nothing else of its group.
	// It runs on the writer's goroutine, between two operations of others, and
	// must not wait for anything.
	Run func(tx *Tx) error
	// Done is called once with the outcome: nil only after the commit. It is
	// called on the writer's goroutine, before the Run of a later group, and
	// must not wait for anything.
	Done func(err error)

	ctx context.Context // the operation is left out if it ended before its Run
	err error
}

// writer is the one goroutine that writes.
type writer struct {
	db    *DB
	conn  *Tx
	queue chan *Op
	done  chan struct{}

	mu     sync.RWMutex // held for reading while sending to the queue
	closed bool

	commits atomic.Uint64
}

func startWriter(db *DB, conn *sql.Conn) *writer {
	w := &writer{
		db: db, conn: &Tx{conn: conn, stmts: map[string]*sql.Stmt{}},
		queue: make(chan *Op, groupOps), done: make(chan struct{}),
	}
	go w.run()
	return w
}

// Submit queues an operation and returns at once unless the queue is full.
// After an error its Done is not called.
func (db *DB) Submit(ctx context.Context, op *Op) error {
	w := db.writer
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return closedError()
	}
	if err := ctx.Err(); err != nil {
		return ended(err)
	}
	op.ctx = ctx
	select {
	case w.queue <- op:
		return nil
	case <-ctx.Done():
		return ended(ctx.Err())
	}
}

// Write queues an operation of about the given size and waits for its outcome:
// nil once it is on disk, the error of run, or problem.Unavailable if the group
// could not be committed. If the context ends while it waits, the operation may
// happen or not.
func (db *DB) Write(ctx context.Context, bytes int, run func(tx *Tx) error) error {
	outcome := make(chan error, 1)
	op := &Op{Bytes: bytes, Run: run, Done: func(err error) { outcome <- err }}
	if err := db.Submit(ctx, op); err != nil {
		return err
	}
	select {
	case err := <-outcome:
		return err
	case <-ctx.Done():
		return ended(ctx.Err())
	}
}

// Commits is how many transactions were committed since the opening.
func (db *DB) Commits() uint64 { return db.writer.commits.Load() }

// Queued is how many operations wait for the writer.
func (db *DB) Queued() int { return len(db.writer.queue) }

func (w *writer) run() {
	defer close(w.done)
	group := make([]*Op, 0, groupOps)
	for op := range w.queue {
		group = w.collect(append(group[:0], op))
		err := w.commit(group)
		for i, op := range group {
			op.Done(firstError(err, op.err))
			group[i] = nil
		}
	}
}

// collect adds to the group what else is waiting. What arrives while a group is
// committed forms the next one, so a group is as large as the load asks for.
func (w *writer) collect(group []*Op) []*Op {
	bytes := group[0].Bytes
	for len(group) < groupOps && bytes < groupBytes {
		select {
		case op, ok := <-w.queue:
			if !ok {
				return group
			}
			group = append(group, op)
			bytes += op.Bytes
		default:
			return group
		}
	}
	return group
}

// commit runs the group in one transaction. Its error is that of every
// operation; without one, each has its own.
func (w *writer) commit(group []*Op) error {
	if _, err := w.conn.Exec("BEGIN IMMEDIATE"); err != nil {
		w.rollback()
		return w.db.Problem(err)
	}
	wrote := false
	for _, op := range group {
		if err := op.ctx.Err(); err != nil {
			op.err = ended(err)
			continue
		}
		if err := w.runOne(op); err != nil {
			w.rollback()
			return w.db.Problem(err)
		}
		wrote = wrote || op.err == nil
	}
	if !wrote {
		w.rollback()
		return nil
	}
	if _, err := w.conn.Exec("COMMIT"); err != nil {
		w.rollback()
		return w.db.Problem(err)
	}
	w.commits.Add(1)
	return nil
}

// runOne runs an operation such that its failure undoes what it wrote. It
// returns an error if the transaction is lost with it.
func (w *writer) runOne(op *Op) error {
	if _, err := w.conn.Exec("SAVEPOINT op"); err != nil {
		return err
	}
	if err := op.Run(w.conn); err != nil {
		op.err = w.db.Problem(err)
		if _, lost := w.conn.Exec("ROLLBACK TO op"); lost != nil {
			return err // such as a full disk, where SQLite rolls back everything
		}
	}
	_, err := w.conn.Exec("RELEASE op")
	return err
}

// rollback ends a transaction. SQLite may have done so by itself; then there is
// nothing to end, which it calls an error.
func (w *writer) rollback() { _, _ = w.conn.Exec("ROLLBACK") }

// stop lets the writer finish what is queued and waits for it.
func (w *writer) stop() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	close(w.queue)
	<-w.done
}
