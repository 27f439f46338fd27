package stack

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sluicehq/sluice/internal/client"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/publish/kinesis"
	store "github.com/sluicehq/sluice/internal/store/dynamo"
	"github.com/sluicehq/sluice/test/aws/emulators"
	"github.com/sluicehq/sluice/test/aws/front"
	"github.com/sluicehq/sluice/test/aws/streampoller"
)

// Events returns events of a tenant, published now, whose payloads are the JSON
// objects that payload returns.
func Events(tenant string, n int, payload func(i int) []byte) []event.Event {
	list := make([]event.Event, n)
	for i := range list {
		list[i] = event.Draft{ID: uuid.NewString(), Name: "order.changed", Payload: payload(i)}.Stamp(tenant, time.Now())
	}
	return list
}

// Batch returns the payload with which the event source mapping invokes fanout for
// records, each with events of one tenant. Sequence numbers increase from batch to
// batch.
func (s *Stack) Batch(records ...[]event.Event) []byte {
	list := make([]streampoller.Record, len(records))
	for i, events := range records {
		s.sequence++
		list[i] = streampoller.Record{
			Sequence: strconv.Itoa(s.sequence), PartitionKey: event.Partition{Tenant: events[0].Tenant}.Key(),
			Data: kinesis.Encode(events), Arrival: time.Now(),
		}
	}
	return streampoller.Payload(s.streamARN(), "fanout", "shardId-000000000000", list)
}

func (s *Stack) streamARN() string {
	return "arn:aws:kinesis:" + emulators.Region + ":" + emulators.Account + ":stream/" + s.Stream
}

// Register registers webhooks of a tenant, named hook-0 and so on, and waits until
// all are live and no function makes requests any more.
func (s *Stack) Register(t testing.TB, tenant string, webhooks int, url string) *client.Client {
	t.Helper()
	api, err := client.New(s.URL, s.Token(tenant, "integrations:read", "integrations:write", "events:publish"), false)
	if err != nil {
		t.Fatal(err)
	}
	for i := range webhooks {
		if _, err := api.Create(t.Context(), client.Registration{
			ID: fmt.Sprintf("hook-%d", i), Type: "permanent", Callback: &client.Callback{URL: url},
		}); err != nil {
			t.Fatal(err)
		}
	}
	Until(t, "all webhooks are live", func(ctx context.Context) bool { return s.Subscribers(ctx, tenant) == webhooks })
	s.Quiet(t)
	return api
}

// Subscribers returns the size of the live set in a tenant's lane 0, or -1 if it
// cannot be read.
func (s *Stack) Subscribers(ctx context.Context, tenant string) int {
	r, err := store.New(s.DynamoDB, s.Table, time.Now).Partition(ctx, event.Partition{Tenant: tenant})
	if err != nil {
		return -1
	}
	return len(r.Live)
}

// Quiet waits until the stream is drained and no function has made a request for a
// third of a second.
func (s *Stack) Quiet(t testing.TB) {
	t.Helper()
	last, same := front.Counts{}, 0
	Until(t, "no function makes requests any more", func(context.Context) bool {
		now := s.Front.Counts()
		for _, op := range []string{"GetRecords", "GetShardIterator", "ListShards"} { // the event source mapping's
			delete(now, front.Kinesis+"."+op)
		}
		if !s.Poller.Idle() || !maps.Equal(now, last) {
			same = 0
		}
		last = now
		same++
		return same > 6
	})
}

// waitTimeout limits every wait. Only a failure takes that long.
const waitTimeout = 3 * time.Minute

// Until polls a condition every 50 ms. It fails the test after waitTimeout.
func Until(t testing.TB, what string, holds func(context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !holds(ctx) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("timed out after %v waiting until %s", waitTimeout, what)
		}
	}
}
