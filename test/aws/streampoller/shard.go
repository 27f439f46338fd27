package streampoller

import (
	"context"
	"hash/fnv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// shard is the state that outlives a stop, guarded by the poller's lock.
type shard struct {
	id         string
	parents    []string
	checkpoint string
	running    bool
	idle       bool // read to its current end, with no unfinished records
	finished   bool // closed, with all records finished
}

// discover starts every shard whose parents are finished. It looks again whenever a
// shard finishes, because only then are there new ones to read.
func (p *Poller) discover(ctx context.Context) {
	for failures := 0; ; {
		if err := p.list(ctx); err != nil {
			failures++
			if !sleep(ctx, p.backOff(failures)) {
				return
			}
			continue
		}
		failures = 0
		p.startReady(ctx)
		select {
		case <-p.found:
		case <-ctx.Done():
			return
		}
	}
}

func (p *Poller) list(ctx context.Context) error {
	in := &kinesis.ListShardsInput{StreamName: aws.String(p.stream)}
	for {
		out, err := p.options.Stream.ListShards(ctx, in)
		if err != nil {
			return err
		}
		p.mu.Lock()
		for _, s := range out.Shards {
			p.know(s)
		}
		p.mu.Unlock()
		if aws.ToString(out.NextToken) == "" {
			p.mu.Lock()
			p.listed = true
			p.mu.Unlock()
			return nil
		}
		in = &kinesis.ListShardsInput{NextToken: out.NextToken}
	}
}

func (p *Poller) know(s types.Shard) {
	id := aws.ToString(s.ShardId)
	if p.shards[id] != nil {
		return
	}
	known := &shard{id: id}
	for _, parent := range []*string{s.ParentShardId, s.AdjacentParentShardId} {
		if parent != nil {
			known.parents = append(known.parents, *parent)
		}
	}
	p.shards[id] = known
}

// startReady starts the shards whose parents are finished. A parent that is no longer
// listed has expired with all its records.
func (p *Poller) startReady(ctx context.Context) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.shards {
		ready := !s.running && !s.finished
		for _, parent := range s.parents {
			if known := p.shards[parent]; known != nil && !known.finished {
				ready = false
			}
		}
		if ready {
			s.running = true
			r := newReader(p, s)
			p.done.Go(func() { r.run(ctx) })
		}
	}
}

// record is a record in progress. The poller's lock guards done.
type record struct {
	Record
	event []byte // as in the function's payload
	done  bool
}

// reader reads one shard, from its checkpoint until the poller stops.
type reader struct {
	poller   *Poller
	shard    *shard
	lanes    []*lane
	progress chan struct{} // signalled when a record finishes

	pending []*record // in the shard's order, from the first unfinished; guarded by the poller's lock
	last    string    // number of the last record read
}

func newReader(p *Poller, s *shard) *reader {
	r := &reader{poller: p, shard: s, progress: make(chan struct{}, 1), last: s.checkpoint}
	for i := range p.options.ParallelizationFactor {
		r.lanes = append(r.lanes, &lane{reader: r, number: i, more: make(chan struct{}, 1)})
	}
	return r
}

// maxWaiting is the number of waiting full batches at which reading a shard waits.
const maxWaiting = 10

func (r *reader) run(ctx context.Context) {
	o := r.poller.options
	for _, l := range r.lanes {
		r.poller.done.Go(func() { l.run(ctx) })
	}
	room := maxWaiting * o.BatchSize * o.ParallelizationFactor
	var iterator *string
	for failures := 0; ; {
		if !r.await(ctx, room) {
			return
		}
		out, err := r.read(ctx, &iterator)
		if err != nil {
			failures++
			iterator = nil // it may have expired
			r.unknown()
			if !sleep(ctx, r.poller.backOff(failures)) {
				return
			}
			continue
		}
		failures = 0
		r.take(out)
		if out.NextShardIterator == nil {
			break
		}
		iterator = out.NextShardIterator
		if len(out.Records) == 0 && !sleep(ctx, o.PollInterval) {
			return
		}
	}
	if !r.await(ctx, 1) {
		return
	}
	r.poller.mu.Lock()
	r.shard.finished = true
	r.poller.listed = false // it may have children
	r.poller.mu.Unlock()
	signal(r.poller.found)
}

// await waits until fewer than n records are unfinished.
func (r *reader) await(ctx context.Context, n int) bool {
	for {
		r.poller.mu.Lock()
		fewer := len(r.pending) < n
		r.poller.mu.Unlock()
		if fewer {
			return ctx.Err() == nil
		}
		select {
		case <-r.progress:
		case <-ctx.Done():
			return false
		}
	}
}

func (r *reader) read(ctx context.Context, iterator **string) (*kinesis.GetRecordsOutput, error) {
	o := r.poller.options
	if *iterator == nil {
		in := &kinesis.GetShardIteratorInput{StreamName: aws.String(r.poller.stream), ShardId: aws.String(r.shard.id)}
		in.ShardIteratorType = types.ShardIteratorTypeTrimHorizon
		if r.last != "" {
			in.ShardIteratorType = types.ShardIteratorTypeAfterSequenceNumber
			in.StartingSequenceNumber = aws.String(r.last)
		}
		out, err := o.Stream.GetShardIterator(ctx, in)
		if err != nil {
			return nil, err
		}
		*iterator = out.ShardIterator
	}
	limit := min(o.BatchSize*o.ParallelizationFactor, 10_000)
	return o.Stream.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: *iterator, Limit: aws.Int32(int32(limit))})
}

// unknown records that the shard may have unread records.
func (r *reader) unknown() {
	r.poller.mu.Lock()
	defer r.poller.mu.Unlock()
	r.shard.idle = false
}

// take distributes the records read to the lanes.
func (r *reader) take(out *kinesis.GetRecordsOutput) {
	records := make([]*record, len(out.Records))
	for i, from := range out.Records {
		records[i] = &record{Record: Record{
			Sequence: aws.ToString(from.SequenceNumber), PartitionKey: aws.ToString(from.PartitionKey),
			Data: from.Data, Arrival: aws.ToTime(from.ApproximateArrivalTimestamp),
		}}
		records[i].event = encode(r.poller.options.StreamARN, r.poller.options.Function, r.shard.id, records[i].Record)
		r.last = records[i].Sequence
	}
	r.poller.mu.Lock()
	defer r.poller.mu.Unlock()
	r.pending = append(r.pending, records...)
	r.shard.idle = len(r.pending) == 0 && aws.ToInt64(out.MillisBehindLatest) == 0
	now := time.Now()
	for _, rec := range records {
		hash := fnv.New32a()
		_, _ = hash.Write([]byte(rec.PartitionKey)) // it cannot fail
		r.lanes[hash.Sum32()%uint32(len(r.lanes))].put(rec, now)
	}
}

// finish records that records have succeeded or were discarded, and advances the
// checkpoint up to the first unfinished record.
func (r *reader) finish(records []*record) {
	r.poller.mu.Lock()
	defer r.poller.mu.Unlock()
	for _, rec := range records {
		rec.done = true
	}
	r.poller.stats.Finished += len(records)
	n := 0
	for n < len(r.pending) && r.pending[n].done {
		r.shard.checkpoint = r.pending[n].Sequence
		n++
	}
	r.pending = r.pending[n:]
	signal(r.progress)
}

// signal wakes the goroutine waiting on the channel, now or at its next wait.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
