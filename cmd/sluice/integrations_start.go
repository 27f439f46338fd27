package main

import (
	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/internal/client"
)

func integrationsStartCommand(a *api) *cobra.Command {
	var from string
	cmd := &cobra.Command{
		Use:   "start ID",
		Short: "Start a stopped integration where it left off, or from a time",
		Long: `Start a stopped integration. It receives everything published since it was stopped,
unless that is longer ago than the retention (30 days by default): then it receives
only what is published from now on.

With --from it starts elsewhere: at a time within the retention, back or forth, from
which it receives everything published (again, if it was delivered before), or at
"latest", with what is published from now on. What lies between is not delivered.`,
		Example: `  sluice integrations start my-webhook
  sluice integrations start my-webhook --from 2026-03-01T00:00:00Z
  sluice integrations start my-webhook --from latest`,
		Args: exactArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			var in client.Integration
			if cmd.Flags().Changed("from") {
				in, err = c.StartFrom(cmd.Context(), args[0], from)
			} else {
				in, err = c.Start(cmd.Context(), args[0])
			}
			if err != nil {
				return err
			}
			return a.shown(&in, "%s is %s.", in.ID, in.Status)
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "where to start: latest, or a time such as 2026-03-01T00:00:00Z")
	completeFlag(cmd, "from", "latest")
	return cmd
}
