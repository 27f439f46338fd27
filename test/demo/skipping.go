package main

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/sluicehq/sluice/internal/client"
)

// skip has an event that the webhook can never take hold up its stream, until it is skipped.
func (s *stage) skip(ctx context.Context) error {
	id := uuid.NewString()
	s.mu.Lock()
	s.stuck = id
	s.mu.Unlock()
	_, before := s.arrived("/orders")
	if err := s.send(ctx, [][]byte{fmt.Appendf(nil, `{"id":%q,"name":"order.created","payload":{"order_id":"odd"}}`, id)}); err != nil {
		return err
	}
	if err := s.waitsFor(ctx, id, 0); err != nil {
		return err
	}
	var others [][]byte
	for i := range 10 {
		others = append(others, fmt.Appendf(nil, `{"name":"order.created","payload":{"order_id":"behind-%d"}}`, i))
	}
	if err := s.send(ctx, others); err != nil {
		return err
	}
	if err := s.waitsFor(ctx, id, len(others)); err != nil {
		return err
	}
	_, n := s.arrived("/orders")
	if err := expect(n == before, "no event to pass the one that is stuck, and %d did", n-before); err != nil {
		return err
	}
	if err := s.api.Skip(ctx, "orders", id); err != nil {
		return err
	}
	err := s.until(ctx, 10*time.Second, "the events behind it arrived", func() (bool, error) {
		_, n := s.arrived("/orders")
		return n == before+len(others), nil
	})
	s.say("  it was skipped, and the %d events behind it arrived", len(others))
	if err != nil {
		return err
	}
	return s.isKept(ctx, id)
}

// waitsFor waits until an attempt failed while the webhook's health names the event that
// holds it up, with so many behind it.
func (s *stage) waitsFor(ctx context.Context, id string, behind int) error {
	var h client.Health
	attempts := -1
	err := s.until(ctx, 10*time.Second, "orders waits for the event", func() (bool, error) {
		var err error
		h, err = s.api.Health(ctx, "orders")
		if err != nil || h.Failing == nil || h.Failing.EventID != id || h.Behind.Events != 1+behind {
			return false, err
		}
		if attempts < 0 {
			attempts = h.Failing.Attempts
		}
		return h.Failing.Attempts > attempts, nil
	})
	if err != nil {
		return err
	}
	s.say("  orders is %s: it waits for %s, %s; not delivered: %d", h.State, h.Failing.EventName, h.Failing.Cause, h.Behind.Events)
	return expect(h.Failing.StatusCode == 422, "the status 422, not %d", h.Failing.StatusCode)
}

// isKept checks that an event is in the list of rejected ones, as skipped.
func (s *stage) isKept(ctx context.Context, id string) error {
	list, _, err := s.api.RejectedEvents(ctx, "orders", 10, "")
	if err != nil {
		return err
	}
	if err := expect(len(list) == 1 && list[0].ID == id, "one event in the list of rejected ones, not %d", len(list)); err != nil {
		return err
	}
	e := list[0]
	s.say("  it is in the list of rejected events, as %s", e.Reason)
	return expect(e.Reason == "skipped" && e.StatusCode != nil && *e.StatusCode == 422, "skipped and 422")
}
