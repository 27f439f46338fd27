package main

import (
	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/internal/client"
)

func integrationsListCommand(a *api) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the tenant's integrations and how they are doing",
		Long:    listHelp,
		Example: "  sluice integrations list\n  sluice integrations list --json",
		Args:    exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			list, err := c.IntegrationsWithHealth(cmd.Context())
			if err != nil {
				return err
			}
			if a.asJSON {
				return printJSON(a.env.out, map[string][]client.Integration{"integrations": list})
			}
			if len(list) == 0 {
				return a.say("There are no integrations yet. Register one; see sluice integrations create --help")
			}
			return printTable(a.env.out, healthTable(list))
		},
	}
}
