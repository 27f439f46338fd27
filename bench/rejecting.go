package main

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

const rejectedEvents = 20_000

// measureRejecting measures what a node writes for each event of a receiver that rejects
// everything, and for one that accepts everything.
func (b *bench) measureRejecting(ctx context.Context) error {
	accepted, err := b.writtenFor(ctx, http.StatusOK)
	if err != nil {
		return err
	}
	rejected, err := b.writtenFor(ctx, http.StatusBadRequest)
	if err != nil {
		return err
	}
	b.say("rejecting: %.1f KiB written an event, %.1f where all are accepted", rejected/1024, accepted/1024)
	b.report.add("a receiver rejects everything: written for an event", "", fmt.Sprintf("%.1f KiB; accepted %.1f KiB", rejected/1024, accepted/1024), nothing)
	return nil
}

// writtenFor returns the bytes that a node writes to disk for each event, from its
// publishing until the receiver has responded to it with the status.
func (b *bench) writtenFor(ctx context.Context, status int) (float64, error) {
	s, err := b.newStage(ctx, 1)
	if err != nil {
		return 0, err
	}
	defer s.close()
	if err := s.receivers.behave(ctx, 0, status, 0); err != nil {
		return 0, err
	}
	before, err := s.effort()
	if err != nil {
		return 0, err
	}
	events := int64(b.fewer(rejectedEvents))
	if err := s.publish(ctx, tenant, publisherConfig{Batch: 100, Callers: 4, Events: events}); err != nil {
		return 0, err
	}
	err = until(ctx, 5*time.Minute, "the receiver has everything", func() (bool, error) {
		counts, err := s.receivers.counts(ctx)
		return sum(counts) >= events, err
	})
	if err != nil {
		return 0, err
	}
	if err := sleep(ctx, 2*time.Second); err != nil { // what is left to write
		return 0, err
	}
	after, err := s.effort()
	return float64(after.written-before.written) / float64(events), err
}
