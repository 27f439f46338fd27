package aws

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/client"
	"github.com/sluicehq/sluice/internal/event"
	store "github.com/sluicehq/sluice/internal/store/dynamo"
	"github.com/sluicehq/sluice/test/aws/bench"
	"github.com/sluicehq/sluice/test/aws/front"
	"github.com/sluicehq/sluice/test/aws/stack"
)

// TestHotPath holds fanout to what a batch may cost in requests: of each
// partition one consistent read of its record and two puts, whatever the number
// of its followers, and one object if its segment is large. A batch that was
// appended before writes nothing.
func TestHotPath(t *testing.T) {
	h := newHotPath(t)
	for _, followers := range []int{1, 10} {
		tenant := fmt.Sprintf("with-%d", followers)
		h.register(tenant, followers)
		t.Run(fmt.Sprintf("%d followers", followers), func(t *testing.T) {
			h.warm(tenant)
			h.wantRequests(t, h.batch(small(tenant)), "GetItem P#0#T RECORD consistent", "PutItem S#0#T segment", "PutItem P#0#T RECORD")
		})
	}
	t.Run("partitions", func(t *testing.T) {
		tenants := []string{"a", "b", "c"}
		var records []bench.Record
		var want []string
		for _, tenant := range tenants {
			h.register(tenant, 2)
			h.warm(tenant)
			records = append(records, small(tenant), small(tenant))
			want = append(want, "GetItem P#0#T RECORD consistent", "PutItem S#0#T segment", "PutItem P#0#T RECORD")
		}
		h.wantRequests(t, h.batch(records...), want...)
	})
	t.Run("a large segment", func(t *testing.T) {
		h.wantRequests(t, h.batch(large("with-1")), "PutObject", "GetItem P#0#T RECORD consistent", "PutItem S#0#T segment", "PutItem P#0#T RECORD")
	})
	t.Run("a batch seen before", func(t *testing.T) {
		batch := h.batch(small("with-10"))
		h.invoke(t, batch)
		h.wantRequests(t, batch, "Query S#0#T", "GetItem P#0#T RECORD consistent")
	})
	t.Run("nobody follows", func(t *testing.T) {
		h.invoke(t, h.batch(small("alone")))
		h.wantRequests(t, h.batch(small("alone")), "GetItem P#0#T RECORD consistent", "PutItem S#0#T segment", "PutItem P#0#T RECORD")
	})
}

// hotPath is a stack whose fanout the test invokes itself.
type hotPath struct {
	*stack.Stack
	t        *testing.T
	receiver string
	arn      string // of the stream
	sequence int

	mu       sync.Mutex
	requests []string // to DynamoDB
}

func newHotPath(t *testing.T) *hotPath {
	// A batch that takes half of its budget reads the record again.
	s := stack.Deploy(t, stack.Options{Settings: map[string]string{"SLUICE_FOLLOW_BUDGET": "30s"}, Interpreter: true})
	s.Poller.Stop()
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(receiver.Close)
	h := &hotPath{Stack: s, t: t, receiver: receiver.URL, arn: "arn:aws:kinesis:eu-central-1:123456789012:stream/" + s.Stream, sequence: 1}
	t.Cleanup(s.Front.Inject(front.Fault{Kind: front.Latency, Match: h.note}))
	return h
}

// register registers webhooks and waits until all of them follow.
func (h *hotPath) register(tenant string, webhooks int) {
	h.t.Helper()
	api, err := client.New(h.URL, h.Token(tenant, "integrations:write"))
	if err != nil {
		h.t.Fatal(err)
	}
	for i := range webhooks {
		_, err := api.Create(h.t.Context(), client.Registration{
			ID: fmt.Sprintf("hook-%d", i), Type: "permanent", Callback: &client.Callback{URL: h.receiver},
		})
		if err != nil {
			h.t.Fatal(err)
		}
	}
	records := store.New(h.DynamoDB, h.Table, time.Now)
	h.until("all webhooks follow", func(ctx context.Context) bool {
		r, err := records.Record(ctx, event.Partition{Tenant: tenant})
		return err == nil && len(r.Followers) == webhooks
	})
	h.quiet()
}

// quiet waits until no function makes requests any more.
func (h *hotPath) quiet() {
	h.t.Helper()
	last := front.Counts{}
	h.until("no request is made any more", func(context.Context) bool {
		now := h.Front.Counts()
		same := maps.Equal(now, last)
		last = now
		return same
	})
}

func (h *hotPath) until(what string, holds func(context.Context) bool) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !holds(ctx) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			h.t.Fatalf("waited %v until %s", patience, what)
		}
	}
}

// warm lets fanout's process know the partition's head, its record's followers
// and their integrations.
func (h *hotPath) warm(tenant string) {
	h.t.Helper()
	h.invoke(h.t, h.batch(small(tenant)))
}

func (h *hotPath) batch(records ...bench.Record) []byte {
	payload := bench.Batch(h.arn, h.sequence, records...)
	h.sequence += len(records)
	return payload
}

func small(tenant string) bench.Record {
	return record(tenant, `{"n":1}`)
}

// large is a record whose segment has no room in an item.
func large(tenant string) bench.Record {
	random := make([]byte, 64<<10)
	_, _ = rand.Read(random)
	return record(tenant, `{"blob":"`+base64.StdEncoding.EncodeToString(random)+`"}`)
}

func record(tenant, payload string) bench.Record {
	return bench.Record{
		Partition: event.Partition{Tenant: tenant},
		Events:    bench.Events(tenant, 3, func(int) []byte { return []byte(payload) }),
	}
}

func (h *hotPath) invoke(t *testing.T, batch []byte) {
	t.Helper()
	r, err := h.Host.Invoke(t.Context(), "fanout", batch)
	if err != nil || r.FunctionError != "" || string(r.Payload) != `{"batchItemFailures":[]}` {
		t.Fatalf("fanout: %v, %s %s", err, r.FunctionError, r.Payload)
	}
}

// wantRequests compares what fanout asks for a batch with what it may: all
// requests of DynamoDB and S3, and nothing of any other service. T stands for
// the tenant.
func (h *hotPath) wantRequests(t *testing.T, batch []byte, want ...string) {
	t.Helper()
	h.quiet()
	before := h.Front.Counts()
	h.mu.Lock()
	h.requests = nil
	h.mu.Unlock()
	h.invoke(t, batch)
	counted := 0
	for operation, n := range h.Front.Counts().Since(before) {
		counted += n
		if service, _, _ := strings.Cut(operation, "."); service != front.DynamoDB && service != front.S3 {
			t.Errorf("%d × %s", n, operation)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	got := slices.Sorted(slices.Values(h.requests))
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" || counted != len(want) {
		t.Errorf("%d requests, want %d (-want +got):\n%s", counted, len(want), diff)
	}
}

// note writes down a request. It is the match of a fault that never happens.
func (h *hotPath) note(service, op string, body []byte) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if service != front.DynamoDB {
		h.requests = append(h.requests, op)
		return false
	}
	h.requests = append(h.requests, describe(op, body))
	return false
}

// describe is the operation, the keys without the tenant, and how it reads.
func describe(op string, body []byte) string {
	type texts map[string]struct{ S string }
	var request struct {
		Key, Item, ExpressionAttributeValues texts
		ConsistentRead                       bool
	}
	if err := json.Unmarshal(body, &request); err != nil {
		return op + " " + err.Error()
	}
	words := []string{op}
	for _, at := range []texts{request.Key, request.Item} {
		pk, sk := at["pk"].S, at["sk"].S
		if pk == "" {
			continue
		}
		if strings.HasPrefix(pk, "S#") && len(sk) == 20 {
			sk = "segment"
		}
		words = append(words, withoutTenant(pk), sk)
	}
	for _, value := range request.ExpressionAttributeValues {
		if strings.HasPrefix(value.S, "S#") {
			words = append(words, withoutTenant(value.S))
		}
	}
	if op == "GetItem" && request.ConsistentRead {
		words = append(words, "consistent")
	}
	return strings.Join(words, " ")
}

func withoutTenant(pk string) string {
	parts := strings.Split(pk, "#")
	return strings.Join(append(parts[:len(parts)-1], "T"), "#")
}
