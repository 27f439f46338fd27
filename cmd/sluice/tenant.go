package main

import (
	"bufio"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/node"
	"github.com/sluicehq/sluice/internal/node/operator"
	"github.com/sluicehq/sluice/internal/usertext"
)

func tenantCommand(e *env) *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:   "tenant",
		Short: "See what the tenants of a node use, purge one, or give one more lanes",
		Long: `These commands are the operator's. "usage" and "purge" act on a node's data directory,
whether or not the node runs; run them as the user that the node runs as. "lanes" calls
the service, a node or a deployment on AWS, with a platform token.`,
		Example: `  sluice tenant usage --data /var/lib/sluice
  sluice tenant purge acme --data /var/lib/sluice
  sluice tenant lanes acme 4`,
		Args: noSuchCommand,
		RunE: subcommandMissing,
	}
	cmd.PersistentFlags().StringVar(&data, "data", "", "data directory of the node (SLUICE_DATA; default "+node.DefaultConfig().Data+")")
	dir := func() string { return firstOf(data, e.getenv("SLUICE_DATA"), node.DefaultConfig().Data) }
	cmd.AddCommand(tenantUsageCommand(e, dir), tenantPurgeCommand(e, dir), tenantLanesCommand(e))
	return cmd
}

func tenantUsageCommand(e *env, dir func() string) *cobra.Command {
	return &cobra.Command{
		Use:   "usage [TENANT]",
		Short: "Show the integrations, events and bytes of each tenant",
		Example: `  sluice tenant usage --data /var/lib/sluice
  sluice tenant usage acme --data /var/lib/sluice`,
		Args: optionalArg("TENANT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			usage, err := operator.UsageOf(cmd.Context(), dir(), firstOf(args...))
			if err != nil {
				return err
			}
			if len(usage) == 0 && len(args) > 0 {
				return fmt.Errorf("there is no tenant %q on this node", args[0])
			}
			rows := [][]string{{"TENANT", "INTEGRATIONS", "EVENTS", "BYTES", "OLDEST EVENT"}}
			for _, u := range usage {
				oldest := "-"
				if !u.Oldest.IsZero() {
					oldest = event.FormatTime(u.Oldest)
				}
				rows = append(rows, []string{u.Tenant, strconv.Itoa(u.Integrations), strconv.Itoa(u.Events), strconv.FormatInt(u.Bytes, 10), oldest})
			}
			return printTable(e.out, rows)
		},
	}
}

func tenantPurgeCommand(e *env, dir func() string) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "purge TENANT",
		Short: "Delete a tenant's integrations and all its events",
		Long: `Delete a tenant's integrations, with their logs and rejected events, and all its events,
also those not yet delivered, and give the space back to the disk. It works while the
node runs, also when the disk is full, and takes small steps, so that other tenants
hardly notice. What the tenant publishes later is kept again: revoke its tokens first.

There is no way back but a backup.`,
		Example: `  sluice tenant purge acme --data /var/lib/sluice`,
		Args:    exactArgs("TENANT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !yes {
				if err := e.confirmPurge(cmd, dir(), args[0]); err != nil {
					return err
				}
			}
			p, err := operator.PurgeIn(cmd.Context(), dir(), args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(e.out, "Purged %s: %d integrations and %d events (%s) are deleted.\n", usertext.Escape(args[0]), p.Integrations, p.Events, mebibytes(p.Bytes))
			return err
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

var errNotConfirmed = errors.New("nothing was deleted: the answer was not the name of the tenant; use --yes to purge without a question")

// confirmPurge asks for the tenant's name.
func (e *env) confirmPurge(cmd *cobra.Command, dir, tenant string) error {
	usage, err := operator.UsageOf(cmd.Context(), dir, tenant)
	if err != nil {
		return err
	}
	if len(usage) == 0 {
		return fmt.Errorf("there is no tenant %q on this node", tenant)
	}
	u := usage[0]
	if _, err := fmt.Fprintf(e.err, "This deletes %d integrations and %d events (%s) of %s for good. Type the name of the tenant to go on: ",
		u.Integrations, u.Events, mebibytes(u.Bytes), usertext.Escape(tenant)); err != nil {
		return err
	}
	answer, _ := bufio.NewReader(e.in).ReadString('\n')
	if strings.TrimSpace(answer) != tenant {
		return errNotConfirmed
	}
	return nil
}
