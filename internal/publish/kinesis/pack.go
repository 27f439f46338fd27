package kinesis

import (
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/problem"
)

// Upper bounds of the overhead of a segment's encoding: per event, besides its texts
// and body, and per segment.
const (
	eventOverhead   = 32
	segmentOverhead = 64
)

// record is a record to put, with the indices of its events in the call.
type record struct {
	entry   types.PutRecordsRequestEntry
	indices []int
}

func newRecord(p event.Partition, data []byte, indices []int) record {
	return record{
		entry:   types.PutRecordsRequestEntry{PartitionKey: aws.String(p.Key()), Data: data},
		indices: indices,
	}
}

func (r *record) size() int { return len(r.entry.Data) + len(*r.entry.PartitionKey) }

// lane collects the events of a partition until its next record is full.
type lane struct {
	partition event.Partition
	events    []event.Event
	indices   []int
	size      int // upper bound of the segment's size
}

// packer packs events into records, in their order within a lane of a tenant.
type packer struct {
	lanes       event.Lanes
	records     []record
	open        []*lane // in order of their first event
	byPartition map[event.Partition]*lane
}

// add adds the event of the given index.
func (p *packer) add(e event.Event, index int) error {
	size := len(e.ID) + len(e.Name) + len(e.Body) + eventOverhead
	if size > maxSegment-segmentOverhead {
		return problem.New(problem.PayloadTooLarge,
			"Event %d of the call, counted from 0, takes %d bytes; the limit of the stream is %d. Send a smaller event.", index, size, maxSegment-segmentOverhead)
	}
	at := p.lanes.PartitionOf(e.Tenant, e.ID)
	l := p.byPartition[at]
	if l == nil {
		l = &lane{partition: at, size: segmentOverhead}
		if p.byPartition == nil {
			p.byPartition = map[event.Partition]*lane{}
		}
		p.byPartition[at], p.open = l, append(p.open, l)
	}
	if l.size+size > maxSegment {
		p.flush(l)
	}
	l.events, l.indices, l.size = append(l.events, e), append(l.indices, index), l.size+size
	return nil
}

func (p *packer) flush(l *lane) {
	p.records = append(p.records, newRecord(l.partition, Encode(l.events), l.indices))
	l.events, l.indices, l.size = l.events[:0], nil, segmentOverhead
}

// all returns the records of everything that was added.
func (p *packer) all() []record {
	for _, l := range p.open {
		p.flush(l)
	}
	return p.records
}

// pack stamps the drafts with the given indices, or all if that is nil, and packs them into
// records.
func pack(tenant string, lanes event.Lanes, drafts []event.Draft, indices []int, at time.Time) ([]record, error) {
	p := packer{lanes: lanes}
	for i := range drafts {
		if indices != nil && !contains(indices, i) {
			continue
		}
		if err := p.add(drafts[i].Stamp(tenant, at), i); err != nil {
			return nil, err
		}
	}
	return p.all(), nil
}

func contains(sorted []int, n int) bool {
	_, found := slices.BinarySearch(sorted, n)
	return found
}
