package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/internal/client"
)

// How stop --wait waits. A stop takes effect when the longest call in progress
// is over, well below this.
const (
	stopPoll    = 250 * time.Millisecond
	stopTimeout = 5 * time.Minute
)

func integrationsStopCommand(a *api) *cobra.Command {
	var wait bool
	cmd := &cobra.Command{
		Use:   "stop ID",
		Short: "Stop an integration",
		Long: `Stop an integration. Its status is "stopping" while events that are on their way
may still arrive, then "stopped": from then on nothing is delivered.`,
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
				return a.shown(&in, "%s is %s; events may still arrive until it is stopped (--wait waits for it).", in.ID, in.Status)
			}
			return a.shown(&in, "%s is stopped. Start it again with: sluice integrations start %s", in.ID, in.ID)
		},
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "return when it is stopped")
	return cmd
}

func (a *api) awaitStopped(ctx context.Context, c *client.Client, in client.Integration) (client.Integration, error) {
	for waited := time.Duration(0); in.Status == "stopping"; waited += stopPoll {
		if waited >= stopTimeout {
			return in, fmt.Errorf("%s is still stopping after %s", in.ID, stopTimeout)
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
		return in, fmt.Errorf("%s is %s: somebody started it again meanwhile", in.ID, in.Status)
	}
	return in, nil
}
