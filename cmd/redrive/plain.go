package main

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/sluicehq/sluice/internal/event"
	wire "github.com/sluicehq/sluice/internal/publish/kinesis"
	"github.com/sluicehq/sluice/internal/settings"
)

// settled returns a record as it is put again. A plain record gets its id and published_at
// from its place in the stream and its time of arrival, and both would be others after it is
// put again. So it becomes the record that fanout would have made of it, in the first lane,
// which every tenant has. What fanout cannot read either is put as it is, for fanout to judge.
func settled(e types.PutRecordsRequestEntry, place string, arrived time.Time) types.PutRecordsRequestEntry {
	if !wire.IsPlain(e.Data) {
		return e
	}
	draft, err := wire.DecodePlain(e.Data, settings.Default().MaxEventBytes)
	if err != nil {
		return e
	}
	p := event.Partition{Tenant: draft.Tenant}
	return types.PutRecordsRequestEntry{
		PartitionKey: aws.String(p.Key()), Data: wire.Encode([]event.Event{wire.StampPlain(draft, place, arrived)}),
	}
}
