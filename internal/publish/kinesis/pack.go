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

// pack stamps the drafts with the given indices, or all if that is nil, and packs them into
// records, in the order of the drafts within a lane of a tenant.
func pack(tenant string, lanes int, drafts []event.Draft, indices []int, at time.Time) ([]record, error) {
	var records []record
	var open []*lane // in order of their first event
	byPartition := map[event.Partition]*lane{}
	flush := func(l *lane) {
		records = append(records, newRecord(l.partition, Encode(l.events), l.indices))
		l.events, l.indices, l.size = l.events[:0], nil, segmentOverhead
	}
	for i := range drafts {
		if indices != nil && !contains(indices, i) {
			continue
		}
		e := drafts[i].Stamp(tenant, at)
		size := len(e.ID) + len(e.Name) + len(e.Body) + eventOverhead
		if size > maxSegment-segmentOverhead {
			return nil, problem.New(problem.PayloadTooLarge,
				"Event %d of the call, counted from 0, takes %d bytes; the limit of the stream is %d. Send a smaller event.", i, size, maxSegment-segmentOverhead)
		}
		p := event.Partition{Tenant: e.Tenant, Lane: event.LaneOf(e.ID, lanes)}
		l := byPartition[p]
		if l == nil {
			l = &lane{partition: p, size: segmentOverhead}
			byPartition[p], open = l, append(open, l)
		}
		if l.size+size > maxSegment {
			flush(l)
		}
		l.events, l.indices, l.size = append(l.events, e), append(l.indices, i), l.size+size
	}
	for _, l := range open {
		flush(l)
	}
	return records, nil
}

func contains(sorted []int, n int) bool {
	_, found := slices.BinarySearch(sorted, n)
	return found
}
