package main

import (
	"strconv"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/internal/client"
)

func rejectedListCommand(a *api) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "list ID",
		Short: "List an integration's rejected and skipped events, newest first",
		Example: `  sluice rejected list my-webhook
  sluice rejected list my-webhook --limit 5`,
		Args: exactArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 0 {
				return usageErrorf(cmd, "--limit is %d; it must not be negative", limit)
			}
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			events, err := rejectedEvents(cmd.Context(), c, args[0], limit)
			if err != nil {
				return err
			}
			if a.asJSON {
				return printJSON(a.env.out, map[string][]client.RejectedEvent{"rejected_events": events})
			}
			if len(events) == 0 {
				return a.say("%s has no rejected events.", args[0])
			}
			rows := [][]string{{"EVENT", "NAME", "REASON", "STATUS", "SINCE"}}
			for _, e := range events {
				name, status := "", ""
				if e.Name != nil {
					name = *e.Name
				}
				if e.StatusCode != nil {
					status = strconv.Itoa(*e.StatusCode)
				}
				rows = append(rows, []string{e.ID, name, e.Reason, status, e.CreatedAt})
			}
			return printTable(a.env.out, rows)
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 0, "show at most so many events; 0: all")
	return cmd
}
