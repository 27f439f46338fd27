package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	wire "github.com/sluicehq/sluice/internal/publish/kinesis"
)

// queue is the part of the SQS API that is used; *sqs.Client implements it.
type queue interface {
	GetQueueAttributes(ctx context.Context, in *sqs.GetQueueAttributesInput, options ...func(*sqs.Options)) (*sqs.GetQueueAttributesOutput, error)
	ReceiveMessage(ctx context.Context, in *sqs.ReceiveMessageInput, options ...func(*sqs.Options)) (*sqs.ReceiveMessageOutput, error)
	DeleteMessage(ctx context.Context, in *sqs.DeleteMessageInput, options ...func(*sqs.Options)) (*sqs.DeleteMessageOutput, error)
	ChangeMessageVisibility(ctx context.Context, in *sqs.ChangeMessageVisibilityInput, options ...func(*sqs.Options)) (*sqs.ChangeMessageVisibilityOutput, error)
}

// batches puts back the batches that the queue has messages about.
type batches struct {
	queue  queue
	url    string
	source *source
	drain  *drain
	tally  *tally

	kept []string // receipts of messages that are not deleted
}

const (
	// hidden is the visibility timeout of a message that this run has received. A
	// concurrent run would put the same records again.
	hidden = 15 * time.Minute
	// lookFor is how long to poll the queue before it counts as empty.
	lookFor = time.Second
	// showKeptIn bounds the cleanup after an interruption.
	showKeptIn = 10 * time.Second
)

func (b *batches) run(ctx context.Context) error {
	count, err := b.queue.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: &b.url, AttributeNames: []sqstypes.QueueAttributeName{sqstypes.QueueAttributeNameApproximateNumberOfMessages},
	})
	if err != nil {
		return fmt.Errorf("read the attributes of the queue: %w", err)
	}
	b.tally.say("The queue has about %s batches.", count.Attributes[string(sqstypes.QueueAttributeNameApproximateNumberOfMessages)])
	defer b.showKept(ctx)
	seen := make(map[string]bool)
	for {
		m, err := b.next(ctx)
		if err != nil || m == nil {
			return err
		}
		id := aws.ToString(m.MessageId)
		if seen[id] { // it was kept, and its visibility timeout ran out during this run
			continue
		}
		seen[id] = true
		if err := b.one(ctx, m); err != nil {
			b.kept = append(b.kept, aws.ToString(m.ReceiptHandle))
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			b.tally.keep(err)
		}
	}
}

// next returns a message, nil if there is none.
func (b *batches) next(ctx context.Context) (*sqstypes.Message, error) {
	out, err := b.queue.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl: &b.url, MaxNumberOfMessages: 1,
		VisibilityTimeout: int32(hidden.Seconds()), WaitTimeSeconds: int32(lookFor.Seconds()),
	})
	if err != nil {
		return nil, fmt.Errorf("receive a message from the queue: %w", err)
	}
	if len(out.Messages) == 0 {
		return nil, nil
	}
	return &out.Messages[0], nil
}

// one puts the records of a batch on the stream and then deletes its message. If
// the run ends between the two, the next run puts them again.
func (b *batches) one(ctx context.Context, m *sqstypes.Message) error {
	at, err := parseInvocation(aws.ToString(m.Body))
	if err != nil {
		b.tally.say("Message %s:", aws.ToString(m.MessageId))
		return err
	}
	b.tally.say("Batch of %d records of %s, from %s on (%s):", at.size, at.shard, at.arrived.UTC().Format(time.DateTime+"Z"), at.reason)
	if at.stream != b.source.name {
		return fmt.Errorf("it belongs to the stream %s, but --stream is %s", at.stream, b.source.name)
	}
	put := 0
	whole, err := b.source.read(ctx, at, func(records []types.Record) error {
		entries := b.entries(at.shard, records)
		if !b.tally.dryRun {
			if err := b.drain.put(ctx, entries); err != nil {
				return err
			}
		}
		put += len(entries)
		b.tally.say("  %d records", put)
		return nil
	})
	switch {
	case err != nil:
		return err
	case !whole && put == 0:
		return errors.New("all its records are past the stream's retention; see \"Past the retention\" in docs/operations.md")
	case !whole:
		return fmt.Errorf("some of its records are past the stream's retention; the remaining %d are put back unless this is a dry run; see \"Past the retention\" in docs/operations.md", put)
	}
	if b.tally.dryRun {
		b.kept = append(b.kept, aws.ToString(m.ReceiptHandle))
	} else if _, err := b.queue.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &b.url, ReceiptHandle: m.ReceiptHandle}); err != nil {
		return fmt.Errorf("its %d records are back on the stream, but its message could not be deleted, so another run will put them again: %w", put, err)
	}
	b.tally.done(put)
	if put > at.size {
		b.tally.say("  %d of them lie between those of the batch; integrations may have received them already", put-at.size)
	}
	return nil
}

// entries returns the records of a shard as they are put again. It leaves out watermark
// markers: a marker vouches for everything put before it, which is not true at its
// new position. A process that waits for one puts another.
func (b *batches) entries(shard string, records []types.Record) []types.PutRecordsRequestEntry {
	var entries []types.PutRecordsRequestEntry
	for i := range records {
		r := &records[i]
		content, err := wire.Decode(aws.ToString(r.PartitionKey), r.Data)
		if err == nil && !content.Marker.IsZero() {
			continue
		}
		entries = append(entries, settled(types.PutRecordsRequestEntry{PartitionKey: r.PartitionKey, Data: r.Data},
			shard+":"+aws.ToString(r.SequenceNumber), aws.ToTime(r.ApproximateArrivalTimestamp)))
	}
	return entries
}

// showKept makes the kept messages visible again. If it fails, they become visible
// when their visibility timeout ends.
func (b *batches) showKept(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), showKeptIn)
	defer cancel()
	for _, receipt := range b.kept {
		_, _ = b.queue.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{QueueUrl: &b.url, ReceiptHandle: &receipt})
	}
}
