package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	eventlog "github.com/sluicehq/sluice/internal/eventlog/sqlite"
	"github.com/sluicehq/sluice/internal/node"
	"github.com/sluicehq/sluice/internal/sqlitedb"
	store "github.com/sluicehq/sluice/internal/store/sqlite"
	"github.com/sluicehq/sluice/internal/usertext"
)

func resetClockCommand(e *env) *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:   "reset-clock",
		Short: "Make a stopped node accept that the clock is right",
		Long: `Make a node whose start was refused because of its clock accept that the clock is right.
If events were published while the clock was far ahead, the next ones are published at the
present time again. No event is lost: those keep their published_at, are delivered, and
leave the log when the retention from now on has passed; a replay finds them by the time
that they carry. Nothing waits for a time that was stored meanwhile: what is due later is
due at once, and what was stopped is stopped. The times that customers gave, such as ends_at,
stay. If the node was off for longer than the retention, its next start deletes what has
expired. The node must be stopped. If it is interrupted, run it again.`,
		Example: `  sluice reset-clock --data /var/lib/sluice`,
		Args:    exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			dir := firstOf(data, e.getenv("SLUICE_DATA"), node.DefaultConfig().Data)
			if err := sqlitedb.Find(dir); err != nil {
				return err
			}
			db, err := sqlitedb.Open(cmd.Context(), dir)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, db.Close()) }()
			now := e.now().UTC()
			if err := store.ResetTimes(cmd.Context(), db, now); err != nil {
				return err
			}
			later, err := eventlog.ResetStamps(cmd.Context(), db, now)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(e.out, "The database of %s goes on from %s. Segments with a later time: %d.\n", usertext.Escape(dir), now.Format("2006-01-02T15:04:05Z"), later)
			return err
		},
	}
	cmd.Flags().StringVar(&data, "data", "", "data directory of the node (SLUICE_DATA; default "+node.DefaultConfig().Data+")")
	return cmd
}
