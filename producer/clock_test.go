package producer

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/sluicehq/sluice/internal/publish/kinesis"
)

// The SDK accepts a clock that is off by minutes, and tells the stream's time with each
// response.
func TestResponsesCorrectTheClock(t *testing.T) {
	const off = -4 * time.Minute
	var mu sync.Mutex
	var published []time.Time
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Records []struct {
				Data         []byte
				PartitionKey string
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			t.Error(err)
		}
		record, err := kinesis.Decode(in.Records[0].PartitionKey, in.Records[0].Data)
		if err != nil {
			t.Error(err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		published = append(published, record.Events[0].PublishedAt)
		w.Header().Set("Date", time.Now().Add(off).UTC().Format(http.TimeFormat))
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_, _ = fmt.Fprint(w, `{"FailedRecordCount":0,"Records":[{"SequenceNumber":"1","ShardId":"shardId-000000000000"}]}`)
	}))
	defer server.Close()
	p := New(sdk.New(sdk.Options{
		BaseEndpoint: aws.String(server.URL), Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	}), "events")
	for i := range 2 {
		if err := p.Publish(t.Context(), of("acme", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	// Both are by the same clock: the second one is earlier, by the correction.
	if moved := published[1].Sub(published[0]); moved > off/2 {
		t.Errorf("the clock moved by %v, want about %v", moved, off)
	}
}

// The time in a response has whole seconds, so a small difference says nothing.
func TestCloseClocksAreLeftAlone(t *testing.T) {
	var c clock
	for _, step := range []struct{ ahead, want time.Duration }{
		{time.Second, 0},
		{-20 * time.Second, 0},
		{time.Minute, time.Minute},
		{time.Minute + 5*time.Second, time.Minute},
		{-time.Hour, -time.Hour},
		{time.Second, 0},
	} {
		c.observe(step.ahead)
		if c.shift() != step.want {
			t.Errorf("after %v it is shifted by %v, want %v", step.ahead, c.shift(), step.want)
		}
	}
}
