package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sluicehq/sluice/internal/client"
	"github.com/sluicehq/sluice/internal/event"
)

const (
	noisyReplays = 10
	noisyLog     = 200_000 // events that the replays read
)

var noisyPublishers = []assault{
	{"16 callers with 1,000 events of 300 B", 5, noisy(16, 1000, 300)},
	{"4 callers with 5 MiB", 5, noisy(4, 1000, 5_220)},
	{fmt.Sprintf("%d replays that match nothing", noisyReplays), 5, replays},
}

// measureNoisy measures a quiet tenant's publishes of one event while another tenant
// publishes, or replays, without a break.
func (b *bench) measureNoisy(ctx context.Context) error {
	return b.measureAssaults(ctx, "noisy", noisyPublishers)
}

// noisy returns callers that publish a number of events of the given size again and
// again.
func noisy(callers, events, size int) func(context.Context, *node, string, *answerCounts) (func(), error) {
	return func(ctx context.Context, n *node, token string, answers *answerCounts) (func(), error) {
		return repeat(ctx, callers, 0, n.url, token, bulk(events, size), answers), nil
	}
}

// replays registers replays of a log whose filter passes nothing, and deletes each when
// it has read everything, again and again.
func replays(ctx context.Context, n *node, token string, _ *answerCounts) (func(), error) {
	started := time.Now()
	if err := n.publish(ctx, "noisy", publisherConfig{Batch: 500, Callers: 4, Events: noisyLog}); err != nil {
		return nil, err
	}
	api, err := client.New(n.url, token, false)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	for i := range noisyReplays {
		all.Go(func() {
			for ctx.Err() == nil {
				_ = replayNothing(ctx, api, fmt.Sprintf("replay-%d", i), started)
			}
		})
	}
	return func() {
		cancel()
		all.Wait()
	}, nil
}

func replayNothing(ctx context.Context, api *client.Client, id string, from time.Time) error {
	_, err := api.Create(ctx, client.Registration{
		ID: id, Type: "temporary", StartsAt: event.FormatTime(from), EndsAt: event.FormatTime(time.Now()),
		Callback: &client.Callback{URL: "http://127.0.0.1:9/"}, Filter: &client.Filter{Events: []string{"nothing.passes"}},
	})
	if err != nil {
		return err
	}
	err = until(ctx, time.Minute, "the replay is complete", func() (bool, error) {
		in, err := api.Integration(ctx, id)
		return in.Status != "running", err
	})
	if err != nil {
		return err
	}
	return api.Delete(ctx, id)
}
