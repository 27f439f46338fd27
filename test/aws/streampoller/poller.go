// Package streampoller does what Lambda's event source mapping does between a
// Kinesis stream and a function: it reads every shard, makes batches, invokes
// the function and answers for every record until it has succeeded or has gone
// to the on-failure destination.
//
// The rules are those of
// https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html,
// https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-parameters.html,
// https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html
// and https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html.
// Where these leave something open, the harsher reading is taken: attempts are
// counted on when a part of a batch succeeded, and a partial response never cuts
// what failed in halves.
//
// A shard with a parallelization factor has as many lanes. A record's partition
// key decides on its lane, and a lane has one batch at a time, so that the
// records of a key stay in order. A batch that fails holds up its lane alone,
// until so many records of the shard wait that the shard is not read on. The
// checkpoint is the shard's: everything up to it is settled.
package streampoller

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

// Stream is what is used of a *kinesis.Client.
type Stream interface {
	ListShards(ctx context.Context, in *kinesis.ListShardsInput, o ...func(*kinesis.Options)) (*kinesis.ListShardsOutput, error)
	GetShardIterator(ctx context.Context, in *kinesis.GetShardIteratorInput, o ...func(*kinesis.Options)) (*kinesis.GetShardIteratorOutput, error)
	GetRecords(ctx context.Context, in *kinesis.GetRecordsInput, o ...func(*kinesis.Options)) (*kinesis.GetRecordsOutput, error)
}

// Invoker invokes a function and waits for its answer. functionError is not
// empty where the function failed; err is not nil where it was not run at all,
// as when it is throttled.
type Invoker interface {
	Invoke(ctx context.Context, function string, payload []byte) (result []byte, functionError string, err error)
}

// Options are those of an event source mapping. The first four are needed.
type Options struct {
	Stream    Stream
	StreamARN string
	Invoker   Invoker
	Function  string // its name

	BatchSize                  int           // 100 when 0
	BatchingWindow             time.Duration // how long an incomplete batch waits for more records
	ParallelizationFactor      int           // 1 when 0
	ReportBatchItemFailures    bool
	BisectBatchOnFunctionError bool
	MaximumRetryAttempts       int           // -1 for no limit, as is Lambda's default; 0 for none
	MaximumRecordAge           time.Duration // no limit when 0
	// OnFailure takes the invocation records of what is given up. It is asked
	// again until it succeeds. Nil is a mapping without a destination.
	OnFailure func(ctx context.Context, invocationRecord []byte) error

	PollInterval time.Duration // between reads of a shard that had nothing; 1 s when 0
	RetryDelay   time.Duration // after a first failure; it doubles up to 64 times that; 100 ms when 0
	Hooks        Hooks
}

// Hooks are for the faults that a test wants. They are called from several
// goroutines at a time; each may be nil.
type Hooks struct {
	Before func(Batch)
	After  func(Batch, Outcome)
	// Again is asked once for each batch that has succeeded.
	Again func(Batch) Redelivery
}

// Redelivery is how a batch that has succeeded comes a second time, as happens
// when Lambda's own poller fails before its checkpoint.
type Redelivery int

// The kinds of Redelivery.
const (
	Once      Redelivery = iota
	Duplicate            // the same batch
	Overlap              // its second half, with records after it
)

// Batch is what one invocation gets.
type Batch struct {
	Shard   string
	Lane    int
	Records []Record
}

// Record is one record of the stream.
type Record struct {
	Sequence     string
	PartitionKey string
	Data         []byte
	Arrival      time.Time
}

// Outcome is what an Invoker answered.
type Outcome struct {
	Result        []byte
	FunctionError string
	Err           error
}

// Stats are the figures since the poller was made.
type Stats struct {
	Invocations int
	Failures    int // invocations after which something was to be sent again, or given up
	Refusals    int // invocations that did not come about
	Finished    int // records that have succeeded or were given up; again after a restart, if it repeats them
	Discarded   int // of those, the ones that were given up
}

// Poller is an event source mapping. Its methods may be called side by side.
type Poller struct {
	options Options
	stream  string // name
	region  string
	account string

	mu     sync.Mutex
	shards map[string]*shard
	listed bool // shards has all there are
	stats  Stats
	cancel context.CancelFunc // nil while stopped
	found  chan struct{}      // a shard has come to its end
	done   sync.WaitGroup
}

// New returns a poller at the start of the stream; Start starts it.
func New(o Options) (*Poller, error) {
	parts := strings.Split(o.StreamARN, ":")
	if len(parts) != 6 || !strings.HasPrefix(parts[5], "stream/") {
		return nil, fmt.Errorf("%q is not the ARN of a stream", o.StreamARN)
	}
	setDefault(&o.BatchSize, 100)
	setDefault(&o.ParallelizationFactor, 1)
	setDefault(&o.PollInterval, time.Second)
	setDefault(&o.RetryDelay, 100*time.Millisecond)
	return &Poller{
		options: o,
		stream:  strings.TrimPrefix(parts[5], "stream/"),
		region:  parts[3],
		account: parts[4],
		shards:  map[string]*shard{},
		found:   make(chan struct{}, 1),
	}, nil
}

func setDefault[T int | time.Duration](value *T, standard T) {
	if *value <= 0 {
		*value = standard
	}
}

// Start begins to read, or goes on from the checkpoints if the poller was
// stopped. What was settled beyond a checkpoint comes again then.
func (p *Poller) Start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cancel != nil {
		return
	}
	for _, s := range p.shards {
		s.running, s.idle = false, false
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	p.done.Go(func() { p.discover(ctx) })
}

// Stop stops reading and waits for the invocations under way, whose outcome
// still counts.
func (p *Poller) Stop() {
	p.mu.Lock()
	cancel := p.cancel
	p.mu.Unlock()
	if cancel == nil {
		return
	}
	cancel()
	p.done.Wait()
	p.mu.Lock()
	p.cancel = nil
	p.mu.Unlock()
}

// Stats returns the figures so far.
func (p *Poller) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// Idle reports whether all that was in the stream when each shard was last read
// is settled, or that it is stopped.
func (p *Poller) Idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cancel == nil {
		return true
	}
	for _, s := range p.shards {
		if !s.finished && !s.idle {
			return false
		}
	}
	return p.listed
}

// Checkpoints returns the number of each shard's last record that is settled
// with all before it; shards without one are left out.
func (p *Poller) Checkpoints() map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := map[string]string{}
	for id, s := range p.shards {
		if s.checkpoint != "" {
			m[id] = s.checkpoint
		}
	}
	return m
}

// pause waits, and reports whether the poller goes on.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// backOff returns how long to wait after that many failures in a row.
func (p *Poller) backOff(failures int) time.Duration {
	return p.options.RetryDelay << min(max(failures-1, 0), 6)
}
