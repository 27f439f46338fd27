package sqlitedb

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// version1 creates a data directory with the database in testdata, made by the last
// release that had one migration, and opens it with the driver alone.
func version1(t *testing.T) (string, *sql.Conn) {
	t.Helper()
	script, err := os.ReadFile("testdata/version1.sql")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if _, err := createPrivate(filepath.Join(dir, FileName)); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", dsn(filepath.Join(dir, FileName), "_pragma=journal_mode(WAL)"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := conn.ExecContext(t.Context(), string(script)); err != nil {
		t.Fatal(err)
	}
	return dir, conn
}

// snapshot copies the files as they are, as an abrupt stop would leave them.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	left := t.TempDir()
	copyFiles(t, dir, left)
	return left
}

// migrated checks that what migrations count is what is there.
func migrated(t *testing.T, db *DB) {
	t.Helper()
	var version, partitions, wrong int
	_, err := db.QueryRow(t.Context(), "SELECT user_version FROM pragma_user_version", nil, &version)
	if err != nil || version != len(migrations()) {
		t.Errorf("version %d, %v, want %d", version, err, len(migrations()))
	}
	_, err = db.QueryRow(t.Context(), `SELECT count(*), sum(s.appended_bytes - p.trimmed_bytes <> (
		SELECT sum(length(data)) FROM segments WHERE id > p.id << 40 AND id < (p.id + 1) << 40))
		FROM partitions p JOIN segments s ON s.id = (SELECT max(id) FROM segments WHERE id > p.id << 40 AND id < (p.id + 1) << 40)`,
		nil, &partitions, &wrong)
	if err != nil || partitions != 4 || wrong != 0 {
		t.Errorf("of %d partitions %d have a wrong number of bytes, %v", partitions, wrong, err)
	}
	var listed, kept int
	_, err = db.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM rejected_list l JOIN rejected r
		ON r.integration = l.integration AND r.incarnation = l.incarnation AND r.event_id = l.event_id), (SELECT json_extract(CAST(data AS TEXT), '$.kept') FROM rejected_counts)`,
		nil, &listed, &kept)
	if err != nil || listed != 5 || kept != 5 {
		t.Errorf("%d rejected events are listed and %d counted, %v, want 5", listed, kept, err)
	}
}

func TestADatabaseOfTheReleaseBeforeIsMigrated(t *testing.T) {
	dir, _ := version1(t)
	dir = snapshot(t, dir)
	var said []int
	db, err := Open(t.Context(), dir, func(from, to int) { said = append(said, from, to) })
	if err != nil {
		t.Fatal(err)
	}
	migrated(t, db)
	if len(said) != 2 || said[0] != 1 || said[1] != len(migrations()) {
		t.Errorf("it said %v, want from 1 to %d", said, len(migrations()))
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db, err = Open(t.Context(), dir, func(from, to int) { t.Errorf("a second opening migrates from %d to %d", from, to) })
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	migrated(t, db)
}

// Each migration is one transaction: a process that stops in the middle, or an error,
// leaves the version before it, which the next start migrates.
func TestAStopInTheMiddleOfAMigrationLosesNothing(t *testing.T) {
	for version := 1; version < len(migrations()); version++ {
		for i := range strings.Count(migrations()[version], ";\n") {
			dir, conn := version1(t)
			steps := slices.Clone(migrations()[:version+1])
			statements := strings.SplitAfter(steps[version], ";\n")
			steps[version] = strings.Join(statements[:i+1], "") + "SELECT stop;"
			if err := migrate(t.Context(), conn, steps, func(int, int) {}); err == nil {
				t.Fatal("the migration did not stop")
			}
			migrated(t, open(t, snapshot(t, dir)))

			exec(t, conn, "BEGIN IMMEDIATE; PRAGMA cache_size = 1") // pages go to the log at once
			exec(t, conn, strings.Join(statements[:i+1], ""))
			migrated(t, open(t, snapshot(t, dir)))
		}
	}
}

func exec(t *testing.T, conn *sql.Conn, script string) {
	t.Helper()
	if _, err := conn.ExecContext(context.Background(), script); err != nil {
		t.Fatalf("%v: %s", err, script)
	}
}

// A new database gives its free pages back; one from before stays as it is.
func TestOnlyNewDatabasesVacuumInSteps(t *testing.T) {
	const incremental = 2
	old, _ := version1(t)
	for dir, want := range map[string]int{t.TempDir(): incremental, snapshot(t, old): 0} {
		var got int
		if _, err := open(t, dir).QueryRow(t.Context(), "SELECT auto_vacuum FROM pragma_auto_vacuum", nil, &got); err != nil || got != want {
			t.Errorf("auto_vacuum is %d, %v, want %d", got, err, want)
		}
	}
}
