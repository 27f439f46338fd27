package delivery_test

import (
	"context"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	logsqlite "github.com/sluicehq/sluice/internal/eventlog/sqlite"
	"github.com/sluicehq/sluice/internal/sqlitedb"
	"github.com/sluicehq/sluice/internal/sqlitedb/diskfault"
	storesqlite "github.com/sluicehq/sluice/internal/store/sqlite"
)

// disk has the database of a case over SQLite. Some of its writes and syncs fail, and
// with each the whole group of operations that share the transaction.
type disk struct {
	w       *world
	dir     string
	db      *sqlitedb.DB
	restore func()

	mu    sync.Mutex
	dice  *rand.Rand
	works bool
}

// openDisk puts the store and the log of a case on a disk. Call it in the case's bubble.
func (w *world) openDisk() error {
	dir, err := os.MkdirTemp("", "sluice-disk-")
	if err != nil {
		return err
	}
	d := &disk{w: w, dir: dir, dice: rand.New(rand.NewPCG(w.Seed, 0))}
	if d.restore, err = diskfault.Below(dir, d.decide); err != nil {
		return err
	}
	w.disk = d
	w.reopen()
	return nil
}

func (d *disk) decide(op diskfault.Op) diskfault.Fault {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.works || op != diskfault.Write && op != diskfault.Sync || d.dice.IntN(1000) >= d.w.DiskFails {
		return diskfault.None
	}
	return diskfault.EIO + diskfault.Fault(d.dice.IntN(3))
}

func (d *disk) mend() {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.works = true
}

// reopen opens the database again, as the next process does: until the disk lets it.
func (w *world) reopen() {
	if w.disk == nil {
		return
	}
	for w.count() && w.disk.open(context.Background()) != nil {
		time.Sleep(time.Second)
	}
}

func (d *disk) open(ctx context.Context) error {
	d.w.writes.Lock()
	defer d.w.writes.Unlock()
	if d.db != nil {
		_ = d.db.Close() // it says so if the disk fails
	}
	db, err := sqlitedb.Open(ctx, d.dir)
	if err != nil {
		return err
	}
	log, err := logsqlite.Open(ctx, db, d.w.now)
	if err != nil {
		_ = db.Close()
		return err
	}
	d.db, d.w.records, d.w.log = db, storesqlite.New(db), log
	d.w.trim = func(before time.Time) { _, _ = log.Trim(ctx, before) }
	return d.w.learn(ctx)
}

func (d *disk) close() {
	if d == nil {
		return
	}
	d.mend()
	_ = d.db.Close()
	d.restore()
	_ = os.RemoveAll(d.dir)
}
