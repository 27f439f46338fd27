package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/internal/client"
)

// How stop --wait polls. A stop takes effect when the calls in flight have ended,
// well within stopTimeout.
const (
	stopPoll    = 250 * time.Millisecond
	stopTimeout = 5 * time.Minute
)

func integrationsStopCommand(a *api) *cobra.Command {
	var wait bool
	cmd := &cobra.Command{
		Use:   "stop ID",
		Short: "Stop an integration",
		Long: `Stop an integration. Its status is "stopping" while events in flight may still
arrive, then "stopped": nothing is delivered any more.`,
		Example: "  sluice integrations stop my-webhook\n  sluice integrations stop my-webhook --wait",
		Args:    exactArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			in, err := c.Stop(cmd.Context(), args[0])
			if err == nil && wait {
				in, err = a.awaitStopped(cmd.Context(), c, in)
			}
			if err != nil {
				return err
			}
			if in.Status != "stopped" {
				return a.shown(&in, "%s is %s; events may still arrive until it is stopped (use --wait to wait).", in.ID, in.Status)
			}
			return a.shown(&in, "%s is stopped. Start it again with: sluice integrations start %s", in.ID, in.ID)
		},
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until the integration is stopped")
	return cmd
}

func (a *api) awaitStopped(ctx context.Context, c *client.Client, in client.Integration) (client.Integration, error) {
	for waited := time.Duration(0); in.Status == "stopping"; waited += stopPoll {
		if waited >= stopTimeout {
			return in, fmt.Errorf("%s is still stopping after %s; check it with: sluice integrations get %s", in.ID, stopTimeout, in.ID)
		}
		if err := a.env.sleep(ctx, stopPoll); err != nil {
			return in, err
		}
		var err error
		if in, err = c.Integration(ctx, in.ID); err != nil {
			return in, err
		}
	}
	if in.Status != "stopped" {
		return in, fmt.Errorf("%s is %s: it was started again concurrently; stop it again", in.ID, in.Status)
	}
	return in, nil
}
