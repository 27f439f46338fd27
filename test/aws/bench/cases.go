package bench

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/sluicehq/sluice/test/aws/bench/cost"
	"github.com/sluicehq/sluice/test/aws/front"
	"github.com/sluicehq/sluice/test/aws/lambdahost"
)

// shape is how a tenant publishes while its webhooks follow.
type shape struct{ events, callsPerSecond int }

var (
	delays = []int{0, 50, 500} // ms
	widths = []int{1, 10}      // webhooks
	shapes = []shape{{1, 5}, {2, 10}, {20, 10}}
)

// fits leaves out what receivers of 500 ms cannot take: 16 calls at a time make
// 32 events a second.
func (sh shape) fits(delayMS int) bool { return delayMS < 500 || sh.events*sh.callsPerSecond <= 30 }

// waiting is how many events wait for a catch-up: some seconds of it.
var waiting = map[int]int{0: 1000, 50: 1000, 500: 160}

// tenants has one for each kind of webhooks.
func (s *stage) tenants() []*tenant {
	var list []*tenant
	for _, webhooks := range widths {
		for _, delay := range delays {
			list = append(list, s.newTenant(fmt.Sprintf("t-%d-%d", webhooks, delay), webhooks, delay))
		}
	}
	return list
}

// window is what happened between two moments.
type window struct {
	stage           *stage
	fanout, advance lambdahost.Stats
	counts          front.Counts
}

func (s *stage) open() window {
	s.quiet()
	return window{s, s.Host.Stats("fanout"), s.Host.Stats("advance"), s.counts()}
}

// close waits until the tenant has so many deliveries, and all is quiet.
func (w window) close(tn *tenant, taken int) window {
	w.stage.t.Helper()
	w.stage.until("everything is delivered", func(context.Context) bool { return tn.receivers.of(tn.name) >= taken })
	w.stage.quiet()
	now := w.stage.counts().Since(w.counts)
	return window{w.stage, since(w.stage.Host.Stats("fanout"), w.fanout), since(w.stage.Host.Stats("advance"), w.advance), now}
}

func since(now, then lambdahost.Stats) lambdahost.Stats {
	now.Invocations -= then.Invocations
	now.BilledMS -= then.BilledMS
	now.CPU -= then.CPU
	return now
}

// live lets the tenant publish for a while.
func (tn *tenant) live(sh shape, lasting time.Duration) cost.Case {
	tn.say("live: %d × %d ms, %d × %d events/s", tn.webhooks, tn.delayMS, sh.callsPerSecond, sh.events)
	tn.publish(sh.events) // to get warm
	tn.quiet()
	w, taken, published := tn.open(), tn.receivers.of(tn.name), 0
	tick := time.NewTicker(time.Second / time.Duration(sh.callsPerSecond))
	defer tick.Stop()
	for began := time.Now(); time.Since(began) < lasting; <-tick.C {
		tn.publish(sh.events)
		published += sh.events
	}
	w = w.close(tn, taken+published*tn.webhooks)
	// What the function api asks for is publishing.
	delete(w.counts, front.Kinesis+".PutRecords")
	c := w.summary(tn, published, w.fanout.Invocations)
	c.EventsPerCall, c.CallsPerSecond = sh.events, sh.callsPerSecond
	c.Strays = float64(w.advance.Invocations)
	tn.allFollow()
	return c
}

// catchUp starts the tenant's webhooks, for whom so many events wait.
func (tn *tenant) catchUp(events int) cost.Case {
	tn.say("catch-up: %d × %d ms, %d events", tn.webhooks, tn.delayMS, events)
	w, taken := tn.open(), tn.receivers.of(tn.name)
	for i := range tn.webhooks {
		if _, err := tn.api.Start(tn.t.Context(), hook(i)); err != nil {
			tn.t.Fatal(err)
		}
	}
	w = w.close(tn, taken+events*tn.webhooks)
	c := w.summary(tn, events, w.advance.Invocations)
	c.EventsEach *= float64(tn.webhooks) // each is of one webhook
	tn.allFollow()
	return c
}

func (w window) summary(tn *tenant, events, invocations int) cost.Case {
	thousands := float64(events*tn.webhooks) / 1000
	c := cost.Case{
		Webhooks: tn.webhooks, ReceiverMS: tn.delayMS, Events: events,
		Invocations: float64(invocations), EventsEach: float64(events) / float64(invocations),
		BilledMS: float64(w.fanout.BilledMS+w.advance.BilledMS) / thousands,
		CPU:      ms(w.fanout.CPU+w.advance.CPU) / thousands,
		Requests: map[string]float64{}, PerBatch: map[string]float64{},
	}
	for name, n := range w.counts {
		c.Requests[name] = float64(n) / thousands
		c.PerBatch[name] = float64(n) / float64(invocations)
	}
	return c
}

// stopAll stops all webhooks of all tenants side by side.
func (s *stage) stopAll(tenants []*tenant) {
	s.say("stop all webhooks, and publish what they are to catch up with")
	for _, tn := range tenants {
		for i := range tn.webhooks {
			if _, err := tn.api.Stop(s.t.Context(), hook(i)); err != nil {
				s.t.Fatal(err)
			}
		}
	}
	for _, tn := range tenants {
		for i := range tn.webhooks {
			s.until("a webhook is stopped", func(ctx context.Context) bool {
				in, err := tn.api.Integration(ctx, hook(i))
				return err == nil && in.Status == "stopped"
			})
		}
		for n := waiting[tn.delayMS]; n > 0; n -= 20 {
			tn.publish(20)
		}
	}
	s.quiet()
}

// middle is the median of each figure of several rounds of one case.
func middle(rounds []cost.Case) cost.Case {
	pick := func(of func(cost.Case) float64) float64 {
		var values []float64
		for _, c := range rounds {
			values = append(values, of(c))
		}
		return median(values)
	}
	c := rounds[0]
	c.Events = int(pick(func(c cost.Case) float64 { return float64(c.Events) }))
	c.Invocations = pick(func(c cost.Case) float64 { return c.Invocations })
	c.EventsEach = pick(func(c cost.Case) float64 { return c.EventsEach })
	c.Strays = pick(func(c cost.Case) float64 { return c.Strays })
	c.BilledMS = pick(func(c cost.Case) float64 { return c.BilledMS })
	c.CPU = pick(func(c cost.Case) float64 { return c.CPU })
	c.Requests, c.PerBatch = map[string]float64{}, map[string]float64{}
	for _, round := range rounds {
		for name := range maps.Keys(round.Requests) {
			c.Requests[name] = pick(func(c cost.Case) float64 { return c.Requests[name] })
			c.PerBatch[name] = pick(func(c cost.Case) float64 { return c.PerBatch[name] })
		}
	}
	return c
}
