package sqlite

import (
	"context"
	"strings"

	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/sqlitedb"
)

// The segments of a partition lie side by side, so a batch of many partitions would rewrite
// a page of the database for each. Its segments go to the table arrivals instead, one
// behind the other. Later they are moved to their places, many at a time in the order of
// their places, so that those of a partition share the write of a page. What needs them from
// the disk waits for that.
const (
	manyPartitions = 16        // so many in a batch go to arrivals
	moveBytes      = 16 << 20  // in arrivals; then they are moved
	arrivalsBytes  = 32 << 20  // with more in arrivals, each segment goes to its place at once: a start reads them all
	stepBytes      = 256 << 10 // of a transaction that moves; with less, two batches in a group are more than it moves
	stepRows       = 1000      // of one that deletes them
)

// arrival is a segment in the table arrivals.
type arrival struct {
	seq, row int64 // its keys there and in segments
	size     int
}

// arrivals is what is in the table arrivals.
type arrivals struct {
	last int64 // seq of the newest row; used only by the writer's goroutine

	// Guarded by Log.mu.
	committed []arrival // those no move has taken
	newest    int64     // seq of the newest row that is committed
	bytes     int       // of all
	moved     int64     // seq up to which all have been moved; written by the writer's goroutine
	move      *move     // the one that runs, or nil
}

// arrive notes a row of segments for arrivals, and returns its seq.
func (l *Log) arrive(c *change, id int64, size int, row ...any) int64 {
	l.arrivals.last++
	c.arrivals = append(c.arrivals, arrival{l.arrivals.last, id, size})
	c.rows = append(append(c.rows, l.arrivals.last, id), row...)
	return l.arrivals.last
}

// A statement that writes many rows takes less time than as many statements.
const (
	arrivalWidth   = 8 // columns
	arrivalsAtOnce = 16
	insertArrival  = "INSERT INTO arrivals (seq, id, first_ms, last_ms, events, before, appended_bytes, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)

var insertArrivals = insertArrival + strings.Repeat(", (?, ?, ?, ?, ?, ?, ?, ?)", arrivalsAtOnce-1)

// writeArrivals writes the rows that were noted.
func (c *change) writeArrivals(tx *sqlitedb.Tx) error {
	for rows := c.rows; len(rows) > 0; {
		statement, n := insertArrivals, arrivalsAtOnce*arrivalWidth
		if len(rows) < n {
			statement, n = insertArrival, arrivalWidth
		}
		if _, err := tx.Exec(statement, rows[:n]...); err != nil {
			return err
		}
		rows = rows[n:]
	}
	c.rows = nil
	return nil
}

// full reports whether a further batch goes to its places at once.
func (l *Log) full() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.arrivals.bytes >= arrivalsBytes
}

// keep takes the arrivals of a commit. l.mu is held.
func (l *Log) keep(list []arrival) {
	a := &l.arrivals
	for _, arrived := range list {
		a.bytes += arrived.size
		a.newest = arrived.seq
	}
	a.committed = append(a.committed, list...)
	if a.bytes >= moveBytes {
		l.startMove()
	}
}

// openArrivals takes what an earlier process left in arrivals. partitions has all by their
// id. Some of it may be in its place: a move was cut short.
func (l *Log) openArrivals(ctx context.Context, partitions map[int64]*partition) error {
	rows, err := l.db.Query(ctx, `SELECT seq, id, last_ms, before + events, appended_bytes, length(data),
		EXISTS (SELECT 1 FROM segments s WHERE s.id = a.id) FROM arrivals a ORDER BY seq`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var a arrival
		var s state
		var placed bool
		if err := rows.Scan(&a.seq, &a.row, &s.lastMs, &s.events, &s.bytes, &a.size, &placed); err != nil {
			return l.db.Problem(err)
		}
		part := partitions[a.row>>numberBits]
		if part == nil {
			return problem.New(problem.Internal, "the database is damaged: row %d of arrivals is of no partition. Restore a backup (sluice restore)", a.seq)
		}
		if s.end = numberOf(a.row); s.end > part.end {
			part.end, part.lastMs, part.events, part.bytes = s.end, s.lastMs, s.events, s.bytes
		}
		if part.arrived == 0 {
			part.placed = numberOf(a.row) - 1
		}
		part.arrived = a.seq
		if l.arrivals.last == 0 {
			l.arrivals.moved = a.seq - 1
		}
		l.arrivals.last, l.arrivals.newest = a.seq, a.seq
		l.arrivals.bytes += a.size
		if !placed {
			l.arrivals.committed = append(l.arrivals.committed, a)
		}
	}
	return l.db.Problem(rows.Err())
}
