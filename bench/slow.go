package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// fast is the number of receivers that respond at once, next to a slow one.
	fast = webhooks - 1
	// belowBatch is the number of events per call below saturation.
	belowBatch = 10
	// alike is the ratio up to which two p99s count as equal. The control, two
	// nodes without a slow receiver, shows how much they differ by chance.
	alike = 1.2
)

// tenth describes the last receiver: deleted, or responding after a delay, never
// if the delay is negative.
type tenth struct {
	name    string
	deleted bool
	delay   time.Duration
}

// side is the performance of the other nine.
type side struct {
	rate float64       // deliveries/s, of the nine together
	p99  time.Duration // from publishing to arrival
}

// measureSlow measures nine receivers next to a slow one and nine alone, on two
// nodes at the same time, so that both have the same share of the machine. It
// compares latency below saturation and throughput at saturation.
func (b *bench) measureSlow(ctx context.Context) error {
	rate, err := b.rateOfLive(ctx)
	if err != nil {
		return err
	}
	below := load{"at 30 % of saturation", 0.15 * rate}
	control := tenth{name: "not there (control)", deleted: true}
	if err := b.measureTenth(ctx, control, below); err != nil {
		return err
	}
	kinds := []tenth{{name: "responds in 10 s", delay: 10 * time.Second}, {name: "never responds", delay: -1}}
	for _, load := range []load{below, {"saturated", 0}} {
		for _, t := range kinds {
			if err := b.measureTenth(ctx, t, load); err != nil {
				return err
			}
		}
	}
	return nil
}

// load is the publish rate on each of the two nodes.
type load struct {
	name string
	rate float64 // events/s; 0 saturates
}

// measureTenth measures one kind of slow receiver, twice.
func (b *bench) measureTenth(ctx context.Context, t tenth, load load) error {
	var with, without, withP99, withoutP99 []float64
	for range 2 {
		w, wo, err := b.sideBySide(ctx, t, load.rate)
		if err != nil {
			return err
		}
		b.say("slow, %s, %s: %.0f and without %.0f deliveries/s, p99 %.1f and %.1f ms", load.name, t.name, w.rate, wo.rate, ms(w.p99), ms(wo.p99))
		with, without = append(with, w.rate), append(without, wo.rate)
		withP99, withoutP99 = append(withP99, ms(w.p99)), append(withoutP99, ms(wo.p99))
	}
	what := fmt.Sprintf("one of ten %s, %s: ", t.name, load.name)
	ratio := pairwise(with, without)
	b.report.add(what+"throughput of the nine", "≥ 95 % of that without", ratio.share(), metIf(ratio.median >= 0.95))
	if load.rate == 0 {
		return nil // at saturation, latency only measures the publisher's queue
	}
	ratio = pairwise(withP99, withoutP99)
	target, verdict := "that without", metIf(ratio.median <= alike)
	if t.deleted {
		target, verdict = "", nothing
	}
	b.report.add(what+"p99 of the nine", target, fmt.Sprintf("%s; %.0f ms", ratio.times(), spreadOf(withP99).median), verdict)
	return nil
}

// sideBySide measures the nine with the tenth and without it. The rate is per
// node, in events/s; 0 saturates both.
func (b *bench) sideBySide(ctx context.Context, t tenth, rate float64) (with, without side, err error) {
	results := []*side{&with, &without}
	var stages [2]*stage
	for i, kind := range []tenth{t, {deleted: true}} {
		if stages[i], err = b.stageWith(ctx, kind); err != nil {
			return with, without, err
		}
		defer stages[i].close()
	}
	running, runCtx := errgroup.WithContext(ctx)
	for i, s := range stages {
		running.Go(func() (err error) {
			*results[i], err = s.nine(runCtx, rate, b.lasting(12*time.Second))
			return err
		})
	}
	return with, without, running.Wait()
}

func (b *bench) stageWith(ctx context.Context, t tenth) (*stage, error) {
	s, err := b.newStage(ctx, webhooks)
	if err != nil {
		return nil, err
	}
	if t.deleted {
		err = s.api.Delete(ctx, hook(fast))
	} else {
		err = s.receivers.behave(ctx, fast, http.StatusOK, t.delay)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// nine measures the nine from their first event.
func (s *stage) nine(ctx context.Context, rate float64, d time.Duration) (side, error) {
	c := publisherConfig{Batch: liveBatch, Callers: 4, Control: s.receivers.Control, First: fast, Window: liveAhead}
	if rate > 0 {
		c = publisherConfig{Batch: belowBatch, Callers: 256, Rate: rate / belowBatch}
	}
	p, err := s.publisher(ctx, tenant, c)
	if err != nil {
		return side{}, err
	}
	defer p.end()
	w, err := s.watch(ctx, s.pid(), func() error { return sleep(ctx, d) })
	if err != nil {
		return side{}, err
	}
	if err := p.finish(new(publisherResult)); err != nil {
		return side{}, err
	}
	h, err := s.receivers.latency(ctx, fast)
	return side{w.rate(fast), h.percentile(0.99)}, err
}
