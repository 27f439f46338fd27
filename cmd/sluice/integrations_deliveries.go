package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/internal/client"
)

const deliveriesLimit = 50 // unless --limit is given

// deliveries are the flags of the command.
type deliveries struct {
	*api
	query client.DeliveryQuery
	limit int
}

func integrationsDeliveriesCommand(a *api) *cobra.Command {
	d := &deliveries{api: a}
	cmd := &cobra.Command{
		Use:   "deliveries ID",
		Short: "Show what was sent to an integration's receiver, newest first",
		Long: `Show the newest deliveries of an integration: what was delivered, rejected or skipped,
and what is being retried. Each has the event, the number of attempts, when the last one
began, the status of the response, how long it took, and why it failed or the file.

An event that the log no longer has is shown without its id and name.`,
		Example: `  sluice integrations deliveries my-webhook
  sluice integrations deliveries my-webhook --event-id 019c1f3e-5c61-7d8a-9f10-0a4b5c6d7e8f
  sluice integrations deliveries my-webhook --outcome rejected --from 2026-01-31T12:00:00Z`,
		Args: exactArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error { return d.run(cmd, args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&d.query.EventID, "event-id", "", "only of the event with this id")
	flags.StringVar(&d.query.EventName, "event-name", "", "only of events with this name")
	flags.StringVar(&d.query.Outcome, "outcome", "", "only delivered, rejected, skipped or retrying ones")
	flags.StringVar(&d.query.From, "from", "", "only those whose last attempt began at this time or later (RFC 3339)")
	flags.StringVar(&d.query.To, "to", "", "only those whose last attempt began at this time or earlier (RFC 3339)")
	flags.IntVar(&d.limit, "limit", deliveriesLimit, "how many deliveries to show")
	completeFlag(cmd, "outcome", "delivered", "rejected", "skipped", "retrying")
	return cmd
}

func (d *deliveries) run(cmd *cobra.Command, id string) error {
	if d.limit < 1 {
		return usageErrorf(cmd, "--limit is %d; it must be at least 1", d.limit)
	}
	c, err := d.client(cmd)
	if err != nil {
		return err
	}
	found, err := d.read(cmd.Context(), c, id)
	if err != nil {
		return err
	}
	if d.asJSON {
		return printJSON(d.env.out, map[string][]client.Delivery{"deliveries": found})
	}
	if len(found) == 0 {
		return d.say("%s has no such deliveries.", id)
	}
	return printTable(d.env.out, deliveryRows(found))
}

// read reads page by page.
func (d *deliveries) read(ctx context.Context, c *client.Client, id string) ([]client.Delivery, error) {
	return pages(d.limit, func(size int, after string) ([]client.Delivery, string, error) {
		q := d.query
		q.Limit, q.After = size, after
		return c.Deliveries(ctx, id, q)
	})
}

func deliveryRows(found []client.Delivery) [][]string {
	rows := [][]string{{"LAST ATTEMPT", "EVENT", "NAME", "OUTCOME", "ATTEMPTS", "STATUS", "TOOK", "CAUSE OR FILE"}}
	for _, e := range found {
		status, took := "", ""
		if e.StatusCode != nil {
			status = strconv.Itoa(*e.StatusCode)
		}
		if e.TookMS != nil {
			took = fmt.Sprintf("%d ms", *e.TookMS)
		}
		rows = append(rows, []string{
			given(e.Last), given(e.EventID), given(e.EventName), e.Outcome, strconv.Itoa(e.Attempts), status, took, given(e.Cause) + given(e.File),
		})
	}
	return rows
}

// given returns a text that may be missing.
func given(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
