package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/internal/node"
	"github.com/sluicehq/sluice/internal/node/backup"
)

func backupCommand(e *env) *cobra.Command {
	var (
		data string
		keys bool
	)
	cmd := &cobra.Command{
		Use:   "backup DIR",
		Short: "Copy a node's database while it runs",
		Long: `Copy the database of the node whose data directory is given into DIR, which must be
empty or not exist yet. The node may be running, and goes on publishing and
delivering. The backup has every event that was acknowledged before it began, and
is checked as a whole. Run it as the user that the node runs as.

The keys are copied with --keys only. Without secrets.key nobody can read the
secrets of the integrations that are stored in the database.`,
		Example: `  sluice backup /backup/sluice-1 --data /var/lib/sluice
  sluice backup "/backup/sluice-$(date +%F)" --data /var/lib/sluice --keys`,
		Args: exactArgs("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			from := firstOf(data, e.getenv("SLUICE_DATA"), node.DefaultConfig().Data)
			line := newStatusLine(e)
			r, err := backup.Create(cmd.Context(), from, args[0], keys, e.copied(&line))
			line.clear()
			if err != nil {
				return err
			}
			return e.tellBackup(args[0], from, r)
		},
	}
	cmd.Flags().StringVar(&data, "data", "", "data directory of the node (SLUICE_DATA; "+node.DefaultConfig().Data+")")
	cmd.Flags().BoolVar(&keys, "keys", false, "copy secrets.key and token.key, too")
	return cmd
}

// copied shows how far a copy is.
func (e *env) copied(line *statusLine) backup.Progress {
	return func(done, total int64) {
		text := fmt.Sprintf("%s of %s copied", mebibytes(done), mebibytes(total))
		if done == total {
			text += ", checking the copy"
			line.last = time.Time{} // the last line is shown in any case
		}
		line.show(e.now(), text)
	}
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// tellBackup says what the backup has, what it lacks, and how it is restored.
func (e *env) tellBackup(dir, data string, r backup.Result) error {
	keys := "It is without secrets.key and token.key of " + printable(data) + ": keep copies of them elsewhere, or use --keys.\n" +
		"Without secrets.key the stored secrets of the integrations cannot be read."
	if len(r.Keys) > 0 {
		keys = "It has " + joined(r.Keys) + ": keep it as private as the node."
	}
	_, err := fmt.Fprintf(e.out, "Backed up the database of %s to %s: %s, checked.\n%s\nTo restore it: sluice restore %s --data DATA\n",
		printable(data), printable(dir), mebibytes(r.Bytes), keys, shellWord(dir))
	return err
}
