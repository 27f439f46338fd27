package awsenv

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/sluicehq/sluice/internal/awserror"
	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/emf"
	"github.com/sluicehq/sluice/internal/fanout"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/problem"
)

// measureLag writes the age of the first event that a failing integration has not passed: of
// that integration, and of the stage. Others have no such metric, as each costs money and two
// reads a step. It ignores errors: a metric does not justify one.
func (e *env) measureLag(ctx context.Context, k handoff.Key) {
	c, err := e.store.Cursor(ctx, k)
	if err != nil || c.State != handoff.Scheduled || c.Failures == 0 {
		return
	}
	oldest, found, err := e.log.Oldest(ctx, k.Partition(), c.Offset.Segment)
	if err != nil || !found {
		return
	}
	e.metrics.out.PutOf(k.Tenant, k.Integration, emf.Metric{Name: metricOldestLag, Unit: emf.Seconds, Value: now().Sub(oldest).Seconds()})
}

// measureWaiting writes what waits for somebody: for how long the most overdue cursor has
// been due, and how many batches were given up and not yet redriven. Zeros are written too: an
// alarm rings when there are none.
func (e *env) measureWaiting(ctx context.Context) error {
	overdue, failed := longestOverdue(ctx, e.store, delivery.QuietAfter(e.config.Settings))
	e.report(ctx, "measure overdue cursors", 0, failed)
	if failed == nil {
		e.metrics.out.Put(emf.Metric{Name: metricOverdue, Unit: emf.Seconds, Value: overdue.Seconds()})
	}
	batches, err := e.givenUp(ctx)
	e.report(ctx, "count batches that were given up", 0, err)
	if err == nil {
		e.metrics.out.Put(emf.Metric{Name: metricGivenUp, Unit: emf.Count, Value: float64(batches)})
	}
	return errors.Join(failed, err)
}

// cursors is the part of the store that longestOverdue reads.
type cursors interface {
	Due(ctx context.Context, before time.Time, limit int) ([]handoff.Key, error)
	Cursor(ctx context.Context, k handoff.Key) (*handoff.Cursor, error)
}

// longestOverdue returns for how long the most overdue cursor has been due, 0 if none is
// overdue, as by delivery.QuietAfter. What has a receiver that fails is due at its next attempt,
// so it is not among them.
func longestOverdue(ctx context.Context, s cursors, quietAfter time.Duration) (time.Duration, error) {
	keys, err := s.Due(ctx, now().Add(-quietAfter), 1)
	if err != nil || len(keys) == 0 {
		return 0, err
	}
	c, err := s.Cursor(ctx, keys[0]) // the index may be behind
	switch {
	case problem.CodeOf(err) == problem.NotFound:
		return 0, nil
	case err != nil || c.State != handoff.Scheduled:
		return 0, err
	}
	return max(now().Sub(c.DueAt), 0), nil
}

// givenUp counts the batches that were given up and are still in the bucket, up to the 1,000
// of one call.
func (e *env) givenUp(ctx context.Context) (int, error) {
	out, err := e.s3.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &e.config.Bucket, Prefix: aws.String(fanout.GivenUpPrefix)})
	if err != nil {
		return 0, awserror.Problem(err, "list batches that were given up")
	}
	return len(out.Contents), nil
}
