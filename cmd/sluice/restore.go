package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/internal/node"
	"github.com/sluicehq/sluice/internal/node/backup"
)

func restoreCommand(e *env) *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:   "restore DIR",
		Short: "Put a backup into a new data directory",
		Long: `Put a backup made by sluice backup into a data directory, which must be empty or not
exist yet; keys may be there already. The backup is checked first. Run it as the user
that the node is to run as.

The node then goes on from the time of the backup: what it delivered since is
delivered again, with the same webhook-id, and what was published since is gone. Make
sure that the node which the backup is of does not run, or both will deliver.`,
		Example: `  sluice restore /backup/sluice-1 --data /var/lib/sluice`,
		Args:    exactArgs("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			to := firstOf(data, e.getenv("SLUICE_DATA"), node.DefaultConfig().Data)
			line := newStatusLine(e)
			r, err := backup.Restore(cmd.Context(), args[0], to, e.copied(&line))
			line.clear()
			if err != nil {
				return err
			}
			return e.tellRestore(args[0], to, r)
		},
	}
	cmd.Flags().StringVar(&data, "data", "", "data directory to fill (SLUICE_DATA; "+node.DefaultConfig().Data+")")
	return cmd
}

// tellRestore says what is there and what is still missing.
func (e *env) tellRestore(dir, data string, r backup.Result) error {
	keys := ""
	if len(r.Keys) > 0 {
		keys = " and " + joined(r.Keys)
	}
	_, err := fmt.Fprintf(e.out, "Restored the database (%s, checked)%s from %s to %s.\n", mebibytes(r.Bytes), keys, printable(dir), printable(data))
	if err == nil && !r.SecretsKey {
		_, err = fmt.Fprintf(e.out, "The backup has no secrets.key. Before you start the node, copy that of the node that was backed up into %s, and token.key\n"+
			"if tokens come from sluice token. Without its secrets.key a node that has secrets stored does not start.\n", printable(data))
	}
	if err == nil {
		_, err = fmt.Fprintf(e.out, "Start it with: sluice serve --data %s\n", shellWord(data))
	}
	return err
}

func joined(names []string) string { return strings.Join(names, " and ") }
