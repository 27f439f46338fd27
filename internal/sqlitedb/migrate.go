package sqlitedb

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"sync"
)

//go:embed migrations/*.sql
var files embed.FS

// migrations are the steps from an empty database to the one of this release,
// in order: user_version counts those that were taken. A step that has been
// released is never changed; there is no way back.
var migrations = sync.OnceValue(func() []string {
	entries, err := files.ReadDir("migrations")
	if err != nil {
		panic(err) // they are part of the binary
	}
	var steps []string
	for _, entry := range entries {
		text, err := files.ReadFile("migrations/" + entry.Name())
		if err != nil {
			panic(err)
		}
		steps = append(steps, string(text))
	}
	return steps
})

// migrate takes the steps that are missing, each with its version in one
// transaction.
func migrate(ctx context.Context, conn *sql.Conn) error {
	var version int
	if err := conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	steps := migrations()
	for i := version; i < len(steps); i++ {
		script := fmt.Sprintf("BEGIN IMMEDIATE; %s\nPRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT", steps[i], applicationID, i+1)
		if _, err := conn.ExecContext(ctx, script); err != nil {
			_, _ = conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
			return fmt.Errorf("migration %d: %w", i+1, err)
		}
	}
	return nil
}
