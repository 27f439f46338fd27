package dynamo

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"

	"github.com/sluicehq/sluice/internal/awserror"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/problem"
)

// fetchesAtOnce is how many objects a read fetches concurrently.
const fetchesAtOnce = 4

func (l *Log) putObject(ctx context.Context, key string, data []byte) error {
	_, err := l.S3.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &l.Bucket, Key: &key, Body: bytes.NewReader(data), ContentType: aws.String("application/zstd"),
	})
	return awserror.Problem(err, toWrite)
}

// segments returns the segments of the items, up to the first that cannot be read for
// now. Those before it can be delivered. It returns an error only if that is the first.
func (l *Log) segments(ctx context.Context, p event.Partition, items []item) ([]eventlog.Segment, error) {
	segments := make([]eventlog.Segment, len(items))
	errs := make([]error, len(items))
	var fetches errgroup.Group
	fetches.SetLimit(fetchesAtOnce)
	for i := range items {
		it := &items[i]
		segments[i].Number = it.number()
		if it.Object == "" {
			segments[i].Events, errs[i] = decoded(p, it, it.Data)
			continue
		}
		fetches.Go(func() error {
			segments[i].Events, errs[i] = l.events(ctx, p, it)
			return nil
		})
	}
	_ = fetches.Wait() // their errors are in errs
	for i, err := range errs {
		if errors.Is(err, eventlog.ErrDamaged) {
			segments[i].Events, err = l.again(ctx, p, &items[i])
		}
		switch {
		case errors.Is(err, eventlog.ErrDamaged):
			segments[i].Events, segments[i].Damage = nil, items[i].damage(err)
		case err != nil && i == 0:
			return nil, err
		case err != nil:
			return segments[:i], nil
		}
	}
	return segments, nil
}

// events returns the events of an item, from the item or its object.
func (l *Log) events(ctx context.Context, p event.Partition, it *item) ([]event.Event, error) {
	if it.Object == "" {
		return decoded(p, it, it.Data)
	}
	data, err := l.object(ctx, p, it)
	if err != nil {
		return nil, err
	}
	return decoded(p, it, data)
}

// again reads an item that looks damaged once more, as what is judged so is never sent: one
// bad read is no damage.
func (l *Log) again(ctx context.Context, p event.Partition, it *item) ([]event.Event, error) {
	var read item
	found, err := l.segment(ctx, p, it.number(), &read)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, problem.New(problem.Unavailable, "Segment %d was deleted while it was read. Try again.", it.number())
	}
	return l.events(ctx, p, &read)
}

// damage describes the item after an error of its events.
func (it *item) damage(err error) *eventlog.Damage {
	last := time.UnixMilli(it.Last).UTC() // up to this segment: no event of it is later
	return &eventlog.Damage{Err: err, Events: it.Count, First: time.UnixMilli(it.First).UTC(), Last: last}
}

func (l *Log) object(ctx context.Context, p event.Partition, it *item) ([]byte, error) {
	out, err := l.S3.GetObject(ctx, &s3.GetObjectInput{Bucket: &l.Bucket, Key: &it.Object})
	if code := awserror.Code(err); code == "NoSuchKey" || code == "NotFound" {
		return nil, problem.Wrap(err, problem.Internal, "segment %d in lane %d of tenant %q is lost: its object %s is not in the bucket %s",
			it.number(), p.Lane, p.Tenant, it.Object, l.Bucket)
	}
	if err != nil {
		return nil, awserror.Problem(err, toRead)
	}
	defer out.Body.Close()
	var data bytes.Buffer
	if n := aws.ToInt64(out.ContentLength); n > 0 && n <= maxSegmentBytes {
		data.Grow(int(n) + bytes.MinRead)
	}
	if _, err := data.ReadFrom(io.LimitReader(out.Body, maxSegmentBytes)); err != nil {
		return nil, awserror.Problem(err, toRead)
	}
	return data.Bytes(), nil
}

// decoded returns the events of an item. It verifies their count, to detect the object
// of another segment.
func decoded(p event.Partition, it *item, data []byte) ([]event.Event, error) {
	events, err := unpack(p.Tenant, data)
	if err == nil && len(events) == it.Count {
		return events, nil
	}
	if err == nil {
		err = eventlog.ErrDamaged
	}
	return nil, problem.Wrap(err, problem.Internal, "segment %d in lane %d of tenant %q should have %d events, of which %d can be decoded",
		it.number(), p.Lane, p.Tenant, it.Count, len(events))
}
