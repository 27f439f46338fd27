package main

import "github.com/spf13/cobra"

func integrationsDeleteCommand(a *api) *cobra.Command {
	return &cobra.Command{
		Use:     "delete ID",
		Short:   "Delete an integration, its log and its rejected events",
		Example: "  sluice integrations delete my-webhook",
		Args:    exactArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			if err := c.Delete(cmd.Context(), args[0]); err != nil {
				return err
			}
			return a.done("Deleted %s, its log and its rejected events.", args[0])
		},
	}
}

// done prints an empty JSON object, otherwise the formatted sentence.
func (a *api) done(format string, args ...any) error {
	if a.asJSON {
		return printJSON(a.env.out, struct{}{})
	}
	return a.say(format, args...)
}
