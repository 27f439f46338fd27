package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/internal/client"
)

func rejectedDeleteCommand(a *api) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "delete ID [EVENT]",
		Short: "Delete a rejected event, or all of them",
		Example: `  sluice rejected delete my-webhook 0198a2f4-7c1e-7b3a-9d52-3f6c0f7a1b2c
  sluice rejected delete my-webhook --all`,
		Args: oneOrAll(&all),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			if all {
				return a.deleteAll(cmd, c, args[0])
			}
			if err := c.DeleteRejected(cmd.Context(), args[0], args[1]); err != nil {
				return err
			}
			return a.done("Deleted %s.", args[1])
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "delete every event in the list")
	return cmd
}

// deleteAll deletes the rejected events of an integration, in as many calls as it takes. What
// was deleted before an error is told.
func (a *api) deleteAll(cmd *cobra.Command, c *client.Client, id string) error {
	sum, err := c.DeleteRejectedEvents(cmd.Context(), id)
	if err != nil {
		return err
	}
	for more := sum; err == nil && more.Remaining > 0 && len(more.Deleted) > 0; {
		if more, err = c.DeleteRejectedEvents(cmd.Context(), id); err == nil {
			sum.Deleted, sum.Remaining = append(sum.Deleted, more.Deleted...), more.Remaining
		}
	}
	return errors.Join(err, a.tellDeletions(id, sum))
}

func (a *api) tellDeletions(id string, sum client.Bulk) error {
	if a.asJSON {
		return printJSON(a.env.out, sum)
	}
	return a.say("Deleted %s of %s.", count(len(sum.Deleted), "rejected event"), id)
}
