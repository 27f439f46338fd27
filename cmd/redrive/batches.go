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

// queue is what is called of SQS; *sqs.Client has it.
type queue interface {
	GetQueueAttributes(ctx context.Context, in *sqs.GetQueueAttributesInput, options ...func(*sqs.Options)) (*sqs.GetQueueAttributesOutput, error)
	ReceiveMessage(ctx context.Context, in *sqs.ReceiveMessageInput, options ...func(*sqs.Options)) (*sqs.ReceiveMessageOutput, error)
	DeleteMessage(ctx context.Context, in *sqs.DeleteMessageInput, options ...func(*sqs.Options)) (*sqs.DeleteMessageOutput, error)
	ChangeMessageVisibility(ctx context.Context, in *sqs.ChangeMessageVisibilityInput, options ...func(*sqs.Options)) (*sqs.ChangeMessageVisibilityOutput, error)
}

// batches puts back the batches of which the queue has word.
type batches struct {
	queue  queue
	url    string
	source *source
	drain  *drain
	tally  *tally

	kept []string // receipts of messages that stay
}

const (
	// hidden is how long nobody else sees a message that this run has. A second
	// run beside this one would put the same records again.
	hidden = 15 * time.Minute
	// lookFor is how long a queue is asked for messages until it counts as empty.
	lookFor = time.Second
	// releaseIn bounds what is done after an interruption.
	releaseIn = 10 * time.Second
)

func (b *batches) run(ctx context.Context) error {
	count, err := b.queue.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: &b.url, AttributeNames: []sqstypes.QueueAttributeName{sqstypes.QueueAttributeNameApproximateNumberOfMessages},
	})
	if err != nil {
		return fmt.Errorf("look into the queue: %w", err)
	}
	b.tally.say("The queue has about %s batches.", count.Attributes[string(sqstypes.QueueAttributeNameApproximateNumberOfMessages)])
	defer b.release(ctx)
	seen := make(map[string]bool)
	for {
		m, err := b.next(ctx)
		if err != nil || m == nil {
			return err
		}
		id := aws.ToString(m.MessageId)
		if seen[id] { // it stayed, and this run took longer than it was hidden
			continue
		}
		seen[id] = true
		if err := b.one(ctx, m); err != nil {
			b.kept = append(b.kept, aws.ToString(m.ReceiptHandle))
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			b.tally.stays(err)
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
		return nil, fmt.Errorf("take a message from the queue: %w", err)
	}
	if len(out.Messages) == 0 {
		return nil, nil
	}
	return &out.Messages[0], nil
}

// one puts the records of a batch on the stream and then deletes its message:
// if the run ends between the two, the next one puts them again.
func (b *batches) one(ctx context.Context, m *sqstypes.Message) error {
	at, err := parseInvocation(aws.ToString(m.Body))
	if err != nil {
		b.tally.say("Message %s:", aws.ToString(m.MessageId))
		return err
	}
	b.tally.say("Batch of %d records of %s, from %s on (%s):", at.size, at.shard, at.arrived.UTC().Format(time.DateTime+"Z"), at.reason)
	if at.stream != b.source.name {
		return fmt.Errorf("it is of the stream %s, and --stream is %s", at.stream, b.source.name)
	}
	put := 0
	whole, err := b.source.read(ctx, at, func(records []types.Record) error {
		entries := b.entries(records)
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
		return fmt.Errorf("some of its records are past the stream's retention; the %d that are left are put back unless this is a dry run; see \"Past the retention\" in docs/operations.md", put)
	}
	if b.tally.dryRun {
		b.kept = append(b.kept, aws.ToString(m.ReceiptHandle))
	} else if _, err := b.queue.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &b.url, ReceiptHandle: m.ReceiptHandle}); err != nil {
		return fmt.Errorf("its %d records are back, but its message could not be deleted, so another run puts them again: %w", put, err)
	}
	b.tally.done(put)
	if put > at.size {
		b.tally.say("  %d of them lie between those of the batch, and integrations may have them already", put-at.size)
	}
	return nil
}

// entries are the records as they are put again. Barriers are left out: they
// vouch for what was put before them, which is no longer so where they would be
// now. Whoever waits for one asks for another.
func (b *batches) entries(records []types.Record) []types.PutRecordsRequestEntry {
	var entries []types.PutRecordsRequestEntry
	for i := range records {
		r := &records[i]
		content, err := wire.Decode(aws.ToString(r.PartitionKey), r.Data)
		if err == nil && !content.Marker.IsZero() {
			continue
		}
		entries = append(entries, types.PutRecordsRequestEntry{PartitionKey: r.PartitionKey, Data: r.Data})
	}
	return entries
}

// release lets others see the messages that stay. If it fails they are seen
// when their time is over.
func (b *batches) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseIn)
	defer cancel()
	for _, receipt := range b.kept {
		_, _ = b.queue.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{QueueUrl: &b.url, ReceiptHandle: &receipt})
	}
}
