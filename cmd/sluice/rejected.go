package main

import "github.com/spf13/cobra"

func rejectedCommand(e *env) *cobra.Command {
	a := &api{env: e}
	cmd := &cobra.Command{
		Use:   "rejected",
		Short: "Inspect and retry events that a receiver rejected with a 400, or that were skipped",
		Example: `  sluice rejected list my-webhook
  sluice rejected retry my-webhook 0198a2f4-7c1e-7b3a-9d52-3f6c0f7a1b2c`,
		Args: noSuchCommand,
		RunE: subcommandMissing,
	}
	a.flags(cmd)
	cmd.AddCommand(rejectedListCommand(a), rejectedGetCommand(a), rejectedRetryCommand(a), rejectedDeleteCommand(a))
	a.completeArgs(cmd.Commands())
	return cmd
}
