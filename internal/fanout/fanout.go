// Package fanout is the follow loop's front on a stream: it takes a batch of
// Kinesis records, appends those of each partition to the log, and follows each
// partition up to there. It answers with what is to be handed over again.
//
// A record counts as done when its events are in the log and every follower of
// the partition has them, or has left onto a cursor of its own. Whatever else
// happens, the stream hands the batch over again: appending is idempotent by
// the records' sequence numbers, and following goes on from the partition's
// record.
package fanout

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"golang.org/x/sync/errgroup"

	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
)

// Log is what fanout needs of the log beside what the engine reads.
type Log interface {
	// Append is that of eventlog.Log.
	Append(ctx context.Context, p event.Partition, source string, records []eventlog.Record) (uint64, error)
	// Passed notes that a barrier which was put on the stream at the given time
	// came through: all that was put there before is in the log.
	Passed(ctx context.Context, p event.Partition, at time.Time) error
}

// Engine is what fanout needs of delivery.Engine.
type Engine interface {
	// DeliverLive delivers what the partition's log has up to the end. It returns when
	// every follower has it or has left, and an error if that is not so.
	DeliverLive(ctx context.Context, p event.Partition, end *delivery.LogEnd) error
	// Wait returns when no call is under way any more of a follower that has left.
	Wait()
}

// Decode reads the data of a stream record, as package publish/kinesis has it.
type Decode func(partitionKey string, data []byte) (Content, error)

// Content is what a stream record has: events of one partition, or the time at
// which a barrier was put there.
type Content struct {
	Partition event.Partition
	Events    []event.Event
	Marker    time.Time
}

// Handler handles batches, one at a time, as Lambda hands them to a process.
// Every field is required.
type Handler struct {
	Log    Log
	Engine Engine
	Decode Decode
	// GrowLanes is lifecycle.Service's. It is called before a tenant's events are
	// delivered, again only after a while: an integration may be registered by a
	// process that knows of fewer lanes, while a deployment is under way.
	GrowLanes func(ctx context.Context, tenant string) error
	// Park keeps a record that cannot be decoded, and the reason, where an
	// operator finds it. It may be called again for the same record.
	Quarantine func(ctx context.Context, r *events.KinesisEventRecord, reason error) error
	Logger     *slog.Logger
	Now        func() time.Time
	// Patience is how long calls of followers that have left may still be under
	// way when all else is done. They are made again if they are ended, but the
	// batches behind this one wait for them.
	DrainTimeout time.Duration

	mu    sync.Mutex
	grown map[string]time.Time // when, by tenant
}

const (
	// reserve is what is left of a function's time when following ends, to
	// write what is known by then.
	reserve = 5 * time.Second
	// atOnce bounds the partitions of a batch that are followed side by side.
	// They wait for receivers more than they compute.
	atOnce = 64
	// grownFor is how long a tenant's lanes are taken for complete.
	grownFor = 10 * time.Minute
)

// Handle delivers a batch. It is to be called with the deadline of the
// function's invocation. The answer lists the record from which each partition
// that is not through is to be handed over again; the stream goes back to the
// first of them. The error is always nil.
func (h *Handler) Handle(ctx context.Context, batch events.KinesisEvent) (events.KinesisEventResponse, error) {
	following, end := beforeDeadline(ctx)
	defer end()
	groups, unreadable := h.decode(batch.Records)
	var failed []string
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(atOnce)
	for _, group := range groups {
		g.Go(func() error {
			if again := h.deliver(following, group); again != "" {
				mu.Lock()
				defer mu.Unlock()
				failed = append(failed, again)
			}
			return nil
		})
	}
	_ = g.Wait() // nobody fails
	for _, u := range unreadable {
		if again := h.quarantine(following, u); again != "" {
			failed = append(failed, again)
		}
	}
	h.drain(following, end)
	return response(failed), nil
}

// beforeDeadline returns a context that ends while there is time left to write
// what is known.
func beforeDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, deadline.Add(-reserve))
}

// settle waits for calls under way of followers that have left, and ends them
// when patience is over. Nothing may be under way when the answer is given: the
// process is stopped then, in the middle of whatever it does.
func (h *Handler) drain(following context.Context, end context.CancelFunc) {
	settled := make(chan struct{})
	go func() {
		defer close(settled)
		h.Engine.Wait()
	}()
	patience := time.NewTimer(h.DrainTimeout)
	defer patience.Stop()
	select {
	case <-settled:
		return
	case <-patience.C:
	case <-following.Done():
	}
	end()
	<-settled
}

// deliver appends and follows one partition. It returns the sequence number
// from which it is to be handed over again, "" for none.
func (h *Handler) deliver(ctx context.Context, g *group) (again string) {
	log := h.Logger.With("tenant", g.partition.Tenant, "lane", g.partition.Lane)
	if err := h.growLanes(ctx, g.partition.Tenant); err != nil {
		log.Error("a batch is handed over again: lanes could not be added", "error", err)
		return g.first
	}
	if len(g.records) > 0 {
		head, err := h.Log.Append(ctx, g.partition, g.source, g.records)
		if err != nil {
			log.Error("a batch is handed over again: it could not be appended", "error", err)
			return g.first
		}
		g.records = nil // what is in hand is the log's now
		if err := h.Engine.DeliverLive(ctx, g.partition, delivery.FixedLogEnd(head)); err != nil {
			log.Error("a batch is handed over again: its events are in the log, and not all followers have them", "head", head, "error", err)
			return g.last
		}
	}
	if g.marker.IsZero() {
		return ""
	}
	if err := h.Log.Passed(ctx, g.partition, g.marker); err != nil {
		log.Error("a batch is handed over again: a barrier could not be noted", "error", err)
		return g.last
	}
	return ""
}

// growLanes has one tenant after another ask: it is a small read, once in a
// while.
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
