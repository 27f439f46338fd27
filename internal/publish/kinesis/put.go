package kinesis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/sluicehq/sluice/internal/awserror"
	"github.com/sluicehq/sluice/internal/backoff"
)

// The limits of one PutRecords call.
const (
	maxCallRecords = 500
	maxCallBytes   = 5 << 20
)

const (
	tries       = 8
	firstDelay  = 100 * time.Millisecond // doubles, with full jitter
	longestWait = 5 * time.Second        // of a delay, and for a response
	toRespond   = time.Second            // of the context's time, left for the caller to respond
)

// put puts the records and retries those that fail; records that succeed at the first
// attempt keep their order. It returns the unconfirmed ones, and the last error.
func (s *Stream) put(ctx context.Context, records []record) ([]record, error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-toRespond))
		defer cancel()
	}
	for try := range tries {
		left, err := s.attempt(ctx, records)
		if len(left) == 0 {
			return nil, nil
		}
		if try == tries-1 || !awserror.Temporary(err) || !sleep(ctx, try) {
			return left, err
		}
		records = left
	}
	return records, nil // empty
}

// attempt puts each record once. It returns those that failed, and the last error. It
// stops at an error that a retry cannot fix.
func (s *Stream) attempt(ctx context.Context, records []record) (left []record, last error) {
	for len(records) > 0 {
		n := fitting(records)
		failed, err := s.call(ctx, records[:n])
		if err != nil {
			left, last = append(left, failed...), err
		}
		records = records[n:]
		if err != nil && (ctx.Err() != nil || !awserror.Temporary(err)) {
			return append(left, records...), err
		}
	}
	return left, last
}

// fitting returns how many of the records fit into one call, at least one.
func fitting(records []record) int {
	bytes := 0
	for i := range records {
		bytes += records[i].size()
		if i == maxCallRecords || i > 0 && bytes > maxCallBytes {
			return i
		}
	}
	return len(records)
}

// call makes one call and returns the records that were not put.
func (s *Stream) call(ctx context.Context, records []record) ([]record, error) {
	ctx, cancel := context.WithTimeout(ctx, longestWait)
	defer cancel()
	in := &kinesis.PutRecordsInput{StreamName: aws.String(s.name), Records: make([]types.PutRecordsRequestEntry, len(records))}
	for i := range records {
		in.Records[i] = records[i].entry
	}
	out, err := s.client.PutRecords(ctx, in, once)
	if err != nil {
		return records, err
	}
	if len(out.Records) != len(records) {
		return records, fmt.Errorf("PutRecords returned results for %d of %d records", len(out.Records), len(records))
	}
	var failed []record
	for i := range out.Records {
		if r := &out.Records[i]; r.ErrorCode != nil {
			failed = append(failed, records[i])
			err = errors.New(*r.ErrorCode + ": " + aws.ToString(r.ErrorMessage))
		}
	}
	return failed, err
}

// once disables the SDK's retries: put retries only what failed.
func once(o *kinesis.Options) { o.RetryMaxAttempts = 1 }

// sleep waits before the next attempt. It reports whether there is time for one.
func sleep(ctx context.Context, try int) bool {
	wait := backoff.Full(firstDelay, try+1, longestWait, nil)
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= wait {
		return false
	}
	return backoff.Wait(ctx, wait) == nil
}
