package fanout

import (
	"context"
	"slices"

	"github.com/aws/aws-lambda-go/events"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
)

// plain is a plain record of a batch. Anyone may put one, with any partition key, so it may be
// in any shard, while a lane of the log takes the records of its own partition key only, in
// their order: it recognizes repeats by the sequence number, which means nothing across
// shards. So the event is put on the stream again, in its lane.
type plain struct {
	record *events.KinesisEventRecord
	draft  event.Draft
}

// putBytes is about how much of plain records is stamped and put at a time.
const putBytes = 4 << 20

// republish puts the events of plain records on the stream. again has the sequence numbers
// from which the stream will redeliver: what comes after the lowest is not put now, or an
// outage of the log would put it with each attempt. republish returns the sequence number to
// redeliver from, "" if all are put.
func (h *Handler) republish(ctx context.Context, records []plain, again []string) string {
	records = before(records, again)
	for len(records) > 0 {
		n, size := 0, 0
		for n < len(records) && size < putBytes {
			size += len(records[n].draft.Payload)
			n++
		}
		stamped := make([]event.Event, n)
		for i := range stamped {
			stamped[i] = h.stamp(&records[i])
		}
		if left, err := h.Put(ctx, stamped); len(left) > 0 {
			h.Logger.Error("batch will be redelivered: the events of plain records could not be put on the stream", "events", len(left), "error", err)
			return records[left[0]].record.Kinesis.SequenceNumber
		}
		records = records[n:]
	}
	return ""
}

// stamp returns the event of a plain record. It was published when the stream took the
// record, or Backdate ago if that is later: by then the log may have told a replay that
// nothing of that time is to come.
func (h *Handler) stamp(p *plain) event.Event {
	arrived := p.record.Kinesis.ApproximateArrivalTimestamp.Time
	if earliest := h.Now().Add(-h.Backdate); arrived.Before(earliest) {
		p.draft.ID = h.Stamp(p.draft, p.record.EventID, arrived).ID
		arrived = earliest
	}
	return h.Stamp(p.draft, p.record.EventID, arrived)
}

// before returns the records before all the given sequence numbers, in order.
func before(records []plain, again []string) []plain {
	slices.SortFunc(records, func(a, b plain) int {
		return eventlog.CompareSequences(a.record.Kinesis.SequenceNumber, b.record.Kinesis.SequenceNumber)
	})
	for i := range records {
		for _, sequence := range again {
			if eventlog.CompareSequences(records[i].record.Kinesis.SequenceNumber, sequence) >= 0 {
				return records[:i]
			}
		}
	}
	return records
}
