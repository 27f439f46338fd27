package aws

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/test/aws/front"
	"github.com/sluicehq/sluice/test/aws/stack"
)

// TestHotPath checks the number of requests per batch: for each partition, one
// consistent read of its state and three puts, whatever the number of subscribers,
// plus one object if its segment is large; two puts if nobody gets the events. A redelivered
// batch writes nothing.
func TestHotPath(t *testing.T) {
	h := newHotPath(t)
	for _, subscribers := range []int{1, 10} {
		tenant := fmt.Sprintf("with-%d", subscribers)
		h.register(tenant, subscribers)
		t.Run(fmt.Sprintf("%d subscribers", subscribers), func(t *testing.T) {
			h.warm(tenant)
			h.wantRequests(t, h.Batch(small(tenant)), "GetItem P#0#T RECORD consistent", "PutItem S#0#T segment", "PutItem P#0#T RECORD", "PutItem D#0#T delivery")
		})
	}
	t.Run("partitions", func(t *testing.T) {
		tenants := []string{"a", "b", "c"}
		var records [][]event.Event
		var want []string
		for _, tenant := range tenants {
			h.register(tenant, 2)
			h.warm(tenant)
			records = append(records, small(tenant), small(tenant))
			want = append(want, "GetItem P#0#T RECORD consistent", "PutItem S#0#T segment", "PutItem P#0#T RECORD", "PutItem D#0#T delivery")
		}
		h.wantRequests(t, h.Batch(records...), want...)
	})
	t.Run("a large segment", func(t *testing.T) {
		h.wantRequests(t, h.Batch(large("with-1")), "PutObject", "GetItem P#0#T RECORD consistent", "PutItem S#0#T segment", "PutItem P#0#T RECORD", "PutItem D#0#T delivery")
	})
	t.Run("a redelivered batch", func(t *testing.T) {
		batch := h.Batch(small("with-10"))
		h.invoke(t, batch)
		h.wantRequests(t, batch, "Query S#0#T", "GetItem P#0#T RECORD consistent")
	})
	t.Run("no subscribers", func(t *testing.T) {
		h.invoke(t, h.Batch(small("alone")))
		h.wantRequests(t, h.Batch(small("alone")), "GetItem P#0#T RECORD consistent", "PutItem S#0#T segment", "PutItem P#0#T RECORD")
	})
}

// hotPath is a stack whose fanout only the test invokes.
type hotPath struct {
	*stack.Stack
	t        *testing.T
	receiver string

	mu       sync.Mutex
	requests []string // to DynamoDB
}

func newHotPath(t *testing.T) *hotPath {
	// A batch that takes half of its budget reads the partition state again.
	s := stack.Deploy(t, stack.Options{Settings: map[string]string{"SLUICE_FOLLOW_BUDGET": "30s"}})
	s.Poller.Stop()
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(receiver.Close)
	h := &hotPath{Stack: s, t: t, receiver: receiver.URL}
	t.Cleanup(s.Front.Inject(front.Fault{Kind: front.Latency, Match: h.note}))
	return h
}

func (h *hotPath) register(tenant string, webhooks int) {
	h.t.Helper()
	h.Register(h.t, tenant, webhooks, h.receiver)
}

// warm fills the caches of fanout's process: the log's end, the live set and its
// integrations.
func (h *hotPath) warm(tenant string) {
	h.t.Helper()
	h.invoke(h.t, h.Batch(small(tenant)))
}

func small(tenant string) []event.Event {
	return stack.Events(tenant, 3, func(int) []byte { return []byte(`{"n":1}`) })
}

// large returns a record whose segment is too large for an item.
func large(tenant string) []event.Event {
	random := make([]byte, 64<<10)
	_, _ = rand.Read(random)
	return stack.Events(tenant, 3, func(int) []byte {
		return []byte(`{"blob":"` + base64.StdEncoding.EncodeToString(random) + `"}`)
	})
}

func (h *hotPath) invoke(t *testing.T, batch []byte) {
	t.Helper()
	r, err := h.Host.Invoke(t.Context(), "fanout", batch)
	if err != nil || r.FunctionError != "" || string(r.Payload) != `{"batchItemFailures":[]}` {
		t.Fatalf("fanout: %v, %s %s", err, r.FunctionError, r.Payload)
	}
}

// wantRequests compares the requests that fanout makes for a batch with want. All
// of them must go to DynamoDB or S3. T stands for the tenant.
func (h *hotPath) wantRequests(t *testing.T, batch []byte, want ...string) {
	t.Helper()
	h.Quiet(h.t)
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

// note records a request. It is the Match of a fault that never happens.
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

// describe returns the operation, the keys without the tenant, and "consistent" for
// a consistent read.
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
		if strings.HasPrefix(pk, "D#") && strings.HasPrefix(sk, "#") { // of live delivery
			sk = "delivery"
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
