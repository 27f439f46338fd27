package sqlitedb

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"testing"
	"time"
)

// openEvery opens a database whose checkpoints come after the given number of pages.
func openEvery(t *testing.T, pages int) *DB {
	t.Helper()
	db := open(t, t.TempDir())
	db.writer.working.Lock()
	defer db.writer.working.Unlock()
	db.writer.checkpoints.every, db.writer.checkpoints.restartAt = pages, pages
	return db
}

// fill writes the given number of MiB, a quarter in each commit.
func fill(t *testing.T, db *DB, prefix string, mebibytes int) {
	t.Helper()
	data := make([]byte, 256<<10)
	for i := range 4 * mebibytes {
		if err := db.Write(t.Context(), Turn{Bytes: len(data)}, put(fmt.Sprintf("%s%04d", prefix, i), data)); err != nil {
			t.Fatal(err)
		}
	}
}

func walBytes(t *testing.T, db *DB) int64 {
	t.Helper()
	size, err := sizeOf(db.path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	return size
}

// A commit is on disk when it returns, and so is a checkpoint before the log begins
// anew; and no commit makes a checkpoint.
func TestWritingConnectionsSyncAndLeaveCheckpointsAlone(t *testing.T) {
	db := open(t, t.TempDir())
	for name, conn := range map[string]*sql.Conn{"writer": db.writer.conn.conn, "checkpointer": db.writer.checkpoints.conn} {
		for pragma, want := range map[string]int{"synchronous": 2, "wal_autocheckpoint": 0} {
			var got int
			if err := conn.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
				t.Errorf("%s: %s is %d, %v, want %d", name, pragma, got, err, want)
			}
		}
	}
}

// Readers that come and go do not keep the write-ahead log from beginning anew.
func TestTheLogBeginsAnewBesideLoopingReaders(t *testing.T) {
	db := openEvery(t, 200)
	ctx, cancel := context.WithCancel(t.Context())
	var loops sync.WaitGroup
	for range readers {
		loops.Go(func() {
			for ctx.Err() == nil {
				var n int
				_, _ = db.QueryRow(ctx, "SELECT count(*) FROM tenants", nil, &n)
			}
		})
	}
	const wrote = 24
	fill(t, db, "a", wrote)
	cancel()
	loops.Wait()
	if size := walBytes(t, db) >> 20; size > wrote/2 {
		t.Errorf("the log grew to %d MiB with %d MiB written; it was never begun anew", size, wrote)
	}
}

// Queries that take longer than the writer may be held up, and that overlap, do not let the
// log grow for ever: those that are new wait until those that run have ended.
func TestTheLogIsBoundedBesideSlowQueries(t *testing.T) {
	const every = 200
	const limit = 4 * every * pageSize // where queries begin to wait
	db := openEvery(t, every)
	db.writer.working.Lock()
	db.writer.checkpoints.pauseAt = limit / pageSize
	db.writer.working.Unlock()
	ctx, cancel := context.WithCancel(t.Context())
	var loops sync.WaitGroup
	for range readers {
		loops.Go(func() {
			for ctx.Err() == nil {
				rows, err := db.Query(ctx, "SELECT tenant FROM tenants")
				if err != nil {
					return
				}
				rows.Next()
				db.afterCommits(4) // so none ends while the writer is held up
				_ = rows.Close()
			}
		})
	}
	const wrote = 48
	largest := int64(0)
	for i := range wrote {
		fill(t, db, fmt.Sprintf("%02d-", i), 1)
		largest = max(largest, walBytes(t, db))
	}
	cancel()
	fill(t, db, "end", 2) // the last queries end
	loops.Wait()
	t.Logf("the log had %d KiB at most, with %d KiB written", largest>>10, wrote<<10)
	if largest > wrote<<20/2 {
		t.Errorf("the log grew to %d KiB beside slow queries, which wait from %d KiB on", largest>>10, limit>>10)
	}
}

// afterCommits returns when there were n more commits.
func (db *DB) afterCommits(n uint64) {
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for until := db.Commits() + n; db.Commits() < until; {
		<-look.C
	}
}

// Queries wait only for a while for one that runs on and on, and no turn is kept when the
// others go on.
func TestAPauseOfQueriesEnds(t *testing.T) {
	db := openEvery(t, 200)
	rows, err := db.Query(t.Context(), "SELECT name FROM sqlite_schema")
	if err != nil || !rows.Next() {
		t.Fatal(err)
	}
	db.writer.working.Lock()
	db.writer.checkpoints.pauseAt, db.writer.checkpoints.pauseFor = 400, 20*time.Millisecond
	db.writer.working.Unlock()
	fill(t, db, "a", 8)
	var n int
	for range 3 {
		if _, err := db.QueryRow(t.Context(), "SELECT count(*) FROM tenants", nil, &n); err != nil {
			t.Fatal(err)
		}
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 * readers { // every turn was given back
		if _, err := db.QueryRow(t.Context(), "SELECT count(*) FROM tenants", nil, &n); err != nil {
			t.Fatal(err)
		}
	}
}

// A reader that stays, such as a backup, keeps the log growing but holds up nobody. The
// log begins anew once it has gone.
func TestALongReaderHoldsUpNobody(t *testing.T) {
	db := openEvery(t, 200)
	rows, err := db.Query(t.Context(), "SELECT name FROM sqlite_schema")
	if err != nil || !rows.Next() {
		t.Fatal(err)
	}
	fill(t, db, "a", 8)
	grown := walBytes(t, db)
	if grown < 8<<20 {
		t.Errorf("the log has %d bytes: it begins anew beside a reader of its first page", grown)
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	fill(t, db, "b", 32)
	if size := walBytes(t, db); size > grown+16<<20 {
		t.Errorf("the log grew from %d to %d bytes: it does not begin anew after the reader", grown, size)
	}
}

// Once a long reader has gone, a checkpoint that is asked for makes the log count no more,
// without a further commit; the next one makes its file smaller.
func TestCheckpointEndsWhatALongReaderLeft(t *testing.T) {
	db := openEvery(t, 200)
	rows, err := db.Query(t.Context(), "SELECT name FROM sqlite_schema")
	if err != nil || !rows.Next() {
		t.Fatal(err)
	}
	const limit = 64 << 20 // journal_size_limit
	fill(t, db, "a", 80)
	if n, err := db.Unwritten(); err != nil || n < limit {
		t.Fatalf("%d bytes in the log beside a reader, %v", n, err)
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	checkpointNow(t, db)
	if n, err := db.Unwritten(); err != nil || n != 0 {
		t.Errorf("%d bytes are only in the log after a checkpoint, %v", n, err)
	}
	fill(t, db, "b", 1)
	if n, err := db.Unwritten(); err != nil || n == 0 || n > limit {
		t.Errorf("%d bytes in the log after the next commits, %v", n, err)
	}
}

// checkpointNow makes a checkpoint and waits for its end.
func checkpointNow(t *testing.T, db *DB) {
	t.Helper()
	for range 3 { // one may run, and one may be due
		db.writer.checkpoints.wake <- struct{}{}
	}
}

// A checkpoint that a long reader keeps from beginning the log anew leaves it counted:
// its space is not free for publishes.
func TestCheckpointBesideALongReaderLeavesTheLogCounted(t *testing.T) {
	db := openEvery(t, 200)
	rows, err := db.Query(t.Context(), "SELECT name FROM sqlite_schema")
	if err != nil || !rows.Next() {
		t.Fatal(err)
	}
	fill(t, db, "a", 2)
	checkpointNow(t, db)
	if n, err := db.Unwritten(); err != nil || n < 2<<20 {
		t.Errorf("%d bytes are only in the log beside a reader, %v; want all that was written", n, err)
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
}
