// Package sqlite implements the log in a node's database. The node publishes into it
// directly. Events published while the disk is busy are stamped and committed together,
// so that the order of the log is the order of published_at.
//
// The most recent segments are cached in memory, up to a limit, so live delivery reads a
// new event without a query.
package sqlite

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/sqlitedb"
)

// Log implements eventlog.Log over the database of a node, for one process.
type Log struct {
	db       *sqlitedb.DB
	now      func() time.Time
	onAppend func(p event.Partition, end uint64)
	onAhead  func(by time.Duration)
	allowed  func() error // before each publish

	manyPartitions int // in a batch whose segments go to arrivals

	mu         sync.RWMutex
	partitions map[event.Partition]*partition // as committed
	bytes      map[string]int64               // in the log, by tenant
	opened     int64                          // ms; l.last when it was opened
	recent     recentSegments
	arrivals   arrivals

	publishing sync.Mutex
	batches    map[string]*batch // by tenant: those that further publishes can join
	inProgress map[keyName]bool  // the keys of calls that are done once

	// Used only by the writer's goroutine.
	staged map[event.Partition]state // by the operations of the uncommitted group
	last   int64                     // ms; no event gets an earlier stamp
	floor  int64                     // ms; committed: holds after a restart too
	warned time.Time                 // when onAhead was last called
	buffer []byte                    // the segments of the change at hand, one behind the other
}

// partition is the state of a partition that is kept in memory.
type partition struct {
	state
	recent []eventlog.Segment // the latest ones, up to the end
}

type state struct {
	id      int64
	end     uint64
	events  int64  // appended so far
	lastMs  int64  // of the latest event
	bytes   int64  // appended so far
	ordered bool   // no segment has an event earlier than those of the segments before
	arrived int64  // the row of arrivals with its latest segment that went there; 0 if none did
	placed  uint64 // until that is moved: up to this number all segments are in their places
}

// numberBits is how many low bits of a segment's id are its number.
const numberBits = 40

const (
	maxNumber    = 1<<numberBits - 1
	maxPartition = 1<<(63-numberBits) - 1
)

// rowOf returns the id of a segment. The ids of a partition are between rowOf(0) and
// rowOf(maxNumber).
func (s state) rowOf(number uint64) int64 { return s.id<<numberBits + int64(min(number, maxNumber)) }

func numberOf(row int64) uint64 { return uint64(row) & maxNumber }

// Open returns the log in the given database, which the caller must close. now is the
// clock for stamps.
func Open(ctx context.Context, db *sqlitedb.DB, now func() time.Time) (*Log, error) {
	l := &Log{db: db, now: now, allowed: func() error { return nil }, partitions: map[event.Partition]*partition{}, batches: map[string]*batch{}, inProgress: map[keyName]bool{}, manyPartitions: manyPartitions, staged: map[event.Partition]state{}, bytes: map[string]int64{}}
	if err := l.openPartitions(ctx); err != nil {
		return nil, err
	}
	if _, err := db.QueryRow(ctx, "SELECT floor_ms FROM stamps", nil, &l.floor); err != nil {
		return nil, err
	}
	l.last = max(l.last, l.floor)
	l.opened = l.last
	return l, nil
}

// openPartitions reads the state of each partition: that of its last segment.
func (l *Log) openPartitions(ctx context.Context) error {
	rows, err := l.db.Query(ctx, `SELECT p.id, p.tenant, p.lane, p.ordered, p.trimmed_bytes,
		coalesce(s.id, 0), coalesce(s.last_ms, 0), coalesce(s.before + s.events, 0), coalesce(s.appended_bytes, 0)
		FROM partitions p LEFT JOIN segments s
		ON s.id = (SELECT max(id) FROM segments WHERE id > p.id << 40 AND id < (p.id + 1) << 40)`)
	if err != nil {
		return err
	}
	defer rows.Close()
	byID, trimmed := map[int64]*partition{}, map[event.Partition]int64{}
	for rows.Next() {
		var p event.Partition
		var s state
		var row, freed int64
		if err := rows.Scan(&s.id, &p.Tenant, &p.Lane, &s.ordered, &freed, &row, &s.lastMs, &s.events, &s.bytes); err != nil {
			return l.db.Problem(err)
		}
		s.end = numberOf(row)
		l.partitions[p] = &partition{state: s}
		byID[s.id], trimmed[p] = l.partitions[p], freed
	}
	if err := errors.Join(l.db.Problem(rows.Err()), rows.Close()); err != nil { // one query at a time
		return err
	}
	if err := l.openArrivals(ctx, byID); err != nil {
		return err
	}
	for p, part := range l.partitions {
		if part.end == 0 {
			delete(l.partitions, p)
			continue
		}
		l.bytes[p.Tenant] += part.bytes - trimmed[p]
		l.last = max(l.last, part.lastMs)
	}
	return nil
}

var _ eventlog.Log = (*Log)(nil)

// OnAppend sets the function that is called after every commit that appended to a
// partition, with its new end, before the append returns. It runs on the writer's
// goroutine and must not block. Call OnAppend before the log is used.
func (l *Log) OnAppend(f func(p event.Partition, end uint64)) { l.onAppend = f }

// OnAhead sets the function that is called, at most once an hour, when published events
// are stamped more than a minute ahead of the clock: the clock was set back, and stamps
// never decrease. It runs on the writer's goroutine and must not block. Call OnAhead
// before the log is used.
func (l *Log) OnAhead(f func(by time.Duration)) { l.onAhead = f }

// BeforePublish sets the function that is called before each publish, and by Ready: an
// error of it is theirs, and nothing is written. Call BeforePublish before the log is
// used.
func (l *Log) BeforePublish(f func() error) { l.allowed = f }

// Ends returns the end of every partition that was ever appended to.
func (l *Log) Ends() map[event.Partition]uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	ends := make(map[event.Partition]uint64, len(l.partitions))
	for p, part := range l.partitions {
		ends[p] = part.end
	}
	return ends
}

// Newest returns the latest published_at that the log has given, zero if it has given
// none, as far as it knew when it was opened and what was published since. The next one is
// not earlier.
func (l *Log) Newest() time.Time {
	l.mu.RLock()
	defer l.mu.RUnlock()
	latest := l.opened
	for _, part := range l.partitions {
		latest = max(latest, part.lastMs)
	}
	if latest == 0 {
		return time.Time{}
	}
	return timeOf(latest)
}

// HasEvents reports whether there is an event in the log.
func (l *Log) HasEvents() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, bytes := range l.bytes {
		if bytes > 0 {
			return true
		}
	}
	return false
}

// Bytes returns how many bytes of a tenant's events are in the log. Its cost does not
// depend on their number.
func (l *Log) Bytes(tenant string) int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.bytes[tenant]
}

// End implements eventlog.Log.
func (l *Log) End(ctx context.Context, p event.Partition) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, l.db.Problem(err)
	}
	s, _ := l.committed(p)
	return s.end, nil
}

func (l *Log) committed(p event.Partition) (state, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	part := l.partitions[p]
	if part == nil {
		return state{}, false
	}
	return part.state, true
}

// change is the uncommitted effect of one operation on the log.
type change struct {
	states   map[event.Partition]state
	segments []placed
	seq      int64     // of the row of arrivals to which its segments go; 0 if they go to their places
	arrivals []arrival // those segments
}

// newChange returns the change of an operation that appends to so many partitions.
func (l *Log) newChange(partitions int) *change {
	l.buffer = l.buffer[:0]
	c := &change{states: make(map[event.Partition]state, partitions)}
	if partitions >= l.manyPartitions && !l.full() {
		l.arrivals.last++
		c.seq, c.arrivals = l.arrivals.last, make([]arrival, 0, partitions)
	}
	return c
}

type placed struct {
	partition event.Partition
	segment   eventlog.Segment
}

// stage is called at the end of an operation's Run. The next operations of the group
// continue from the staged states.
func (l *Log) stage(tx *sqlitedb.Tx, c *change) error {
	if len(c.arrivals) > 0 {
		if err := l.writeArrivals(tx, c); err != nil {
			return err
		}
	}
	maps.Copy(l.staged, c.states)
	return nil
}

// finishChange is called in an operation's Done. All staged states belong to one group,
// which has been committed or rolled back as a whole, so they are no longer needed.
func (l *Log) finishChange(c *change, err error) {
	clear(l.staged)
	if err != nil {
		return
	}
	l.mu.Lock()
	for p, s := range c.states {
		if l.partitions[p] == nil {
			l.partitions[p] = &partition{}
		}
		l.bytes[p.Tenant] += s.bytes - l.partitions[p].bytes
		l.partitions[p].state = s
	}
	for _, a := range c.segments {
		l.recent.push(l.partitions[a.partition], a.segment)
	}
	if len(c.arrivals) > 0 {
		l.keep(c.seq, c.arrivals)
	}
	l.mu.Unlock()
	if l.onAppend == nil {
		return
	}
	for p, s := range c.states {
		l.onAppend(p, s.end)
	}
}

func damaged(p event.Partition, number uint64, err error) error {
	return problem.Wrap(err, problem.Internal, "segment %d in lane %d of tenant %q cannot be decoded", number, p.Lane, p.Tenant)
}
