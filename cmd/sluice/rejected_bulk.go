package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/internal/client"
)

// oneOrAll are the Args of a command that takes the id of an event, or --all.
func oneOrAll(all *bool) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if *all {
			return exactArgs("ID")(cmd, args)
		}
		return exactArgs("ID", "EVENT")(cmd, args)
	}
}

// bulkSize is how many events a call takes.
const bulkSize = 100

// retryAll retries the rejected events of an integration, each once, oldest first.
func (a *api) retryAll(cmd *cobra.Command, c *client.Client, id string) error {
	listed, err := rejectedEvents(cmd.Context(), c, id, 0)
	if err != nil {
		return err
	}
	var ids []string
	for _, e := range slices.Backward(listed) {
		ids = append(ids, e.ID)
	}
	sum, err := retryEach(cmd.Context(), c, id, ids)
	if err != nil && len(sum.Delivered)+len(sum.Failed) == 0 {
		return err
	}
	if told := a.tellRetries(id, sum); told != nil {
		return told
	}
	if n := len(sum.Failed); n > 0 && err == nil {
		return fmt.Errorf("%s of %s could not be delivered; what failed stays in the list unless it was evicted", count(n, "rejected event"), id)
	}
	return err
}

// retryEach retries events in as many calls as it takes. Beside an error it returns what
// became of the events before it.
func retryEach(ctx context.Context, c *client.Client, id string, ids []string) (client.Bulk, error) {
	sum := client.Bulk{Delivered: []string{}, Failed: []client.BulkFailure{}}
	for len(ids) > 0 {
		n := min(len(ids), bulkSize)
		got, err := c.RetryRejectedEvents(ctx, id, ids[:n])
		if err != nil {
			return sum, err
		}
		reached := n - got.Remaining
		if reached <= 0 {
			return sum, errors.New("the service has retried nothing; try again later")
		}
		ids = ids[reached:]
		sum.Delivered, sum.Failed = append(sum.Delivered, got.Delivered...), append(sum.Failed, got.Failed...)
	}
	return sum, nil
}

// tellRetries prints what became of retries.
func (a *api) tellRetries(id string, sum client.Bulk) error {
	if a.asJSON {
		return printJSON(a.env.out, sum)
	}
	for _, f := range sum.Failed {
		if err := a.say("%s failed: %s", f.ID, f.Cause); err != nil {
			return err
		}
	}
	return a.say("The receiver of %s accepted %d of %s.", id, len(sum.Delivered), count(len(sum.Delivered)+len(sum.Failed), "rejected event"))
}
