package fanout

import (
	"context"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
)

// group holds the records of one partition in a batch, in stream order.
type group struct {
	partition   event.Partition
	source      string // the stream
	records     []eventlog.Record
	marker      time.Time // the latest, zero for none
	first, last string    // sequence numbers
}

// unreadable is a record that cannot be decoded, with the reason.
type unreadable struct {
	record *events.KinesisEventRecord
	reason error
}

// decode decodes the records of a batch and groups them by partition.
func (h *Handler) decode(records []events.KinesisEventRecord) (groups []*group, bad []unreadable) {
	byPartition := make(map[event.Partition]*group)
	for i := range records {
		r := &records[i]
		content, err := h.Decode(r.Kinesis.PartitionKey, r.Kinesis.Data)
		if err != nil {
			bad = append(bad, unreadable{r, err})
			continue
		}
		r.Kinesis.Data = nil // it is decoded; free the memory, as a batch may be large
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

// quarantine stores a record that cannot be decoded, so that it does not block
// others. If that fails it returns the sequence number to redeliver from.
func (h *Handler) quarantine(ctx context.Context, u unreadable) (again string) {
	r := u.record
	err := h.Quarantine(ctx, r, u.reason)
	log := h.Logger.With("event_id", r.EventID, "partition_key", r.Kinesis.PartitionKey, "bytes", len(r.Kinesis.Data), "reason", u.reason)
	if err != nil {
		log.Error("unreadable record could not be quarantined; it will be redelivered", "error", err)
		return r.Kinesis.SequenceNumber
	}
	log.Error("unreadable record quarantined")
	return ""
}
