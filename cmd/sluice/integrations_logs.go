package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/internal/client"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/usertext"
)

const logsLimit = 50 // unless --limit is given

const logsEvery = time.Second

// logs are the flags of the command.
type logs struct {
	*api
	id, action string
	limit      int
	follow     bool
}

func integrationsLogsCommand(a *api) *cobra.Command {
	l := &logs{api: a}
	cmd := &cobra.Command{
		Use:   "logs ID",
		Short: "Show the log of an integration, newest entries first",
		Long: `Show the newest entries of an integration's log, newest first.

With --follow the oldest of them comes first, and new ones follow until it is interrupted
(Ctrl-C); with --json they are one a line. While the service cannot be reached it says so
and goes on.`,
		Example: `  sluice integrations logs my-webhook
  sluice integrations logs my-webhook --follow
  sluice integrations logs my-webhook --action integration_stopped --limit 5`,
		Args: exactArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if l.limit < 1 {
				return usageErrorf(cmd, "--limit is %d; it must be at least 1", l.limit)
			}
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			l.id = args[0]
			if l.follow {
				return l.followLog(cmd.Context(), c)
			}
			entries, err := l.newest(cmd.Context(), c)
			if err != nil {
				return err
			}
			return l.print(entries)
		},
	}
	cmd.Flags().StringVar(&l.action, "action", "", "only entries with this action, such as event_rejected")
	completeFlag(cmd, "action", integration.Actions()...)
	cmd.Flags().IntVar(&l.limit, "limit", logsLimit, "how many entries to show")
	cmd.Flags().BoolVarP(&l.follow, "follow", "f", false, "go on with new entries")
	return cmd
}

// newest returns the newest entries, as many as the limit says, page by page.
func (l *logs) newest(ctx context.Context, c *client.Client) ([]client.LogEntry, error) {
	return pages(l.limit, func(size int, after string) ([]client.LogEntry, string, error) {
		return c.LogsAfter(ctx, l.id, client.LogQuery{Action: l.action, Limit: size, After: after})
	})
}

func (l *logs) print(entries []client.LogEntry) error {
	if l.asJSON {
		return printJSON(l.env.out, map[string][]client.LogEntry{"entries": entries})
	}
	rows := [][]string{{"TIME", "ACTION", "REASON"}}
	for _, entry := range entries {
		rows = append(rows, []string{entry.CreatedAt, entry.Action, entry.Reason})
	}
	return printTable(l.env.out, rows)
}

// followLog prints the newest entries and then each that is new, until the context ends,
// which is no error.
func (l *logs) followLog(ctx context.Context, c *client.Client) error {
	var seen map[client.LogEntry]bool
	for {
		fresh, now, err := l.unseen(ctx, c, seen)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !passing(err):
			return err
		case err != nil:
			_, _ = fmt.Fprintln(l.env.err, "sluice: "+usertext.Escape(err.Error()))
		default:
			if seen == nil {
				fresh = fresh[:min(len(fresh), l.limit)]
			}
			if err := l.printLines(fresh); err != nil {
				return err
			}
			seen = now
		}
		if l.env.sleep(ctx, logsEvery) != nil {
			return nil
		}
	}
}

// unseen returns the entries that were not seen, newest first, and the pages they are in.
// An entry may come later than newer ones, so that the newest page is compared as a whole.
func (l *logs) unseen(ctx context.Context, c *client.Client, seen map[client.LogEntry]bool) (fresh []client.LogEntry, now map[client.LogEntry]bool, err error) {
	now = make(map[client.LogEntry]bool)
	q := client.LogQuery{Action: l.action, Limit: pageSize}
	for {
		page, next, err := c.LogsAfter(ctx, l.id, q)
		if err != nil {
			return nil, nil, err
		}
		known := false
		for _, entry := range page {
			if now[entry] = true; seen[entry] {
				known = true
			} else {
				fresh = append(fresh, entry)
			}
		}
		if known || next == "" || len(seen) == 0 && len(fresh) >= l.limit {
			return fresh, now, nil
		}
		q.After = next
	}
}

// printLines prints entries, the oldest first, one a line.
func (l *logs) printLines(entries []client.LogEntry) error {
	for _, entry := range slices.Backward(entries) {
		var err error
		if l.asJSON {
			err = json.NewEncoder(lineWriter{l.env.out}).Encode(entry)
		} else {
			_, err = fmt.Fprintln(l.env.out, usertext.Escape(fmt.Sprintf("%s  %-22s  %s", entry.CreatedAt, entry.Action, entry.Reason)))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
