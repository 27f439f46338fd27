package main

import (
	"strconv"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/internal/client"
)

func rejectedListCommand(a *api) *cobra.Command {
	return &cobra.Command{
		Use:     "list ID",
		Short:   "List an integration's rejected events, newest first",
		Example: "  sluice rejected list my-webhook",
		Args:    exactArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			events, err := c.RejectedEvents(cmd.Context(), args[0])
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
}
