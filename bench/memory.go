package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// measureMemory watches memory under load while one integration falls further and
// further behind, and while it catches up.
func (b *bench) measureMemory(ctx context.Context) error {
	s, err := b.newStage(ctx, webhooks)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.fillCaches(ctx); err != nil {
		return err
	}
	if err := s.receivers.behave(ctx, fast, http.StatusServiceUnavailable, 0); err != nil {
		return err
	}
	p, err := s.publisher(ctx, tenant, publisherConfig{
		Batch: liveBatch, Callers: 4, Control: s.receivers.Control, First: fast, Window: liveAhead,
	})
	if err != nil {
		return err
	}
	defer p.end()
	const samples = 8
	var loaded [samples]float64
	every := b.lasting(24*time.Second) / samples
	for i := range loaded {
		if loaded[i], err = s.memoryIn(ctx, every); err != nil {
			return err
		}
	}
	var published publisherResult
	if err := p.finish(&published); err != nil {
		return err
	}
	if err := s.healthy(ctx, fast); err != nil {
		return err
	}
	var late [2]float64
	for i := range late {
		if late[i], err = s.memoryIn(ctx, every); err != nil {
			return err
		}
	}
	early, end := spreadOf(loaded[1:samples/2]), spreadOf(loaded[samples/2:])
	growth := end.median / early.median
	var list strings.Builder
	for _, m := range loaded {
		_, _ = fmt.Fprintf(&list, "%.0f ", m/(1<<20))
	}
	b.say("memory: %sMiB under load, %.0f while the one behind catches up", list.String(), late[1]/(1<<20))
	b.report.add(fmt.Sprintf("memory, saturated, one of ten %d events behind at the end: second half of the run", published.Events), "flat",
		fmt.Sprintf("%.2f × the first half, %s", growth, mib(int64(end.max))), metIf(growth <= 1.15))
	b.report.detail("Memory", fmt.Sprintf("Resident memory of the node every %.1f s under load: %sMiB; then, while the integration that is behind catches up: %.0f %.0f MiB.",
		every.Seconds(), list.String(), late[0]/(1<<20), late[1]/(1<<20)))
	return nil
}

// fillCaches writes and reads more than the database's fixed-size caches hold;
// otherwise they would fill slowly during the measurement.
func (s *stage) fillCaches(ctx context.Context) error {
	const other = "other"
	started := time.Now()
	if err := s.node.publish(ctx, other, publisherConfig{Batch: 500, Callers: 4, Events: 100_000}); err != nil {
		return err
	}
	for range 5 {
		if _, err := s.replay(ctx, other, started, "nothing.passes"); err != nil {
			return err
		}
	}
	return nil
}

// memoryIn returns the memory of the node after d, in bytes.
func (s *stage) memoryIn(ctx context.Context, d time.Duration) (float64, error) {
	if err := sleep(ctx, d); err != nil {
		return 0, err
	}
	m, err := memoryOf(s.pid())
	return float64(m.now), err
}
