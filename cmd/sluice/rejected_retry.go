package main

import "github.com/spf13/cobra"

func rejectedRetryCommand(a *api) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "retry ID [EVENT]",
		Short: "Retry a rejected event now, or all of them",
		Long: `Send a rejected event again and wait for the receiver's response. If the receiver
accepts the event, it is removed from the list; otherwise it stays and the exit code
is 1. This also works while the integration is stopped. With --all every event in the list
is sent again once, the oldest first; the exit code is 1 if one of them fails.`,
		Example: `  sluice rejected retry my-webhook 0198a2f4-7c1e-7b3a-9d52-3f6c0f7a1b2c
  sluice rejected retry my-webhook --all`,
		Args: oneOrAll(&all),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			if all {
				return a.retryAll(cmd, c, args[0])
			}
			if err := c.RetryRejected(cmd.Context(), args[0], args[1]); err != nil {
				return err
			}
			return a.done("The receiver accepted %s.", args[1])
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "retry every event in the list")
	return cmd
}
