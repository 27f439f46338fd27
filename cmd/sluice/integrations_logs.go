package main

import (
	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/internal/client"
)

func integrationsLogsCommand(a *api) *cobra.Command {
	return &cobra.Command{
		Use:     "logs ID",
		Short:   "Show the newest 50 log entries of an integration, newest first",
		Example: "  sluice integrations logs my-webhook",
		Args:    exactArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			entries, err := c.Logs(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if a.asJSON {
				return printJSON(a.env.out, map[string][]client.LogEntry{"entries": entries})
			}
			rows := [][]string{{"TIME", "ACTION", "REASON"}}
			for _, entry := range entries {
				rows = append(rows, []string{entry.CreatedAt, entry.Action, entry.Reason})
			}
			return printTable(a.env.out, rows)
		},
	}
}
