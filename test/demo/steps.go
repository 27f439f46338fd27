package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"syscall"
	"time"

	"github.com/johannesboyne/gofakes3"

	"github.com/sluicehq/sluice/internal/client"
)

// callLimit limits the events of a publish call.
const callLimit = 500

func (s *stage) register(ctx context.Context) error {
	if _, err := s.api.Create(ctx, client.Registration{
		ID: "orders", Type: "permanent",
		Callback: &client.Callback{URL: s.receiver + "/orders", APIKey: "demo-key-of-the-receiver"},
	}); err != nil {
		return err
	}
	_, err := s.api.Create(ctx, client.Registration{ID: "archive", Type: "permanent", S3: &client.S3{
		AccessKeyID: "AKIADEMO", SecretAccessKey: "demo-secret-access-key", Region: "eu-central-1",
		Bucket: bucket, KeyPrefix: "sluice", Endpoint: s.store,
	}})
	if err != nil {
		return err
	}
	list, err := s.api.Integrations(ctx)
	if err != nil {
		return err
	}
	for _, in := range list {
		s.say("  %-8s %s", in.ID, in.Status)
	}
	return expect(len(list) == 2, "2 integrations, not %d", len(list))
}

func (s *stage) publish(ctx context.Context) error {
	lines, err := samples()
	if err != nil {
		return err
	}
	var first struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	if err := json.Unmarshal(lines[len(lines)/2], &first); err != nil {
		return err
	}
	s.mu.Lock()
	s.refused, s.failFrom = first.ID, len(lines)/3
	s.mu.Unlock()
	if err := s.send(ctx, lines); err != nil {
		return err
	}
	s.say("  published %d events; %s will be refused", len(lines), first.Name)
	err = s.until(ctx, 30*time.Second, "all but one event arrived", func() (bool, error) {
		_, n := s.arrived("/orders")
		return n == len(lines)-1, nil
	})
	all, different := s.arrived("/orders")
	s.say("  %d different events arrived, in %d calls that were taken", different, all)
	return err
}

// send publishes events in calls of at most callLimit events.
func (s *stage) send(ctx context.Context, lines [][]byte) error {
	for len(lines) > 0 {
		n := min(callLimit, len(lines))
		ids, err := s.api.Publish(ctx, bytes.Join(lines[:n], []byte("\n")))
		if err != nil {
			return err
		}
		s.events += len(ids)
		lines = lines[n:]
	}
	return nil
}

// logDelay is longer than the log entry of a failed attempt may be late.
const logDelay = 10 * time.Second

func (s *stage) readLog(ctx context.Context) error {
	var entries []client.LogEntry
	err := s.until(ctx, logDelay, "the log says all that happened", func() (bool, error) {
		var err error
		entries, err = s.api.Logs(ctx, "orders")
		for _, action := range []string{"integration_created", "integration_started", "retry_triggered", "event_rejected", "delivery_recovered"} {
			if !slices.ContainsFunc(entries, func(e client.LogEntry) bool { return e.Action == action }) {
				return false, err
			}
		}
		return true, err
	})
	told := make(map[string]int)
	for _, e := range slices.Backward(entries) {
		if told[e.Action]++; told[e.Action] <= 2 {
			s.say("  %-20s %s", e.Action, e.Reason)
		}
	}
	return err
}

func (s *stage) stopAndStart(ctx context.Context) error {
	if err := s.stop(ctx); err != nil {
		return err
	}
	_, before := s.arrived("/orders")
	var missed [][]byte
	for i := range 25 {
		missed = append(missed, fmt.Appendf(nil, `{"name":"order.created","payload":{"order_id":"late-%d"}}`, i))
	}
	if err := s.send(ctx, missed); err != nil {
		return err
	}
	select {
	case <-time.After(300 * time.Millisecond): // long enough for an event to arrive
	case <-ctx.Done():
	}
	_, while := s.arrived("/orders")
	s.say("  while it was stopped, %d events were published and %d arrived", len(missed), while-before)
	if err := expect(while == before, "no event while stopped"); err != nil {
		return err
	}
	if _, err := s.api.Start(ctx, "orders"); err != nil {
		return err
	}
	err := s.until(ctx, 10*time.Second, "the missed events arrived", func() (bool, error) {
		_, n := s.arrived("/orders")
		return n == before+len(missed), nil
	})
	s.say("  after the start, all %d arrived", len(missed))
	return err
}

func (s *stage) stop(ctx context.Context) error {
	if _, err := s.api.Stop(ctx, "orders"); err != nil {
		return err
	}
	return s.until(ctx, 20*time.Second, "the integration is stopped", func() (bool, error) {
		in, err := s.api.Integration(ctx, "orders")
		return in.Status == "stopped", err
	})
}

func (s *stage) retryRejected(ctx context.Context) error {
	list, _, err := s.api.RejectedEvents(ctx, "orders", 10, "")
	if err != nil {
		return err
	}
	if err := expect(len(list) == 1, "1 rejected event, not %d", len(list)); err != nil {
		return err
	}
	var refused *client.Error
	err = s.api.RetryRejected(ctx, "orders", list[0].ID)
	if !errors.As(err, &refused) || refused.Status != 502 {
		return fmt.Errorf("a retry that the receiver refuses should be a 502, not: %w", err)
	}
	s.say("  the receiver still refuses it: %s", refused.Message)
	s.mu.Lock()
	s.refused = ""
	s.mu.Unlock()
	if err := s.api.RetryRejected(ctx, "orders", list[0].ID); err != nil {
		return err
	}
	list, _, err = s.api.RejectedEvents(ctx, "orders", 10, "")
	s.say("  now it takes it; %d rejected events are left", len(list))
	return errors.Join(err, expect(len(list) == 0, "an empty list"))
}

func (s *stage) replay(ctx context.Context) error {
	_, err := s.api.Create(ctx, client.Registration{
		ID: "replay", Type: "temporary",
		StartsAt: s.started.UTC().Format(time.RFC3339Nano), EndsAt: time.Now().UTC().Format(time.RFC3339Nano),
		Callback: &client.Callback{URL: s.receiver + "/replay"},
	})
	if err != nil {
		return err
	}
	err = s.until(ctx, 20*time.Second, "the replay has stopped itself", func() (bool, error) {
		in, err := s.api.Integration(ctx, "replay")
		return in.Status == "stopped", err
	})
	if err != nil {
		return err
	}
	_, n := s.arrived("/replay")
	s.say("  %d of %d events arrived again, and the replay has stopped itself", n, s.events)
	return expect(n == s.events, "all events in the replay")
}

var fileName = regexp.MustCompile(`^sluice/` + tenant + `/[0-9]{13}-data-[a-z0-9]+\.export$`)

func (s *stage) listFiles(ctx context.Context) error {
	ids := make(map[string]bool)
	read := make(map[string]bool)
	return s.until(ctx, 20*time.Second, "every event is in a file", func() (bool, error) {
		list, err := s.files.ListBucket(bucket, nil, gofakes3.ListBucketPage{})
		if err != nil {
			return false, err
		}
		for _, item := range list.Contents {
			if read[item.Key] {
				continue
			}
			read[item.Key] = true
			n, err := s.readFile(item.Key, ids)
			if err != nil {
				return false, err
			}
			s.say("  s3://%s/%s: %d events, %d bytes", bucket, item.Key, n, item.Size)
		}
		return len(ids) == s.events, nil
	})
}

// readFile adds the ids of a file's events and returns how many there are.
func (s *stage) readFile(key string, ids map[string]bool) (int, error) {
	if !fileName.MatchString(key) {
		return 0, fmt.Errorf("the name %q is not as it should be", key)
	}
	object, err := s.files.GetObject(bucket, key, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = object.Contents.Close() }()
	lines := bufio.NewScanner(object.Contents)
	lines.Buffer(nil, 1<<20)
	n := 0
	for lines.Scan() {
		var e struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return n, fmt.Errorf("%s, line %d: %w", key, n+1, err)
		}
		ids[e.ID] = true
		n++
	}
	return n, lines.Err()
}

func (s *stage) shutDown(ctx context.Context) error {
	started := time.Now()
	if err := s.node.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-s.exited:
		if err != nil {
			return fmt.Errorf("the node ended with %w: %s", err, s.errors.String())
		}
	case <-ctx.Done():
		return ctx.Err()
	}
	s.say("  the node ended after %d ms", time.Since(started).Milliseconds())
	return nil
}

// expect returns an error unless ok.
func expect(ok bool, what string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf("expected "+what, args...)
}
