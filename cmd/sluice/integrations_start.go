package main

import "github.com/spf13/cobra"

func integrationsStartCommand(a *api) *cobra.Command {
	return &cobra.Command{
		Use:   "start ID",
		Short: "Start a stopped integration where it left off",
		Long: `Start a stopped integration. It receives everything published since it was stopped,
unless that is longer ago than the retention (30 days by default): then it receives
only what is published from now on.`,
		Example: "  sluice integrations start my-webhook",
		Args:    exactArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			in, err := c.Start(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.shown(&in, "%s is %s.", in.ID, in.Status)
		},
	}
}
