package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/google/uuid"

	"github.com/sluicehq/sluice/internal/client"
	"github.com/sluicehq/sluice/internal/publish/kinesis"
	"github.com/sluicehq/sluice/producer"
	"github.com/sluicehq/sluice/test/aws/front"
	"github.com/sluicehq/sluice/test/aws/stack"
)

// publishing measures publish calls of a tenant without integrations.
func (s *stage) publishing(turns int) []Publish {
	var list []Publish
	api := s.register("publisher", 0)
	for _, n := range []int{1, 10, 100} {
		s.say("publish calls of %d events", n)
		call, _ := s.calling(turns, n, func() { s.publish(api, n) })
		call.Bytes = len(kinesis.Encode(stack.Events("publisher", n, order)))
		list = append(list, call)
	}
	return list
}

// calling measures publish calls of n events, after some to get warm.
func (s *stage) calling(turns, n int, publish func()) (Publish, Puts) {
	s.t.Helper()
	for range 3 {
		publish()
	}
	before, written := s.Host.Stats("api"), len(s.Host.Log("api"))
	puts := s.puts(turns*n, func() {
		for range turns {
			publish()
		}
	})
	after, each := s.Host.Stats("api"), float64(turns)
	call := Publish{
		Events: n, BilledMS: float64(after.BilledMS-before.BilledMS) / each, CPU: ms(after.CPU-before.CPU) / each,
		LogBytes: float64(len(s.Host.Log("api"))-written) / each,
	}
	s.Quiet(s.t)
	return call, puts
}

// puts counts what is put on the stream meanwhile, while so many events are published.
func (s *stage) puts(events int, publish func()) Puts {
	s.t.Helper()
	puts := Puts{Events: events}
	var mu sync.Mutex
	// The Match of a fault that never happens.
	end := s.Front.Inject(front.Fault{Kind: front.Latency, Match: func(service, op string, body []byte) bool {
		if service != front.Kinesis || op != "PutRecords" {
			return false
		}
		var request struct{ Records []struct{ Data []byte } }
		if err := json.Unmarshal(body, &request); err != nil {
			s.t.Errorf("a request to the stream: %v", err)
		}
		mu.Lock()
		defer mu.Unlock()
		puts.Requests++
		puts.Records += len(request.Records)
		for _, r := range request.Records {
			puts.Bytes += len(r.Data)
		}
		return false
	}})
	publish()
	end()
	mu.Lock()
	defer mu.Unlock()
	return puts
}

// platform measures calls with an event each of a hundred tenants, who have no integrations.
func (s *stage) platform(turns int) (Publish, Puts) {
	const tenants = 100
	s.say("publish calls of a platform, of %d tenants", tenants)
	api, err := client.New(s.URL, s.Token("", "tenants:any", "events:publish"), false)
	if err != nil {
		s.t.Fatal(err)
	}
	call, puts := s.calling(turns, tenants, func() {
		var body bytes.Buffer
		for i := range tenants {
			_, _ = fmt.Fprintf(&body, `{"tenant":"of-platform-%d","name":"order.changed","payload":%s}`+"\n", i, order(i))
		}
		if _, err := api.Publish(s.t.Context(), body.Bytes()); err != nil {
			s.t.Fatal(err)
		}
	})
	call.Bytes = puts.perRecord()
	return call, puts
}

// direct publishes single events of a thousand tenants at once, with the Go producer.
func (s *stage) direct() Puts {
	const tenants = 1000
	s.say("single events of %d tenants, by the Go producer", tenants)
	p := producer.New(s.Kinesis, s.Stream)
	puts := s.puts(tenants, func() {
		var all sync.WaitGroup
		for i := range tenants {
			all.Go(func() {
				e := producer.Event{Tenant: fmt.Sprintf("direct-%d", i), ID: uuid.NewString(), Name: "order.changed", Payload: order(i)}
				if err := p.Publish(s.t.Context(), e); err != nil {
					s.t.Error(err)
				}
			})
		}
		all.Wait()
	})
	if err := p.Close(s.t.Context()); err != nil {
		s.t.Error(err)
	}
	s.Quiet(s.t)
	return puts
}

func (s *stage) publish(api *client.Client, n int) {
	s.t.Helper()
	var body bytes.Buffer
	for i := range n {
		_, _ = fmt.Fprintf(&body, `{"name":"order.changed","payload":%s}`+"\n", order(i))
	}
	if _, err := api.Publish(s.t.Context(), body.Bytes()); err != nil {
		s.t.Fatal(err)
	}
}
