package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/sluicehq/sluice/internal/awserror"
)

type writer interface {
	PutRecords(ctx context.Context, in *kinesis.PutRecordsInput, options ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error)
}

// drain puts records on a stream.
type drain struct {
	client writer
	name   string
	sleep  func(context.Context, time.Duration) error
}

// The limits of one PutRecords call.
const (
	maxCallRecords = 500
	maxCallBytes   = 5 << 20
)

const (
	firstDelay  = 200 * time.Millisecond // doubles, with jitter
	longestWait = 10 * time.Second
)

// put puts the entries on the stream and retries those that the stream rejects.
// Entries that succeed at the first attempt keep their order. After an error some
// may be on the stream.
func (d *drain) put(ctx context.Context, entries []types.PutRecordsRequestEntry) error {
	for len(entries) > 0 {
		n := fitting(entries)
		if err := d.call(ctx, entries[:n]); err != nil {
			return err
		}
		entries = entries[n:]
	}
	return nil
}

// call puts entries that fit into one call, and retries until all are put.
func (d *drain) call(ctx context.Context, entries []types.PutRecordsRequestEntry) error {
	for try := range tries {
		left, err := d.attempt(ctx, entries)
		if err == nil {
			return nil
		}
		if try == tries-1 || !awserror.Temporary(err) {
			return fmt.Errorf("%d records could not be put on the stream: %w", len(left), err)
		}
		wait := min(firstDelay<<try, longestWait)
		if err := d.sleep(ctx, wait/2+rand.N(wait/2)); err != nil {
			return err
		}
		entries = left
	}
	return nil
}

// attempt makes one call. It returns the entries that were not put, and why.
func (d *drain) attempt(ctx context.Context, entries []types.PutRecordsRequestEntry) ([]types.PutRecordsRequestEntry, error) {
	out, err := d.client.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: &d.name, Records: entries})
	if err != nil {
		return entries, err
	}
	if len(out.Records) != len(entries) {
		return entries, fmt.Errorf("PutRecords returned results for %d of %d records", len(out.Records), len(entries))
	}
	var left []types.PutRecordsRequestEntry
	for i := range out.Records {
		if r := &out.Records[i]; r.ErrorCode != nil {
			left = append(left, entries[i])
			err = errors.New(*r.ErrorCode + ": " + aws.ToString(r.ErrorMessage))
		}
	}
	return left, err
}

// fitting returns how many of the entries fit into one call, at least one.
func fitting(entries []types.PutRecordsRequestEntry) int {
	bytes := 0
	for i := range entries {
		bytes += len(entries[i].Data) + len(aws.ToString(entries[i].PartitionKey))
		if i == maxCallRecords || i > 0 && bytes > maxCallBytes {
			return i
		}
	}
	return len(entries)
}
