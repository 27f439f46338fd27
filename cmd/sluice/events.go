package main

import "github.com/spf13/cobra"

func eventsCommand(e *env) *cobra.Command {
	a := &api{env: e}
	cmd := &cobra.Command{
		Use:     "events",
		Aliases: []string{"event"},
		Short:   "Find out what became of an event",
		Example: `  sluice events get 0198a2f4-7c1e-7b3a-9d52-3f6c0f7a1b2c`,
		Args:    noSuchCommand,
		RunE:    subcommandMissing,
	}
	a.flags(cmd)
	cmd.AddCommand(eventsGetCommand(a))
	return cmd
}
