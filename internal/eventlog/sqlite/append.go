package sqlite

import (
	"context"
	"strings"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/sqlitedb"
)

// Append implements eventlog.Log.
func (l *Log) Append(ctx context.Context, p event.Partition, source string, records []eventlog.Record) (uint64, error) {
	type outcome struct {
		number uint64
		err    error
	}
	size := 0
	for i := range records {
		for j := range records[i].Events {
			size += len(records[i].Events[j].Body)
		}
	}
	var number uint64
	var c *change
	done := make(chan outcome, 1)
	op := &sqlitedb.Op{
		Turn: sqlitedb.Turn{Tenant: p.Tenant, Bytes: size},
		Run: func(tx *sqlitedb.Tx) (err error) {
			c = l.newChange(1)
			number, err = l.appendAfter(tx, c, p, source, records)
			if err != nil {
				return err
			}
			return l.stage(tx, c)
		},
		Done: func(err error) {
			l.finishChange(c, err)
			done <- outcome{number, err}
		},
	}
	if err := l.db.Submit(ctx, op); err != nil {
		return 0, err
	}
	select {
	case o := <-done:
		return o.number, o.err
	case <-ctx.Done():
		return 0, l.db.Problem(ctx.Err())
	}
}

// appendAfter appends the records after the source's checkpoint, and advances it.
func (l *Log) appendAfter(tx *sqlitedb.Tx, c *change, p event.Partition, source string, records []eventlog.Record) (uint64, error) {
	s, known := l.known(c, p)
	var checkpoint eventlog.Checkpoint
	if known && source != "" {
		var err error
		if checkpoint, err = checkpointOf(tx, s.id, source); err != nil {
			return 0, err
		}
	}
	rest, err := checkpoint.After(source, records)
	events := eventlog.Events(rest)
	if err != nil || len(events) == 0 {
		return s.end, err
	}
	number, err := l.append(tx, c, p, events)
	if err != nil || source == "" {
		return number, err
	}
	from, to := checkpointRange(source)
	if _, err := tx.Exec("DELETE FROM sources WHERE partition = ? AND source > ? AND source < ?", c.states[p].id, from, to); err != nil {
		return 0, err
	}
	_, err = tx.Exec("INSERT INTO sources (partition, source, number, appended_ms) VALUES (?, ?, ?, ?)",
		c.states[p].id, from+checkpoint.Advanced(source, rest).Sequence, int64(number), l.now().UnixMilli())
	return number, err
}

// checkpointOf returns the checkpoint of a source. A row of the table sources has the
// source and its last sequence, which does not fit an integer, in one text.
func checkpointOf(tx *sqlitedb.Tx, partition int64, source string) (eventlog.Checkpoint, error) {
	from, to := checkpointRange(source)
	var row string
	found, err := tx.QueryRow("SELECT source FROM sources WHERE partition = ? AND source > ? AND source < ?", []any{partition, from, to}, &row)
	if err != nil || !found {
		return eventlog.Checkpoint{}, err
	}
	return eventlog.Checkpoint{Source: source, Sequence: strings.TrimPrefix(row, from)}, nil
}

// checkpointRange returns the exclusive bounds of a source's rows: a colon sorts after
// any digit.
func checkpointRange(source string) (from, to string) { return source + "\n", source + "\n:" }

// append writes the next segment of a partition, or notes it for stage.
func (l *Log) append(tx *sqlitedb.Tx, c *change, p event.Partition, events []event.Event) (uint64, error) {
	s, err := l.current(tx, c, p)
	if err != nil {
		return 0, err
	}
	if s.end == maxNumber {
		return 0, problem.New(problem.Internal, "lane %d of tenant %q is full", p.Lane, p.Tenant)
	}
	s.end++
	start := len(l.buffer)
	l.buffer = eventlog.AppendSegment(l.buffer, events)
	data := l.buffer[start:]
	s.bytes += int64(len(data))
	first := events[0].PublishedAt.UnixMilli()
	last := first
	for i := range events {
		ms := events[i].PublishedAt.UnixMilli()
		first, last = min(first, ms), max(last, ms)
	}
	row := arrival{s.rowOf(s.end), first, last, len(events), s.events, s.bytes, len(data), data}
	if c.seq == 0 {
		if err := put(tx, []arrival{row}); err != nil {
			return 0, err
		}
	} else {
		if s.arrived <= l.arrivals.moved {
			s.placed = s.end - 1
		}
		s.arrived = c.seq
		c.arrivals = append(c.arrivals, row)
	}
	if s.ordered && s.end > 1 && first < s.lastMs {
		s.ordered = false
		if _, err := tx.Exec("UPDATE partitions SET ordered = 0 WHERE id = ?", s.id); err != nil {
			return 0, err
		}
	}
	s.lastMs = max(s.lastMs, last)
	s.events += int64(len(events))
	l.last = max(l.last, last)
	c.states[p] = s
	c.segments = append(c.segments, placed{p, eventlog.Segment{Number: s.end, Events: events}})
	return s.end, nil
}

// current returns the state of a partition within the writer's transaction. It creates
// a new partition.
func (l *Log) current(tx *sqlitedb.Tx, c *change, p event.Partition) (state, error) {
	if s, ok := l.known(c, p); ok {
		return s, nil
	}
	s := state{ordered: true}
	_, err := tx.QueryRow("INSERT INTO partitions (tenant, lane) VALUES (?, ?) RETURNING id", []any{p.Tenant, p.Lane}, &s.id)
	if err == nil && s.id > maxPartition {
		err = problem.New(problem.Internal, "the database has no room for another partition")
	}
	c.states[p] = s
	return s, err
}

// known returns the state of a partition within the writer's transaction; false if
// there is none.
func (l *Log) known(c *change, p event.Partition) (state, bool) {
	if s, ok := c.states[p]; ok {
		return s, true
	}
	if s, ok := l.staged[p]; ok {
		return s, true
	}
	return l.committed(p)
}
