package sqlite

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/sqlitedb"
)

// move moves arrivals to their places, in steps.
type move struct {
	rest    []arrival // in the order of their places; used by one step at a time
	bytes   int       // of all its arrivals
	deleted int64     // the seq up to which their rows are deleted; used by one step at a time
	through int64     // their highest seq
	done    chan struct{}
	err     error // valid once done is closed
}

// inTurn looks for something among the segments of a partition that are in their places,
// and among all of them, once they are, only if it is not found there.
func (l *Log) inTurn(ctx context.Context, p event.Partition, look func(s state) (found bool, err error)) error {
	s, all := l.inPlace(p)
	if found, err := look(s); found || all || err != nil {
		return err
	}
	s, err := l.settled(ctx, p)
	if err != nil {
		return err
	}
	_, err = look(s)
	return err
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
	m := &move{rest: slices.Clone(a.committed), deleted: a.moved, through: a.newest, bytes: a.bytes, done: make(chan struct{})}
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
	deleted := m.deleted
	return l.db.Submit(context.Background(), &sqlitedb.Op{
		Turn: sqlitedb.Turn{Class: sqlitedb.Maintenance, Bytes: size},
		Run: func(tx *sqlitedb.Tx) error {
			if err := put(tx, m.rest[:n]); err != nil || n < len(m.rest) {
				return err
			}
			deleted = min(m.deleted+stepRows, m.through)
			_, err := tx.Exec("DELETE FROM arrivals WHERE seq <= ?", deleted)
			return err
		},
		Done: func(err error) {
			if err == nil {
				m.rest, m.deleted = m.rest[n:], deleted
			}
			if err == nil && deleted < m.through {
				if err = l.moveOn(m); err == nil {
					return
				}
			}
			l.endMove(m, err)
		},
	})
}

// step returns how many arrivals the next step moves, at least one if any is left, and
// about how much it writes.
func (m *move) step() (n, size int) {
	for n < len(m.rest) && (n == 0 || size+m.rest[n].memory() <= stepBytes) {
		size += m.rest[n].memory()
		n++
	}
	return n, size
}

// A statement that writes many rows takes less time than as many statements.
const (
	segmentColumns = 7
	segmentsAtOnce = 16
	insertSegment  = "INSERT INTO segments (id, first_ms, last_ms, events, before, appended_bytes, data) VALUES (?, ?, ?, ?, ?, ?, ?)"
)

var insertSegments = insertSegment + strings.Repeat(", (?, ?, ?, ?, ?, ?, ?)", segmentsAtOnce-1)

// put writes arrivals to their places. It returns an error if there is another segment in
// one of these.
func put(tx *sqlitedb.Tx, list []arrival) error {
	columns := make([]any, 0, min(len(list), segmentsAtOnce)*segmentColumns)
	for len(list) > 0 {
		statement, n := insertSegments, segmentsAtOnce
		if len(list) < n {
			statement, n = insertSegment, 1
		}
		columns = columns[:0]
		for i := range list[:n] {
			a := &list[i]
			columns = append(columns, a.row, a.firstMs, a.lastMs, a.events, a.before, a.appended, a.data)
		}
		if _, err := tx.Exec(statement, columns...); err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
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
