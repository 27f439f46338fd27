package kinesis

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/problem"
)

// Upper bounds of what the encoding of a segment adds: to each event beside
// its texts and its body, and once.
const (
	eventOverhead   = 32
	segmentOverhead = 64
)

// record is one record to be put, and which events of the call are in it.
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
	size      int // of the segment, at most
}

// pack stamps the drafts and divides them into records, those of a lane in the
// order of the drafts.
func pack(tenant string, lanes int, drafts []event.Draft, at time.Time) ([]record, error) {
	var records []record
	var open []*lane // in the order in which they were met
	byLane := map[int]*lane{}
	flush := func(l *lane) {
		records = append(records, newRecord(l.partition, Encode(l.events), l.indices))
		l.events, l.indices, l.size = l.events[:0], nil, segmentOverhead
	}
	for i := range drafts {
		e := drafts[i].Stamp(tenant, at)
		size := len(e.ID) + len(e.Name) + len(e.Body) + eventOverhead
		if size > maxSegment-segmentOverhead {
			return nil, problem.New(problem.PayloadTooLarge,
				"Event %d of the call, counted from 0, takes %d bytes; the stream takes at most %d. Send a smaller one.", i, size, maxSegment-segmentOverhead)
		}
		n := event.LaneOf(e.ID, lanes)
		l := byLane[n]
		if l == nil {
			l = &lane{partition: event.Partition{Tenant: tenant, Lane: n}, size: segmentOverhead}
			byLane[n], open = l, append(open, l)
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
