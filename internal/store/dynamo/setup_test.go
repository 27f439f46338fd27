package dynamo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/store/dynamo"
	"github.com/sluicehq/sluice/test/aws/emulators"
)

func TestMain(m *testing.M) { os.Exit(emulators.Run(m)) }

// base is the time of the tests' records; clock is shortly after it.
var base = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return base.Add(time.Minute) }

// table is a new table in DynamoDB Local.
type table struct {
	client *dynamodb.Client
	name   string
}

func newTable(t testing.TB) table {
	t.Helper()
	config := emulators.Config(emulators.DynamoDBURL(t))
	config.HTTPClient = connections
	client := dynamodb.NewFromConfig(config)
	return table{client, emulators.NewTable(t, client)}
}

// connections are shared by all tests.
var connections = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

// at returns the table's store with its clock that much after clock.
func (tb table) at(d time.Duration, optional ...func(*dynamodb.Options)) *dynamo.Store {
	return dynamo.New(quick(tb.client, optional...), tb.name, func() time.Time { return clock().Add(d) })
}

func (tb table) store() *dynamo.Store { return tb.at(0) }

// via returns a store whose calls go through a wire.
func (tb table) via(w *wire) *dynamo.Store { return tb.at(0, w.through) }

// quick configures a client with the usual retries, but without delays.
func quick(client *dynamodb.Client, optional ...func(*dynamodb.Options)) *dynamodb.Client {
	return dynamodb.New(client.Options(), append(optional, func(o *dynamodb.Options) {
		o.Retryer = retry.NewStandard(func(r *retry.StandardOptions) {
			r.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
			r.RateLimiter = ratelimit.None
		})
	})...)
}

// wire intercepts the calls of a client: it counts them, and can change requests
// and responses.
type wire struct {
	client interface {
		Do(*http.Request) (*http.Response, error)
	}
	// change handles each call, numbered from 1; nil passes it on.
	change func(c *call) (*http.Response, error)

	mu    sync.Mutex
	calls []string
}

// through makes a client use the wire.
func (w *wire) through(o *dynamodb.Options) { w.client, o.HTTPClient = o.HTTPClient, w }

// call is one call on the wire.
type call struct {
	number int
	op     string
	body   map[string]any
	wire   *wire
	req    *http.Request
}

func (w *wire) Do(req *http.Request) (*http.Response, error) {
	_, op, _ := strings.Cut(req.Header.Get("X-Amz-Target"), ".")
	w.mu.Lock()
	w.calls = append(w.calls, op)
	n := len(w.calls)
	w.mu.Unlock()
	if w.change == nil {
		return w.client.Do(req)
	}
	data, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	c := &call{number: n, op: op, wire: w, req: req}
	if err := json.Unmarshal(data, &c.body); err != nil {
		return nil, err
	}
	return w.change(c)
}

// count returns the number of calls since the last count, by operation.
func (w *wire) count() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	counts := map[string]int{}
	for _, op := range w.calls {
		counts[op]++
	}
	w.calls = nil
	return strings.TrimPrefix(fmt.Sprint(counts), "map")
}

// pass makes the call, with the current body.
func (c *call) pass() (*http.Response, error) {
	data, err := json.Marshal(c.body)
	if err != nil {
		return nil, err
	}
	req := c.req.Clone(c.req.Context())
	req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(data)), int64(len(data))
	return c.wire.client.Do(req)
}

// lose makes the call and returns an error instead of its response.
func (c *call) lose() (*http.Response, error) {
	res, err := c.pass()
	if err != nil {
		return nil, err
	}
	res.Body.Close()
	return c.answer(http.StatusInternalServerError, `{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError"}`)
}

// answer returns a response without making the call.
func (c *call) answer(status int, body string) (*http.Response, error) {
	return &http.Response{
		Status: http.StatusText(status), StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Request: c.req,
		Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
		Body:   io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}, nil
}

// scan returns all items of the table, bypassing the store.
func (tb table) scan(t testing.TB) []map[string]string {
	t.Helper()
	var items []map[string]string
	pages := dynamodb.NewScanPaginator(tb.client, &dynamodb.ScanInput{TableName: &tb.name, ConsistentRead: aws.Bool(true)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(context.WithoutCancel(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range page.Items {
			items = append(items, dynamo.Plain(it))
		}
	}
	return items
}

func commit(t testing.TB, s *dynamo.Store, writes ...store.Write) {
	t.Helper()
	if err := s.Commit(t.Context(), writes...); err != nil {
		t.Fatalf("Commit: %v", err)
	}
}

var life = store.History{Tenant: "a", Integration: "hook", Incarnation: 5}

func entry(h store.History, reason string, at time.Time) store.Write {
	return store.AddEntry{History: h, Entry: integration.LogEntry{Action: integration.ActionUpdated, Reason: reason, CreatedAt: at}}
}

func reasons(entries []integration.LogEntry) string {
	var all []string
	for _, e := range entries {
		all = append(all, e.Reason)
	}
	return strings.Join(all, " ")
}

// inPart makes a BatchGetItem of the first key only and returns the others as
// unprocessed.
func (c *call) inPart() (*http.Response, error) {
	tables := c.body["RequestItems"].(map[string]any)
	left := map[string]any{}
	for name, of := range tables {
		keys := of.(map[string]any)["Keys"].([]any)
		tables[name] = map[string]any{"Keys": keys[:1], "ConsistentRead": true}
		if len(keys) > 1 {
			left[name] = map[string]any{"Keys": keys[1:], "ConsistentRead": true}
		}
	}
	res, err := c.pass()
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var out map[string]any
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil {
		return nil, err
	}
	out["UnprocessedKeys"] = left
	data, err := json.Marshal(out)
	if err != nil {
		return nil, err
	}
	return c.answer(res.StatusCode, string(data))
}
