package sqlitedb

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// older creates a data directory with the database of a version in testdata, which a node
// of then wrote, and opens it with the driver alone.
func older(t *testing.T, version int) (string, *sql.Conn) {
	t.Helper()
	script, err := os.ReadFile(fmt.Sprintf("testdata/version%d.sql", version))
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

// contents is what every version of the database has that is in testdata, in rows.
type contents struct {
	tenants, integrations, records, cursors, entries, rejected, deletedHistories, partitions, segments int
}

func contentsOf(t *testing.T, conn *sql.Conn) (c contents) {
	t.Helper()
	for table, n := range map[string]*int{
		"tenants": &c.tenants, "integrations": &c.integrations, "records": &c.records, "cursors": &c.cursors, "entries": &c.entries,
		"rejected": &c.rejected, "deleted_histories": &c.deletedHistories, "partitions": &c.partitions, "segments": &c.segments,
	} {
		if err := conn.QueryRowContext(t.Context(), "SELECT count(*) FROM "+table).Scan(n); err != nil || *n == 0 {
			t.Fatalf("%s has %d rows, %v", table, *n, err)
		}
	}
	c.segments += arrivalsOf(t, conn)
	return c
}

// arrivalsOf returns how many segments are in arrivals alone, of a version that has a row for
// each.
func arrivalsOf(t *testing.T, conn *sql.Conn) (n int) {
	t.Helper()
	var columns int
	if err := conn.QueryRowContext(t.Context(), "SELECT count(*) FROM pragma_table_info('arrivals') WHERE name = 'id'").Scan(&columns); err != nil {
		t.Fatal(err)
	}
	if columns == 0 {
		return 0
	}
	if err := conn.QueryRowContext(t.Context(), "SELECT count(*) FROM arrivals WHERE id NOT IN (SELECT id FROM segments)").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// migrated checks that what was there is there, and that what migrations count or write
// anew agrees with it.
func migrated(t *testing.T, db *DB, from int, want contents) {
	t.Helper()
	var version, partitions, wrong int
	_, err := db.QueryRow(t.Context(), "SELECT user_version FROM pragma_user_version", nil, &version)
	if err != nil || version != len(migrations()) {
		t.Errorf("version %d, %v, want %d", version, err, len(migrations()))
	}
	conn, err := db.reads.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if got := contentsOf(t, conn); got != want {
		t.Errorf("from version %d the rows are %+v, want %+v", from, got, want)
	}
	_, err = db.QueryRow(t.Context(), `SELECT count(*), sum(s.appended_bytes - p.trimmed_bytes <> (
		SELECT sum(length(data)) FROM segments WHERE id > p.id << 40 AND id < (p.id + 1) << 40))
		FROM partitions p JOIN segments s ON s.id = (SELECT max(id) FROM segments WHERE id > p.id << 40 AND id < (p.id + 1) << 40)`,
		nil, &partitions, &wrong)
	wantPartitions := 4
	if from >= 6 { // it has arrivals, of 16 tenants more; some are in their places
		wantPartitions = 20
	}
	if err != nil || partitions != wantPartitions || wrong != 0 {
		t.Errorf("from version %d: of %d partitions %d have a wrong number of bytes, %v", from, partitions, wrong, err)
	}
	var lists, listed int // versions 3 and 4 have two lists, of 5 and of 1
	_, err = db.QueryRow(t.Context(), `SELECT count(*), sum(kept), sum(kept <> listed) FROM (
		SELECT json_extract(CAST(data AS TEXT), '$.kept') AS kept, (
			SELECT count(*) FROM rejected_list l JOIN rejected r
			ON r.tenant = l.tenant AND r.integration = l.integration AND r.incarnation = l.incarnation AND r.event_id = l.event_id
			WHERE l.tenant = c.tenant AND l.integration = c.integration AND l.incarnation = c.incarnation) AS listed
		FROM rejected_counts c)`, nil, &lists, &listed, &wrong)
	if wantLists := max(1, min(from, 3)-1); err != nil || lists != wantLists || listed != wantLists+4 || wrong != 0 {
		t.Errorf("from version %d: %d lists have %d rejected events, %d of them counted wrong, %v", from, lists, listed, wrong, err)
	}
	var keys int
	_, err = db.QueryRow(t.Context(), "SELECT count(*) FROM idempotency_keys WHERE tenant = 'acme' AND key = 'order-15' AND written = 1", nil, &keys)
	if err != nil || keys != max(0, min(from, 3)-2) {
		t.Errorf("from version %d: there are %d idempotency keys, %v", from, keys, err)
	}
}

// Every database that is in testdata is migrated as a whole; there is one of every version
// before this one.
func TestADatabaseOfAnEarlierReleaseIsMigrated(t *testing.T) {
	for version := 1; version < len(migrations()); version++ {
		dir, conn := older(t, version)
		want := contentsOf(t, conn)
		dir = snapshot(t, dir)
		var said []int
		db, err := Open(t.Context(), dir, func(from, to int) { said = append(said, from, to) })
		if err != nil {
			t.Fatal(err)
		}
		migrated(t, db, version, want)
		if len(said) != 2 || said[0] != version || said[1] != len(migrations()) {
			t.Errorf("it said %v, want from %d to %d", said, version, len(migrations()))
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		db, err = Open(t.Context(), dir, func(from, to int) { t.Errorf("a second opening migrates from %d to %d", from, to) })
		if err != nil {
			t.Fatal(err)
		}
		migrated(t, db, version, want)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Each migration is one transaction: a process that stops in the middle, or an error,
// leaves the version before it, which the next start migrates.
func TestAStopInTheMiddleOfAMigrationLosesNothing(t *testing.T) {
	for from := 1; from < len(migrations()); from++ {
		for version := from; version < len(migrations()); version++ {
			for i := range strings.Count(migrations()[version], ";\n") {
				stopIn(t, from, version, i)
			}
		}
	}
}

// stopIn stops the migration of a database to version+1 after i+1 statements, by an error
// and as a kill would.
func stopIn(t *testing.T, from, version, i int) {
	t.Helper()
	dir, conn := older(t, from)
	want := contentsOf(t, conn)
	steps := slices.Clone(migrations()[:version+1])
	statements := strings.Join(strings.SplitAfter(steps[version], ";\n")[:i+1], "")
	steps[version] = statements + "SELECT stop;"
	if err := migrate(t.Context(), conn, steps, func(int, int) {}); err == nil || !strings.Contains(err.Error(), "no such column: stop") {
		t.Fatalf("the migration did not stop where it should: %v", err)
	}
	migrated(t, open(t, snapshot(t, dir)), from, want)

	exec(t, conn, "BEGIN IMMEDIATE; PRAGMA cache_size = 1") // pages go to the log at once
	exec(t, conn, statements)
	migrated(t, open(t, snapshot(t, dir)), from, want)
}

func exec(t *testing.T, conn *sql.Conn, script string) {
	t.Helper()
	if _, err := conn.ExecContext(context.Background(), script); err != nil {
		t.Fatalf("%v: %s", err, script)
	}
}

// What is in arrivals twice, as a move was cut short, is in the log once, and what is of no
// partition is damage: to go on would give its number to others.
func TestAMigrationMovesArrivals(t *testing.T) {
	old, conn := older(t, 6)
	var both, rows int
	err := conn.QueryRowContext(t.Context(), "SELECT count(*), sum(id IN (SELECT id FROM segments)) FROM arrivals").Scan(&rows, &both)
	if err != nil || both == 0 || rows == both {
		t.Fatalf("of %d arrivals %d are in their places too, %v", rows, both, err)
	}
	dir := snapshot(t, old)
	exec(t, conn, "DELETE FROM partitions WHERE tenant = 'platform-07'")
	damaged := snapshot(t, old)
	var left int
	if _, err := open(t, dir).QueryRow(t.Context(), "SELECT count(*) FROM arrivals", nil, &left); err != nil || left != 0 {
		t.Errorf("%d arrivals are left, %v", left, err)
	}
	if db, err := Open(t.Context(), damaged); err == nil || !strings.Contains(err.Error(), "migration 7") {
		t.Errorf("a database with arrivals of no partition was opened: %v, %v", db, err)
	}
}

// A new database gives its free pages back; one from before stays as it is.
func TestOnlyNewDatabasesVacuumInSteps(t *testing.T) {
	const incremental = 2
	old, _ := older(t, 1)
	for dir, want := range map[string]int{t.TempDir(): incremental, snapshot(t, old): 0} {
		var got int
		if _, err := open(t, dir).QueryRow(t.Context(), "SELECT auto_vacuum FROM pragma_auto_vacuum", nil, &got); err != nil || got != want {
			t.Errorf("auto_vacuum is %d, %v, want %d", got, err, want)
		}
	}
}

// The events of a list are found by their ids: by a scan of the others, lists of 1,000
// would keep a node from starting for an hour.
func TestAMigrationFindsRejectedEventsByTheirIDs(t *testing.T) {
	_, conn := older(t, 3)
	left := migrations()[3]
	for _, statement := range []string{"INSERT INTO rejected_list", "UPDATE rejected_counts"} {
		before, after, found := strings.Cut(left, statement)
		if !found {
			t.Fatalf("the migration has no %s", statement)
		}
		exec(t, conn, before)
		left = statement + after
		one, _, _ := strings.Cut(left, ";\n")
		if got := planOf(t, conn, one); !strings.Contains(got, "SEARCH r USING INDEX sqlite_autoindex_rejected_1 (tenant=? AND integration=? AND incarnation=? AND event_id=?)") {
			t.Errorf("%s has the plan\n%s", statement, got)
		}
	}
}

func planOf(t *testing.T, conn *sql.Conn, statement string) (plan string) {
	t.Helper()
	rows, err := conn.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+statement)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var line string
		if err := rows.Scan(&id, &parent, &unused, &line); err != nil {
			t.Fatal(err)
		}
		plan += line + "\n"
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan
}
