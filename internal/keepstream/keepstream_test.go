package keepstream_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/sluicehq/sluice/internal/keepstream"
)

// stream is a fake stream that fails the calls given.
type stream struct {
	hours                  int32
	describing, increasing error
	raised                 int // calls
}

func (s *stream) DescribeStreamSummary(_ context.Context, in *kinesis.DescribeStreamSummaryInput, _ ...func(*kinesis.Options)) (*kinesis.DescribeStreamSummaryOutput, error) {
	if *in.StreamName != "events" {
		return nil, errors.New("another stream: " + *in.StreamName)
	}
	return &kinesis.DescribeStreamSummaryOutput{StreamDescriptionSummary: &types.StreamDescriptionSummary{RetentionPeriodHours: &s.hours}}, s.describing
}

func (s *stream) IncreaseStreamRetentionPeriod(_ context.Context, in *kinesis.IncreaseStreamRetentionPeriodInput, _ ...func(*kinesis.Options)) (*kinesis.IncreaseStreamRetentionPeriodOutput, error) {
	s.raised++
	if s.increasing == nil {
		s.hours = *in.RetentionPeriodHours
	}
	return &kinesis.IncreaseStreamRetentionPeriodOutput{}, s.increasing
}

// raise runs it as CloudWatch does, and returns what it logs.
func (s *stream) raise(t *testing.T) (string, error) {
	t.Helper()
	var alarm keepstream.Alarm
	if err := json.Unmarshal([]byte(`{"source":"aws.cloudwatch","alarmArn":"arn:aws:cloudwatch:eu-west-1:111122223333:alarm:sluice-prod-stream-behind","time":"2026-03-01T12:00:00.000+0000","alarmData":{"alarmName":"sluice-prod-stream-behind","state":{"value":"ALARM"}}}`), &alarm); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	k := keepstream.Keeper{Client: s, Name: "events", Logger: slog.New(slog.NewTextHandler(&out, nil))}
	err := k.Raise(t.Context(), alarm)
	return out.String(), err
}

func TestRetentionIsRaisedOnceAndItSaysSo(t *testing.T) {
	s := &stream{hours: 24}
	said, err := s.raise(t)
	if err != nil || s.hours != 168 {
		t.Errorf("%d hours, %v", s.hours, err)
	}
	for _, want := range []string{"level=WARN", "retention was raised to a week", "stream=events", "alarm=sluice-prod-stream-behind", "before_hours=24", "hours=168"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is missing in %s", want, said)
		}
	}
	said, err = s.raise(t) // the alarm rings again, or Lambda invokes it twice
	if err != nil || s.raised != 1 || !strings.Contains(said, "a week already") {
		t.Errorf("raised %d times, %v, %s", s.raised, err, said)
	}
}

func TestALongerRetentionIsLeftAlone(t *testing.T) {
	s := &stream{hours: 8760}
	if _, err := s.raise(t); err != nil || s.raised != 0 || s.hours != 8760 {
		t.Errorf("%d hours, raised %d times, %v", s.hours, s.raised, err)
	}
}

// An error is what makes Lambda try again.
func TestFailureIsReturnedAndLogged(t *testing.T) {
	busy := &types.ResourceInUseException{Message: aws.String("Stream events is UPDATING")}
	for name, s := range map[string]*stream{"describing": {hours: 24, describing: busy}, "raising": {hours: 24, increasing: busy}} {
		said, err := s.raise(t)
		if err == nil || s.hours != 24 || !strings.Contains(said, "was not raised") {
			t.Errorf("%s: %d hours, %v, %s", name, s.hours, err, said)
		}
		if gone := (*types.ResourceInUseException)(nil); !errors.As(err, &gone) {
			t.Errorf("%s: the cause is lost: %v", name, err)
		}
	}
}
