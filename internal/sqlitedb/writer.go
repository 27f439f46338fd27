package sqlitedb

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"
)

// Op is a unit of work for the writer.
type Op struct {
	Turn
	// Seal, unless nil, is called once, when the writer takes the operation: what it
	// has to write is complete, and its bytes are the result.
	Seal func() (bytes int)
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
	queue *queue
	done  chan struct{}

	working     sync.Mutex // held while a group is written
	checkpoints *checkpointer

	commits atomic.Uint64
}

func startWriter(db *DB, conn, checkpoints *sql.Conn) *writer {
	w := &writer{
		db: db, conn: &Tx{conn: conn, stmts: map[string]*sql.Stmt{}},
		queue: newQueue(), done: make(chan struct{}),
	}
	w.checkpoints = startCheckpointer(checkpoints, &w.working, db.turns)
	go w.run()
	return w
}

// Submit queues an operation and returns at once. The queue has no limit of its own:
// callers wait for what they submit. If it returns an error, neither Seal nor Done is
// called.
func (db *DB) Submit(ctx context.Context, op *Op) error {
	if err := ctx.Err(); err != nil {
		return ended(err)
	}
	op.ctx = ctx
	if !db.writer.queue.add(op) {
		return closedError()
	}
	return nil
}

// Write queues an operation and waits for its outcome: nil once it is on disk, the
// error of run, or the error of the commit as a problem. If the context ends while it
// waits, the operation may or may not happen.
func (db *DB) Write(ctx context.Context, turn Turn, run func(tx *Tx) error) error {
	outcome := make(chan error, 1)
	op := &Op{Turn: turn, Run: run, Done: func(err error) { outcome <- err }}
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
func (db *DB) Queued() int { return db.writer.queue.length() }

func (w *writer) run() {
	defer close(w.done)
	var group []*Op
	for {
		if group = w.queue.take(group[:0]); len(group) == 0 {
			return
		}
		w.working.Lock()
		err := w.commit(group)
		w.checkpoints.committed(w.conn.conn, err != nil)
		w.working.Unlock()
		for i, op := range group {
			op.Done(firstError(err, op.err))
			group[i] = nil
		}
	}
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

// stop lets the writer finish the queued operations, and closes its connections.
func (w *writer) stop() error {
	w.queue.close()
	<-w.done
	return errors.Join(w.checkpoints.stop(), w.conn.close())
}
