package fanout

import (
	"context"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
)

// group is what a batch has of one partition, in the stream's order.
type group struct {
	partition   event.Partition
	source      string // the stream
	records     []eventlog.Record
	marker      time.Time // the last one, zero for none
	first, last string    // sequence numbers
}

// unreadable is a record that cannot be decoded, and why.
type unreadable struct {
	record *events.KinesisEventRecord
	reason error
}

// decode sorts the records of a batch by partition.
func (h *Handler) decode(records []events.KinesisEventRecord) (groups []*group, bad []unreadable) {
	byPartition := make(map[event.Partition]*group)
	for i := range records {
		r := &records[i]
		content, err := h.Decode(r.Kinesis.PartitionKey, r.Kinesis.Data)
		if err != nil {
			bad = append(bad, unreadable{r, err})
			continue
		}
		r.Kinesis.Data = nil // the batch may be large, and this is decoded
		g := byPartition[content.Partition]
		if g == nil {
			g = &group{partition: content.Partition, source: r.EventSourceArn, first: r.Kinesis.SequenceNumber}
			byPartition[content.Partition] = g
			groups = append(groups, g)
		}
		g.last = r.Kinesis.SequenceNumber
		if content.Marker.After(g.marker) {
			g.marker = content.Marker
		}
		if len(content.Events) > 0 {
			g.records = append(g.records, eventlog.Record{Sequence: g.last, Events: content.Events})
		}
	}
	return groups, bad
}

// park puts a record aside that cannot be decoded, so that it holds up nobody;
// if it cannot even be parked, it is to be handed over again.
func (h *Handler) quarantine(ctx context.Context, u unreadable) (again string) {
	r := u.record
	err := h.Quarantine(ctx, r, u.reason)
	log := h.Logger.With("event_id", r.EventID, "partition_key", r.Kinesis.PartitionKey, "bytes", len(r.Kinesis.Data), "reason", u.reason)
	if err != nil {
		log.Error("a record that cannot be read could not be parked; it is handed over again", "error", err)
		return r.Kinesis.SequenceNumber
	}
	log.Error("a record that cannot be read was parked")
	return ""
}
