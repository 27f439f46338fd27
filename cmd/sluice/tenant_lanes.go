package main

import (
	"strconv"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/usertext"
)

func tenantLanesCommand(e *env) *cobra.Command {
	a := &api{env: e}
	cmd := &cobra.Command{
		Use:   "lanes TENANT [N]",
		Short: "Show or raise the number of lanes of a tenant",
		Long: `Show over how many lanes a tenant's events are spread, or give it N. A lane is the unit of
order and of scale: more of them let one tenant publish and receive more than one lane
can take, and order holds within a lane only.

Nothing is lost while the number grows. It is never lowered. If the command fails, run it
again: it goes on. It needs a platform token with the scope integrations:write, or
integrations:read to show the number (sluice token --any-tenant).`,
		Example: `  sluice tenant lanes acme
  sluice tenant lanes acme 4
  sluice tenant lanes acme 4 --url https://sluice.example.com --token @operator.jwt`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return exactArgs("TENANT")(cmd, args)
			}
			return exactArgs("TENANT", "N")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("data") {
				return usageErrorf(cmd, "--data is for usage and purge; lanes calls the service, see --url")
			}
			if err := usertext.CheckTenant(args[0]); err != nil {
				return usageErrorf(cmd, "the tenant %q is invalid: it %s", args[0], err)
			}
			a.tenant = args[0]
			if len(args) == 1 {
				return a.showLanes(cmd)
			}
			n, err := strconv.Atoi(args[1])
			if err != nil || n < 1 || n > settings.MaxLanes {
				return usageErrorf(cmd, "N is %q; it must be a number from 1 to %d", args[1], settings.MaxLanes)
			}
			return a.raiseLanes(cmd, n)
		},
	}
	a.serviceFlags(cmd.Flags())
	return cmd
}

func (a *api) showLanes(cmd *cobra.Command) error {
	c, err := a.client(cmd)
	if err != nil {
		return err
	}
	l, err := c.Lanes(cmd.Context())
	if err != nil {
		return err
	}
	if a.asJSON {
		return printJSON(a.env.out, l)
	}
	return printTable(a.env.out, [][]string{{"TENANT", "LANES"}, {l.Tenant, strconv.Itoa(l.Lanes)}})
}

func (a *api) raiseLanes(cmd *cobra.Command, n int) error {
	c, err := a.client(cmd)
	if err != nil {
		return err
	}
	l, err := c.RaiseLanes(cmd.Context(), n)
	if err != nil {
		return err
	}
	if a.asJSON {
		return printJSON(a.env.out, l)
	}
	return a.say("%s has %d lanes. All publishers use them within 30 s.", usertext.Escape(l.Tenant), l.Lanes)
}
