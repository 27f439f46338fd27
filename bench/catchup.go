package main

import (
	"context"
	"fmt"
	"time"

	"github.com/sluicehq/sluice/internal/client"
	"github.com/sluicehq/sluice/internal/event"
)

// measureCatchUp compares the throughput to one webhook live, in catch-up, and in
// replays whose filter passes few events, so that the receiver costs nothing. It
// also compares short replays of a small and of a large log.
func (b *bench) measureCatchUp(ctx context.Context) error {
	s, err := b.newStage(ctx, 1)
	if err != nil {
		return err
	}
	defer s.close()
	started := time.Now()
	live, err := s.saturated(ctx, 1, b.lasting(4*time.Second))
	if err != nil {
		return err
	}
	liveRate := live.rate(1)
	if err := s.stopAll(ctx, 1); err != nil {
		return err
	}
	waiting := int64(liveRate*b.lasting(4*time.Second).Seconds()/liveBatch) * liveBatch
	if err := s.node.publish(ctx, tenant, publisherConfig{Batch: liveBatch, Callers: 4, Events: waiting}); err != nil {
		return err
	}
	late, err := s.catchUp(ctx, 1, waiting)
	if err != nil {
		return err
	}
	lateRate := float64(waiting) / late.took.Seconds()
	b.say("catchup: live %.0f, catch-up %.0f events/s to one webhook", liveRate, lateRate)
	if err := s.stopAll(ctx, 1); err != nil {
		return err
	}
	size := int64(b.lasting(120*time.Second).Seconds()) * 1000
	if err := s.node.publish(ctx, tenant, publisherConfig{Batch: 500, Callers: 4, Events: size, RareEvery: 100}); err != nil {
		return err
	}
	total := sum(live.counts) + waiting + size // a lower bound: it excludes the warm-up
	var read [2]float64
	for i, filter := range []string{"nothing.passes", rareName} {
		took, err := s.replay(ctx, tenant, started, filter)
		if err != nil {
			return err
		}
		read[i] = float64(total) / took.Seconds()
	}
	b.say("catchup: replays read %.0f events/s where nothing passes, %.0f where 1 %% does", read[0], read[1])
	b.report.add("catch-up of one webhook", "≥ 5 × live, receiver permitting", fmt.Sprintf("%.2f × live; the receiver is the bound", lateRate/liveRate), nothing)
	b.report.add("replay in which nothing passes the filter", "≥ 5 × live", fmt.Sprintf("%.0f × live", read[0]/liveRate), metIf(read[0] >= 5*liveRate))
	b.report.add("replay in which 1 % passes", "≥ 5 × live", fmt.Sprintf("%.0f × live", read[1]/liveRate), metIf(read[1] >= 5*liveRate))
	b.report.detail("Catch-up and replay, one webhook", fmt.Sprintf(
		"Live %.0f events/s, catch-up %.0f events/s. A replay of a log of %d events reads %.0f events/s where nothing passes, %.0f where 1 %% does.",
		liveRate, lateRate, total, read[0], read[1]))
	return b.measureSeek(ctx, s, total)
}

// measureSeek compares a replay of the last events of a large log with a replay
// of a log that has only these.
func (b *bench) measureSeek(ctx context.Context, s *stage, total int64) error {
	const last, times = 1000, 20
	var took [2][]float64
	tenants := [2]string{"small", tenant}
	var from [2]time.Time
	for i, t := range tenants {
		if err := sleep(ctx, 10*time.Millisecond); err != nil { // move past the previous event
			return err
		}
		from[i] = time.Now()
		if err := s.node.publish(ctx, t, publisherConfig{Batch: liveBatch, Callers: 1, Events: last}); err != nil {
			return err
		}
	}
	for range times {
		for i, t := range tenants {
			d, err := s.replay(ctx, t, from[i], "nothing.passes")
			if err != nil {
				return err
			}
			took[i] = append(took[i], ms(d))
		}
	}
	small, large, ratio := spreadOf(took[0]), spreadOf(took[1]), pairwise(took[1], took[0])
	b.say("catchup: a replay of the last %d events: %.1f ms from a small log, %.1f ms from a large one", last, small.median, large.median)
	b.report.add(fmt.Sprintf("replay of the last %d of %d events: time", last, total+last), "that from a log of no more than these",
		ratio.times(), metIf(ratio.median <= 1.25))
	return nil
}

// replay registers a replay of everything from the given time until now, waits
// until it completes, and deletes it.
func (s *stage) replay(ctx context.Context, tenant string, from time.Time, filter string) (time.Duration, error) {
	api, err := s.client(tenant)
	if err != nil {
		return 0, err
	}
	const id = "replay"
	started := time.Now()
	_, err = api.Create(ctx, client.Registration{
		ID: id, Type: "temporary", StartsAt: event.FormatTime(from), EndsAt: event.FormatTime(started),
		Callback: &client.Callback{URL: s.receivers.URLs[0]}, Filter: &client.Filter{Events: []string{filter}},
	})
	if err != nil {
		return 0, err
	}
	err = untilEvery(ctx, time.Millisecond/2, time.Minute, "the replay is complete", func() (bool, error) {
		in, err := api.Integration(ctx, id)
		return in.Status != "running", err
	})
	took := time.Since(started)
	if err != nil {
		return 0, err
	}
	return took, api.Delete(ctx, id)
}
