package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/sqlitedb"
)

// The segments of a partition lie side by side, so a batch of many partitions would rewrite
// a page of the database for each. Its segments go to the table arrivals instead, as one
// row, and stay in memory. Later they are moved to their places, many at a time in the order
// of their places, so that those of a partition share the write of a page. What needs them
// from the disk waits for that.
const (
	manyPartitions = 16        // so many in a batch go to arrivals
	moveBytes      = 16 << 20  // in arrivals; then they are moved
	arrivalsBytes  = 32 << 20  // with more in arrivals, each segment goes to its place at once: they are in memory, and a start reads them
	stepBytes      = 256 << 10 // of a transaction that moves; with less, two batches in a group are more than it moves
	stepRows       = 64        // of one that deletes them
	arrivalMemory  = 100       // bytes that a segment takes in memory, besides its own
)

const nextBatch = "SELECT seq, data FROM arrivals WHERE seq > ? ORDER BY seq LIMIT 1"

// arrival is a segment in the table arrivals.
type arrival struct {
	row              int64 // its key in segments, and the rest as there
	firstMs, lastMs  int64
	events           int
	before, appended int64
	size             int // of data
	data             []byte
}

// arrivals is what is in the table arrivals. A segment's bytes count with what it takes
// besides.
type arrivals struct {
	last int64 // seq of the newest row; used only by the writer's goroutine

	// Guarded by Log.mu.
	committed []arrival // those no move has taken
	newest    int64     // seq of the newest row that is committed
	bytes     int       // of all
	moved     int64     // seq up to which all have been moved; written by the writer's goroutine
	move      *move     // the one that runs, or nil
}

// writeArrivals writes the segments of a change, which are in l.buffer, to arrivals.
func (l *Log) writeArrivals(tx *sqlitedb.Tx, c *change) error {
	l.buffer = appendDirectory(l.buffer, c.arrivals)
	data := slices.Clone(l.buffer) // it stays in memory
	_, err := tx.Exec("INSERT INTO arrivals (seq, data) VALUES (?, ?)", c.seq, data)
	for i := range c.arrivals {
		a := &c.arrivals[i]
		a.data, data = data[:a.size:a.size], data[a.size:]
	}
	return err
}

// full reports whether a further batch goes to its places at once.
func (l *Log) full() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.arrivals.bytes >= arrivalsBytes
}

// keep takes the arrivals of a commit. l.mu is held.
func (l *Log) keep(seq int64, list []arrival) {
	a := &l.arrivals
	a.newest = seq
	a.bytes += memoryOfAll(list)
	a.committed = append(a.committed, list...)
	if a.bytes >= moveBytes {
		l.startMove()
	}
}

// memory returns what a segment takes in memory, approximately.
func (a *arrival) memory() int { return a.size + arrivalMemory }

func memoryOfAll(list []arrival) (bytes int) {
	for i := range list {
		bytes += list[i].memory()
	}
	return bytes
}

// openArrivals takes what an earlier process left in arrivals. partitions has all by their
// id.
func (l *Log) openArrivals(ctx context.Context, partitions map[int64]*partition) error {
	for {
		var seq int64
		var data []byte
		found, err := l.db.QueryRow(ctx, nextBatch, []any{l.arrivals.last}, &seq, &data)
		if err != nil || !found {
			return err
		}
		list, err := parseBatch(data)
		if err != nil {
			return damagedBatch(seq, err)
		}
		if l.arrivals.last == 0 {
			l.arrivals.moved = seq - 1
		}
		l.arrivals.last, l.arrivals.newest = seq, seq
		l.arrivals.bytes += memoryOfAll(list)
		for _, a := range list {
			part := partitions[a.row>>numberBits]
			if part == nil {
				return damagedBatch(seq, errNoPartition)
			}
			part.openArrival(seq, a)
		}
		if list, err = l.notInPlace(ctx, list); err != nil {
			return err
		}
		l.arrivals.committed = append(l.arrivals.committed, list...)
	}
}

var errNoPartition = errors.New("it has a segment of no partition")

func damagedBatch(seq int64, err error) error {
	return problem.Wrap(err, problem.Internal, "the database is damaged: row %d of arrivals cannot be read. Restore a backup (sluice restore)", seq)
}

// openArrival takes one of a partition's segments in arrivals, in their order.
func (part *partition) openArrival(seq int64, a arrival) {
	number := numberOf(a.row)
	if number > part.end {
		part.end, part.lastMs, part.events, part.bytes = number, a.lastMs, a.before+int64(a.events), a.appended
	}
	if part.arrived == 0 {
		part.placed = number - 1
	}
	part.arrived = seq
}

// notInPlace returns those that are not in their places. Some may be: a move was cut short.
func (l *Log) notInPlace(ctx context.Context, list []arrival) ([]arrival, error) {
	keys := make([]int64, len(list))
	for i := range list {
		keys[i] = list[i].row
	}
	text, err := json.Marshal(keys)
	if err != nil {
		return nil, err
	}
	rows, err := l.db.Query(ctx, "SELECT value FROM json_each(?) WHERE EXISTS (SELECT 1 FROM segments WHERE id = value)", string(text))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	placed := map[int64]bool{}
	for rows.Next() {
		var row int64
		if err := rows.Scan(&row); err != nil {
			return nil, l.db.Problem(err)
		}
		placed[row] = true
	}
	return slices.DeleteFunc(list, func(a arrival) bool { return placed[a.row] }), l.db.Problem(rows.Err())
}
