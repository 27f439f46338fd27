package main

import "github.com/spf13/cobra"

func integrationsGetCommand(a *api) *cobra.Command {
	return &cobra.Command{
		Use:     "get ID",
		Short:   "Show one integration and how it is doing",
		Example: "  sluice integrations get my-webhook\n  sluice integrations get my-webhook --json",
		Args:    exactArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			in, err := c.IntegrationWithHealth(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if a.asJSON {
				return printJSON(a.env.out, in)
			}
			return printTable(a.env.out, append(integrationRows(&in), healthRows(in.Health)...))
		},
	}
}
