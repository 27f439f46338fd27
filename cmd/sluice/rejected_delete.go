package main

import "github.com/spf13/cobra"

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
				deleted, err := c.DeleteRejectedEvents(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if a.asJSON {
					return printJSON(a.env.out, deleted)
				}
				return a.say("Deleted %s of %s.", count(len(deleted.Deleted), "rejected event"), args[0])
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
