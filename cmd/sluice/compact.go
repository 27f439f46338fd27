package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/internal/node"
	"github.com/sluicehq/sluice/internal/sqlitedb"
	"github.com/sluicehq/sluice/internal/usertext"
)

func compactCommand(e *env) *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:   "compact",
		Short: "Rewrite the database of a stopped node without free pages",
		Long: `Rewrite the database of a node without free pages. A node gives free pages back to the
disk by itself, but not those of a database created by a release without this command; compact
makes it one that does. The node must be stopped. It takes free space of twice the
size of what is stored, half of it for a temporary file (in SQLITE_TMPDIR, if set). If it
is interrupted, the database is as before.`,
		Example: `  sluice compact --data /var/lib/sluice`,
		Args:    exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir := firstOf(data, e.getenv("SLUICE_DATA"), node.DefaultConfig().Data)
			before, after, err := sqlitedb.Compact(cmd.Context(), dir)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(e.out, "Compacted the database of %s: %s, before %s.\n", usertext.Escape(dir), mebibytes(after), mebibytes(before))
			return err
		},
	}
	cmd.Flags().StringVar(&data, "data", "", "data directory of the node (SLUICE_DATA; default "+node.DefaultConfig().Data+")")
	return cmd
}
