package main

import "github.com/spf13/cobra"

func rejectedGetCommand(a *api) *cobra.Command {
	return &cobra.Command{
		Use:     "get ID EVENT",
		Short:   "Print a rejected event as it was sent (JSON)",
		Example: "  sluice rejected get my-webhook 0198a2f4-7c1e-7b3a-9d52-3f6c0f7a1b2c",
		Args:    exactArgs("ID", "EVENT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			event, err := c.RejectedEvent(cmd.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			return printJSON(a.env.out, event)
		},
	}
}
