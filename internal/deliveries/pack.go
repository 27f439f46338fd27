package deliveries

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
)

// The packed form is a version, the time and the segment that the rest counts from, and the
// parts. Equal results are a run: outcome, attempts, status and cause are there once. Within
// a run each event has a step from the one before, the time from that one's last attempt,
// and how long it took; events that have all of these in common are counted. So a
// thousand events of a batch to a receiver that responds at once take a dozen bytes.
// Integers are varints.
const packedVersion = 1

// maxData is the size from which on a record is continued in another one: an item of
// DynamoDB has at most 400 KB. A part is not divided.
const maxData = 128 << 10

// The codes of outcomes in a record.
var outcomes = []Outcome{Delivered, Rejected, Skipped}

// The kinds of a part.
const (
	kindResults = 0
	kindFile    = 1
)

// The steps from one event to the next. A step is stored as twice its number, plus one if
// the number of further events follows that are like this one.
const (
	stepIndex   = iota // the next event of the segment
	stepSegment        // the first event of the next segment
	stepSkip           // a later event of the segment; how many lie between follows
	stepTo             // another segment; how many segments further, and the index, follow
)

// Pack returns the records of one commit that has the given parts: one, unless there is very
// much. It sorts the results. integration is "" for live delivery.
func Pack(p event.Partition, integration string, at time.Time, keep time.Duration, parts []Part) []Record {
	var records []Record
	base := Record{Partition: p, Integration: integration, At: at, Expires: at.Add(keep)}
	var open *packer
	for i := range parts {
		part := &parts[i]
		if len(part.Results) == 0 && part.File == nil {
			continue
		}
		if inOrder := func(a, b Result) int { return a.compare(b.Place) }; !slices.IsSortedFunc(part.Results, inOrder) {
			slices.SortStableFunc(part.Results, inOrder)
		}
		if open == nil {
			open = newPacker(base, parts[i:])
		}
		open.part(part)
		if len(open.record.Data) >= maxData {
			records, open = append(records, open.record), nil
		}
	}
	if open != nil {
		records = append(records, open.record)
	}
	return records
}

// span returns the first and the last segment of a part.
func (p *Part) span() (first, last uint64) {
	if p.File != nil {
		last = p.File.To.Segment
		if p.File.To.Index > 0 {
			last++
		}
		return p.File.From.Segment + 1, last
	}
	return p.Results[0].Segment, p.Results[len(p.Results)-1].Segment
}

type packer struct {
	record Record
	at     int64
	base   uint64
}

// newPacker begins a record of the first of the parts that are left.
func newPacker(record Record, left []Part) *packer {
	k := &packer{record: record, at: record.At.UnixMilli()}
	for i := range left {
		for _, r := range left[i].Results {
			if k.base == 0 || r.Segment < k.base {
				k.base = r.Segment
			}
		}
	}
	k.record.Data = append(k.record.Data, packedVersion)
	k.int(k.at)
	k.uint(k.base)
	return k
}

func (k *packer) uint(n uint64) { k.record.Data = binary.AppendUvarint(k.record.Data, n) }
func (k *packer) int(n int64)   { k.record.Data = binary.AppendVarint(k.record.Data, n) }
func (k *packer) text(s string) { k.uint(uint64(len(s))); k.record.Data = append(k.record.Data, s...) }
func (k *packer) time(at int64) { k.int(at - k.at) }
func (k *packer) count(n int)   { k.uint(uint64(max(n, 0))) }
func (k *packer) took(ms int64) { k.uint(uint64(max(ms, 0))) }
func (k *packer) span(p *Part) {
	first, last := p.span()
	if k.record.First == 0 || first < k.record.First {
		k.record.First = first
	}
	k.record.Last = max(k.record.Last, last)
}

func (k *packer) part(p *Part) {
	k.span(p)
	k.text(p.Integration)
	k.uint(p.Incarnation)
	if p.File != nil {
		k.uint(kindFile)
		k.file(p.File)
		return
	}
	k.uint(kindResults)
	prev := Result{Place: Place{Segment: k.base - 1}, Last: k.at}
	for left := p.Results; len(left) > 0; {
		n := 1
		for n < len(left) && left[n].like(&left[0]) {
			n++
		}
		prev = k.run(left[:n], prev)
		left = left[n:]
	}
	k.uint(0) // the end of the runs
}

// like reports whether two results are of one run.
func (r *Result) like(other *Result) bool {
	return r.Outcome == other.Outcome && r.Attempts == other.Attempts && r.Status == other.Status && r.Cause == other.Cause
}

// run writes equal results, after the previous one, and returns the last.
func (k *packer) run(results []Result, prev Result) Result {
	r := &results[0]
	k.count(len(results))
	k.count(slices.Index(outcomes, r.Outcome))
	k.count(r.Attempts)
	k.count(r.Status)
	k.text(r.Cause)
	for i := 0; i < len(results); {
		e := entryOf(&results[i], &prev)
		prev = results[i]
		i++
		same := 0
		for e.step <= stepSegment && i < len(results) && entryOf(&results[i], &prev) == e {
			prev = results[i]
			same++
			i++
		}
		k.entry(e, same, r.Attempts > 1)
	}
	return prev
}

// entry is what an event has of its own in a run.
type entry struct {
	step, segments, index uint64
	after, took           int64
	since                 int64 // from the first attempt to the last, plus 1; 0 if the first is not known
}

func entryOf(r, prev *Result) entry {
	e := entry{after: r.Last - prev.Last, took: max(r.Took, 0)}
	if r.First > 0 {
		e.since = r.Last - r.First + 1
	}
	switch {
	case r.Segment == prev.Segment && r.Index == prev.Index+1:
		e.step = stepIndex
	case r.Segment == prev.Segment+1 && r.Index == 0:
		e.step = stepSegment
	case r.Segment == prev.Segment && r.Index > prev.Index:
		e.step, e.index = stepSkip, uint64(r.Index-prev.Index-1)
	default:
		e.step, e.segments, e.index = stepTo, r.Segment-prev.Segment, uint64(max(r.Index, 0))
	}
	return e
}

func (k *packer) entry(e entry, same int, retried bool) {
	step := 2 * e.step
	if same > 0 {
		step++
	}
	k.uint(step)
	switch e.step {
	case stepSkip:
		k.uint(e.index)
	case stepTo:
		k.uint(e.segments)
		k.uint(e.index)
	}
	k.int(e.after)
	k.took(e.took)
	if retried {
		k.int(e.since)
	}
	if same > 0 {
		k.count(same)
	}
}

func (k *packer) file(f *File) {
	k.text(f.Key)
	for _, o := range []handoff.Offset{f.From, f.To} {
		k.uint(o.Segment)
		k.count(o.Index)
	}
	k.count(f.Attempts)
	k.count(f.Status)
	k.time(f.First)
	k.time(f.Last)
	k.took(f.Took)
	for _, names := range [][]string{f.Filter.Names, f.Filter.Entities} {
		k.count(len(names))
		for _, name := range names {
			k.text(name)
		}
	}
	for _, t := range []time.Time{f.Filter.From, f.Filter.Until} {
		if t.IsZero() {
			k.uint(0)
			continue
		}
		k.uint(1)
		k.time(t.UnixMilli())
	}
}
