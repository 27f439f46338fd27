// Package streampoller emulates Lambda's event source mapping between a Kinesis
// stream and a function: it reads every shard, forms batches and invokes the
// function until every record has succeeded or gone to the on-failure destination.
//
// The rules are those of
// https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html,
// https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-parameters.html,
// https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html
// and https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html.
// Where these are ambiguous, the poller takes the harsher reading: a partial success
// does not reset the attempts, and a partial response never bisects the rest.
//
// A shard has as many lanes as the parallelization factor. A record's partition key
// determines its lane, and a lane has one batch in flight, so that the records of a
// key stay in order. A failing batch blocks only its lane, until so many records of
// the shard are waiting that reading waits. Each shard has one checkpoint: all
// records up to it are finished.
package streampoller

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

// Stream is the part of *kinesis.Client that the poller uses.
type Stream interface {
	ListShards(ctx context.Context, in *kinesis.ListShardsInput, o ...func(*kinesis.Options)) (*kinesis.ListShardsOutput, error)
	GetShardIterator(ctx context.Context, in *kinesis.GetShardIteratorInput, o ...func(*kinesis.Options)) (*kinesis.GetShardIteratorOutput, error)
	GetRecords(ctx context.Context, in *kinesis.GetRecordsInput, o ...func(*kinesis.Options)) (*kinesis.GetRecordsOutput, error)
}

// Invoker invokes a function and waits for its result. functionError is not empty if
// the function failed; err is not nil if it did not run, such as when throttled.
type Invoker interface {
	Invoke(ctx context.Context, function string, payload []byte) (result []byte, functionError string, err error)
}

// Options are the options of an event source mapping. The first four are required.
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
	MaximumRetryAttempts       int           // -1 for no limit, Lambda's default; 0 for no retries
	MaximumRecordAge           time.Duration // no limit when 0
	// OnFailure receives the invocation records of discarded batches. It is retried
	// until it succeeds. Nil means no destination.
	OnFailure func(ctx context.Context, invocationRecord []byte) error

	PollInterval time.Duration // between reads of an empty shard; 1 s when 0
	RetryDelay   time.Duration // after the first failure; doubles up to 64 times that; 100 ms when 0
	Hooks        Hooks
}

// Hooks let a test inject faults. They are called concurrently; each may be nil.
type Hooks struct {
	Before func(Batch)
	After  func(Batch, Outcome)
	// Again is called once for each batch that has succeeded.
	Again func(Batch) Redelivery
}

// Redelivery says how a batch that has succeeded is sent a second time, as happens
// when Lambda's poller fails before its checkpoint.
type Redelivery int

// The kinds of Redelivery.
const (
	Once      Redelivery = iota
	Duplicate            // the same batch
	Overlap              // its second half and the records after it
)

// Batch is the input of one invocation.
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

// Outcome is the result of an Invoker.
type Outcome struct {
	Result        []byte
	FunctionError string
	Err           error
}

// Stats are the figures since the poller was created.
type Stats struct {
	Invocations int
	Failures    int // invocations after which records were retried or discarded
	Refusals    int // invocations that did not run
	Finished    int // records that succeeded or were discarded; counted again if a restart repeats them
	Discarded   int // of those, the ones that were discarded
}

// Poller is an event source mapping. Its methods are safe for concurrent use.
type Poller struct {
	options Options
	stream  string // name
	region  string
	account string

	mu     sync.Mutex
	shards map[string]*shard
	listed bool // shards is complete
	stats  Stats
	cancel context.CancelFunc // nil while stopped
	found  chan struct{}      // signalled when a shard reaches its end
	done   sync.WaitGroup
}

// New returns a poller at the start of the stream; Start starts it.
func New(o Options) (*Poller, error) {
	parts := strings.Split(o.StreamARN, ":")
	if len(parts) != 6 || !strings.HasPrefix(parts[5], "stream/") {
		return nil, fmt.Errorf("%q is not a stream ARN", o.StreamARN)
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

// Start starts reading, or resumes at the checkpoints if the poller was stopped.
// Records finished beyond a checkpoint are then redelivered.
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

// Stop stops reading and waits for the invocations in flight, whose outcomes still
// count.
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

// Idle reports whether the poller is stopped, or all records found when each shard
// was last read are finished.
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

// Checkpoints returns each shard's checkpoint: the sequence number up to which all
// records are finished. It omits shards without one.
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

// sleep waits, and reports whether the poller is still running.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// backOff returns how long to wait after that many consecutive failures.
func (p *Poller) backOff(failures int) time.Duration {
	return p.options.RetryDelay << min(max(failures-1, 0), 6)
}
