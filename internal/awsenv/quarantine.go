package awsenv

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/sluicehq/sluice/internal/awserror"
	"github.com/sluicehq/sluice/internal/emf"
	"github.com/sluicehq/sluice/internal/fanout"
	stream "github.com/sluicehq/sluice/internal/publish/kinesis"
)

// decode adapts stream.Decode to fanout.Decode.
func decode(partitionKey string, data []byte) (fanout.Content, error) {
	r, err := stream.Decode(partitionKey, data)
	if err != nil {
		return fanout.Content{}, err
	}
	return fanout.Content(r), nil
}

// quarantine stores unreadable stream records in S3.
type quarantine struct {
	s3      *s3.Client
	bucket  string
	metrics *metrics
}

// put stores the record under a key made from its sequence number, so a second put
// changes nothing.
func (p quarantine) put(ctx context.Context, r *events.KinesisEventRecord, reason error) error {
	text, err := json.MarshalIndent(fanout.Quarantined{
		Reason: reason.Error(), Stream: r.EventSourceArn, EventID: r.EventID,
		PartitionKey: r.Kinesis.PartitionKey, Arrived: r.Kinesis.ApproximateArrivalTimestamp.UTC().Round(time.Millisecond), Data: r.Kinesis.Data,
	}, "", "  ")
	if err != nil {
		return err
	}
	shard, _, _ := strings.Cut(r.EventID, ":")
	_, err = p.s3.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &p.bucket, Key: aws.String(fanout.QuarantinePrefix + shard + "/" + r.Kinesis.SequenceNumber + ".json"),
		Body: bytes.NewReader(text), ContentType: aws.String("application/json"),
	})
	if err != nil {
		return awserror.Problem(err, "quarantine an unreadable record")
	}
	p.metrics.out.Put(emf.Metric{Name: metricMalformed, Unit: emf.Count, Value: 1})
	return nil
}
