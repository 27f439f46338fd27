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
			b.say("publish, %d callers, batches of %d: %.0f events/s", callers, batch, rate)
			_, _ = fmt.Fprintf(&table, "| %d | %d | %.0f | %.2f ms | %.2f ms | %.0f µs |\n", callers, batch, rate,
				ms(r.Calls.percentile(0.5)), ms(r.Calls.percentile(0.99)), us(cpu))
		}
	}
	b.report.detail("Publishing alone", table.String())
	return nil
}
