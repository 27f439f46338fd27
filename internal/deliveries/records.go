package deliveries

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"github.com/sluicehq/sluice/internal/event"
)

// source is where records of an integration come from: live delivery in a lane, or its own.
type source struct {
	lane     int
	caughtUp bool
}

// before is the order of records of one time.
func (s source) before(other source) bool {
	return s.lane < other.lane || s.lane == other.lane && !s.caughtUp && other.caughtUp
}

// query returns a query for the records of a source that are kept.
func (s *Service) query(tenant, id string, from source) Query {
	q := Query{Partition: event.Partition{Tenant: tenant, Lane: from.lane}, From: s.Now().Add(-s.Keep)}
	if from.caughtUp {
		q.Integration = id
	}
	return q
}

// stream has the records of one source, newest first.
type stream struct {
	source
	query   Query
	records []Record // read, and not used
	end     bool
}

// readAhead is how many records of a source are read at a time.
const readAhead = 50

// peek returns the next record, nil at the end.
func (s *stream) peek(ctx context.Context, l *list) (*Record, error) {
	if len(s.records) == 0 && !s.end {
		s.query.Limit = readAhead
		var err error
		if s.records, err = l.service.Records.Deliveries(ctx, s.query); err != nil {
			return nil, err
		}
		s.end = len(s.records) < readAhead
	}
	if len(s.records) == 0 {
		return nil, nil
	}
	return &s.records[0], nil
}

// drop moves past the record that peek returned.
func (s *stream) drop() {
	s.query.Before = s.records[0].At
	s.records = s.records[1:]
}

// streams returns the sources of the integration, from a mark on.
func (l *list) streams(from mark) []*stream {
	var all []*stream
	for lane := range l.in.Lanes {
		for _, caughtUp := range []bool{false, true} {
			s := &stream{source: source{lane, caughtUp}, query: l.service.query(l.in.Tenant, l.in.ID, source{lane, caughtUp})}
			if born := l.in.CreatedAt; born.After(s.query.From) {
				s.query.From = born
			}
			// A record is written after its attempts have begun, so that none of before From
			// has one of later.
			if l.request.From.After(s.query.From) {
				s.query.From = l.request.From
			}
			if !from.record.IsZero() {
				s.query.Before = from.record
				if at := from.source(); at.before(s.source) || at == s.source && !from.done {
					s.query.Before = from.record.Add(1)
				}
			} else if to := l.request.To; !to.IsZero() && l.in.S3 == nil {
				s.query.Before = to.Add(savedWithin) // what is sent into a file may be saved much later
			}
			all = append(all, s)
		}
	}
	return all
}

// savedWithin is more than passes between the beginning of a call and its record.
const savedWithin = time.Hour

// recorded reads the page from the records.
func (l *list) recorded(ctx context.Context, from mark) (next string, err error) {
	streams := l.streams(from)
	for {
		s, r, err := l.newest(ctx, streams)
		if err != nil || r == nil {
			return "", err
		}
		if l.records++; l.records > maxRecords || l.log.full(ctx) {
			return from.encode(), nil
		}
		at := mark{given: true, recorded: true, record: r.At, caughtUp: s.caughtUp, at: At{Lane: s.lane}}
		var after *Place
		if !from.done && from.source() == s.source && from.record.Equal(r.At) {
			after = &from.at.Place
		}
		rest, err := l.record(ctx, r, s.lane, after)
		if err != nil {
			return "", err
		}
		if rest != nil {
			at.at.Place = *rest
			return at.encode(), nil
		}
		at.done = true
		from = at
		s.drop()
	}
}

// newest returns the newest record of all sources, nil at the end.
func (l *list) newest(ctx context.Context, streams []*stream) (of *stream, newest *Record, err error) {
	for _, s := range streams {
		r, err := s.peek(ctx, l)
		if err != nil {
			return nil, nil, err
		}
		if r != nil && (newest == nil || r.At.After(newest.At)) {
			of, newest = s, r
		}
	}
	return of, newest, nil
}

// end is after every place in a partition.
var end = Place{Segment: math.MaxUint64}

// record adds the deliveries of a record, which has an event once, to the page: the last of
// them in the log first, from those before a place on unless that is nil. If something may be left, it returns the
// place before which it is.
func (l *list) record(ctx context.Context, r *Record, lane int, before *Place) (rest *Place, err error) {
	parts, err := r.Unpack(l.in.ID, l.in.Incarnation)
	if err != nil {
		return nil, err
	}
	to := end
	if before != nil {
		to = *before
	}
	var results []Result
	var files []*File
	for i := range parts {
		results = append(results, parts[i].Results...)
		if parts[i].File != nil {
			files = append(files, parts[i].File)
		}
	}
	slices.SortFunc(files, func(a, b *File) int { return cmp.Compare(b.To.Segment, a.To.Segment) })
	for _, f := range files {
		if rest, err = l.file(ctx, f, lane, to); rest != nil || err != nil {
			return rest, err
		}
	}
	return l.results(ctx, results, lane, to)
}

// results adds results before a place.
func (l *list) results(ctx context.Context, results []Result, lane int, to Place) (rest *Place, err error) {
	var found []Delivery
	for _, r := range results {
		if r.Before(to) && l.fits(r.Outcome, timeOf(r.Last)) {
			found = append(found, r.delivery(lane))
		}
	}
	slices.SortStableFunc(found, func(a, b Delivery) int { return b.Place.compare(a.Place) })
	for some := range slices.Chunk(found, readAhead) {
		if err := l.log.look(ctx, some); err != nil {
			return nil, err
		}
		if n := l.add(some); n < len(some) {
			return after(some[n].Place), nil
		}
	}
	return nil, nil
}

// add adds deliveries that pass to the page, and returns how many it was done with: all,
// unless the page is full.
func (l *list) add(some []Delivery) int {
	for i := range some {
		if !l.passes(&some[i]) {
			continue
		}
		if len(l.page) == l.request.Limit {
			return i
		}
		l.page = append(l.page, some[i])
	}
	return len(some)
}

// after returns the place before which a place is the last one.
func after(p Place) *Place { return &Place{p.Segment, p.Index + 1} }

// file adds the events of a file before a place.
func (l *list) file(ctx context.Context, f *File, lane int, to Place) (rest *Place, err error) {
	if !l.fits(Delivered, timeOf(f.Last)) {
		return nil, nil
	}
	first, last := f.span()
	if last.Before(to) {
		to = last
	}
	for first.Before(to) {
		if l.log.full(ctx) {
			return &to, nil
		}
		from := first
		if to.Segment > first.Segment+fileSegments {
			from = Place{Segment: to.Segment - fileSegments}
		}
		events, err := l.log.between(ctx, event.Partition{Tenant: l.in.Tenant, Lane: lane}, from, to, &f.Filter)
		if err != nil {
			return nil, err
		}
		for i := range events {
			events[i].file(f)
		}
		slices.Reverse(events)
		if n := l.add(events); n < len(events) {
			return after(events[n].Place), nil
		}
		to = from
	}
	return nil, nil
}

// fileSegments is how many segments of a file are read at a time.
const fileSegments = 8

func timeOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func (r *Result) delivery(lane int) Delivery {
	d := Delivery{
		At: At{lane, r.Place}, Outcome: r.Outcome, Attempts: r.Attempts, First: timeOf(r.First), Last: timeOf(r.Last),
		Took: time.Duration(r.Took) * time.Millisecond, Status: r.Status, Cause: r.Cause,
	}
	if r.Last == 0 {
		d.Took = -1
	}
	return d
}

// file sets what a file says of an event in it.
func (d *Delivery) file(f *File) {
	d.Outcome, d.Attempts, d.Status, d.File = Delivered, f.Attempts, f.Status, f.Key
	d.First, d.Last, d.Took = timeOf(f.First), timeOf(f.Last), time.Duration(f.Took)*time.Millisecond
}

// newestFirst sorts deliveries of one event by their last attempts.
func newestFirst(a, b Delivery) int {
	return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(b.Attempts, a.Attempts))
}
