package main

import (
	"context"
	"time"
)

// measureRecords compares the CPU time of a delivery with and without delivery records, on
// two nodes, one right after the other and each first in turn.
func (b *bench) measureRecords(ctx context.Context) error {
	var stages [2]*stage // without, with
	for i, retention := range []string{"0", "168h"} {
		s, err := b.newStage(ctx, webhooks, "SLUICE_DELIVERY_RETENTION="+retention)
		if err != nil {
			return err
		}
		defer s.close()
		stages[i] = s
	}
	rounds := 6
	if b.short {
		rounds = 4
	}
	var costs [2][]float64
	for round := range rounds {
		for i := range stages {
			which := (round + i) % len(stages)
			w, err := stages[which].saturated(ctx, webhooks, b.lasting(4*time.Second))
			if err != nil {
				return err
			}
			costs[which] = append(costs[which], w.cost())
		}
		b.say("records, round %d of %d: %.1f µs without, %.1f µs with", round+1, rounds, us(costs[0][round]), us(costs[1][round]))
	}
	ratio := pairwise(costs[1], costs[0])
	b.report.add("CPU time of a delivery, live, with delivery records", "≤ 1.10 × without", ratio.times(), metIf(ratio.median <= 1.10))
	return nil
}
