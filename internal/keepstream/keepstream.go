// Package keepstream raises the retention of a Kinesis stream to a week. An alarm invokes it
// when the stream is read hours late or not at all: with the usual day, what waits would soon
// be lost. An operator lowers the retention again: only they know when all is repaired.
package keepstream

import (
	"context"
	"log/slog"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/sluicehq/sluice/internal/awserror"
)

// Week is the retention that Raise sets, in hours: the most before Kinesis charges for reads.
const Week = 168

// Stream is the part of the Kinesis API that is used; *kinesis.Client implements it.
type Stream interface {
	DescribeStreamSummary(ctx context.Context, in *kinesis.DescribeStreamSummaryInput, options ...func(*kinesis.Options)) (*kinesis.DescribeStreamSummaryOutput, error)
	IncreaseStreamRetentionPeriod(ctx context.Context, in *kinesis.IncreaseStreamRetentionPeriodInput, options ...func(*kinesis.Options)) (*kinesis.IncreaseStreamRetentionPeriodOutput, error)
}

// Alarm is the part of CloudWatch's event that is used:
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-actions-Lambda.html
type Alarm struct {
	Data struct {
		Name string `json:"alarmName"`
	} `json:"alarmData"`
}

// Keeper raises the retention of a stream. Every field is required.
type Keeper struct {
	Client Stream
	Name   string // of the stream
	Logger *slog.Logger
}

// Raise raises the retention to a week, unless it is that long already. It logs what it did,
// at warn. While the stream is being changed it fails, and Lambda tries it again.
func (k *Keeper) Raise(ctx context.Context, alarm Alarm) error {
	log := k.Logger.With("stream", k.Name, "alarm", alarm.Data.Name)
	now, err := k.Client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &k.Name})
	if err != nil {
		return k.failed(log, err)
	}
	before := aws.ToInt32(now.StreamDescriptionSummary.RetentionPeriodHours)
	if before >= Week {
		log.WarnContext(ctx, "the stream's retention is a week already", "hours", before)
		return nil
	}
	if _, err := k.Client.IncreaseStreamRetentionPeriod(ctx, &kinesis.IncreaseStreamRetentionPeriodInput{
		StreamName: &k.Name, RetentionPeriodHours: aws.Int32(Week),
	}); err != nil {
		return k.failed(log, err)
	}
	log.WarnContext(ctx, "the stream's retention was raised to a week; lower it when the stream is read again", "before_hours", before, "hours", Week)
	return nil
}

func (k *Keeper) failed(log *slog.Logger, err error) error {
	err = awserror.Problem(err, "raise the retention of the stream")
	log.Error("the stream's retention was not raised; will retry twice", "error", err)
	return err
}
