package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/internal/node"
	"github.com/sluicehq/sluice/internal/node/backup"
	"github.com/sluicehq/sluice/internal/usertext"
)

func backupCommand(e *env) *cobra.Command {
	var (
		data string
		keys bool
	)
	cmd := &cobra.Command{
		Use:   "backup DIR",
		Short: "Copy a node's database while it runs",
		Long: `Copy the database of a node into DIR, which must be empty or not exist. The node
may be running; it keeps publishing and delivering. The backup contains every event
acknowledged before it began, and its integrity is checked. Run it as the user that
the node runs as.

Keys are copied only with --keys. Without secrets.key the secrets of the
integrations in the database cannot be decrypted.`,
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
	cmd.Flags().StringVar(&data, "data", "", "data directory of the node (SLUICE_DATA; default "+node.DefaultConfig().Data+")")
	cmd.Flags().BoolVar(&keys, "keys", false, "also copy secrets.key and token.key")
	return cmd
}

// copied shows the progress of a copy.
func (e *env) copied(line *statusLine) backup.Progress {
	return func(done, total int64) {
		text := fmt.Sprintf("%s of %s copied", mebibytes(done), mebibytes(total))
		if done == total {
			text += ", checking the copy"
			line.last = time.Time{} // always show the last line
		}
		line.show(e.now(), text)
	}
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// tellBackup prints what the backup contains, what it lacks, and how to restore it.
func (e *env) tellBackup(dir, data string, r backup.Result) error {
	keys := "It does not contain secrets.key and token.key of " + usertext.Escape(data) + ": keep copies of them elsewhere, or use --keys.\n" +
		"Without secrets.key the stored secrets of the integrations cannot be decrypted."
	if len(r.Keys) > 0 {
		keys = "It contains " + joined(r.Keys) + ": protect it like the node itself."
	}
	_, err := fmt.Fprintf(e.out, "Backed up the database of %s to %s: %s, checked.\n%s\nTo restore it: sluice restore %s --data DATA\n",
		usertext.Escape(data), usertext.Escape(dir), mebibytes(r.Bytes), keys, usertext.ShellWord(dir))
	return err
}
