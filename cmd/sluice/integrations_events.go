package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/internal/client"
	"github.com/sluicehq/sluice/internal/usertext"
)

const (
	pullLimit = 1000 // events of a call, at most
	pullWait  = 20 * time.Second
)

// pullFlags are the flags of integrations events.
type pullFlags struct {
	api      *api
	position string
	limit    int
	follow   bool
}

func integrationsEventsCommand(a *api) *cobra.Command {
	f := &pullFlags{api: a}
	cmd := &cobra.Command{
		Use:   "events ID",
		Short: "Read the events of an integration from the log",
		Long: `Print the events that pass an integration's filter, as they are in the log: time, name,
id and payload on a line or, with --json, the event itself. It changes nothing: what
is delivered does not depend on it.

A position is earliest (from the registration or starts_at on, as far as the retention
reaches back), latest (what is published from now on), a time, or where an earlier
call ended, which is printed at the end on standard error.`,
		Example: `  sluice integrations events my-webhook
  sluice integrations events my-webhook --follow --position latest
  sluice integrations events my-webhook --position 2026-01-31T12:00:00Z --json > events.ndjson`,
		Args: exactArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.position, "position", "earliest", "earliest, latest, an RFC 3339 time, or where an earlier call ended")
	completeFlag(cmd, "position", "earliest", "latest")
	flags.IntVar(&f.limit, "limit", 0, "print at most so many events; 0: all")
	flags.BoolVarP(&f.follow, "follow", "f", false, "wait for further events at the end, until Ctrl-C")
	return cmd
}

func (f *pullFlags) run(cmd *cobra.Command, id string) error {
	if f.limit < 0 {
		return usageErrorf(cmd, "--limit is %d; it must not be negative", f.limit)
	}
	c, err := f.api.client(cmd)
	if err != nil {
		return err
	}
	began := f.position
	err = f.pull(cmd.Context(), c, id)
	if f.follow && errors.Is(err, context.Canceled) {
		err = nil
	}
	if f.position != began {
		_, _ = fmt.Fprintf(f.api.env.err, "To go on from here: sluice integrations events %s --position %s\n", usertext.ShellWord(id), f.position)
	}
	return err
}

// pull prints pages until the end, the limit or, with --follow, until ctx ends.
func (f *pullFlags) pull(ctx context.Context, c *client.Client, id string) error {
	wait := time.Duration(0)
	if f.follow {
		wait = pullWait
	}
	failures := 0
	for left := f.limit; ; {
		limit := pullLimit
		if f.limit > 0 {
			limit = min(left, pullLimit)
		}
		page, err := c.Pull(ctx, id, f.position, limit, wait)
		if err != nil {
			failures++
			if err := f.retry(ctx, err, failures); err != nil {
				return err
			}
			continue
		}
		failures = 0
		n, err := f.print(page)
		if err != nil {
			return err
		}
		f.position = page.Next
		if left -= n; f.limit > 0 && left <= 0 || page.AtEnd && !f.follow {
			return nil
		}
	}
}

// maxRetryDelay bounds how long --follow waits before it tries again.
const maxRetryDelay = 30 * time.Second

// retry waits before another attempt of a call that failed, or returns its error if
// another attempt would not help or nobody follows.
func (f *pullFlags) retry(ctx context.Context, err error, failures int) error {
	if !f.follow || exitCode(err) != exitUnavailable {
		return err
	}
	delay := min(time.Second<<min(failures-1, 5), maxRetryDelay)
	if e, ok := errors.AsType[*client.Error](err); ok && e.Status == http.StatusTooManyRequests {
		delay = max(delay, min(e.RetryAfter, maxRetryDelay))
	}
	printError(f.api.env.err, fmt.Errorf("%w; trying again in %s", err, delay))
	return f.api.env.sleep(ctx, delay)
}

// print prints the events of a page, and returns how many there were.
func (f *pullFlags) print(page client.Pulled) (n int, err error) {
	if page.Lost > 0 {
		_, _ = fmt.Fprintf(f.api.env.err, "sluice: %s here can no longer be read, as the log is damaged\n", count(page.Lost, "event"))
	}
	n = bytes.Count(page.Lines, []byte("\n"))
	if f.api.asJSON || n == 0 {
		_, err = lineWriter{f.api.env.out}.Write(page.Lines)
		return n, err
	}
	var rows [][]string
	for line := range bytes.Lines(page.Lines) {
		var e struct {
			ID          string          `json:"id"`
			Name        string          `json:"name"`
			PublishedAt string          `json:"published_at"`
			Payload     json.RawMessage `json:"payload"`
		}
		if err := json.Unmarshal(line, &e); err != nil {
			return 0, fmt.Errorf("the response has a line that is not an event: %s", strconv.Quote(strings.TrimSpace(string(line))))
		}
		rows = append(rows, []string{e.PublishedAt, e.Name, e.ID, string(e.Payload)})
	}
	return n, printTable(f.api.env.out, rows)
}
