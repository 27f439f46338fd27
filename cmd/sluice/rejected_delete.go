package main

import "github.com/spf13/cobra"

func rejectedDeleteCommand(a *api) *cobra.Command {
	return &cobra.Command{
		Use:     "delete ID EVENT",
		Short:   "Delete a rejected event",
		Example: "  sluice rejected delete my-webhook 0198a2f4-7c1e-7b3a-9d52-3f6c0f7a1b2c",
		Args:    exactArgs("ID", "EVENT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			if err := c.DeleteRejected(cmd.Context(), args[0], args[1]); err != nil {
				return err
			}
			return a.done("Deleted %s.", args[1])
		},
	}
}
