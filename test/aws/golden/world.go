package golden

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/sluicehq/sluice/test/aws/front"
	"github.com/sluicehq/sluice/test/aws/lambdahost"
	"github.com/sluicehq/sluice/test/aws/stack"
)

// The names in the samples of what has a different address in every run.
const (
	tenant       = "acme"
	receiverName = "http://127.0.0.1:8080" // the one webhook receiver
	s3Name       = "http://127.0.0.1:9000" // the endpoint of exports
	exports      = "acme-exports"          // their bucket
)

// settings are the deployed ones, except those that would make a case wait, and
// retries, which are due long after a case.
var settings = map[string]string{
	"SLUICE_SEEK_MARGIN": "1s", "SLUICE_S3_FILE_INTERVAL": "1ms", "SLUICE_TEMPORARY_GRACE": "1ms",
	"SLUICE_FOLLOW_BUDGET": "2s", "SLUICE_RETRY_MIN": "1h", "SLUICE_RETRY_MAX": "1h", "SLUICE_LOG_LEVEL": "debug",
	"SLUICE_IN_FLIGHT": "1", // so that calls have an order
}

// World is a deployment in which nothing happens by itself: nothing reads the
// stream or the queue, and executions of the state machine end immediately. Every effect comes
// from the function that a case runs.
type World struct {
	*stack.Stack
	receiver *httptest.Server

	mu       sync.Mutex
	answers  []int // of the receiver, in turn; the last one stays
	calls    []call
	requests []request
}

// request is a request that the outcome shows.
type request struct {
	op   string
	body []byte
}

// New deploys a world. It is removed with the test.
func New(t testing.TB) *World {
	t.Helper()
	w := &World{Stack: stack.Deploy(t, stack.Options{Settings: settings, InvokeThroughFront: true})}
	w.Poller.Stop()
	w.Queue.Close()
	w.Front.Invoke(standstill{})
	w.receiver = httptest.NewServer(http.HandlerFunc(w.receive))
	t.Cleanup(w.receiver.Close)
	t.Cleanup(w.Front.Inject(front.Fault{Kind: front.Latency, Match: w.note}))
	return w
}

// standstill ends executions of the state machine at their first step.
type standstill struct{}

// Invoke implements front.Invoker.
func (standstill) Invoke(context.Context, string, []byte) (result []byte, functionError string, err error) {
	return []byte(`{"next":"done"}`), "", nil
}

// note records requests whose content the outcome shows. It matches none.
func (w *World) note(service, op string, body []byte) bool {
	switch service + "." + op {
	case front.Kinesis + ".PutRecords", front.StepFunctions + ".StartExecution", front.SQS + ".SendMessage":
		w.mu.Lock()
		defer w.mu.Unlock()
		w.requests = append(w.requests, request{op, append([]byte(nil), body...)})
	}
	return false
}

// Ran is the result of running a case.
type Ran struct {
	Result  lambdahost.Result
	Log     []byte // the function's log
	Outcome *Outcome
}

// Run applies the preconditions, runs the function once with the input, from a cold
// start, and returns the outcome.
func (w *World) Run(ctx context.Context, c Case) (*Ran, error) {
	if err := w.clear(ctx); err != nil {
		return nil, fmt.Errorf("make the deployment empty: %w", err)
	}
	if err := w.give(ctx, c); err != nil {
		return nil, fmt.Errorf("%s: %w", c.path(givenEnd), err)
	}
	input, err := c.Input()
	if err != nil {
		return nil, err
	}
	w.forget()
	w.Host.Recycle(c.Function)
	before, logged := w.Front.Counts(), len(w.Host.Log(c.Function))
	objects, err := w.objects(ctx)
	if err != nil {
		return nil, err
	}
	before["s3.ListObjectsV2"] = w.Front.Counts()["s3.ListObjectsV2"]
	r, err := w.Host.Invoke(ctx, c.Function, []byte(w.toWorld(string(input))))
	if err != nil {
		return nil, err
	}
	ran := &Ran{Result: r, Log: w.Host.Log(c.Function)[logged:]}
	requests := w.Front.Counts().Since(before)
	ran.Outcome, err = w.observe(ctx, r, requests, objects)
	return ran, err
}

// toWorld replaces the names in the samples by addresses.
func (w *World) toWorld(text string) string {
	return strings.NewReplacer(receiverName, w.receiver.URL, s3Name, w.Front.URL()).Replace(text)
}

// fromWorld is the reverse of toWorld.
func (w *World) fromWorld(text string) string {
	return strings.NewReplacer(w.receiver.URL, receiverName, w.Front.URL(), s3Name,
		w.Stream, "<stream>", w.Key, "<key>").Replace(text)
}

// forget clears the recorded requests and calls.
func (w *World) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls, w.requests = nil, nil
}

// clear removes what the previous case left behind.
func (w *World) clear(ctx context.Context) error {
	for _, f := range []string{"api", "fanout", "advance", "sweep", "keepstream"} {
		w.Host.Recycle(f)
	}
	w.mu.Lock()
	w.answers = []int{http.StatusOK}
	w.mu.Unlock()
	for _, table := range []string{w.Table, w.Segments} {
		err := w.items(ctx, table, "pk, sk", func(item map[string]types.AttributeValue) error {
			_, err := w.DynamoDB.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &table, Key: item})
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, bucket := range []string{w.Bucket, exports} {
		keys, err := w.keys(ctx, bucket)
		if err != nil {
			return err
		}
		for _, key := range keys {
			if _, err := w.S3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: &key}); err != nil {
				return err
			}
		}
	}
	return nil
}

// items calls f for every item of a table, with the attributes named.
func (w *World) items(ctx context.Context, table, attributes string, f func(map[string]types.AttributeValue) error) error {
	pages := dynamodb.NewScanPaginator(w.DynamoDB, &dynamodb.ScanInput{
		TableName: &table, ProjectionExpression: &attributes, ConsistentRead: aws.Bool(true),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, item := range page.Items {
			if err := f(item); err != nil {
				return err
			}
		}
	}
	return nil
}

// call is a call that the receiver got.
type call struct {
	Path    string `json:"path"`
	Attempt string `json:"attempt"`
	Event   string `json:"event"`
	Name    string `json:"name"`
	Status  int    `json:"answered"`
}

func (w *World) receive(rw http.ResponseWriter, r *http.Request) {
	var e struct{ ID, Name string }
	if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
		return // the function hung up
	}
	w.mu.Lock()
	status := w.answers[0]
	if len(w.answers) > 1 {
		w.answers = w.answers[1:]
	}
	w.calls = append(w.calls, call{r.URL.RequestURI(), r.Header.Get("Sluice-Attempt"), e.ID, e.Name, status})
	w.mu.Unlock()
	rw.WriteHeader(status)
}

// waitTimeout limits a case. Only a failure takes that long.
const waitTimeout = time.Minute
