// Package dynamo implements the log in two DynamoDB tables and an S3 bucket, for any
// number of processes. A segment is an item under its partition and number. Its events
// are in the item if they are small, otherwise in an S3 object. A conditional put takes
// the number, so two processes never take the same one. The checkpoint of the source is
// part of the segment, so a process that takes the next number has seen it.
//
// Segments have a table of their own, of which there is no backup (ADR 33). What else is
// kept of a partition is in the main table: its marker, its note of late segments and its
// watermark.
//
// Order by time is weaker than on a single node. In the log, published_at may be out
// of order by up to Options.Margin: the most by which clocks differ, plus the most time
// that a publish takes to reach the stream. Results by time err on the safe side by it.
//
// DynamoDB removes expired items by its own clock, in no order and up to days late. So
// readers ignore a segment past its expiry, whether its item still exists or not, and
// the segments of a partition expire in the order of their numbers.
package dynamo

import (
	"context"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/problem"
)

// Options are the dependencies and parameters of a Log.
type Options struct {
	DynamoDB *dynamodb.Client
	Segments string // the table of the segments
	Table    string // the main table, with the other items; see package dynamotable
	S3       *s3.Client
	Bucket   string // its lifecycle rule deletes objects under log/ some days after Keep
	// Keep is the minimum time that a segment is kept. Margin is the maximum by which
	// published_at is out of order.
	Keep, Margin time.Duration
	Now          func() time.Time
	// PutMarker puts a watermark marker for the partition on the stream. The process
	// that reads it from there calls Passed. If it is nil, the clock alone decides when
	// an offset is final: for a log without a stream before it.
	PutMarker func(ctx context.Context, p event.Partition) error
}

// Log implements eventlog.Log. It is safe for concurrent use, by several processes on
// the same tables too.
type Log struct {
	Options
	ends    ends
	recent  recentSegments
	borders *borders

	mu    sync.Mutex
	asked map[event.Partition]time.Time // when a watermark marker was last put
}

var _ eventlog.Log = (*Log)(nil)

// New returns the log in existing tables and an existing bucket.
func New(o Options) *Log {
	return &Log{Options: o, borders: newBorders(), asked: map[event.Partition]time.Time{}}
}

// End implements eventlog.Log.
func (l *Log) End(ctx context.Context, p event.Partition) (uint64, error) {
	e, err := l.readEnd(ctx, p)
	return e.number, err
}

// ended returns an error if the context has ended.
func ended(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return problem.Wrap(err, problem.Unavailable, "The request ended before the log was reached. Try again.")
	}
	return nil
}
