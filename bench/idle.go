package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	idleTenants = 100
	idleEach    = 10 // integrations
)

// measureIdle measures the cost of a thousand idle integrations, alone and next
// to a busy tenant, alternating between a node that has them and one that does
// not.
func (b *bench) measureIdle(ctx context.Context) error {
	alone, err := b.newStage(ctx, webhooks)
	if err != nil {
		return err
	}
	defer alone.close()
	s, err := b.newStage(ctx, webhooks)
	if err != nil {
		return err
	}
	defer s.close()
	before, err := memoryOf(s.pid())
	if err != nil {
		return err
	}
	started := time.Now()
	if err := s.registerIdle(ctx); err != nil {
		return err
	}
	b.say("idle: registered %d integrations in %.1f s", idleTenants*idleEach, time.Since(started).Seconds())
	if err := sleep(ctx, warmUp); err != nil {
		return err
	}
	quiet, err := s.watch(ctx, s.pid(), func() error { return sleep(ctx, b.lasting(10*time.Second)) })
	if err != nil {
		return err
	}
	after, err := memoryOf(s.pid())
	if err != nil {
		return err
	}
	var without, with []float64
	for range 3 {
		for _, one := range []struct {
			stage *stage
			costs *[]float64
		}{{alone, &without}, {s, &with}} {
			w, err := one.stage.saturated(ctx, webhooks, b.lasting(2*time.Second))
			if err != nil {
				return err
			}
			*one.costs = append(*one.costs, w.cost())
		}
	}
	cpu, ratio := quiet.cpu.Seconds()/quiet.took.Seconds(), pairwise(with, without)
	b.say("idle: %.2f %% of a processor; a delivery alongside them costs %s one without", 100*cpu, ratio.times())
	b.report.add("1,000 idle integrations of 100 tenants: CPU", "about 0", fmt.Sprintf("%.2f %% of a processor", 100*cpu), metIf(cpu < 0.005))
	b.report.add("1,000 idle integrations: CPU time of a delivery next to them", "as without", ratio.times(), metIf(ratio.median <= 1.1))
	b.report.add("1,000 idle integrations: memory", "", mib(max(0, after.now-before.now)), nothing)
	return nil
}

// registerIdle registers integrations of tenants for which nothing is published.
func (s *stage) registerIdle(ctx context.Context) error {
	calls, callsCtx := errgroup.WithContext(ctx)
	calls.SetLimit(16)
	for i := range idleTenants {
		api, err := s.client(fmt.Sprintf("idle-%d", i))
		if err != nil {
			return err
		}
		calls.Go(func() error {
			for j := range idleEach {
				if err := webhook(callsCtx, api, hook(j), s.receivers.URLs[j]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return calls.Wait()
}
