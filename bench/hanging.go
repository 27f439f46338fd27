package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	hangingTenants = 400 // with eachOfCrowd integrations each
	hangingMemory  = 300 << 20
	healthWithin   = 100 * time.Millisecond
	healthEvery    = 50 * time.Millisecond
)

// measureHanging measures a node, and a healthy tenant on it, alone and beside many
// integrations whose receivers take calls and never respond.
func (b *bench) measureHanging(ctx context.Context) error {
	s, err := b.newStage(ctx, 1)
	if err != nil {
		return err
	}
	defer s.close()
	c, err := newCrowd(ctx, s.node, hangingTenants)
	if c != nil {
		defer c.end()
	}
	if err != nil {
		return err
	}
	b.say("hanging: registered %d integrations", c.size())
	quiet, err := s.sign(ctx, b.lasting(10*time.Second))
	if err != nil {
		return err
	}
	b.say("hanging: quiet: %s", quiet)
	if err := c.hang(ctx); err != nil {
		return err
	}
	if err := c.publish(ctx, inFlight); err != nil {
		return err
	}
	beside, err := s.sign(ctx, b.lasting(25*time.Second)) // two time-outs of a call, and more
	if err != nil {
		return err
	}
	b.say("hanging: beside them: %s", beside)
	b.reportHanging(c.size(), quiet, beside)
	return nil
}

func (b *bench) reportHanging(integrations int, quiet, beside signs) {
	what := fmt.Sprintf("%d receivers hang: ", integrations)
	worst := beside.health.percentile(1)
	b.report.add(what+"memory", "≤ 300 MiB", fmt.Sprintf("%s; quiet %s", mib(beside.memory), mib(quiet.memory)), metIf(beside.memory <= hangingMemory))
	b.report.add(what+"open descriptors", "", fmt.Sprintf("%d; quiet %d", beside.descriptors, quiet.descriptors), nothing)
	b.report.add(what+"`/healthz`, the slowest response", "≤ 100 ms", fmt.Sprintf("%.1f ms; quiet %.1f ms", ms(worst), ms(quiet.health.percentile(1))), metIf(worst <= healthWithin))
	b.report.add(what+"`/healthz`, p99", "", fmt.Sprintf("%.1f × the quiet case", over(beside.health, quiet.health)), nothing)
	b.report.add(what+"a healthy tenant's publish → webhook, p99", "", fmt.Sprintf("%.1f × the quiet case", over(beside.delivery, quiet.delivery)), nothing)
	b.report.detail("Many receivers that hang", fmt.Sprintf("Quiet: %s.\n\nBeside them: %s.", quiet, beside))
}

// signs are a node's signs of life, and what a healthy tenant sees.
type signs struct {
	neighbour
	health      *histogram // the time of a /healthz call, each on a connection of its own
	memory      int64      // bytes, at the peak
	descriptors int        // at the peak
}

func (s signs) String() string {
	return fmt.Sprintf("%s; /healthz p50 %.1f ms, p99 %.1f ms, slowest %.1f ms; %s, %d descriptors", s.neighbour, ms(s.health.percentile(0.5)),
		ms(s.health.percentile(0.99)), ms(s.health.percentile(1)), mib(s.memory), s.descriptors)
}

// sign observes the node for d and a little more, while a healthy tenant publishes.
func (s *stage) sign(ctx context.Context, d time.Duration) (signs, error) {
	seen := signs{health: new(histogram)}
	if err := clearPeak(s.pid()); err != nil {
		return seen, err
	}
	running, ctx := errgroup.WithContext(ctx)
	done := make(chan struct{})
	running.Go(func() (err error) {
		defer close(done)
		seen.neighbour, err = s.neighbour(ctx, d)
		return err
	})
	running.Go(func() error { return s.probe(ctx, done, &seen) })
	if err := running.Wait(); err != nil {
		return seen, err
	}
	m, err := memoryOf(s.pid())
	seen.memory = m.peak
	return seen, err
}

// probe asks for the node's health and counts its descriptors until done is closed.
func (n *node) probe(ctx context.Context, done <-chan struct{}, seen *signs) error {
	probes := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		select {
		case <-done:
			return nil
		case <-time.After(healthEvery):
		}
		started := time.Now()
		if err := probeOnce(ctx, probes, n.url+"/healthz"); err != nil {
			return err
		}
		seen.health.add(time.Since(started))
		open, err := descriptorsOf(n.pid())
		if err != nil {
			return err
		}
		seen.descriptors = max(seen.descriptors, open)
	}
}

func probeOnce(ctx context.Context, probes *http.Client, at string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, http.NoBody)
	if err != nil {
		return err
	}
	res, err := probes.Do(req)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s returned %s", at, res.Status)
	}
	return nil
}
