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

// migrations returns the steps from an empty database to the schema of this
// release, in order; user_version counts the applied ones. A released step never
// changes, and there are no down migrations.
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

// migrate applies the missing steps, each in one transaction with its version. It calls
// migrating before the first step of a database that has content.
func migrate(ctx context.Context, conn *sql.Conn, steps []string, migrating func(from, to int)) error {
	var version int
	if err := conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if version > 0 && version < len(steps) {
		migrating(version, len(steps))
	}
	for i := version; i < len(steps); i++ {
		script := fmt.Sprintf("BEGIN IMMEDIATE; %s\nPRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT", steps[i], applicationID, i+1)
		if _, err := conn.ExecContext(ctx, script); err != nil {
			_, _ = conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
			return fmt.Errorf("migration %d: %w", i+1, err)
		}
	}
	return nil
}
