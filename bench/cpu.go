package main

import (
	"context"
	"fmt"
	"time"
)

// costs holds the results of measureCPU, one element per round.
type costs struct {
	loop, live, catchUp          []float64 // CPU time of a delivery, ns
	loopRate, liveRate, lateRate []float64 // deliveries a second
	publish                      []float64 // CPU time of publishing an event, ns
}

// measureCPU compares the CPU time per delivery with that of the plain loop. It
// measures one right after the other, for several rounds.
func (b *bench) measureCPU(ctx context.Context) error {
	s, err := b.newStage(ctx, webhooks)
	if err != nil {
		return err
	}
	defer s.close()
	rounds := 3
	if b.short {
		rounds = 2
	}
	var c costs
	for i := range rounds {
		if err := c.round(ctx, s, b.lasting(4*time.Second)); err != nil {
			return err
		}
		b.say("cpu, round %d of %d: plain loop %.0f µs, live %.0f µs, catch-up %.0f µs a delivery",
			i+1, rounds, us(c.loop[i]), us(c.live[i]), us(c.catchUp[i]))
	}
	b.saturated = spreadOf(c.liveRate).median / webhooks
	c.tell(&b.report)
	return nil
}

func (c *costs) round(ctx context.Context, s *stage, d time.Duration) error {
	w, err := s.loop(ctx, d)
	if err != nil {
		return err
	}
	c.loop, c.loopRate = append(c.loop, w.cost()), append(c.loopRate, w.rate(webhooks))

	if w, err = s.saturated(ctx, webhooks, d); err != nil {
		return err
	}
	c.live, c.liveRate = append(c.live, w.cost()), append(c.liveRate, w.rate(webhooks))

	// Enough events to keep catch-up busy for about d.
	events := int64(w.rate(webhooks)/webhooks*d.Seconds()/liveBatch) * liveBatch
	if err := s.stopAll(ctx, webhooks); err != nil {
		return err
	}
	w, err = s.watch(ctx, s.pid(), func() error {
		return s.node.publish(ctx, tenant, publisherConfig{Batch: liveBatch, Callers: 4, Events: events})
	})
	if err != nil {
		return err
	}
	c.publish = append(c.publish, float64(w.cpu)/float64(events))
	if w, err = s.catchUp(ctx, webhooks, events); err != nil {
		return err
	}
	c.catchUp, c.lateRate = append(c.catchUp, w.cost()), append(c.lateRate, w.rate(webhooks))
	return s.drain(ctx, webhooks)
}

func (c *costs) tell(r *report) {
	const target = 1.5
	add := func(what string, costs []float64) {
		ratio := pairwise(costs, c.loop)
		r.add(what, "≤ 1.5 × plain loop", ratio.times(), metIf(ratio.median <= target))
	}
	alone := make([]float64, len(c.live)) // live delivery, without publishing
	for i := range alone {
		alone[i] = c.live[i] - c.publish[i]/webhooks
	}
	add("CPU time of a delivery, live, with its tenth of the publishing", c.live)
	add("CPU time of a delivery, live, without the publishing", alone)
	add("CPU time of a delivery, catch-up", c.catchUp)
	r.add("throughput to ten webhooks, live", "", pairwise(c.liveRate, c.loopRate).times()+" plain loop", nothing)
	r.detail("CPU time and throughput, ten webhooks on loopback", fmt.Sprintf(
		"| | CPU time a delivery | deliveries/s |\n|---|---|---|\n"+
			"| plain loop | %.0f µs | %.0f |\n| live, with publishing | %.0f µs | %.0f |\n| live, without | %.0f µs | |\n| catch-up | %.0f µs | %.0f |\n\n"+
			"Medians of %d rounds. Publishing an event takes the node %.0f µs of CPU time, in batches of %d.",
		us(spreadOf(c.loop).median), spreadOf(c.loopRate).median,
		us(spreadOf(c.live).median), spreadOf(c.liveRate).median, us(spreadOf(alone).median),
		us(spreadOf(c.catchUp).median), spreadOf(c.lateRate).median,
		len(c.loop), us(spreadOf(c.publish).median), liveBatch))
}
