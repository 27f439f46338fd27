package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/internal/node"
	"github.com/sluicehq/sluice/internal/node/backup"
	"github.com/sluicehq/sluice/internal/usertext"
)

func restoreCommand(e *env) *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:   "restore DIR",
		Short: "Restore a backup into a new data directory",
		Long: `Restore a backup made by sluice backup into a data directory, which must be empty or
not exist; it may already contain the keys. The integrity of the backup is checked.
Run it as the user that the node will run as.

The node resumes from the time of the backup: events delivered since then are
delivered again, with the same webhook-id, and events published since then are lost.
Make sure that the original node no longer runs, or both will deliver.`,
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
	cmd.Flags().StringVar(&data, "data", "", "data directory to restore into (SLUICE_DATA; default "+node.DefaultConfig().Data+")")
	return cmd
}

// tellRestore prints what was restored and what is missing.
func (e *env) tellRestore(dir, data string, r backup.Result) error {
	keys := ""
	if len(r.Keys) > 0 {
		keys = " and " + joined(r.Keys)
	}
	_, err := fmt.Fprintf(e.out, "Restored the database (%s, checked)%s from %s to %s.\n", mebibytes(r.Bytes), keys, usertext.Escape(dir), usertext.Escape(data))
	if err == nil && !r.SecretsKey {
		_, err = fmt.Fprintf(e.out, "The backup does not contain secrets.key. Before you start the node, copy the original node's secrets.key into %s, and token.key too\n"+
			"if tokens come from sluice token. A node with stored secrets does not start without its secrets.key.\n", usertext.Escape(data))
	}
	if err == nil {
		_, err = fmt.Fprintf(e.out, "Start it with: sluice serve --data %s\n", usertext.ShellWord(data))
	}
	return err
}

func joined(names []string) string { return strings.Join(names, " and ") }
