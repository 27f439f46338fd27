package sqlitedb

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"testing"
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
