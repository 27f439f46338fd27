// Package fanout feeds live delivery from a stream. It takes a batch of Kinesis
// records, appends those of each partition to the log, and delivers the partition
// live up to that segment. Its response lists the records to redeliver.
//
// A record is done when its events are in the log and every subscriber of the
// partition has acknowledged them or has left for its own cursor. In every other
// case the stream redelivers the batch: appends are idempotent by sequence number,
// and live delivery resumes from the partition state.
//
// A plain record, which anyone may put, is done when its event is on the stream once more, as
// a record of its lane.
package fanout

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
)

// Log is what fanout needs of the log, besides what the engine reads.
type Log interface {
	// Append is eventlog.Log's.
	Append(ctx context.Context, p event.Partition, source string, records []eventlog.Record) (uint64, error)
	// Passed saves that the watermark marker put on the stream at the given time has
	// arrived: everything put on the stream before it is in the log.
	Passed(ctx context.Context, p event.Partition, at time.Time) error
}

// Engine is the part of delivery.Engine that fanout needs.
type Engine interface {
	// DeliverLive delivers the partition's log up to the end. It returns nil once every
	// subscriber has acknowledged it or has left, and an error otherwise.
	DeliverLive(ctx context.Context, p event.Partition, end *delivery.LogEnd) error
	// Wait returns when no calls of subscribers that have left are in flight.
	Wait()
}

// Decode decodes the data of a stream record, as package publish/kinesis does.
type Decode func(partitionKey string, data []byte) (Content, error)

// Content is what a stream record holds: events of one partition, or the time at
// which a watermark marker was put on the stream.
type Content struct {
	Partition event.Partition
	Events    []event.Event
	Marker    time.Time
}

// Handler handles batches, one at a time, as Lambda passes them to a process. Every
// exported field is required.
type Handler struct {
	Log    Log
	Engine Engine
	Decode Decode
	// IsPlain reports whether a record is a plain one, whatever its partition key.
	IsPlain func(data []byte) bool
	// DecodePlain decodes a plain record. The draft may alias the data.
	DecodePlain func(data []byte) (event.Draft, error)
	// Stamp returns the event of a plain record, which has the given id in the stream and
	// arrived there at the given time. It is the same whenever it is called.
	Stamp func(d event.Draft, id string, arrived time.Time) event.Event
	// Put puts events on the stream, each in its lane, and returns the indices of those that
	// may not be there, in order, with the reason.
	Put func(ctx context.Context, stamped []event.Event) ([]int, error)
	// Backdate is how far back a plain record's time of arrival may be taken for published_at:
	// well within the log's margin, after which a replay's end is final.
	Backdate time.Duration
	// GrowLanes is lifecycle.Service's. It is called before a tenant's events are
	// delivered, at most every 10 minutes: during a deployment, a process that
	// knows fewer lanes may register an integration.
	GrowLanes func(ctx context.Context, tenant string) error
	// Quarantine stores a record that cannot be decoded, with the reason, for the
	// operator. It may be called again for the same record.
	Quarantine func(ctx context.Context, r *events.KinesisEventRecord, reason error) error
	Logger     *slog.Logger
	Now        func() time.Time
	// DrainTimeout is how long to wait, once all else is done, for the calls in
	// flight of subscribers that have left. The next batches wait meanwhile. A call
	// that is canceled is made again from the cursor.
	DrainTimeout time.Duration

	mu    sync.Mutex
	grown map[string]time.Time // when, by tenant
}

const (
	// reserve is the part of a function's time that is kept, after live delivery ends,
	// to save its progress.
	reserve = 5 * time.Second
	// atOnce bounds the partitions of a batch that are delivered concurrently. They
	// mostly wait for receivers.
	atOnce = 64
	// grownFor is how long a tenant's lanes are assumed to be complete.
	grownFor = 10 * time.Minute
)

// Handle delivers a batch. Call it with the deadline of the function's invocation.
// For each partition that is not done, the response has the sequence number from
// which its records must be redelivered; the stream resumes at the lowest. The error
// is always nil.
func (h *Handler) Handle(ctx context.Context, batch events.KinesisEvent) (events.KinesisEventResponse, error) {
	delivering, cancel := beforeDeadline(ctx)
	defer cancel()
	todo := h.sort(batch.Records)
	appending := semaphore.NewWeighted(appendBytes)
	var failed []string
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(atOnce)
	for _, group := range todo.groups {
		g.Go(func() error {
			again, unreadable := h.deliver(delivering, group, appending)
			mu.Lock()
			defer mu.Unlock()
			todo.unreadable = append(todo.unreadable, unreadable...)
			if again != "" {
				failed = append(failed, again)
			}
			return nil
		})
	}
	_ = g.Wait() // it has no errors
	for _, u := range todo.unreadable {
		if again := h.quarantine(delivering, u); again != "" {
			failed = append(failed, again)
		}
	}
	if again := h.republish(ctx, todo.plain, failed); again != "" {
		failed = append(failed, again)
	}
	h.drain(delivering, cancel)
	return response(failed), nil
}

// beforeDeadline returns a context that ends early enough to save the progress.
func beforeDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, deadline.Add(-reserve))
}

// drain waits for the calls in flight of subscribers that have left, and cancels
// them after DrainTimeout. None may be in flight when the handler returns: Lambda
// then freezes the process wherever it is.
func (h *Handler) drain(delivering context.Context, cancel context.CancelFunc) {
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		h.Engine.Wait()
	}()
	timeout := time.NewTimer(h.DrainTimeout)
	defer timeout.Stop()
	select {
	case <-drained:
		return
	case <-timeout.C:
	case <-delivering.Done():
	}
	cancel()
	<-drained
}

// deliver appends and delivers one partition. It returns the sequence number from
// which its records must be redelivered, "" if they need not be, and the records that
// cannot be decoded.
func (h *Handler) deliver(ctx context.Context, g *group, appending *semaphore.Weighted) (again string, bad []unreadable) {
	a, ok := h.append(ctx, g, appending)
	p := a.partition
	log := h.Logger.With("tenant", p.Tenant, "lane", p.Lane)
	switch {
	case !ok:
		return g.first, a.unreadable
	case a.end == 0 && a.marker.IsZero():
		return "", a.unreadable
	}
	if a.end > 0 {
		if err := h.Engine.DeliverLive(ctx, p, delivery.FixedLogEnd(a.end)); err != nil {
			log.Error("batch will be redelivered: its events are in the log, but not every subscriber has them", "end", a.end, "error", err)
			return g.last, a.unreadable
		}
	}
	if a.marker.IsZero() {
		return "", a.unreadable
	}
	if err := h.Log.Passed(ctx, p, a.marker); err != nil {
		log.Error("batch will be redelivered: a watermark marker could not be saved", "error", err)
		return g.last, a.unreadable
	}
	return "", a.unreadable
}

// growLanes calls GrowLanes for one tenant at a time: it is a small, rare read.
func (h *Handler) growLanes(ctx context.Context, tenant string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.Now().Sub(h.grown[tenant]) < grownFor {
		return nil
	}
	if err := h.GrowLanes(ctx, tenant); err != nil {
		return err
	}
	if h.grown == nil {
		h.grown = make(map[string]time.Time)
	}
	h.grown[tenant] = h.Now()
	return nil
}

func response(failed []string) events.KinesisEventResponse {
	r := events.KinesisEventResponse{BatchItemFailures: []events.KinesisBatchItemFailure{}}
	for _, sequence := range failed {
		r.BatchItemFailures = append(r.BatchItemFailures, events.KinesisBatchItemFailure{ItemIdentifier: sequence})
	}
	return r
}
