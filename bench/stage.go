package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/sluicehq/sluice/internal/client"
)

const (
	tenant   = "acme"
	webhooks = 10
	inFlight = 16 // calls at a time to one receiver: the default of SLUICE_IN_FLIGHT
	warmUp   = time.Second

	// A saturating publisher sends batches of liveBatch events and stays up to
	// liveAhead events ahead of the slowest receiver, so that none is ever idle.
	liveBatch = 100
	liveAhead = 2000
)

// stage is a node with receivers and webhook integrations to them.
type stage struct {
	*node
	receivers *receivers
	api       *client.Client
}

// newStage starts a node and the given number of receivers, and registers them
// as hook-0, hook-1 and so on. The node has settings of its own, as name=value.
func (b *bench) newStage(ctx context.Context, hooks int, env ...string) (*stage, error) {
	s := new(stage)
	var err error
	if s.node, err = b.startNode(ctx, env...); err != nil {
		return nil, err
	}
	if s.receivers, err = startReceivers(ctx, hooks); err != nil {
		s.close()
		return nil, err
	}
	if s.api, err = s.client(tenant); err != nil {
		s.close()
		return nil, err
	}
	for i := range hooks {
		if err := webhook(ctx, s.api, hook(i), s.receivers.URLs[i]); err != nil {
			s.close()
			return nil, err
		}
	}
	return s, nil
}

func hook(i int) string { return fmt.Sprintf("hook-%d", i) }

func (s *stage) close() {
	s.node.close()
	if s.receivers != nil {
		s.receivers.end()
	}
}

// window is the result of measuring for a while.
type window struct {
	took   time.Duration
	cpu    time.Duration // of the process being watched
	counts []int64       // deliveries by receiver
}

// rate returns deliveries per second to the first n receivers together.
func (w window) rate(n int) float64 { return float64(sum(w.counts[:n])) / w.took.Seconds() }

// cost returns the CPU time per delivery, in ns.
func (w window) cost() float64 { return float64(w.cpu) / float64(max(sum(w.counts), 1)) }

// watch measures a process and the receivers while something runs.
func (s *stage) watch(ctx context.Context, pid int, something func() error) (window, error) {
	before, err := s.receivers.counts(ctx)
	if err != nil {
		return window{}, err
	}
	cpu, err := cpuTime(pid)
	if err != nil {
		return window{}, err
	}
	started := time.Now()
	if err := something(); err != nil {
		return window{}, err
	}
	w := window{took: time.Since(started)}
	if w.cpu, err = cpuTime(pid); err != nil {
		return window{}, err
	}
	w.cpu -= cpu
	if w.counts, err = s.receivers.counts(ctx); err != nil {
		return window{}, err
	}
	for i := range before {
		w.counts[i] -= before[i]
	}
	return w, nil
}

// saturated publishes as fast as the first n receivers accept events, and watches
// the node for d.
func (s *stage) saturated(ctx context.Context, n int, d time.Duration) (window, error) {
	p, err := s.publisher(ctx, tenant, publisherConfig{
		Batch: liveBatch, Callers: 4, Control: s.receivers.Control, First: n, Window: liveAhead,
	})
	if err != nil {
		return window{}, err
	}
	defer p.end()
	if err := sleep(ctx, warmUp); err != nil {
		return window{}, err
	}
	w, err := s.watch(ctx, s.pid(), func() error { return sleep(ctx, d) })
	if err != nil {
		return w, err
	}
	if err := p.finish(new(publisherResult)); err != nil {
		return w, err
	}
	return w, s.drain(ctx, n)
}

// drain waits until the first n receivers have everything that was published:
// until nothing has arrived for a while.
func (s *stage) drain(ctx context.Context, n int) error {
	last, since := int64(-1), time.Now()
	return until(ctx, 30*time.Second, "the receivers have everything", func() (bool, error) {
		counts, err := s.receivers.counts(ctx)
		if err != nil {
			return false, err
		}
		if now := sum(counts[:n]); now != last {
			last, since = now, time.Now()
		}
		return time.Since(since) > 250*time.Millisecond, nil
	})
}

// stopAll stops the first n webhooks, so that published events wait in the log.
func (s *stage) stopAll(ctx context.Context, n int) error {
	for i := range n {
		if _, err := s.api.Stop(ctx, hook(i)); err != nil {
			return err
		}
		err := until(ctx, 20*time.Second, "an integration is stopped", func() (bool, error) {
			in, err := s.api.Integration(ctx, hook(i))
			return in.Status == "stopped", err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// catchUp starts the first n webhooks, which are stopped, and watches the node
// until each has received the given number of further events.
func (s *stage) catchUp(ctx context.Context, n int, events int64) (window, error) {
	before, err := s.receivers.counts(ctx)
	if err != nil {
		return window{}, err
	}
	return s.watch(ctx, s.pid(), func() error {
		for i := range n {
			if _, err := s.api.Start(ctx, hook(i)); err != nil {
				return err
			}
		}
		return until(ctx, time.Minute, "the receivers have caught up", func() (bool, error) {
			counts, err := s.receivers.counts(ctx)
			if err != nil {
				return false, err
			}
			for i := range counts {
				counts[i] -= before[i]
			}
			return lowest(counts[:n]) >= events, nil
		})
	})
}

// rateOfLive returns the events per second that the node delivers to ten
// webhooks.
func (b *bench) rateOfLive(ctx context.Context) (float64, error) {
	if b.saturated > 0 {
		return b.saturated, nil
	}
	s, err := b.newStage(ctx, webhooks)
	if err != nil {
		return 0, err
	}
	defer s.close()
	w, err := s.saturated(ctx, webhooks, 3*time.Second)
	if err != nil {
		return 0, err
	}
	b.saturated = w.rate(webhooks) / webhooks
	return b.saturated, nil
}

// loop watches the plain client loop for d.
func (s *stage) loop(ctx context.Context, d time.Duration) (window, error) {
	p, err := startPart(ctx, "part-loop", loopConfig{URLs: s.receivers.URLs, InFlight: inFlight}, nil)
	if err != nil {
		return window{}, err
	}
	defer p.end()
	if err := sleep(ctx, warmUp); err != nil {
		return window{}, err
	}
	w, err := s.watch(ctx, p.pid(), func() error { return sleep(ctx, d) })
	if err != nil {
		return w, err
	}
	return w, p.finish(new(struct{}))
}

// healthy makes a receiver respond at once.
func (s *stage) healthy(ctx context.Context, receiver int) error {
	return s.receivers.behave(ctx, receiver, http.StatusOK, 0)
}
