package fanout

import (
	"context"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
)

// group holds the records of one partition key in a batch, in stream order.
type group struct {
	source      string // the stream
	records     []*events.KinesisEventRecord
	size        int64  // bytes of their data
	first, last string // sequence numbers
}

// unreadable is a record that cannot be decoded, with the reason.
type unreadable struct {
	record *events.KinesisEventRecord
	reason error
}

// sorted is a batch, sorted by what must be done with its records.
type sorted struct {
	groups     []*group
	plain      []plain
	unreadable []unreadable // of the plain ones
}

// sort sorts the records of a batch. It decodes the plain ones, whose drafts alias them. The
// others are decoded when they are appended: a batch may be large.
func (h *Handler) sort(records []events.KinesisEventRecord) sorted {
	var s sorted
	byKey := make(map[string]*group)
	for i := range records {
		r := &records[i]
		if h.IsPlain(r.Kinesis.Data) {
			if draft, err := h.DecodePlain(r.Kinesis.Data); err != nil {
				s.unreadable = append(s.unreadable, unreadable{r, err})
			} else {
				s.plain = append(s.plain, plain{r, draft})
			}
			continue
		}
		g := byKey[r.Kinesis.PartitionKey]
		if g == nil {
			g = &group{source: r.EventSourceArn, first: r.Kinesis.SequenceNumber}
			byKey[r.Kinesis.PartitionKey] = g
			s.groups = append(s.groups, g)
		}
		g.records, g.size, g.last = append(g.records, r), g.size+int64(len(r.Kinesis.Data)), r.Kinesis.SequenceNumber
	}
	return s
}

// run is consecutive records of a group, decoded. Its partition is zero if none could be.
type run struct {
	partition event.Partition
	records   []eventlog.Record // those with events
	marker    time.Time         // the latest, zero for none
}

// runBytes is about how much of a group is decoded at a time: as much as a segment of the log
// has, less the largest record.
const runBytes = 3 << 20

// decode decodes the next run of the group's records, frees their data, and adds those that
// cannot be decoded to bad.
func (h *Handler) decode(g *group, bad *[]unreadable) (next run) {
	for size := 0; len(g.records) > 0 && size < runBytes; g.records = g.records[1:] {
		r := g.records[0]
		content, err := h.Decode(r.Kinesis.PartitionKey, r.Kinesis.Data)
		if err != nil {
			*bad = append(*bad, unreadable{r, err})
			continue
		}
		r.Kinesis.Data = nil
		next.partition = content.Partition
		if content.Marker.After(next.marker) {
			next.marker = content.Marker
		}
		if len(content.Events) > 0 {
			next.records = append(next.records, eventlog.Record{Sequence: r.Kinesis.SequenceNumber, Events: content.Events})
		}
		for i := range content.Events {
			size += len(content.Events[i].Body)
		}
	}
	return next
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
