package main

import (
	"context"
	"fmt"
	"time"
)

// measureLatency measures the time from the start of a publish call with one
// event to its arrival at each of ten webhooks, at a tenth of the saturated rate.
func (b *bench) measureLatency(ctx context.Context) error {
	rate, err := b.rateOfLive(ctx)
	if err != nil {
		return err
	}
	s, err := b.newStage(ctx, webhooks)
	if err != nil {
		return err
	}
	defer s.close()
	rate /= 10
	steady := publisherConfig{Batch: 1, Callers: 256, Rate: rate}
	p, err := s.publisher(ctx, tenant, steady)
	if err != nil {
		return err
	}
	defer p.end()
	if err := sleep(ctx, warmUp); err != nil {
		return err
	}
	if err := s.receivers.reset(ctx); err != nil {
		return err
	}
	w, err := s.watch(ctx, s.pid(), func() error { return sleep(ctx, b.lasting(12*time.Second)) })
	if err != nil {
		return err
	}
	var published publisherResult
	if err := p.finish(&published); err != nil {
		return err
	}
	h, err := s.receivers.latency(ctx, webhooks)
	if err != nil {
		return err
	}
	p50, p99 := h.percentile(0.50), h.percentile(0.99)
	b.say("latency at %.0f events/s: p50 %.1f ms, p99 %.1f ms", rate, ms(p50), ms(p99))
	at := fmt.Sprintf("publish → webhook at a tenth of the saturated rate (%.0f events/s)", rate)
	b.report.add(at+", p50", "≤ 5 ms", fmt.Sprintf("%.1f ms", ms(p50)), metIf(p50 <= 5*time.Millisecond))
	b.report.add(at+", p99", "≤ 50 ms", fmt.Sprintf("%.1f ms", ms(p99)), metIf(p99 <= 50*time.Millisecond))
	b.report.detail("Publish → webhook", fmt.Sprintf("%d deliveries, p90 %.1f ms, p99.9 %.1f ms. The publish call itself: p50 %.1f ms, p99 %.1f ms.\n\n```\n%s```",
		sum(w.counts), ms(h.percentile(0.9)), ms(h.percentile(0.999)),
		ms(published.Calls.percentile(0.5)), ms(published.Calls.percentile(0.99)), h.picture()))
	return nil
}
