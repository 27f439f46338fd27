package backup

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/auth"
	"github.com/sluicehq/sluice/internal/secret/local"
	"github.com/sluicehq/sluice/internal/sqlitedb"
)

func ignore(int64, int64) {}

// TestMain runs a copy that is killed in the middle, if the environment asks for
// one: TestKilledInTheMiddle starts this program again.
func TestMain(m *testing.M) {
	kill := func(int64, int64) { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL); select {} }
	from, to := os.Getenv("COPY_FROM"), os.Getenv("COPY_TO")
	switch os.Getenv("COPY") {
	case "create":
		_, _ = Create(context.Background(), from, to, true, kill)
	case "restore":
		_, _ = Restore(context.Background(), from, to, kill)
	}
	os.Exit(m.Run())
}

// dataDir is that of a node that ended: a database with a tenant, and keys.
func dataDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	db, err := sqlitedb.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Write(t.Context(), sqlitedb.Turn{Bytes: 1}, func(tx *sqlitedb.Tx) error {
		_, err := tx.Exec("INSERT INTO tenants (tenant, version, data) VALUES ('acme', 1, x'7b7d')")
		return err
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := local.OpenOrCreate(filepath.Join(dir, local.Name)); err != nil {
		t.Fatal(err)
	}
	if _, err := auth.OpenOwnKey(filepath.Join(dir, auth.OwnKeyName)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func backupOf(t *testing.T, data string, keys bool) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "backup")
	if _, err := Create(t.Context(), data, dir, keys, ignore); err != nil {
		t.Fatal(err)
	}
	return dir
}

// wantWhole fails the test unless a node could start on the directory and finds
// the tenant.
func wantWhole(t *testing.T, dir string) {
	t.Helper()
	db, err := sqlitedb.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var n int
	if _, err := db.QueryRow(t.Context(), "SELECT count(*) FROM tenants WHERE tenant = 'acme'", nil, &n); err != nil || n != 1 {
		t.Errorf("the database has %d tenants, %v; want the one", n, err)
	}
}

// files are the names in a directory, with their modes, and contents of keys. A
// directory that is not there has none.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		all[entry.Name()] = info.Mode().String()
		if strings.HasSuffix(entry.Name(), ".key") {
			content, err := os.ReadFile(filepath.Join(dir, entry.Name()))
			if err != nil {
				t.Fatal(err)
			}
			all[entry.Name()] += " " + string(content)
		}
	}
	return all
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A restore for which no node would start says so before it copies gigabytes. A backup
// that others may read, as other tools leave it, is restored for its new owner alone.
func TestRestoreIntoADirectoryOfOthersIsRefused(t *testing.T) {
	backup := backupOf(t, dataDir(t), false)
	if err := os.Chmod(filepath.Join(backup, sqlitedb.FileName), 0o644); err != nil {
		t.Fatal(err)
	}
	to := t.TempDir()
	if err := os.Chmod(to, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), backup, to, ignore); err == nil || !strings.Contains(err.Error(), "(mode 0777); run: chmod 700 "+to) {
		t.Errorf("Restore = %v", err)
	}
	if got := files(t, to); len(got) != 0 {
		t.Errorf("it left %v", got)
	}
	if err := os.Chmod(to, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), backup, to, ignore); err != nil {
		t.Error(err)
	}
	if mode := files(t, to)[sqlitedb.FileName]; mode != "-rw-------" {
		t.Errorf("the database has mode %s", mode)
	}
}

func TestBackupIsPrivateAndComesBack(t *testing.T) {
	data := dataDir(t)
	for _, keys := range []bool{false, true} {
		backup := backupOf(t, data, keys)
		want := map[string]string{sqlitedb.FileName: "-rw-------"}
		if keys {
			want[local.Name], want[auth.OwnKeyName] = files(t, data)[local.Name], files(t, data)[auth.OwnKeyName]
		}
		if diff := cmp.Diff(want, files(t, backup)); diff != "" {
			t.Errorf("the backup, keys %v (-want +got):\n%s", keys, diff)
		}
		restored := filepath.Join(t.TempDir(), "restored")
		r, err := Restore(t.Context(), backup, restored, ignore)
		if err != nil || r.SecretsKey != keys || len(r.Keys) != 2*len(want)/3 {
			t.Errorf("restore: %+v, %v", r, err)
		}
		want[sqlitedb.LockName] = "-rw-------"
		if diff := cmp.Diff(want, files(t, restored)); diff != "" {
			t.Errorf("restored, keys %v (-want +got):\n%s", keys, diff)
		}
		for _, dir := range []string{backup, restored} {
			if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("%s has the mode %v, %v", dir, info.Mode(), err)
			}
		}
		wantWhole(t, restored)
	}
}

func TestRefusalsChangeNothing(t *testing.T) {
	for _, c := range []struct {
		name    string
		prepare func(t *testing.T, data, backup string)
		restore bool
		want    string
	}{
		{"backup into a directory with something", func(t *testing.T, _, b string) { write(t, b+"/notes", "x") }, false, "not empty: it contains notes"},
		{"backup over a backup", func(t *testing.T, _, b string) { write(t, b+"/sluice.db", "x") }, false, "not empty: it contains sluice.db"},
		{"backup next to an interrupted one", func(t *testing.T, _, b string) { write(t, b+"/sluice.db.partial", "x") }, false, "sluice.db.partial"},
		{"backup of nothing", func(t *testing.T, d, _ string) { remove(t, d+"/sluice.db") }, false, "there is no database"},
		{"backup without the key of the secrets", func(t *testing.T, d, _ string) { remove(t, d+"/secrets.key") }, false, "omit --keys"},
		{"backup of a damaged key", func(t *testing.T, d, _ string) { write(t, d+"/secrets.key", "{}") }, false, "secrets.key is damaged"},
		{"backup of another damaged key", func(t *testing.T, d, _ string) { write(t, d+"/token.key", "{}") }, false, "token.key is damaged"},
		{"restore of nothing", func(*testing.T, string, string) {}, true, "does not contain a backup"},
		{"restore of what was cut short", func(t *testing.T, _, b string) { write(t, b+"/sluice.db.partial", "x") }, true, "does not contain a backup"},
		{"restore of no database", func(t *testing.T, d, b string) {
			empty(t, d)
			write(t, b+"/sluice.db", strings.Repeat("text", 1000))
		}, true, "damaged"},
		{"restore over a database", func(t *testing.T, _, b string) { write(t, b+"/sluice.db", "x") }, true, "not empty: it contains sluice.db"},
		{"restore next to other files", func(t *testing.T, d, b string) {
			empty(t, d)
			remove(t, d+"/lock")
			write(t, d+"/notes", "x")
			write(t, b+"/sluice.db", "x")
		}, true, "not empty: it contains notes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			data, backup := dataDir(t), t.TempDir()
			c.prepare(t, data, backup)
			before := [2]map[string]string{files(t, data), files(t, backup)}
			past := time.Unix(1_700_000_000, 0)
			if err := os.Chtimes(backup, past, past); err != nil {
				t.Fatal(err)
			}
			var err error
			if c.restore {
				_, err = Restore(t.Context(), backup, data, ignore)
			} else {
				_, err = Create(t.Context(), data, backup, true, ignore)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error that says %q", err, c.want)
			}
			after := [2]map[string]string{files(t, data), files(t, backup)}
			delete(after[0], sqlitedb.FileName+"-shm") // of SQLite, as the database was read
			delete(after[0], sqlitedb.FileName+"-wal")
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("the files changed (-before +after):\n%s", diff)
			}
			// A file that is made for a moment can stay, if the process is killed.
			if info, err := os.Stat(backup); len(before[1]) > 0 && (err != nil || !info.ModTime().Equal(past)) {
				t.Errorf("files in %s came and went (%v)", backup, err)
			}
		})
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// empty leaves the keys.
func empty(t *testing.T, data string) {
	t.Helper()
	remove(t, filepath.Join(data, sqlitedb.FileName))
}

// A backup in the data directory goes with it, also where a link hides that.
func TestBackupAndDataAreApart(t *testing.T) {
	data := dataDir(t)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(data, link); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{data, data + "/backup", link + "/backup", filepath.Dir(data)} {
		if _, err := Create(t.Context(), data, dir, false, ignore); err == nil || !strings.Contains(err.Error(), "must not contain each other") {
			t.Errorf("backup into %s: got %v", dir, err)
		}
	}
	backup := backupOf(t, data, true)
	if _, err := Restore(t.Context(), backup, backup+"/data", ignore); err == nil || !strings.Contains(err.Error(), "must not contain each other") {
		t.Errorf("restore into the backup: got %v", err)
	}
}

// A disk that is not mounted shows as a directory that is missing.
func TestBackupMakesNoParents(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "disk", "backups", "one")
	if _, err := Create(t.Context(), dataDir(t), dir, false, ignore); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v, want an error that names %s", err, dir)
	}
	if _, err := os.Stat(filepath.Dir(filepath.Dir(dir))); err == nil {
		t.Error("parents were made")
	}
}

func TestInterruptedLeavesNothing(t *testing.T) {
	data := dataDir(t)
	good := backupOf(t, data, true)
	for _, c := range []struct {
		name string
		run  func(ctx context.Context, dir string, p Progress) error
	}{
		{"backup", func(ctx context.Context, dir string, p Progress) error {
			_, err := Create(ctx, data, dir, true, p)
			return err
		}},
		{"restore", func(ctx context.Context, dir string, p Progress) error {
			_, err := Restore(ctx, good, dir, p)
			return err
		}},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		dir := filepath.Join(t.TempDir(), "new")
		err := c.run(ctx, dir, func(int64, int64) { cancel() })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v", c.name, err)
		}
		got := files(t, dir)
		delete(got, sqlitedb.LockName)
		if len(got) > 0 {
			t.Errorf("%s left %v", c.name, got)
		}
		if _, err := os.Stat(dir); c.name == "backup" && err == nil {
			t.Error("the directory is left")
		}
	}
}

// Keys without their database would let a node start with an empty one.
func TestFailureOfTheLastStepLeavesNoKeys(t *testing.T) {
	data := dataDir(t)
	good := backupOf(t, data, true)
	for name, run := range map[string]func(dir string, p Progress) error{
		"backup":  func(dir string, p Progress) error { _, err := Create(t.Context(), data, dir, true, p); return err },
		"restore": func(dir string, p Progress) error { _, err := Restore(t.Context(), good, dir, p); return err },
	} {
		dir := t.TempDir()
		err := run(dir, func(int64, int64) { // the database cannot get its name
			_ = os.MkdirAll(filepath.Join(dir, sqlitedb.FileName, "x"), 0o700)
		})
		if err == nil {
			t.Errorf("%s succeeded", name)
		}
		got := files(t, dir)
		delete(got, sqlitedb.LockName)
		delete(got, sqlitedb.FileName)
		if len(got) > 0 {
			t.Errorf("%s left %v", name, got)
		}
	}
}

// What a killed process leaves does not pass as a backup, is not opened, and
// a restore can be run again.
func TestKilledInTheMiddle(t *testing.T) {
	data := dataDir(t)
	killed := func(what, from, to string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), "COPY="+what, "COPY_FROM="+from, "COPY_TO="+to)
		if err := cmd.Run(); err == nil || err.Error() != "signal: killed" {
			t.Fatalf("%s: %v, want it killed", what, err)
		}
		if _, ok := files(t, to)[sqlitedb.PartialName]; !ok {
			t.Fatalf("%s: it left %v, no partial copy; this proves nothing", what, files(t, to))
		}
	}
	rest := filepath.Join(t.TempDir(), "backup")
	killed("create", data, rest)
	if _, err := Restore(t.Context(), rest, filepath.Join(t.TempDir(), "data"), ignore); err == nil || !strings.Contains(err.Error(), "does not contain a backup") {
		t.Errorf("restoring what a killed backup left: got %v", err)
	}

	good, restored := backupOf(t, data, true), filepath.Join(t.TempDir(), "data")
	killed("restore", good, restored)
	if db, err := sqlitedb.Open(t.Context(), restored); err == nil {
		_ = db.Close()
		t.Error("a node starts on what a killed restore left")
	}
	for _, name := range sqlitedb.PartialNames() { // as if it were killed at other times
		write(t, filepath.Join(restored, name), "left over")
	}
	if _, err := Restore(t.Context(), good, restored, ignore); err != nil {
		t.Fatal(err)
	}
	for name := range files(t, restored) {
		if strings.Contains(name, "partial") {
			t.Errorf("%s is still there", name)
		}
	}
	wantWhole(t, restored)
}

// Keys may be put there before: the backup's own keys must not differ.
func TestRestoreKeepsKeysThatAreThere(t *testing.T) {
	data, other := dataDir(t), dataDir(t)
	key, err := os.ReadFile(filepath.Join(data, local.Name))
	if err != nil {
		t.Fatal(err)
	}
	restored := t.TempDir()
	write(t, filepath.Join(restored, local.Name), string(key))
	r, err := Restore(t.Context(), backupOf(t, data, false), restored, ignore)
	if err != nil || !r.SecretsKey {
		t.Errorf("%+v, %v; want it restored, with the key that was there", r, err)
	}
	wantWhole(t, restored)

	restored = t.TempDir()
	write(t, filepath.Join(restored, local.Name), string(key))
	_, err = Restore(t.Context(), backupOf(t, other, true), restored, ignore)
	if err == nil || !strings.Contains(err.Error(), "differs from") {
		t.Errorf("got %v, want that the keys differ", err)
	}
	if got := files(t, restored)[local.Name]; !strings.Contains(got, string(key)) {
		t.Errorf("the key that was there is gone: %s", got)
	}
}

// No node can start in a directory that is being restored, and none that runs
// there is restored over.
func TestRestoreLocksTheDataDirectory(t *testing.T) {
	good, restored := backupOf(t, dataDir(t), true), t.TempDir()
	lock, err := sqlitedb.Lock(restored)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), good, restored, ignore); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("got %v, want that it is in use", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = Restore(t.Context(), good, restored, func(int64, int64) {
		if db, err := sqlitedb.Open(t.Context(), restored); err == nil {
			_ = db.Close()
			t.Error("a node starts in the middle")
		} else if !strings.Contains(err.Error(), "in use by another process") {
			t.Error(err)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

// A backup that begins while another one ends does not overwrite it.
func TestTwoBackupsAtOnce(t *testing.T) {
	data, dir := dataDir(t), filepath.Join(t.TempDir(), "backup")
	_, err := Create(t.Context(), data, dir, false, func(int64, int64) {
		if _, err := Create(t.Context(), data, dir, false, ignore); err == nil {
			t.Error("a second backup was written into the same directory")
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	wantWhole(t, dir)
}

// The same if the first one ends right after the second found an empty directory.
func TestClaimRefusesABackupThatHasJustEnded(t *testing.T) {
	data := dataDir(t)
	w := &writer{source: data, dir: backupOf(t, data, false)}
	if err := w.claim(sqlitedb.CreatePartial, sqlitedb.PartialName); err == nil || !strings.Contains(err.Error(), "not empty: it contains sluice.db") {
		t.Errorf("got %v, want that it is not empty", err)
	}
}
