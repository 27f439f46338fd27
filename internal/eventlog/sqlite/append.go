package sqlite

import (
	"context"
	"slices"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/sqlitedb"
)

// Append implements eventlog.Log.
func (l *Log) Append(ctx context.Context, p event.Partition, source string, events []event.Event) (uint64, error) {
	if len(events) == 0 {
		return 0, problem.New(problem.Internal, "an append of no events to lane %d of tenant %q", p.Lane, p.Tenant)
	}
	type outcome struct {
		number uint64
		err    error
	}
	var number uint64
	var c *change
	events = slices.Clone(events)
	data := eventlog.AppendSegment(nil, events)
	done := make(chan outcome, 1)
	op := &sqlitedb.Op{
		Bytes: len(data),
		Run: func(tx *sqlitedb.Tx) (err error) {
			c = &change{states: map[event.Partition]state{}}
			number, err = l.appendOnce(tx, c, p, source, events, data)
			if err == nil {
				l.stage(c)
			}
			return err
		},
		Done: func(err error) {
			l.settle(c, err)
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

// appendOnce appends unless the source was appended before.
func (l *Log) appendOnce(tx *sqlitedb.Tx, c *change, p event.Partition, source string, events []event.Event, data []byte) (uint64, error) {
	if source == "" {
		return l.append(tx, c, p, events, data)
	}
	s, err := l.current(tx, c, p)
	if err != nil {
		return 0, err
	}
	var number uint64
	found, err := tx.QueryRow("SELECT number FROM sources WHERE partition = ? AND source = ?", []any{s.id, source}, &number)
	if err != nil || found {
		return number, err
	}
	if number, err = l.append(tx, c, p, events, data); err != nil {
		return 0, err
	}
	_, err = tx.Exec("INSERT INTO sources (partition, source, number, appended_ms) VALUES (?, ?, ?, ?)",
		s.id, source, int64(number), l.now().UnixMilli())
	return number, err
}

// append writes the next segment of a partition. The data are the events,
// encoded.
func (l *Log) append(tx *sqlitedb.Tx, c *change, p event.Partition, events []event.Event, data []byte) (uint64, error) {
	s, err := l.current(tx, c, p)
	if err != nil {
		return 0, err
	}
	if s.head == maxNumber {
		return 0, problem.New(problem.Internal, "lane %d of tenant %q is full", p.Lane, p.Tenant)
	}
	s.head++
	first := events[0].PublishedAt.UnixMilli()
	last := first
	for i := range events {
		ms := events[i].PublishedAt.UnixMilli()
		first, last = min(first, ms), max(last, ms)
	}
	if _, err := tx.Exec("INSERT INTO segments (id, first_ms, last_ms, events, before, data) VALUES (?, ?, ?, ?, ?, ?)",
		s.rowOf(s.head), first, last, len(events), s.events, data); err != nil {
		return 0, err
	}
	if s.ordered && s.head > 1 && first < s.lastMs {
		s.ordered = false
		if _, err := tx.Exec("UPDATE partitions SET ordered = 0 WHERE id = ?", s.id); err != nil {
			return 0, err
		}
	}
	s.lastMs = max(s.lastMs, last)
	s.events += int64(len(events))
	l.last = max(l.last, last)
	c.states[p] = s
	c.segments = append(c.segments, placed{p, eventlog.Segment{Number: s.head, Events: events}})
	return s.head, nil
}

// current is the state of a partition within the writer's transaction. A
// partition that is new is made.
func (l *Log) current(tx *sqlitedb.Tx, c *change, p event.Partition) (state, error) {
	if s, ok := c.states[p]; ok {
		return s, nil
	}
	if s, ok := l.staged[p]; ok {
		return s, nil
	}
	if s, ok := l.committed(p); ok {
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
