package main

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/sluicehq/sluice/internal/client"
)

const listHelp = `List the tenant's integrations and how they are doing.

  STATE   healthy, catching_up, failing, stopped or complete
  BEHIND  events in the log that the integration has yet to deliver or filter out
  SINCE   since when the receiver fails, else when the first of these events was published`

// healthTable are integrations with their health, one a row.
func healthTable(list []client.Integration) [][]string {
	rows := [][]string{{"ID", "TYPE", "STATE", "BEHIND", "SINCE", "TARGET"}}
	for i := range list {
		in := &list[i]
		state, behind, since := in.Status, "-", "-"
		if h := in.Health; h != nil {
			state, behind = h.State, fmt.Sprint(h.Behind.Events)
			since = cmp.Or(h.Behind.Oldest, "-")
			if h.Failing != nil {
				since = h.Failing.Since
			}
		}
		rows = append(rows, []string{in.ID, in.Type, state, behind, since, target(in)})
	}
	return rows
}

// healthRows say in words how an integration is doing, for a table.
func healthRows(h *client.Health) [][]string {
	rows := [][]string{{"state", stateInWords(h)}}
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, []string{name, value})
		}
	}
	if f := h.Failing; f != nil {
		add("waits for", waitsFor(f))
		add("next attempt", f.NextAttemptAt)
		if f.StopsAt != "" {
			add("stops at", f.StopsAt+" unless an attempt succeeds")
		}
	}
	add("behind", behindInWords(&h.Behind))
	add("delivered through", h.DeliveredThrough)
	add("last delivered at", h.LastDeliveredAt)
	if h.RestartBy != "" {
		add("restart by", h.RestartBy+" to lose nothing")
	}
	if p := h.Progress; p != nil {
		add("progress", fmt.Sprintf("%.0f %%: %d read, %d filtered out, %d delivered, %d rejected, %d skipped",
			100*p.Fraction, p.Read, p.Filtered, p.Delivered, p.Rejected, p.Skipped))
	}
	return rows
}

func stateInWords(h *client.Health) string {
	switch {
	case h.Failing != nil:
		return fmt.Sprintf("failing since %s, after %s", h.Failing.Since, count(h.Failing.Attempts, "attempt"))
	case h.Reason == "stopped_by_api":
		return "stopped via the API"
	case h.Reason == "stopped_after_failing":
		return "stopped, as its receiver failed for too long"
	}
	return strings.ReplaceAll(h.State, "_", " ")
}

func waitsFor(f *client.Outage) string {
	what := "a file"
	if f.EventID != "" {
		what = fmt.Sprintf("event %s (%s)", f.EventID, f.EventName)
	}
	return what + ": " + f.Cause
}

func behindInWords(b *client.Behind) string {
	if b.Events == 0 {
		return "nothing"
	}
	return fmt.Sprintf("%s (about %s), the first published at %s", count(b.Events, "event"), size(b.Bytes), b.Oldest)
}

// size writes bytes for people.
func size(bytes int64) string {
	switch {
	case bytes < 1<<10:
		return fmt.Sprintf("%d bytes", bytes)
	case bytes < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(bytes)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
}
