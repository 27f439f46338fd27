package delivery

import (
	"math"
	"slices"

	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/worker"
)

// allSegments is an upper bound for worker.Worker.TakeResults.
const allSegments = math.MaxUint64

// deliveryRecords returns the writes of the delivery records that have the given parts: one,
// unless there is very much. integration is "" for live delivery.
func (e *Engine) deliveryRecords(p event.Partition, integration string, parts ...deliveries.Part) []store.Write {
	var writes []store.Write
	for _, r := range deliveries.Pack(p, integration, e.Now(), e.Settings.DeliveryRetention, parts) {
		writes = append(writes, store.AddDeliveries{Record: r})
	}
	return writes
}

// partOf returns results of an integration.
func partOf(in *integration.Integration, results []deliveries.Result) deliveries.Part {
	return deliveries.Part{Integration: in.ID, Incarnation: in.Incarnation, Results: results}
}

// taken is what the workers of live delivery have sent, on its way into a commit.
type taken struct {
	writes []store.Write
	parts  []deliveries.Part
	from   []*worker.Worker
}

// giveBack gives it back to the workers, as the commit has failed.
func (t *taken) giveBack() {
	for i, w := range t.from {
		w.ReturnResults(t.parts[i].Results)
	}
}

// sent takes from the workers what they have sent up to the low watermark of the state that
// the next commit has, and all of those who leave with that commit.
func (l *live) sent(next *handoff.PartitionState, leavers []leaver) taken {
	var t taken
	if l.engine.Settings.DeliveryRetention <= 0 {
		return t
	}
	for id, sub := range l.subscribers {
		upTo := next.LowWatermark
		if leaves(id, leavers) {
			upTo = allSegments
		}
		if results := sub.TakeResults(upTo); len(results) > 0 {
			t.parts, t.from = append(t.parts, partOf(sub.in, results)), append(t.from, sub.Worker)
		}
	}
	t.writes = l.engine.deliveryRecords(l.partition, "", t.parts...)
	return t
}

func leaves(id string, leavers []leaver) bool {
	for i := range leavers {
		if leavers[i].member.ID == id && leavers[i].cursor != nil {
			return true
		}
	}
	return false
}

// withNotes returns the writes of a commit of the step: the given ones, and what it has to
// say of what it did since the last.
func (s *step) withNotes(writes ...store.Write) []store.Write {
	return slices.Concat(s.notes, s.engine.deliveryRecords(s.cursor.Key.Partition(), s.in.ID, s.sent...), writes)
}

// tookResults takes what the worker has sent, for the next commit. It comes after the ack
// state of that commit is taken: what is acknowledged in between is sent, whatever
// becomes of the cursor.
func (c *catchUp) tookResults() {
	if results := c.worker.TakeResults(allSegments); len(results) > 0 {
		c.sent = append(c.sent, partOf(c.in, results))
	}
}

// sentFile notes that a file is stored, for the next commit of the cursor.
func (f *exportFile) sentFile(u *handoff.Upload, v sink.Verdict) {
	if f.engine.Settings.DeliveryRetention <= 0 {
		return
	}
	file := &deliveries.File{
		Key: u.Key, From: u.From, To: u.To, Filter: f.in.EventFilter(), Attempts: f.cursor.Failures + 1,
		First: v.Started.UnixMilli(), Last: v.Started.UnixMilli(), Took: v.Took.Milliseconds(), Status: v.Status,
	}
	if since := f.cursor.FailingSince; !since.IsZero() {
		file.First = since.UnixMilli()
	}
	f.sent = append(f.sent, deliveries.Part{Integration: f.in.ID, Incarnation: f.in.Incarnation, File: file})
}
