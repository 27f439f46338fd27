// Package dynamo is the log in a DynamoDB table and an S3 bucket, for any number
// of processes. A segment is an item under its partition and number; its events
// are in the item while they are small, else in an object of their own. A number
// is taken by a conditional put, so that two processes never take the same one,
// and how far the stream was appended is part of the segment: whoever takes the
// next number has seen it.
//
// Times are weaker than on a single node. The log holds published_at out of
// order by as much as Options.Margin, the most that clocks differ and that a
// publish takes to reach the stream; answers by time err on the safe side by it.
//
// The items expire by DynamoDB's own clock, in no order and up to days late. So
// a segment past its expiry is no longer there, whether its item is or not, and
// segments of a partition expire in the order of their numbers.
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

// Options is what a Log is made of.
type Options struct {
	DynamoDB *dynamodb.Client
	Table    string // see package dynamotable
	S3       *s3.Client
	Bucket   string // its lifecycle removes what is under log/, some days after Keep
	// Keep is how long a segment is kept, at least; Margin is how far
	// published_at is out of order, at most.
	Keep, Margin time.Duration
	Now          func() time.Time
	// Barrier puts a barrier for the partition on the stream; whoever reads it
	// there calls Passed. If it is nil, the clock says when a time is settled:
	// for a log that nothing is on its way to.
	PutMarker func(ctx context.Context, p event.Partition) error
}

// Log implements eventlog.Log. It may be used by several processes on one table,
// and by any number of goroutines.
type Log struct {
	Options
	ends   ends
	recent recentSegments

	mu    sync.Mutex
	asked map[event.Partition]time.Time // when a barrier was asked for last
}

var _ eventlog.Log = (*Log)(nil)

// New returns the log in a table and a bucket that exist.
func New(o Options) *Log {
	return &Log{Options: o, asked: map[event.Partition]time.Time{}}
}

// Head implements eventlog.Log.
func (l *Log) End(ctx context.Context, p event.Partition) (uint64, error) {
	h, err := l.readEnd(ctx, p)
	return h.number, err
}

// ended returns an error if the context has ended.
func ended(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return problem.Wrap(err, problem.Unavailable, "The request ended before the log was reached. Try again.")
	}
	return nil
}
