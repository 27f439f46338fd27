package awsenv

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/emf"
	"github.com/sluicehq/sluice/internal/fanout"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/publish"
	"github.com/sluicehq/sluice/internal/sink"
)

func counting(out io.Writer) *metrics {
	return &metrics{out: emf.Writer{Out: out, Stage: "dev", Now: time.Now}}
}

// values returns the metrics in the output, which has at most one line.
func values(t *testing.T, out *bytes.Buffer) map[string]float64 {
	t.Helper()
	text := out.String()
	out.Reset()
	if text == "" {
		return nil
	}
	if strings.Count(text, "\n") != 1 {
		t.Errorf("more than a line: %s", text)
	}
	var line map[string]any
	if err := json.Unmarshal([]byte(text), &line); err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for name, value := range line {
		if v, ok := value.(float64); ok {
			got[name] = v
		}
	}
	return got
}

func TestFlush(t *testing.T) {
	var out bytes.Buffer
	m := counting(&out)
	m.flush()
	if got := values(t, &out); got != nil {
		t.Errorf("nothing happened, but %v was written", got)
	}
	for outcome, events := range map[sink.Outcome]int{sink.Delivered: 5, sink.Rejected: 1, sink.Retry: 3, sink.Interrupted: 2, sink.Unsent: 6} {
		m.AttemptStarted()
		m.AttemptEnded(nil, sink.Verdict{Outcome: outcome}, events, time.Time{}, time.Time{})
	}
	m.AttemptEnded(nil, sink.Verdict{Outcome: sink.Delivered}, 2, time.Time{}, time.Time{})
	m.EventsSkipped(7)
	m.EventsSkipped(1)
	m.flush(emf.Metric{Name: metricOverdue, Unit: emf.Seconds, Value: 4})
	want := map[string]float64{"EventsDelivered": 7, "EventsRejected": 1, "EventsRetried": 3, "EventsInterrupted": 2, "EventsUnsent": 6, "EventsSkipped": 8, "OverdueSeconds": 4}
	if diff := cmp.Diff(want, values(t, &out)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	m.flush()
	if got := values(t, &out); got != nil {
		t.Errorf("%v was written a second time", got)
	}
}

// To Lambda, an invocation that reports failed records has succeeded.
func TestABatchOfWhichSomethingIsRedeliveredCountsOnce(t *testing.T) {
	var out bytes.Buffer
	m := counting(&out)
	m.batch(events.KinesisEventResponse{})
	m.flush()
	if got := values(t, &out); got != nil {
		t.Errorf("a batch that succeeded is counted: %v", got)
	}
	m.batch(events.KinesisEventResponse{BatchItemFailures: []events.KinesisBatchItemFailure{{ItemIdentifier: "1"}, {ItemIdentifier: "2"}}})
	m.flush()
	if diff := cmp.Diff(map[string]float64{"BatchesFailed": 1}, values(t, &out)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What a receiver does to a retry by hand is no error of ours, and nobody is paged for it.
func TestOnlyOurOwnErrorsAreCounted(t *testing.T) {
	for status, own := range map[int]bool{200: false, 202: false, 404: false, 429: false, 499: false, 500: true, 502: false, 503: true} {
		var out bytes.Buffer
		m := counting(&out)
		m.response(status)
		m.flush()
		if got := values(t, &out)["ServerErrors"] == 1; got != own {
			t.Errorf("%d counts: %v", status, got)
		}
	}
}

// failing is a publisher that publishes two events or fails.
type failing struct{ err error }

func (p failing) Publish(context.Context, publish.Call) ([]string, error) {
	if p.err != nil {
		return []string{"1"}, p.err
	}
	return []string{"1", "2"}, nil
}

func TestPublishedEventsAreCounted(t *testing.T) {
	var out bytes.Buffer
	p := countingPublisher{failing{}, counting(&out)}
	if ids, err := p.Publish(t.Context(), publish.Call{Tenant: "acme"}); err != nil || len(ids) != 2 {
		t.Errorf("%q, %v", ids, err)
	}
	// The dashboard in infra/ uses this name.
	if diff := cmp.Diff(map[string]float64{"EventsPublished": 2}, values(t, &out)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	p.Publisher = failing{errors.New("the stream is full")}
	if _, err := p.Publish(t.Context(), publish.Call{Tenant: "acme"}); err == nil {
		t.Error("the error is lost")
	}
	if got := values(t, &out); got != nil {
		t.Errorf("%v was counted for a failed call", got)
	}
}

// The alarms in template.yaml, the dashboard in infra/ and the dashboards of others use these names.
func TestNamesOfMetrics(t *testing.T) {
	got := []string{
		metricPublished, metricDelivered, metricRejected, metricRetried,
		metricInterrupted, metricUnsent, metricSkipped, metricMalformed, metricFailed, metricGivenUp, metricErrors,
		metricOldestLag, metricOverdue,
	}
	want := []string{
		"EventsPublished", "EventsDelivered", "EventsRejected", "EventsRetried",
		"EventsInterrupted", "EventsUnsent", "EventsSkipped", "MalformedRecords", "BatchesFailed", "BatchesGivenUp", "ServerErrors",
		"OldestLagSeconds", "OverdueSeconds",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestQuarantine(t *testing.T) {
	objects := map[string]fanout.Quarantined{}
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var record fanout.Quarantined
		if err := json.NewDecoder(r.Body).Decode(&record); err != nil {
			t.Error(err)
		}
		if status == http.StatusOK {
			objects[r.Method+" "+r.URL.Path] = record
		}
		w.WriteHeader(status)
	}))
	defer server.Close()
	var out bytes.Buffer
	p := quarantine{bucket: "bucket", metrics: counting(&out), s3: s3.New(s3.Options{
		Region: "eu-central-1", BaseEndpoint: aws.String(server.URL), UsePathStyle: true,
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		Credentials:                credentials.NewStaticCredentialsProvider("test", "test", ""),
	})}
	record := &events.KinesisEventRecord{
		EventID: "shardId-000000000006:4959", EventSourceArn: "arn:stream",
		Kinesis: events.KinesisRecord{SequenceNumber: "4959", PartitionKey: "0#a/../b", Data: []byte{0, 1, 0xff}},
	}
	for range 2 { // again, under the same name
		if err := p.put(t.Context(), record, errors.New("of kind 9")); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]float64{"MalformedRecords": 1}, values(t, &out)); diff != "" {
			t.Errorf("metrics (-want +got):\n%s", diff)
		}
	}
	want := map[string]fanout.Quarantined{"PUT /bucket/malformed/shardId-000000000006/4959.json": {
		Reason: "of kind 9", Stream: "arn:stream", EventID: "shardId-000000000006:4959", PartitionKey: "0#a/../b", Data: []byte{0, 1, 0xff},
	}}
	if diff := cmp.Diff(want, objects); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
	status = http.StatusForbidden
	if err := p.put(t.Context(), record, errors.New("of kind 9")); problem.CodeOf(err) != problem.Internal {
		t.Errorf("got %v, want an internal error", err)
	}
	if got := values(t, &out); got != nil {
		t.Errorf("%v was counted for a record that was not quarantined", got)
	}
}
