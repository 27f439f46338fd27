package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// measurePublish measures publishing alone, with no integration registered.
func (b *bench) measurePublish(ctx context.Context) error {
	s, err := b.newStage(ctx, 0)
	if err != nil {
		return err
	}
	defer s.close()
	var table strings.Builder
	table.WriteString("| callers | events a call | events/s | p50 of a call | p99 | CPU time an event |\n|---|---|---|---|---|---|\n")
	for _, batch := range []int{1, 100} {
		for _, callers := range []int{1, 8, 64} {
			p, err := s.publisher(ctx, tenant, publisherConfig{Batch: batch, Callers: callers})
			if err != nil {
				return err
			}
			defer p.end()
			before, err := cpuTime(s.pid())
			if err != nil {
				return err
			}
			if err := sleep(ctx, b.lasting(3*time.Second)); err != nil {
				return err
			}
			var r publisherResult
			if err := p.finish(&r); err != nil {
				return err
			}
			after, err := cpuTime(s.pid())
			if err != nil {
				return err
			}
			rate, cpu := float64(r.Events)/r.Took.Seconds(), float64(after-before)/float64(max(r.Events, 1))
			b.say("publish, %d callers, batches of %d: %.0f events/s, %.0f µs of CPU an event", callers, batch, rate, us(cpu))
			_, _ = fmt.Fprintf(&table, "| %d | %d | %.0f | %.2f ms | %.2f ms | %.0f µs |\n", callers, batch, rate,
				ms(r.Calls.percentile(0.5)), ms(r.Calls.percentile(0.99)), us(cpu))
		}
	}
	b.report.detail("Publishing alone", table.String())
	return b.measurePlatform(ctx, s)
}

// measurePlatform compares calls of 1,000 events of a tenant each with calls of as many
// events of one tenant, side by side, by one caller with a platform token.
func (b *bench) measurePlatform(ctx context.Context, s *stage) error {
	const batch = 1000
	medians := map[int][]float64{}
	for range 4 { // in the first round the tenants are new
		for _, tenants := range []int{1, batch} {
			p, err := s.publisher(ctx, "", publisherConfig{Batch: batch, Callers: 1, Tenants: tenants})
			if err != nil {
				return err
			}
			defer p.end()
			if err := sleep(ctx, b.lasting(2*time.Second)); err != nil {
				return err
			}
			var r publisherResult
			if err := p.finish(&r); err != nil {
				return err
			}
			medians[tenants] = append(medians[tenants], float64(r.Calls.percentile(0.5)))
		}
	}
	one, many := medians[1][1:], medians[batch][1:]
	ratio := pairwise(many, one)
	b.say("publish, 1,000 events a call: %.1f ms of 1 tenant, %.1f ms of 1,000",
		ms(time.Duration(spreadOf(one).median)), ms(time.Duration(spreadOf(many).median)))
	b.report.add("a call of 1,000 events of 1,000 tenants: time", "≤ 2 × that of 1,000 of one", ratio.times(), metIf(ratio.median <= 2))
	return nil
}
