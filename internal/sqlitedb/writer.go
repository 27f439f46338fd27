package sqlitedb

import (
	"context"
	"database/sql"
	"sync"
	"sync/atomic"
)

// Limits of a group, the operations that one transaction commits.
const (
	groupOps   = 512
	groupBytes = 16 << 20
)

// Op is a unit of work for the writer.
type Op struct {
	// Bytes is the approximate number of bytes it writes.
	Bytes int
	// Run writes. If it returns an error, its writes are undone, and no others of
	// the group. It runs on the writer's goroutine and must not block.
	Run func(tx *Tx) error
	// Done is called once with the outcome: nil only after the commit. It runs on
	// the writer's goroutine, before the Run of a later group, and must not block.
	Done func(err error)

	ctx context.Context // kept while queued: if it ends before Run, the operation is skipped
	err error
}

// writer is the only goroutine that writes.
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

// Submit queues an operation. It returns at once unless the queue is full; then
// it waits until the context ends. If it returns an error, Done is not called.
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

// Write queues an operation of about the given size, in bytes, and waits for its
// outcome: nil once it is on disk, the error of run, or the error of the commit
// as a problem. If the context ends while it waits, the operation may or may not
// happen.
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

// Commits returns the number of transactions committed since Open.
func (db *DB) Commits() uint64 { return db.writer.commits.Load() }

// Queued returns the number of operations waiting for the writer.
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

// collect adds the waiting operations to the group. Operations that arrive during
// a commit form the next group, so groups grow with the load.
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

// commit runs the group in one transaction. An error is the outcome of every
// operation; otherwise each operation has its own.
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

// runOne runs an operation in a savepoint, so that a failure undoes only its own
// writes. It returns an error if the whole transaction is lost.
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

// rollback rolls the transaction back. It ignores the error: SQLite may have
// rolled back already.
func (w *writer) rollback() { _, _ = w.conn.Exec("ROLLBACK") }

// stop lets the writer finish the queued operations and waits for it.
func (w *writer) stop() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	close(w.queue)
	<-w.done
}
