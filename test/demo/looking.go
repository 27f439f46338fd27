package main

import (
	"bytes"
	"context"
	"time"

	"github.com/sluicehq/sluice/internal/client"
)

// look shows what a customer sees of an integration: its health, and its events in the log.
func (s *stage) look(ctx context.Context) error {
	var h client.Health
	err := s.until(ctx, 10*time.Second, "orders is healthy and at the end of the log", func() (bool, error) {
		var err error
		h, err = s.api.Health(ctx, "orders")
		return h.State == "healthy" && h.Behind.Events == 0, err
	})
	if err != nil {
		return err
	}
	s.say("  orders is %s, %d events behind, last delivered at %s", h.State, h.Behind.Events, h.LastDeliveredAt)
	n, position := 0, "earliest"
	for {
		page, err := s.api.Pull(ctx, "orders", position, callLimit, 0)
		if err != nil {
			return err
		}
		n += bytes.Count(page.Lines, []byte("\n"))
		if position = page.Next; page.AtEnd {
			break
		}
	}
	s.say("  %d of %d events were pulled from the log", n, s.events)
	return expect(n == s.events, "all events in the log")
}

// test sends a test event, which is not in the log.
func (s *stage) test(ctx context.Context) error {
	for _, id := range []string{"orders", "archive"} {
		result, err := s.api.Test(ctx, id, "")
		if err != nil {
			return err
		}
		s.say("  %s: %s after %d ms", id, result.Outcome, result.TookMs)
		if err := expect(result.Outcome == "delivered", "a test event of %s that is delivered", id); err != nil {
			return err
		}
	}
	return nil
}
