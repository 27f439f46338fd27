package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/client"
	"github.com/sluicehq/sluice/internal/event"
	store "github.com/sluicehq/sluice/internal/store/dynamo"
	"github.com/sluicehq/sluice/test/aws/front"
	"github.com/sluicehq/sluice/test/aws/lambdahost"
	"github.com/sluicehq/sluice/test/aws/stack"
)

// patience is only ever used up by a failure.
const patience = 3 * time.Minute

// stage is a deployment with receivers.
type stage struct {
	*stack.Stack
	t         testing.TB
	receivers *receivers
	records   *store.Store
	began     time.Time
	sequence  int // of batches made by hand
}

func newStage(t testing.TB) *stage {
	r := newReceivers(t)
	s := &stage{t: t, receivers: r, began: time.Now(), sequence: 1}
	// Go's own variable makes the functions trust the receivers.
	s.Stack = stack.Deploy(t, stack.Options{Settings: map[string]string{"SSL_CERT_FILE": r.root}, Interpreter: true})
	s.records = store.New(s.DynamoDB, s.Table, time.Now)
	return s
}

// say reports what is going on.
func (s *stage) say(format string, args ...any) {
	_, _ = fmt.Fprintf(os.Stderr, "%4.0f s  %s\n", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
}

// tenant is one with webhooks that all follow.
type tenant struct {
	*stage
	name              string
	webhooks, delayMS int
	api               *client.Client
}

func (s *stage) newTenant(name string, webhooks, delayMS int) *tenant {
	s.t.Helper()
	api, err := client.New(s.URL, s.Token(name, "integrations:read", "integrations:write", "events:publish"))
	if err != nil {
		s.t.Fatal(err)
	}
	tn := &tenant{s, name, webhooks, delayMS, api}
	for i := range webhooks {
		if _, err := api.Create(s.t.Context(), client.Registration{
			ID: hook(i), Type: "permanent", Callback: &client.Callback{URL: s.receivers.url(name, delayMS)},
		}); err != nil {
			s.t.Fatal(err)
		}
	}
	tn.allFollow()
	return tn
}

func hook(i int) string { return fmt.Sprintf("hook-%d", i) }

// followers is how many webhooks follow.
func (tn *tenant) followers(ctx context.Context) int {
	r, err := tn.records.Record(ctx, event.Partition{Tenant: tn.name})
	if err != nil {
		return -1
	}
	return len(r.Followers)
}

func (tn *tenant) allFollow() {
	tn.t.Helper()
	tn.until("all webhooks follow", func(ctx context.Context) bool { return tn.followers(ctx) == tn.webhooks })
}

// publish makes one call of n events.
func (tn *tenant) publish(n int) {
	tn.t.Helper()
	var body bytes.Buffer
	for i := range n {
		_, _ = fmt.Fprintf(&body, `{"name":"order.changed","payload":%s}`+"\n", order(i))
	}
	if _, err := tn.api.Publish(tn.t.Context(), body.Bytes()); err != nil {
		tn.t.Fatal(err)
	}
}

// until looks often enough for times of seconds. It fails the test in the end.
func (s *stage) until(what string, holds func(context.Context) bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !holds(ctx) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.t.Fatalf("waited %v until %s", patience, what)
		}
	}
}

// quiet waits until the stream is read and no function makes a request.
func (s *stage) quiet() {
	s.t.Helper()
	last, same := front.Counts{}, 0
	s.until("nothing is under way", func(context.Context) bool {
		now := s.counts()
		if !s.Poller.Idle() || !maps.Equal(now, last) {
			same = 0
		}
		last = now
		same++
		return same > 6
	})
}

// counts are the requests of the functions: without those of the event source
// mapping, which Lambda makes.
func (s *stage) counts() front.Counts {
	counts := s.Front.Counts()
	for _, op := range []string{"GetRecords", "GetShardIterator", "ListShards", "DescribeStream"} {
		delete(counts, front.Kinesis+"."+op)
	}
	return counts
}

// invoke runs a function and fails the test if it fails.
func (s *stage) invoke(function string, payload []byte) lambdahost.Result {
	s.t.Helper()
	r, err := s.Host.Invoke(s.t.Context(), function, payload)
	if err != nil || r.FunctionError != "" {
		s.t.Fatalf("%s: %v, %s %s", function, err, r.FunctionError, r.Payload)
	}
	return r
}

// batch is a batch made by hand.
func (s *stage) batch(records ...Record) []byte {
	payload := Batch("arn:aws:kinesis:eu-central-1:123456789012:stream/"+s.Stream, s.sequence, records...)
	s.sequence += len(records)
	return payload
}

// deliver invokes fanout and fails the test if something is to come again.
func (s *stage) deliver(payload []byte) lambdahost.Result {
	s.t.Helper()
	r := s.invoke("fanout", payload)
	var answer struct{ BatchItemFailures []any }
	if err := json.Unmarshal(r.Payload, &answer); err != nil || len(answer.BatchItemFailures) > 0 {
		s.t.Fatalf("fanout: %s", r.Payload)
	}
	return r
}

// load is the machine's load of the last minute, where the system tells.
func load() string {
	text, _ := os.ReadFile("/proc/loadavg")
	average, _, _ := strings.Cut(string(text), " ")
	return average
}
