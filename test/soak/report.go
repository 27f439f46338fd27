package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/sluicehq/sluice/internal/client"
)

// progress says in a line what has happened so far.
func (s *soak) progress() {
	published := 0
	for _, t := range s.tenants {
		published += t.ledger.next()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	replays, guests := 0, 0
	if r := s.rows["replays"]; r != nil {
		replays = r.lives
	}
	if r := s.rows["come and go"]; r != nil {
		guests = r.lives
	}
	say("%d events published, %d calls answered; %d stops and starts, %d replays, %d came and went; %d kills, %d shutdowns, %d times a full disk, %d starts refused; %d faults",
		published, s.receivers.calls(), s.starts, replays, guests, s.node.kills, s.node.stops, s.full, s.node.refused, len(s.faults))
}

// close starts all that stays, waits until it has everything, and prints the books.
func (s *soak) close(ctx context.Context) error {
	say("closing the books")
	for _, t := range s.tenants {
		for _, f := range t.stay {
			f.account.feel(well, 0)
			if _, err := ask(ctx, func(ctx context.Context) (client.Integration, error) { return t.api.Start(ctx, f.id) }); err != nil {
				return err
			}
		}
	}
	deadline := time.Now().Add(closeTimeout)
	for _, t := range s.tenants {
		upTo := t.ledger.next()
		for _, f := range t.stay {
			s.await(ctx, deadline, func() bool { return s.hasAll(t, f, upTo) })
			if err := s.closeBooks(ctx, t, f, upTo); err != nil {
				return err
			}
		}
	}
	s.progress()
	s.table()
	if len(s.faults) > 0 {
		return fmt.Errorf("%d faults; the first: %s", len(s.faults), s.faults[0])
	}
	say("the books balance")
	return nil
}

func (s *soak) table() {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(w, "\nintegrations\tlives\tpublished\tacknowledged\trejected\tskipped\tfiltered\tmissing\t")
	for _, kind := range slices.Sorted(maps.Keys(s.rows)) {
		r := s.rows[kind]
		_, _ = fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n", kind, r.lives, r.Published, r.Acknowledged, r.Rejected, r.Skipped, r.Filtered, len(r.missing))
	}
	_ = w.Flush()
	_, _ = fmt.Fprintln(os.Stdout)
}
