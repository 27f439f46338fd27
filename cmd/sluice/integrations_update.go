package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/internal/client"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/usertext"
)

func integrationsUpdateCommand(a *api) *cobra.Command {
	fields := bodyFlags{env: a.env, all: targetFields(), removable: true}
	cmd := &cobra.Command{
		Use:   "update ID",
		Short: "Update a stopped integration",
		Long: `Update a permanent integration while it is stopped: its target, secrets and
filters. Fields without a flag keep their value; --remove removes fields.
With --file the body is a JSON merge patch (RFC 7396). A target on another scheme,
host or port needs its --api-key or --s3-secret-access-key again.

` + secretFlagsHelp,
		Example: `  sluice integrations update my-webhook --callback-url https://example.com/v2/hook
  sluice integrations update my-webhook --remove api-key --event-filter order.created,order.paid
  echo '{"filter_conditions":null}' | sluice integrations update my-webhook --file -`,
		Args: exactArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			patch, err := fields.body(cmd)
			if err != nil {
				return err
			}
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			in, err := c.Update(cmd.Context(), args[0], patch)
			if e, ok := errors.AsType[*client.Error](err); ok && e.Code == string(problem.NotStopped) {
				return fmt.Errorf("%w; run: sluice integrations stop %s --wait", err, usertext.ShellWord(args[0]))
			}
			if err != nil {
				return err
			}
			return a.shown(&in, "Updated %s; it is %s. Start it with: sluice integrations start %s", in.ID, in.Status, in.ID)
		},
	}
	fields.add(cmd)
	return cmd
}
