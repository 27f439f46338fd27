package dynamo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/test/aws/emulators"
)

func TestMain(m *testing.M) { os.Exit(emulators.Run(m)) }

const bucket = "events"

var (
	base = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	part = event.Partition{Tenant: "acme"}
)

// rig is two tables and a bucket, and what was asked of them.
type rig struct {
	t       testing.TB
	dynamo  *recorder
	s3      *recorder
	backend gofakes3.Backend
	options Options

	mu  sync.Mutex
	now time.Time
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{t: t, dynamo: &recorder{t: t}, s3: &recorder{t: t}, backend: s3mem.New(), now: base}
	config := emulators.Config(emulators.DynamoDBURL(t))
	config.Retryer = func() aws.Retryer { return retry.AddWithMaxBackoffDelay(retry.NewStandard(), time.Microsecond) }
	tables := config
	tables.HTTPClient = &http.Client{Transport: connections}
	config.HTTPClient = &http.Client{Transport: r.dynamo}
	client, creator := dynamodb.NewFromConfig(config), dynamodb.NewFromConfig(tables)
	if err := r.backend.CreateBucket(bucket); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(gofakes3.New(r.backend).Server())
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	server.Start()
	t.Cleanup(server.Close)
	config.BaseEndpoint = aws.String(server.URL)
	config.HTTPClient = &http.Client{Transport: r.s3}
	r.options = Options{
		DynamoDB: client, Segments: emulators.NewSegments(t, creator), Table: emulators.NewTable(t, creator),
		S3: s3.NewFromConfig(config, func(o *s3.Options) { o.UsePathStyle = true }), Bucket: bucket,
		Keep: 30 * 24 * time.Hour, Margin: 10 * time.Millisecond, Now: r.Now,
	}
	return r
}

func (r *rig) Now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

func (r *rig) set(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = now
}

// process is the log as another process sees it, that knows nothing yet.
func (r *rig) process() *Log { return New(r.options) }

func (r *rig) append(l *Log, source string, records ...eventlog.Record) uint64 {
	r.t.Helper()
	n, err := l.Append(r.t.Context(), part, source, records)
	if err != nil {
		r.t.Fatalf("Append: %v", err)
	}
	return n
}

func (r *rig) read(l *Log, after uint64, maxBytes int) []eventlog.Segment {
	r.t.Helper()
	segments, err := l.Read(r.t.Context(), part, after, maxBytes)
	if err != nil {
		r.t.Fatalf("Read after %d: %v", after, err)
	}
	return segments
}

// ids are those of the whole log, as a process reads it that appended nothing.
func (r *rig) ids() []string {
	r.t.Helper()
	var ids []string
	l := r.process()
	for after := uint64(0); ; {
		segments := r.read(l, after, 1<<20)
		if len(segments) == 0 {
			return ids
		}
		for _, s := range segments {
			for _, e := range s.Events {
				ids = append(ids, e.ID)
			}
		}
		after = segments[len(segments)-1].Number
	}
}

// items are those of a partition, in the order of their numbers.
func (r *rig) items(p event.Partition) []item {
	r.t.Helper()
	var all []item
	for after := uint64(0); ; after = all[len(all)-1].number() {
		page, _, err := r.process().query(r.t.Context(), p, after, query{limit: 1000})
		if err != nil {
			r.t.Fatal(err)
		}
		if all = append(all, page...); len(page) == 0 {
			return all
		}
	}
}

// expire lets the segments up to a number expire, as if they had been appended
// Keep earlier.
func (r *rig) expire(p event.Partition, upTo uint64) {
	r.t.Helper()
	for _, it := range r.items(p) {
		if it.number() <= upTo {
			it.Expires = r.Now().Unix()
			r.overwrite(&it)
		}
	}
}

// overwrite replaces the item of a segment.
func (r *rig) overwrite(it *item) {
	r.t.Helper()
	_, err := r.options.DynamoDB.PutItem(r.t.Context(), &dynamodb.PutItemInput{TableName: new(r.tableOf(it.key)), Item: encoded(r.t, it)})
	if err != nil {
		r.t.Fatal(err)
	}
}

// tableOf returns the table that has a segment: the main one if an earlier release put it.
func (r *rig) tableOf(k key) string {
	r.t.Helper()
	var there item
	found, err := r.process().get(r.t.Context(), r.options.Table, k, &there)
	if err != nil {
		r.t.Fatal(err)
	}
	if found {
		return r.options.Table
	}
	return r.options.Segments
}

// remove removes the items of segments, as DynamoDB does some time after they
// expired.
func (r *rig) remove(p event.Partition, numbers ...uint64) {
	r.t.Helper()
	for _, n := range numbers {
		k := segmentKey(p, n)
		_, err := r.options.DynamoDB.DeleteItem(r.t.Context(), &dynamodb.DeleteItemInput{TableName: new(r.tableOf(k)), Key: k.Attributes()})
		if err != nil {
			r.t.Fatal(err)
		}
	}
}

func encoded(t testing.TB, it *item) attributes {
	t.Helper()
	attrs, err := attributevalue.MarshalMap(it)
	if err != nil {
		t.Fatal(err)
	}
	return attrs
}

// record is a record with one event whose payload does not compress.
func record(sequence int, size int) eventlog.Record {
	return eventlog.Record{Sequence: fmt.Sprint(sequence), Events: []event.Event{eventAt(sequence, size, base.Add(time.Duration(sequence)*time.Millisecond))}}
}

func idOf(i int) string { return fmt.Sprintf("6f1c4f0e-0000-4000-8000-%012d", i) }

func eventAt(i, size int, at time.Time) event.Event {
	d := event.Draft{ID: idOf(i), Name: "order.created", Payload: append(append([]byte(`{"a":"`), noise(uint64(i), size)...), `"}`...)}
	return d.Stamp(part.Tenant, at)
}

// noise is text that hardly compresses.
func noise(seed uint64, size int) []byte {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	data := make([]byte, size)
	x := seed*2862933555777941757 + 3037000493
	for i := range data {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		data[i] = letters[x&63]
	}
	return data
}

func wantIDs(from, to int) []string {
	var ids []string
	for i := from; i <= to; i++ {
		ids = append(ids, idOf(i))
	}
	return ids
}

// connections are those of all tests. The default keeps two.
var connections = &http.Transport{MaxIdleConnsPerHost: 64}

// recorder is a transport that writes down what is called, and may fail calls.
type recorder struct {
	t     testing.TB
	mu    sync.Mutex
	calls []string
	// fault is asked before and after each call; what it returns is the response
	// instead, if it is not 0.
	fault func(operation string, done bool) (status int)
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	_, operation, ok := strings.Cut(req.Header.Get("X-Amz-Target"), ".")
	if !ok {
		operation = req.Method
	}
	if operation == "Query" || operation == "GetItem" {
		r.checkConsistent(req)
	}
	r.mu.Lock()
	r.calls = append(r.calls, operation)
	fault := r.fault
	r.mu.Unlock()
	if fault == nil {
		return connections.RoundTrip(req)
	}
	if status := fault(operation, false); status != 0 {
		return failure(req, status), nil
	}
	res, err := connections.RoundTrip(req)
	if status := fault(operation, true); status != 0 && err == nil {
		res.Body.Close()
		return failure(req, status), nil
	}
	return res, err
}

// checkConsistent: DynamoDB Local has no read that is not consistent, but
// DynamoDB does. An index has no other.
func (r *recorder) checkConsistent(req *http.Request) {
	var asked struct {
		ConsistentRead bool
		IndexName      string
	}
	body, err := io.ReadAll(req.Body)
	if err == nil {
		err = json.Unmarshal(body, &asked)
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil || asked.ConsistentRead == (asked.IndexName != "") {
		r.t.Errorf("a read is not consistent: %+v, %v", asked, err)
	}
}

func failure(req *http.Request, status int) *http.Response {
	body := `{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError","message":"on purpose"}`
	if status == http.StatusBadRequest {
		body = `{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"on purpose"}`
	}
	return &http.Response{
		Status: http.StatusText(status), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: req,
		Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}}, Body: io.NopCloser(bytes.NewReader([]byte(body))),
	}
}

func (r *recorder) fail(fault func(operation string, done bool) int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fault = fault
}

// take returns what was called since it was last asked, in order of name.
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	calls := slices.Sorted(slices.Values(r.calls))
	r.calls = nil
	return calls
}

// batchPut writes many items at once, for large logs.
func (r *rig) batchPut(items []item) {
	r.t.Helper()
	for batch := range slices.Chunk(items, 25) {
		var writes []types.WriteRequest
		for i := range batch {
			writes = append(writes, types.WriteRequest{PutRequest: &types.PutRequest{Item: encoded(r.t, &batch[i])}})
		}
		out, err := r.options.DynamoDB.BatchWriteItem(r.t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{r.options.Segments: writes}})
		if err != nil || len(out.UnprocessedItems) > 0 {
			r.t.Fatalf("BatchWriteItem: %d left, %v", len(out.UnprocessedItems), err)
		}
	}
}
