package awsenv

import (
	"context"

	"github.com/sluicehq/sluice/internal/emf"
	"github.com/sluicehq/sluice/internal/event"
	stream "github.com/sluicehq/sluice/internal/publish/kinesis"
)

// decodePlain decodes a plain record, of at most the size that an event may have.
func (e *env) decodePlain(data []byte) (event.Draft, error) {
	return stream.DecodePlain(data, e.config.MaxEventBytes)
}

// putPlain puts the events of plain records on the stream, and counts them as published.
func (e *env) putPlain(ctx context.Context, events []event.Event) ([]int, error) {
	left, err := e.stream.PutEvents(ctx, e.lanes.Current(ctx), events)
	e.metrics.out.Put(emf.Metric{Name: metricPublished, Unit: emf.Count, Value: float64(len(events) - len(left))})
	return left, err
}
