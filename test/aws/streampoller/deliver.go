package streampoller

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// piece is a batch or the rest of one.
type piece struct {
	records  []*record
	invoked  int  // number of invocations with these records
	attempts int  // of those, the ones that count as attempts
	refused  int  // consecutive times that the function could not run
	again    bool // it is a redelivery
	outcome  Outcome
	response int // index of the first record that failed; -1 for none, or unknown for all
}

// Special values of piece.response.
const (
	none = -1
	all  = -2
)

// deliver sends the records until each is finished or the poller stops. It sends
// pieces one after the other, so that the records of a key stay in order.
func (l *lane) deliver(ctx context.Context, records []*record) {
	pieces := []piece{{records: records}}
	for len(pieces) > 0 && ctx.Err() == nil {
		rest := pieces[1:]
		first, ok := l.withoutAged(ctx, pieces[0])
		if !ok {
			return
		}
		if len(first.records) == 0 {
			pieces = rest
			continue
		}
		l.invoke(ctx, &first)
		pieces = append(l.judge(ctx, first, len(rest) == 0), rest...)
	}
}

// withoutAged gives up on the records that are too old to be sent, which are the
// first ones.
func (l *lane) withoutAged(ctx context.Context, p piece) (piece, bool) {
	limit := l.reader.poller.options.MaximumRecordAge
	n := 0
	for limit > 0 && n < len(p.records) && time.Since(p.records[n].Arrival) > limit {
		n++
	}
	if n == 0 {
		return p, true
	}
	aged := p
	aged.records, p.records = p.records[:n], p.records[n:]
	return p, l.giveUp(ctx, aged, "RecordAgeExceeded")
}

// invoke runs the function. Stopping the poller does not interrupt it.
func (l *lane) invoke(ctx context.Context, p *piece) {
	poller := l.reader.poller
	o := poller.options
	batch := l.batch(*p)
	if o.Hooks.Before != nil {
		o.Hooks.Before(batch)
	}
	events := make([][]byte, len(p.records))
	for i, rec := range p.records {
		events[i] = rec.event
	}
	result, functionError, err := o.Invoker.Invoke(context.WithoutCancel(ctx), o.Function, frame(events))
	p.outcome = Outcome{result, functionError, err}
	if o.Hooks.After != nil {
		o.Hooks.After(batch, p.outcome)
	}
	switch {
	case functionError != "" || err != nil:
		p.response = all
	case !o.ReportBatchItemFailures:
		p.response = none
	default:
		p.response = firstFailure(result, p.records)
	}
	poller.mu.Lock()
	defer poller.mu.Unlock()
	if err != nil {
		poller.stats.Refusals++
		p.refused++
		return
	}
	p.invoked++
	p.attempts++
	p.refused = 0
	poller.stats.Invocations++
	if p.response != none {
		poller.stats.Failures++
	}
}

// batch returns a piece in the form that hooks get.
func (l *lane) batch(p piece) Batch {
	b := Batch{Shard: l.reader.shard.id, Lane: l.number, Records: make([]Record, len(p.records))}
	for i, rec := range p.records {
		b.Records[i] = rec.Record
	}
	return b
}

// judge returns what must be sent next of a piece that was sent. If it is the last
// piece, records from the queue may be added.
func (l *lane) judge(ctx context.Context, p piece, last bool) []piece {
	poller := l.reader.poller
	switch {
	case p.refused > 0: // not an attempt
		sleep(ctx, poller.backOff(p.refused))
		return []piece{p}
	case p.response == none:
		return l.succeed(p, last)
	case p.response == all && poller.options.BisectBatchOnFunctionError && len(p.records) > 1:
		// "Splitting batches doesn't consume the retry quota."
		half := len(p.records) / 2
		left, right := p, p
		left.records, right.records = p.records[:half:half], p.records[half:]
		left.attempts--
		right.attempts--
		sleep(ctx, poller.backOff(1))
		return []piece{left, right}
	}
	if p.response > 0 {
		l.reader.finish(p.records[:p.response])
		p.records = p.records[p.response:]
	}
	if limit := poller.options.MaximumRetryAttempts; limit >= 0 && p.attempts > limit {
		l.giveUp(ctx, p, "RetryAttemptsExhausted")
		return nil
	}
	sleep(ctx, poller.backOff(p.attempts))
	return []piece{p}
}

// succeed finishes a piece, unless a test wants a redelivery.
func (l *lane) succeed(p piece, last bool) []piece {
	again := Once
	if hook := l.reader.poller.options.Hooks.Again; hook != nil && !p.again {
		again = hook(l.batch(p))
	}
	switch again {
	case Duplicate:
		return []piece{{records: p.records, again: true}}
	case Overlap:
		half := len(p.records) / 2
		l.reader.finish(p.records[:half])
		p.records = p.records[half:]
		if last {
			p.records = l.extend(p.records)
		}
		return []piece{{records: p.records, again: true}}
	}
	l.reader.finish(p.records)
	return nil
}

// giveUp sends the invocation record of a piece to the on-failure destination, and
// reports whether that succeeded.
func (l *lane) giveUp(ctx context.Context, p piece, condition string) bool {
	poller := l.reader.poller
	if send := poller.options.OnFailure; send != nil {
		record := poller.invocationRecord(l.reader.shard.id, p, condition)
		for failures := 1; ; failures++ {
			if send(ctx, record) == nil {
				break
			}
			if !sleep(ctx, poller.backOff(failures)) {
				return false
			}
		}
	}
	poller.mu.Lock()
	poller.stats.Discarded += len(p.records)
	poller.mu.Unlock()
	l.reader.finish(p.records)
	return true
}

// invocationRecord returns the JSON described in
// https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html.
func (p *Poller) invocationRecord(shard string, from piece, condition string) []byte {
	const layout = "2006-01-02T15:04:05.000Z"
	first, last := from.records[0], from.records[len(from.records)-1]
	events := make([][]byte, len(from.records))
	for i, rec := range from.records {
		events[i] = rec.event
	}
	record := InvocationRecord{
		Payload: string(frame(events)),
		RequestContext: RequestContext{
			RequestID:              uuid.NewString(),
			FunctionARN:            "arn:aws:lambda:" + p.region + ":" + p.account + ":function:" + p.options.Function,
			Condition:              condition,
			ApproximateInvokeCount: from.invoked,
		},
		Version:   "1.0",
		Timestamp: time.Now().UTC().Format(layout),
		KinesisBatchInfo: KinesisBatchInfo{
			ShardID:                         shard,
			StartSequenceNumber:             first.Sequence,
			EndSequenceNumber:               last.Sequence,
			ApproximateArrivalOfFirstRecord: first.Arrival.UTC().Format(layout),
			ApproximateArrivalOfLastRecord:  last.Arrival.UTC().Format(layout),
			BatchSize:                       len(from.records),
			StreamARN:                       p.options.StreamARN,
		},
	}
	if from.invoked > 0 {
		record.ResponseContext = &ResponseContext{StatusCode: 200, ExecutedVersion: "$LATEST"}
		if from.outcome.FunctionError != "" {
			record.ResponseContext.FunctionError = &from.outcome.FunctionError
		}
	}
	text, err := json.Marshal(record)
	if err != nil {
		panic(err) // text and numbers
	}
	return text
}
