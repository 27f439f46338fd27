package aws

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/google/uuid"

	"github.com/sluicehq/sluice/producer"
	"github.com/sluicehq/sluice/test/aws/stack"
)

// TestProducers publishes by the API, by plain records with any partition key and by the Go
// producer at once, for the same tenants, while the stream's shards are split and merged.
// Every event reaches its tenant.
func TestProducers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, stack.Options{Settings: map[string]string{
		"SLUICE_FOLLOW_BUDGET": "20s", "SLUICE_WEBHOOK_TIMEOUT": "20s", "SLUICE_LANES": "3",
	}})
	p := producer.New(w.Kinesis, w.Stream)
	var all []func()
	var rounds []*round
	for range 3 {
		r := w.newRound(t)
		r.register("one", nil)
		rounds = append(rounds, r)
		all = append(all,
			func() { r.repeat(func() { r.publish(5, 0) }) },
			func() { r.repeat(func() { r.putPlain(5) }) },
			func() { r.repeat(func() { r.produce(p, 5) }) },
		)
	}
	all = append(all, func() { w.reshard(t.Context(), t) })
	sideBySide(len(all), all...)
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
	for _, r := range rounds {
		w.until(t, "all arrived", func() bool { return r.lacks(r.receivers["one"]) == 0 })
	}
}

func (r *round) repeat(publish func()) {
	for range 20 {
		publish()
		sleep(r.t.Context(), 100*time.Millisecond)
	}
}

// newOrders returns n events of the tenant, and records them.
func (r *round) newOrders(n int) []producer.Event {
	events := make([]producer.Event, n)
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range events {
		events[i] = producer.Event{
			Tenant: r.name, ID: uuid.NewString(), Name: "order.created", Payload: json.RawMessage(fmt.Sprintf(`{"n":%d}`, i)),
		}
		r.orders = append(r.orders, events[i].ID)
	}
	return events
}

func (r *round) produce(p *producer.Producer, n int) {
	if err := p.Publish(r.t.Context(), r.newOrders(n)...); err != nil {
		r.t.Error(err)
	}
}

// putPlain puts plain records with the partition keys of lanes and with others.
func (r *round) putPlain(n int) {
	in := &kinesis.PutRecordsInput{StreamName: aws.String(r.Stream)}
	for i, e := range r.newOrders(n) {
		data, err := json.Marshal(e)
		if err != nil {
			r.t.Error(err)
		}
		key := fmt.Sprintf("%d#%s", i, r.name)
		if i%2 == 1 {
			key = e.ID
		}
		in.Records = append(in.Records, types.PutRecordsRequestEntry{PartitionKey: &key, Data: data})
	}
	for len(in.Records) > 0 {
		out, err := r.Kinesis.PutRecords(r.t.Context(), in)
		if err != nil {
			r.t.Error(err)
			return
		}
		var left []types.PutRecordsRequestEntry
		for i := range out.Records {
			if out.Records[i].ErrorCode != nil {
				left = append(left, in.Records[i])
			}
		}
		in.Records = left
	}
}
