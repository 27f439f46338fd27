package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sluicehq/sluice/internal/client"
	"github.com/sluicehq/sluice/internal/event"
)

// soak is one run.
type soak struct {
	duration time.Duration
	binary   string
	rate     int
	disk     string
	dir      string
	filler   string // file that fills the disk; "" if it cannot be filled

	node      *node
	receivers *receivers
	tenants   []*tenant

	mu     sync.Mutex
	rows   map[string]*row // closed books, by kind
	faults []string
	full   int // times the disk was full
	starts int // after a stop by the API
}

// row sums the books of lives of one kind.
type row struct {
	lives int
	balance
}

// tenant is one customer.
type tenant struct {
	name   string
	ledger ledger
	api    *client.Client
	stay   []*life // for the whole run
}

// closeTimeout limits the wait for the last events. A receiver that failed is called again
// within seconds, and what the node forgot is swept within a minute.
const closeTimeout = 3 * time.Minute

// play starts everything, lets it run, and closes the books.
func (s *soak) play(ctx context.Context, data string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.rows = map[string]*row{}
	var err error
	if s.receivers, err = startReceivers(ctx); err != nil {
		return err
	}
	if s.node, err = newNode(ctx, s.binary, data, s.logPath()); err != nil {
		return err
	}
	if err := s.node.serve(ctx); err != nil {
		return err
	}
	defer s.node.signal(syscall.SIGTERM)
	if err := s.settle(ctx); err != nil {
		return err
	}
	say("%d tenants, %d events/s for %v; %s", len(s.tenants), s.rate, s.duration, s.dir)
	s.act(ctx, cancel)
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return s.close(ctx)
}

// settle registers what stays for the whole run.
func (s *soak) settle(ctx context.Context) error {
	for _, name := range []string{"acme", "beta", "cargo"} {
		t := &tenant{name: name}
		var err error
		if t.api, err = s.node.client(name); err != nil {
			return err
		}
		for i, wants := range []string{"", "order", "return.created"} {
			f := &life{tenant: name, id: fmt.Sprint("stays-", i), kind: fmt.Sprintf("stays, wants %q", wants), wants: wants}
			if err := s.register(ctx, t, f); err != nil {
				return err
			}
			t.stay = append(t.stay, f)
		}
		s.tenants = append(s.tenants, t)
	}
	return nil
}

// act runs every actor for the duration. An actor's error ends the run.
func (s *soak) act(ctx context.Context, fail context.CancelCauseFunc) {
	until, stop := context.WithTimeout(ctx, s.duration)
	defer stop()
	var actors sync.WaitGroup
	// loop repeats what an actor does, to its end, with pauses.
	loop := func(least, most time.Duration, do func(context.Context) error) {
		actors.Go(func() {
			for pause(until, least, most) {
				if err := do(ctx); err != nil && ctx.Err() == nil {
					fail(err)
				}
			}
		})
	}
	for _, t := range s.tenants {
		every := time.Duration(len(s.tenants)*callEvents) * time.Second / time.Duration(s.rate)
		loop(every/2, every*3/2, func(ctx context.Context) error { return s.publish(ctx, t) })
		loop(2*time.Second, 10*time.Second, func(ctx context.Context) error { return s.stopAndStart(ctx, t) })
		loop(time.Second, 10*time.Second, func(ctx context.Context) error { return s.replay(ctx, t) })
		loop(time.Second, 10*time.Second, func(ctx context.Context) error { return s.comeAndGo(ctx, t) })
		loop(2*time.Second, 10*time.Second, func(context.Context) error { s.trouble(t); return nil })
	}
	loop(10*time.Second, 30*time.Second, func(ctx context.Context) error { return s.node.restart(ctx, syscall.SIGKILL) })
	loop(time.Minute, 2*time.Minute, func(ctx context.Context) error { return s.node.restart(ctx, syscall.SIGTERM) })
	if s.filler != "" {
		loop(20*time.Second, 50*time.Second, s.fillDisk)
	}
	actors.Go(func() {
		for pause(until, time.Minute, time.Minute+1) {
			s.progress()
		}
	})
	actors.Wait()
}

// callEvents is how many events one call publishes on average.
const callEvents = 10

// publish publishes some events, again and again until the node says that it has them.
func (s *soak) publish(ctx context.Context, t *tenant) error {
	b := t.ledger.begin(1 + rand.N(2*callEvents-1))
	var body bytes.Buffer
	for n := b.first; n < b.next; n++ {
		_, _ = fmt.Fprintf(&body, `{"id":"%s","name":"%s","payload":{"n":%d,"text":"%s"}}`+"\n", idOf(n), nameOf(n), n, strings.Repeat("x", rand.N(200)))
	}
	_, err := ask(ctx, func(ctx context.Context) ([]string, error) { return t.api.Publish(ctx, body.Bytes()) })
	if err != nil {
		return fmt.Errorf("publishing for %s: %w", t.name, err)
	}
	t.ledger.published(b)
	return nil
}

// register registers a life. It is owed what is published afterwards, or in its span.
func (s *soak) register(ctx context.Context, t *tenant, f *life) error {
	reg := client.Registration{ID: f.id, Type: "permanent", Callback: &client.Callback{URL: s.receivers.open(f)}}
	switch {
	case strings.Contains(f.wants, "."):
		reg.Filter = &client.Filter{Events: []string{f.wants}}
	case f.wants != "":
		reg.Filter = &client.Filter{Entities: []string{f.wants}}
	}
	if f.isReplay() {
		reg.Type, reg.StartsAt, reg.EndsAt = "temporary", event.FormatTime(f.from), event.FormatTime(f.until)
	}
	_, err := ask(ctx, func(ctx context.Context) (client.Integration, error) { return t.api.Create(ctx, reg) })
	if refusal, ok := errors.AsType[*client.Error](err); ok && refusal.Status == http.StatusConflict {
		err = nil // the response to an earlier try was lost
	}
	if err != nil {
		return fmt.Errorf("registering %s of %s: %w", f.id, f.tenant, err)
	}
	if !f.isReplay() {
		f.since = t.ledger.next()
	}
	return nil
}

// stopAndStart stops an integration that stays, and starts it soon.
func (s *soak) stopAndStart(ctx context.Context, t *tenant) error {
	f := t.stay[rand.N(len(t.stay))]
	if _, err := ask(ctx, func(ctx context.Context) (client.Integration, error) { return t.api.Stop(ctx, f.id) }); err != nil {
		return fmt.Errorf("stopping %s of %s: %w", f.id, t.name, err)
	}
	pause(ctx, 0, 5*time.Second)
	if _, err := ask(ctx, func(ctx context.Context) (client.Integration, error) { return t.api.Start(ctx, f.id) }); err != nil {
		return fmt.Errorf("starting %s of %s: %w", f.id, t.name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.starts++
	return nil
}

// replay runs a replay to its end, checks its books and deletes it.
func (s *soak) replay(ctx context.Context, t *tenant) error {
	now := time.Now().Truncate(time.Millisecond)
	f := &life{tenant: t.name, id: "replay", kind: "replays", wants: []string{"", "order"}[rand.N(2)]}
	f.from, f.until = now.Add(-rand.N(2*time.Minute)-time.Second), now.Add(rand.N(20*time.Second)-10*time.Second)
	if f.until.Before(f.from) {
		return nil
	}
	if err := s.register(ctx, t, f); err != nil {
		return err
	}
	complete := func() bool {
		in, err := ask(ctx, func(ctx context.Context) (client.Integration, error) { return t.api.Integration(ctx, f.id) })
		return err == nil && in.Status == "stopped"
	}
	if !s.await(ctx, time.Now().Add(closeTimeout), complete) {
		s.fault("replay of %s, from %v to %v: it is not complete after %v", t.name, f.from, f.until, closeTimeout)
	}
	return s.retire(ctx, t, f, t.ledger.next())
}

// comeAndGo registers an integration and deletes it once it has what was published
// meanwhile.
func (s *soak) comeAndGo(ctx context.Context, t *tenant) error {
	f := &life{tenant: t.name, id: "guest", kind: "come and go", wants: []string{"", "order", "refund_request"}[rand.N(3)]}
	if err := s.register(ctx, t, f); err != nil {
		return err
	}
	pause(ctx, time.Second, 20*time.Second)
	upTo := t.ledger.next()
	s.await(ctx, time.Now().Add(closeTimeout), func() bool { return s.hasAll(t, f, upTo) })
	return s.retire(ctx, t, f, upTo)
}

// retire closes the books of a life and deletes it.
func (s *soak) retire(ctx context.Context, t *tenant, f *life, upTo int) error {
	if err := s.closeBooks(ctx, t, f, upTo); err != nil {
		return err
	}
	_, err := ask(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, t.api.Delete(ctx, f.id) })
	if refusal, ok := errors.AsType[*client.Error](err); ok && refusal.Status == http.StatusNotFound {
		err = nil // the response to an earlier try was lost
	}
	return err
}

// hasAll reports whether the books of a life balance over all that was begun before a
// number.
func (s *soak) hasAll(t *tenant, f *life, upTo int) bool {
	if !t.ledger.settled(upTo) {
		return false
	}
	b := s.books(t, f, upTo, false)
	return b.faults() == ""
}

func (s *soak) books(t *tenant, f *life, upTo int, skips bool) balance {
	return f.balanced(t.ledger.events(f, upTo), skips)
}

// closeBooks adds the books of a life to its row.
func (s *soak) closeBooks(ctx context.Context, t *tenant, f *life, upTo int) error {
	entries, err := ask(ctx, func(ctx context.Context) ([]client.LogEntry, error) { return t.api.Logs(ctx, f.id) })
	if err != nil {
		return fmt.Errorf("the log of %s of %s: %w", f.id, t.name, err)
	}
	skips := slices.ContainsFunc(entries, func(e client.LogEntry) bool { return e.Action == "events_skipped" })
	b := s.books(t, f, upTo, skips)
	if faults := b.faults(); faults != "" {
		s.fault("%s of %s: %s; its log: %+v", f.id, t.name, faults, entries)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rows[f.kind] == nil {
		s.rows[f.kind] = &row{}
	}
	s.rows[f.kind].lives++
	s.rows[f.kind].add(b)
	return nil
}

// trouble gives a receiver that stays a mood for a while.
func (s *soak) trouble(t *tenant) {
	m := []mood{failing, failing, slow, hanging}[rand.N(4)]
	t.stay[rand.N(len(t.stay))].account.feel(m, time.Second+rand.N(10*time.Second))
}

// fillDisk fills the disk to the last byte and makes room after some seconds.
func (s *soak) fillDisk(ctx context.Context) error {
	f, err := os.Create(s.filler)
	if err != nil {
		return err
	}
	for _, size := range []int{1 << 20, 4 << 10} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("filling the disk: %w", err)
	}
	s.mu.Lock()
	s.full++
	s.mu.Unlock()
	pause(ctx, 2*time.Second, 10*time.Second)
	return errors.Join(f.Close(), os.Remove(s.filler))
}

// await waits until something holds, and reports whether it does in time.
func (s *soak) await(ctx context.Context, deadline time.Time, holds func() bool) bool {
	for time.Now().Before(deadline) {
		if holds() {
			return true
		}
		if !pause(ctx, 200*time.Millisecond, 400*time.Millisecond) {
			return false
		}
	}
	return holds()
}

func (s *soak) fault(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, fmt.Sprintf(format, args...))
	say("FAULT: %s", s.faults[len(s.faults)-1])
}
