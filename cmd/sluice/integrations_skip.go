package main

import "github.com/spf13/cobra"

func integrationsSkipCommand(a *api) *cobra.Command {
	return &cobra.Command{
		Use:   "skip ID EVENT",
		Short: "Skip an event that holds up a stream",
		Long: `Skip an event that was tried and failed, and that the integration waits for. It goes
into the list of rejected events, from where it can be retried, and the stream goes on at
once. "integrations get" names the event that it waits for, "integrations logs" all that
failed. This also works while the integration is stopped.`,
		Example: "  sluice integrations skip my-webhook 0198a2f4-7c1e-7b3a-9d52-3f6c0f7a1b2c",
		Args:    exactArgs("ID", "EVENT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			if err := c.Skip(cmd.Context(), args[0], args[1]); err != nil {
				return err
			}
			if a.asJSON {
				return printJSON(a.env.out, map[string]string{"skipped": args[1]})
			}
			return a.say("Skipped %s. Retry it with: sluice rejected retry %s %s", args[1], args[0], args[1])
		},
	}
}
