package sqlite

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/sqlitedb"
)

// The segments of a partition lie side by side, so a batch of many partitions would rewrite
// a page of the database for each. Its segments go to the table arrivals instead, one
// behind the other. Later they are moved to their places, many at a time in the order of
// their places, so that those of a partition share the write of a page. A read of a
// partition from the disk waits for the move of its segments.
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

// move moves arrivals to their places, in steps.
type move struct {
	rest    []arrival // in the order of their places; used by one step at a time
	bytes   int       // of all its arrivals
	through int64     // their highest seq
	done    chan struct{}
	err     error // valid once done is closed
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

// settledAfter returns the state of a partition once the first segment after the given
// number is in its place. Its end is lowered to the last that is known to be in its place.
func (l *Log) settledAfter(ctx context.Context, p event.Partition, number uint64) (state, error) {
	s, all := l.inPlace(p)
	if all {
		return s, nil
	}
	found, err := l.db.QueryRow(ctx, "SELECT id FROM segments WHERE id > ? AND id <= ? AND length(data) > 0 LIMIT 1",
		[]any{s.rowOf(number), s.rowOf(s.end)}, new(int64))
	if err != nil || found {
		return s, err
	}
	return l.settled(ctx, p)
}

// inPlace returns the state of a partition, and whether all its segments are in their
// places. If not, its end is lowered to those that are.
func (l *Log) inPlace(p event.Partition) (s state, all bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if part := l.partitions[p]; part != nil {
		s = part.state
	}
	if s.arrived <= l.arrivals.moved {
		return s, true
	}
	s.end = s.placed
	return s, false
}

// settled returns the state of a partition once all its segments up to the end are in
// their places. It does not wait for those that come meanwhile.
func (l *Log) settled(ctx context.Context, p event.Partition) (state, error) {
	s, _ := l.committed(p)
	for {
		m := l.moveOf(s.arrived)
		if m == nil {
			return s, nil
		}
		select {
		case <-m.done:
		case <-ctx.Done():
			return s, l.db.Problem(ctx.Err())
		}
		if m.err != nil {
			return s, m.err
		}
	}
}

// moveOf returns nil if everything up to a row of arrivals has been moved, else the move
// that runs.
func (l *Log) moveOf(seq int64) *move {
	if seq == 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if seq <= l.arrivals.moved {
		return nil
	}
	return l.startMove()
}

// startMove returns the move that runs, or starts one. l.mu is held, and there are arrivals.
func (l *Log) startMove() *move {
	a := &l.arrivals
	if a.move != nil {
		return a.move
	}
	m := &move{rest: slices.Clone(a.committed), through: a.newest, bytes: a.bytes, done: make(chan struct{})}
	slices.SortFunc(m.rest, func(a, b arrival) int { return cmp.Compare(a.row, b.row) })
	if err := l.moveOn(m); err != nil {
		m.err = err
		close(m.done)
		return m
	}
	a.committed, a.move = nil, m
	return m
}

// moveOn gives the writer the next step of a move. Once all arrivals are in their places,
// the steps delete their rows.
func (l *Log) moveOn(m *move) error {
	n, size := m.step()
	ended := false
	return l.db.Submit(context.Background(), &sqlitedb.Op{
		Turn: sqlitedb.Turn{Class: sqlitedb.Maintenance, Bytes: size},
		Run: func(tx *sqlitedb.Tx) error {
			if err := put(tx, m.rest[:n]); err != nil || n < len(m.rest) {
				return err
			}
			rows, err := tx.Exec("DELETE FROM arrivals WHERE seq IN (SELECT seq FROM arrivals WHERE seq <= ? ORDER BY seq LIMIT ?)", m.through, stepRows)
			ended = rows < stepRows
			return err
		},
		Done: func(err error) {
			if err == nil {
				m.rest = m.rest[n:]
			}
			if err == nil && !ended {
				if err = l.moveOn(m); err == nil {
					return
				}
			}
			l.endMove(m, err)
		},
	})
}

// step returns how many arrivals the next step moves, at least one if any is left, and
// their bytes.
func (m *move) step() (n, size int) {
	for n < len(m.rest) && (n == 0 || size+m.rest[n].size <= stepBytes) {
		size += m.rest[n].size
		n++
	}
	return n, size
}

// put copies arrivals to their places. It returns an error if there is another segment in
// one of these.
func put(tx *sqlitedb.Tx, list []arrival) error {
	seqs := make([]int64, len(list))
	for i := range list {
		seqs[i] = list[i].seq
	}
	text, err := json.Marshal(seqs)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO segments (id, first_ms, last_ms, events, before, appended_bytes, data)
		SELECT a.id, a.first_ms, a.last_ms, a.events, a.before, a.appended_bytes, a.data
		FROM json_each(?) list CROSS JOIN arrivals a ON a.seq = list.value`, string(text))
	return err
}

// endMove ends a move. What it has not moved is for the next one.
func (l *Log) endMove(m *move, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := &l.arrivals
	a.move, m.err = nil, err
	if err == nil {
		a.moved, a.bytes = m.through, a.bytes-m.bytes
	} else {
		a.committed = append(m.rest, a.committed...)
	}
	close(m.done)
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
		l.arrivals.last, l.arrivals.newest = a.seq, a.seq
		l.arrivals.bytes += a.size
		if !placed {
			l.arrivals.committed = append(l.arrivals.committed, a)
		}
	}
	return l.db.Problem(rows.Err())
}
