package main

import (
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/internal/client"
)

func integrationsEstimateCommand(a *api) *cobra.Command {
	fields := registrationFlags(a)
	cmd := &cobra.Command{
		Use:   "estimate",
		Short: "Say what a registration would replay, without registering",
		Long: `Say how many events of the past an integration would get, by its filter, if it were
registered with the same flags. Nothing is registered. Of a long log the figures are
estimated from samples.`,
		Example: `  sluice integrations estimate --id replay-1 --type temporary --callback-url https://example.com/hook \
    --starts-at 2026-01-17T00:00:00Z --ends-at 2026-01-18T00:00:00Z
  sluice integrations estimate --file body.json --json`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			body, err := fields.body(cmd)
			if err != nil {
				return err
			}
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			e, err := c.Estimate(cmd.Context(), body)
			if err != nil {
				return err
			}
			return a.showEstimate(&e)
		},
	}
	fields.add(cmd)
	return cmd
}

// showEstimate prints what a registration would replay.
func (a *api) showEstimate(e *client.Estimate) error {
	if a.asJSON {
		return printJSON(a.env.out, e)
	}
	precision := "exact"
	if !e.Exact {
		precision = "estimated"
	}
	rows := [][]string{
		{"events", strconv.FormatInt(e.Events, 10) + " (" + precision + ")"},
		{"bytes", strconv.FormatInt(e.Bytes, 10)},
	}
	for _, row := range []struct {
		name  string
		value *string
	}{{"first", e.First}, {"last", e.Last}, {"log begins", e.Oldest}} {
		if row.value != nil {
			rows = append(rows, []string{row.name, *row.value})
		}
	}
	if e.Seconds != nil {
		rows = append(rows, []string{"takes about", (time.Duration(*e.Seconds) * time.Second).String()})
	}
	return printTable(a.env.out, rows)
}
