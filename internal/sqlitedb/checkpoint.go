package sqlitedb

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"
)

// A log of pausePages, 64 MiB, that readers have kept from beginning anew until then makes
// new ones wait: for as long as those that run take, and for pauseWait at most.
const (
	pausePages = 64 << 20 / pageSize
	pauseWait  = 2 * time.Second
)

// checkpointPages is after how many new pages in the write-ahead log it is copied into
// the database, and at how many it begins anew: 16 MiB.
const checkpointPages = 4000

// checkpointer copies the write-ahead log into the database on a connection of its
// own, so that no commit waits for it. It holds the writer up only to begin the log
// anew, once little is left to copy.
//
// A long reader, such as a backup, keeps the log from beginning anew: it grows until
// that reader ends. Short ones do not, however many there are: those that begin while
// the writer is held up do not use the log. Where queries take longer than the writer can be
// held up, and overlap, new ones wait once the log is large.
type checkpointer struct {
	conn   *sql.Conn // its busy timeout limits how long readers may hold up the writer
	writer *sync.Mutex
	turns  chan struct{} // those of the queries
	wake   chan struct{}
	quit   chan struct{}
	done   chan struct{}

	every     int // pages: checkpointPages
	restartAt int // pages of the log at which it begins anew
	pauseAt   int // pages of the log at which queries wait for that: pausePages
	// pauseFor is how long they wait at most: pauseWait.
	pauseFor time.Duration
	// empty says that the log has begun anew and has nothing yet, though its file may be
	// large: the next commit makes that smaller.
	empty atomic.Bool
}

// startCheckpointer starts a checkpointer for the writer that works while it holds the
// given mutex, and queries that each hold one of the turns.
func startCheckpointer(conn *sql.Conn, writer *sync.Mutex, turns chan struct{}) *checkpointer {
	c := &checkpointer{
		conn: conn, writer: writer, turns: turns,
		wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
		every: checkpointPages, restartAt: checkpointPages, pauseAt: pausePages, pauseFor: pauseWait,
	}
	go c.run()
	return c
}

// committed wakes the checkpointer if the writer's connection has written enough. The
// writer calls it after each group. One may have failed because the disk is full: the
// log uses its pages again once they are copied.
func (c *checkpointer) committed(conn *sql.Conn, failed bool) {
	c.empty.Store(false)
	_ = conn.Raw(func(driver any) error {
		status := driver.(sqlite.DBStatus)
		pages, _, err := status.Status(sqlite.DBStatusCacheWrite, false)
		if err != nil || pages < c.every && !failed {
			return err
		}
		c.ask()
		_, _, err = status.Status(sqlite.DBStatusCacheWrite, true) // count from 0
		return err
	})
}

// ask asks for a checkpoint soon.
func (c *checkpointer) ask() {
	select {
	case c.wake <- struct{}{}:
	default: // one is due already
	}
}

func (c *checkpointer) run() {
	defer close(c.done)
	for {
		select {
		case <-c.wake:
			c.checkpoint()
		case <-c.quit:
			return
		}
	}
}

// checkpoint ignores errors: what it does not copy stays in the log, and the next one
// tries again.
func (c *checkpointer) checkpoint() {
	if c.empty.Load() {
		return
	}
	const rounds = 4 // each has less to do, unless the writer is faster
	inLog, copied, err := 0, 0, error(nil)
	for range rounds {
		inLog, copied, err = c.copy("PASSIVE")
		gone := copied == inLog && inLog >= c.every // the reader that kept it from beginning anew
		if err != nil || inLog < c.restartAt && !gone {
			return
		}
		if inLog-copied < c.every/16 {
			break
		}
	}
	if inLog >= c.pauseAt {
		defer c.pauseQueries()()
	}
	c.writer.Lock()
	defer c.writer.Unlock()
	c.restartAt = c.every
	if inLog, _, err = c.copy("RESTART"); err != nil {
		c.restartAt += inLog // do not hold up the writer again and again
		return
	}
	c.empty.Store(true)
}

// pauseQueries waits until no query runs, while further ones wait. It gives up after
// pauseFor: one that takes so long would hold up all others. resume ends the pause.
func (c *checkpointer) pauseQueries() (resume func()) {
	timer := time.NewTimer(c.pauseFor)
	defer timer.Stop()
	taken := 0
	resume = func() {
		for range taken {
			<-c.turns
		}
	}
	for ; taken < cap(c.turns); taken++ {
		select {
		case c.turns <- struct{}{}:
		case <-timer.C:
			return resume
		case <-c.quit:
			return resume
		}
	}
	return resume
}

var errBusy = errors.New("a reader uses the write-ahead log")

// copy runs a checkpoint. It returns how many pages the log has, how many of them are
// in the database, and an error if the log cannot begin anew but should.
func (c *checkpointer) copy(mode string) (inLog, copied int, err error) {
	var busy bool
	err = c.conn.QueryRowContext(context.Background(), "PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &inLog, &copied)
	if err == nil && busy && mode == "RESTART" {
		err = errBusy
	}
	return inLog, copied, err
}

// stop waits for a checkpoint that runs, and closes the connection. The writer must
// have stopped.
func (c *checkpointer) stop() error {
	close(c.quit)
	<-c.done
	return c.conn.Close()
}

// Checkpoint asks for a checkpoint soon, and returns at once.
func (db *DB) Checkpoint() { db.writer.checkpoints.ask() }

// Unwritten returns how many bytes of space the database may still take for what is
// only in the write-ahead log, at most.
func (db *DB) Unwritten() (int64, error) {
	if db.writer.checkpoints.empty.Load() {
		return 0, nil
	}
	return sizeOf(db.path + "-wal")
}
