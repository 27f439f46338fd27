// Package producer publishes events on the Kinesis stream of a Sluice deployment, without its
// HTTP API: for the services of a platform that run in the account of the deployment. They
// publish for any tenant, and need kinesis:PutRecords on the stream and kms:GenerateDataKey on
// its key; docs/producers.md has the policy.
//
// Events of concurrent calls share requests, and events of one tenant share records, in the
// form in which the API puts them. They go to the tenant's first lane: one shard takes up to
// 1 MiB of them a second, compressed. For a tenant with more put plain records, which
// docs/producers.md describes.
//
// Delivery is at least once: an event that was put twice is delivered twice, with the same id.
//
// A program must not have a newer release of this package than the deployment has.
package producer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/publish/kinesis"
)

// Client is the part of the Kinesis API that a Producer needs; *kinesis.Client of the AWS SDK
// implements it. The Producer retries by itself, and turns off the client's retries.
type Client interface {
	PutRecords(ctx context.Context, in *sdk.PutRecordsInput, options ...func(*sdk.Options)) (*sdk.PutRecordsOutput, error)
}

// ErrClosed is the error of a Publish after Close.
var ErrClosed = errors.New("the producer is closed")

// NotAcceptedError is the error of a Publish of which the stream did not accept all events.
type NotAcceptedError struct {
	// Indices are those of the events that may not be in the stream, in order, counted from 0
	// in the call. All others are.
	Indices []int
	// Err is why, as the stream said last.
	Err error
}

// Error implements error.
func (e *NotAcceptedError) Error() string {
	return fmt.Sprintf("the stream did not accept %d of the call's events, the first one with the index %d; publish them again in a moment: %v", len(e.Indices), e.Indices[0], e.Err)
}

// Unwrap returns Err.
func (e *NotAcceptedError) Unwrap() error { return e.Err }

const (
	// linger is how long an event waits for others to share a request with.
	linger = 20 * time.Millisecond
	// batchBytes is about how much is put at a time.
	batchBytes = 4 << 20
	// batchesAtOnce bounds the batches that are put at a time: while one is retried, as a
	// shard is throttled, others go on.
	batchesAtOnce = 4
)

// Producer publishes events. It is safe for concurrent use.
type Producer struct {
	stream *kinesis.Stream
	clock  *clock
	places chan struct{} // one for each batch that is being put

	mu      sync.Mutex
	pending []pending
	bytes   int           // of pending
	filled  chan struct{} // signalled when the first event is pending, and when a batch is full
	closed  bool
	closing chan struct{} // closed by Close
	ended   chan struct{} // closed once everything is put
}

// pending is an event that waits to be put.
type pending struct {
	draft event.Draft
	call  *call
	index int // in the call
}

// New returns a Producer for the named stream. It starts a goroutine, which Close ends.
func New(client Client, stream string) *Producer {
	c := &clock{client: client}
	p := &Producer{
		stream: kinesis.New(c, nil, stream, c.now), clock: c, places: make(chan struct{}, batchesAtOnce),
		filled: make(chan struct{}, 1), closing: make(chan struct{}), ended: make(chan struct{}),
	}
	go p.run()
	return p
}

// Publish returns nil once the stream has accepted all the events, which are then durable.
// Events that are refused for now are put again, for about ten seconds and with growing delays;
// if the stream still does not accept some, the error is a *NotAcceptedError. If an event is
// not valid the error names it, and none is put. If ctx ends first, the error is its own, and the
// events may be put all the same.
func (p *Producer) Publish(ctx context.Context, events ...Event) error {
	if len(events) == 0 {
		return nil
	}
	c := &call{waiting: len(events), done: make(chan struct{})}
	all := make([]pending, len(events))
	for i := range events {
		draft, err := events[i].draft()
		if err != nil {
			return fmt.Errorf("event %d of the call, counted from 0: %w", i, err)
		}
		all[i] = pending{draft, c, i}
	}
	if err := p.add(all); err != nil {
		return err
	}
	select {
	case <-c.done:
		return c.err()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p *Producer) add(all []pending) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	for i := range all {
		p.bytes += len(all[i].draft.Payload)
	}
	first := len(p.pending) == 0
	p.pending = append(p.pending, all...)
	if first || p.bytes >= batchBytes {
		p.signal()
	}
	return nil
}

func (p *Producer) signal() {
	select {
	case p.filled <- struct{}{}:
	default: // it is signalled already
	}
}

// Close puts what is pending, and returns when all is put or has failed, or when ctx ends.
// Later calls of Publish fail.
func (p *Producer) Close(ctx context.Context) error {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		close(p.closing)
	}
	p.mu.Unlock()
	select {
	case <-p.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close the producer: some events may not be put: %w", context.Cause(ctx))
	}
}
