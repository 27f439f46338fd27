package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const (
	neighbourRate = 50 // events/s of the healthy tenant
	storms        = 2.0
	stormBytes    = 2 << 10
	retryMax      = 5 * time.Minute // the default of SLUICE_RETRY_MAX
)

// neighbour is what a healthy tenant sees: the time of a publish call, and from there
// to its webhook.
type neighbour struct{ publish, delivery *histogram }

// measureStorm measures a healthy tenant alone, beside many integrations whose
// receivers refuse connections, and how these recover.
func (b *bench) measureStorm(ctx context.Context) error {
	s, err := b.newStage(ctx, 1)
	if err != nil {
		return err
	}
	defer s.close()
	started := time.Now()
	c, err := newCrowd(ctx, s.node, b.tenants)
	if c != nil {
		defer c.end()
	}
	if err != nil {
		return err
	}
	b.say("storm: registered %d integrations in %.0f s", c.size(), time.Since(started).Seconds())
	quiet, err := s.neighbour(ctx, b.lasting(30*time.Second))
	if err != nil {
		return err
	}
	b.say("storm: quiet: %s", quiet)
	if err := b.stormOutage(ctx, s, c, quiet); err != nil || b.profile != "" { // a killed node writes no profile
		return err
	}
	return b.stormRecovery(ctx, s, c)
}

// stormOutage measures the outage: bytes written for each failed attempt, and the
// healthy tenant beside it.
func (b *bench) stormOutage(ctx context.Context, s *stage, c *crowd, quiet neighbour) error {
	if err := c.refuse(ctx); err != nil {
		return err
	}
	first, err := s.effort()
	if err != nil {
		return err
	}
	if err := c.publish(ctx, 1); err != nil {
		return err
	}
	begun, err := s.effort()
	if err != nil {
		return err
	}
	b.say("storm: every tenant has an event: %s", begun.since(first))
	if err := sleep(ctx, b.lasting(60*time.Second)); err != nil {
		return err
	}
	alone, err := s.effort()
	if err != nil {
		return err
	}
	b.say("storm: the first minute: %s", alone.since(begun))
	storm, err := s.neighbour(ctx, b.lasting(30*time.Second))
	if err != nil {
		return err
	}
	b.say("storm: beside it: %s", storm)
	from, err := s.effort()
	if err != nil {
		return err
	}
	if err := sleep(ctx, b.lasting(2*time.Minute)); err != nil {
		return err
	}
	later, err := s.effort()
	if err != nil {
		return err
	}
	b.say("storm: later: %s", later.since(from))
	what := fmt.Sprintf("%d receivers refuse: ", c.size())
	publish, delivery := over(storm.publish, quiet.publish), over(storm.delivery, quiet.delivery)
	b.report.add(what+"a healthy tenant's publish call, p99", "≤ 2 × the quiet case", fmt.Sprintf("%.1f ×", publish), metIf(publish <= storms))
	b.report.add(what+"its publish → webhook, p99", "≤ 2 × the quiet case", fmt.Sprintf("%.1f ×", delivery), metIf(delivery <= storms))
	e := alone.since(begun)
	b.report.add(what+"written for a failed attempt, first minute", "≤ 2 KiB", fmt.Sprintf("%.1f KiB", e.each()/1024), metIf(e.each() <= stormBytes))
	l := later.since(from)
	b.report.add(what+"written for a failed attempt, later", "≤ 2 KiB", fmt.Sprintf("%.1f KiB", l.each()/1024), metIf(l.each() <= stormBytes))
	b.report.detail("An outage of many receivers", fmt.Sprintf("Quiet: %s.\n\nBeside the outage: %s.\n\nBegin, with the publishes: %s.\n\nThe first minute: %s.\n\nAfter that: %s.",
		quiet, storm, begun.since(first), e, l))
	return nil
}

// stormRecovery kills the node in the middle of the outage, starts it again, lets the
// receivers accept, and waits until each got its event.
func (b *bench) stormRecovery(ctx context.Context, s *stage, c *crowd) error {
	if err := s.node.cmd.Process.Kill(); err != nil {
		return err
	}
	<-s.node.exited
	started := time.Now()
	if err := s.node.run(ctx); err != nil {
		return err
	}
	serving := time.Since(started)
	b.say("storm: serving %.1f s after a kill", serving.Seconds())
	if err := sleep(ctx, 5*time.Second); err != nil {
		return err
	}
	if err := c.accept(ctx); err != nil {
		return err
	}
	back, said := time.Now(), time.Now()
	got := 0
	err := untilEvery(ctx, 100*time.Millisecond, 2*retryMax, "every receiver has its event", func() (ok bool, err error) {
		if got, err = c.called(ctx); time.Since(said) >= 30*time.Second {
			said = time.Now()
			b.say("storm: %d of %d receivers got their event", got, c.size())
		}
		return got == c.size(), err
	})
	if err != nil {
		return errors.Join(err, fmt.Errorf("%d of %d receivers got their event", got, c.size()))
	}
	took := time.Since(back)
	memory, err := memoryOf(s.node.pid())
	if err != nil {
		return err
	}
	b.say("storm: all through %.0f s after the receivers are back; memory since the start at most %s", took.Seconds(), mib(memory.peak))
	what := fmt.Sprintf("%d receivers refuse, and the node is killed: ", c.size())
	b.report.add(what+"until it serves again", "≤ 2 s", fmt.Sprintf("%.1f s", serving.Seconds()), metIf(serving <= 2*time.Second))
	b.report.add(what+"all through after they are back", "≤ 5 min, the back-off's cap", fmt.Sprintf("%.0f s", took.Seconds()), metIf(took <= retryMax))
	b.report.add(what+"memory until then", "", mib(memory.peak), nothing)
	return nil
}

// neighbour publishes at a steady rate for one healthy webhook.
func (s *stage) neighbour(ctx context.Context, d time.Duration) (neighbour, error) {
	if err := s.receivers.reset(ctx); err != nil {
		return neighbour{}, err
	}
	p, err := s.publisher(ctx, tenant, publisherConfig{Batch: 1, Callers: 256, Rate: neighbourRate})
	if err != nil {
		return neighbour{}, err
	}
	defer p.end()
	if err := sleep(ctx, d); err != nil {
		return neighbour{}, err
	}
	var published publisherResult
	if err := p.finish(&published); err != nil {
		return neighbour{}, err
	}
	if err := s.drain(ctx, 1); err != nil {
		return neighbour{}, err
	}
	delivery, err := s.receivers.latency(ctx, 1)
	return neighbour{published.Calls, delivery}, err
}

func (n neighbour) String() string {
	return fmt.Sprintf("publish p50 %.1f ms, p99 %.1f ms; publish → webhook p50 %.1f ms, p99 %.1f ms",
		ms(n.publish.percentile(0.5)), ms(n.publish.percentile(0.99)), ms(n.delivery.percentile(0.5)), ms(n.delivery.percentile(0.99)))
}

// over returns the ratio of two p99s.
func over(a, b *histogram) float64 {
	return float64(a.percentile(0.99)) / float64(max(b.percentile(0.99), 1))
}

// effort is what a node has done so far.
type effort struct {
	at       time.Time
	written  int64 // bytes, to disk, but for its log
	attempts int64 // that failed
	cpu      time.Duration
}

// effort reads the node's effort. Each failed attempt is a line in its log.
func (n *node) effort() (effort, error) {
	e := effort{at: time.Now()}
	io, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", n.pid()))
	if err != nil {
		return e, err
	}
	if e.written, err = parseIO(io, "write_bytes"); err != nil {
		return e, err
	}
	log, err := os.ReadFile(filepath.Join(n.dir, "log"))
	if err != nil {
		return e, err
	}
	e.written -= int64(len(log))
	e.attempts = int64(bytes.Count(log, []byte("outcome=retry")) + bytes.Count(log, []byte(`"outcome":"retry"`)))
	e.cpu, err = cpuTime(n.pid())
	return e, err
}

// since returns the effort from the earlier one on.
func (e effort) since(before effort) effortSpan {
	return effortSpan{e.at.Sub(before.at), e.written - before.written, e.attempts - before.attempts, e.cpu - before.cpu}
}

// effortSpan is the effort of a while.
type effortSpan struct {
	took              time.Duration
	written, attempts int64
	cpu               time.Duration
}

// each returns the bytes written for each failed attempt.
func (e effortSpan) each() float64 { return float64(e.written) / float64(max(e.attempts, 1)) }

func (e effortSpan) String() string {
	return fmt.Sprintf("%d failed attempts in %.0f s, %s written, %.1f KiB an attempt, %.0f µs of CPU an attempt",
		e.attempts, e.took.Seconds(), mib(e.written), e.each()/1024, us(float64(e.cpu)/float64(max(e.attempts, 1))))
}
