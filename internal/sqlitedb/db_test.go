package sqlitedb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/problem"
)

func open(t *testing.T, dir string) *DB {
	t.Helper()
	db, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

const insert = "INSERT INTO tenants (tenant, version, data) VALUES (?, 1, ?)"

func put(name string, data []byte) func(*Tx) error {
	return func(tx *Tx) error {
		_, err := tx.Exec(insert, name, data)
		return err
	}
}

func names(t *testing.T, db *DB) string {
	t.Helper()
	rows, err := db.Query(t.Context(), "SELECT tenant FROM tenants ORDER BY tenant")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var list []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		list = append(list, name)
	}
	return strings.Join(list, " ")
}

func TestAFailingOperationLeavesNothing(t *testing.T) {
	db := open(t, t.TempDir())
	own := errors.New("its own")
	blocked, release := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	write := func(want error, run func(*Tx) error) {
		wg.Go(func() {
			if err := db.Write(t.Context(), Turn{Bytes: 1}, run); !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
		})
	}
	write(nil, func(tx *Tx) error { close(blocked); <-release; return put("a", nil0)(tx) })
	<-blocked // the following operations form one group
	write(nil, put("b", nil0))
	write(own, func(tx *Tx) error { _ = put("c", nil0)(tx); return own })
	write(nil, put("d", nil0))
	for db.Queued() < 3 {
		runtime.Gosched()
	}
	close(release)
	wg.Wait()
	if got := names(t, db); got != "a b d" {
		t.Errorf("stored: %q, want %q", got, "a b d")
	}
	if n := db.Commits(); n != 2 {
		t.Errorf("%d commits, want 2: one for the first, one for what waited", n)
	}
	// An SQL error in one operation fails only that operation, too.
	if err := db.Write(t.Context(), Turn{Bytes: 1}, put("a", nil0)); problem.CodeOf(err) != problem.Internal {
		t.Errorf("a duplicate: got %v, want an internal error", err)
	}
}

var nil0 = []byte{}

func TestWriteWithAnEndedContext(t *testing.T) {
	db := open(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	blocked, release := make(chan struct{}), make(chan struct{})
	go func() {
		_ = db.Write(t.Context(), Turn{Bytes: 1}, func(*Tx) error { close(blocked); <-release; return nil })
	}()
	<-blocked
	done := make(chan error)
	go func() { done <- db.Write(ctx, Turn{Bytes: 1}, put("late", nil0)) }()
	for db.Queued() < 1 {
		runtime.Gosched()
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) || problem.CodeOf(err) != problem.Unavailable {
		t.Errorf("got %v, want an unavailable that is context.Canceled", err)
	}
	close(release)
	if err := db.Write(t.Context(), Turn{Bytes: 1}, put("next", nil0)); err != nil {
		t.Fatal(err)
	}
	if got := names(t, db); got != "next" {
		t.Errorf("stored: %q; an operation that has not begun must be skipped", got)
	}
}

func TestCloseFinishesWhatIsQueued(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	var outcomes []error
	for i := range 100 {
		op := &Op{Run: put(fmt.Sprintf("t%02d", i), nil0), Done: func(err error) { outcomes = append(outcomes, err) }}
		if err := db.Submit(t.Context(), op); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(outcomes...); err != nil || len(outcomes) != 100 {
		t.Errorf("%d outcomes, %v; want 100 without an error", len(outcomes), err)
	}
	if err := db.Write(t.Context(), Turn{Bytes: 1}, put("late", nil0)); problem.CodeOf(err) != problem.Unavailable {
		t.Errorf("Write after Close: got %v, want unavailable", err)
	}
	if info, err := os.Stat(filepath.Join(dir, FileName+"-wal")); err == nil && info.Size() > 0 {
		t.Errorf("%d bytes are left in the write-ahead log", info.Size())
	}
	if got := len(strings.Fields(names(t, open(t, dir)))); got != 100 {
		t.Errorf("%d of 100 are there after the next opening", got)
	}
}

func TestADirectoryHasOneOwner(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	_, err := Open(t.Context(), dir)
	if err == nil {
		t.Fatal("the second opening was not refused")
	}
	for _, part := range []string{dir, fmt.Sprint("pid ", os.Getpid())} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not name %q", err, part)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir) // free again
}

func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	if err := db.Write(t.Context(), Turn{Bytes: 1}, put("before", nil0)); err != nil {
		t.Fatal(err)
	}
	limit(t, db, 40)
	big := make([]byte, 64<<10)
	var stored []string
	var err error
	for i := 0; i < 100 && err == nil; i++ {
		name := fmt.Sprintf("big%02d", i)
		if err = db.Write(t.Context(), Turn{Bytes: len(big)}, put(name, big)); err == nil {
			stored = append(stored, name)
		}
	}
	if problem.CodeOf(err) != problem.Unavailable || !strings.Contains(problem.MessageOf(err), "The disk is full") {
		t.Fatalf("got %v, want unavailable: The disk is full", err)
	}
	want := strings.Join(append([]string{"before"}, stored...), " ")
	if got := names(t, db); got != want {
		t.Errorf("stored: %q, want %q", got, want)
	}
	limit(t, db, 1<<30) // there is space again
	if err := db.Write(t.Context(), Turn{Bytes: len(big)}, put("there-is-room", big)); err != nil {
		t.Fatalf("with room again: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if got := names(t, open(t, dir)); got != want+" there-is-room" {
		t.Errorf("after a restart: %q, want %q", got, want+" there-is-room")
	}
}

// limit is the size of the disk, in pages.
func limit(t *testing.T, db *DB, pages int) {
	t.Helper()
	err := db.Write(t.Context(), Turn{Bytes: 1}, func(tx *Tx) error {
		var got int
		_, err := tx.QueryRow(fmt.Sprint("PRAGMA max_page_count = ", pages), nil, &got)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The files are copied in the middle of a transaction, as a power failure would
// leave them: acknowledged writes are there, others are not.
func TestAbruptStop(t *testing.T) {
	db := open(t, t.TempDir())
	var want []string
	for round := range 8 {
		for i := range 40 {
			name := fmt.Sprintf("t%d-%02d", round, i)
			if err := db.Write(t.Context(), Turn{Bytes: 1}, put(name, make([]byte, 4000))); err != nil {
				t.Fatal(err)
			}
			want = append(want, name)
		}
		left := t.TempDir()
		err := db.Write(t.Context(), Turn{Bytes: 1}, func(tx *Tx) error {
			if err := put("unfinished", make([]byte, 1<<20))(tx); err != nil {
				return err
			}
			copyFiles(t, filepath.Dir(db.path), left)
			return errors.New("power cut")
		})
		if err == nil {
			t.Fatal("the power cut was not reached")
		}
		if got := names(t, open(t, left)); got != strings.Join(want, " ") {
			t.Fatalf("round %d: %d are there, want %d", round, len(strings.Fields(got)), len(want))
		}
	}
}

func copyFiles(t *testing.T, from, to string) {
	t.Helper()
	for _, name := range []string{FileName, FileName + "-wal"} {
		data, err := os.ReadFile(filepath.Join(from, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), data, 0o600)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
	}
}

// Open rows hold a connection. A query that waits for one ends with its context,
// and gets one as soon as it is free.
func TestWaitingForAConnectionEndsWithTheContext(t *testing.T) {
	db := open(t, t.TempDir())
	var held []*Rows
	for range readers {
		rows, err := db.Query(t.Context(), "SELECT tenant FROM tenants")
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, rows)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	var n int
	ended := make(chan error, 1)
	go func() {
		_, err := db.QueryRow(ctx, "SELECT count(*) FROM tenants", nil, &n)
		ended <- err
	}()
	select {
	case err := <-ended:
		if problem.CodeOf(err) != problem.Unavailable || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want an unavailable that is context.DeadlineExceeded", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the query waits beyond its context")
	}
	for _, rows := range held {
		for range 2 {
			if err := rows.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	for range 2 * readers {
		if _, err := db.QueryRow(t.Context(), "SELECT count(*) FROM tenants", nil, &n); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Query(t.Context(), "SELECT nothing"); err == nil {
			t.Error("a broken query succeeded")
		}
	}
}

func TestUnlockableDirectorySaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, LockName), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), dir)
	if err == nil || !strings.Contains(err.Error(), dir+" cannot be locked") || !strings.Contains(err.Error(), "must be owned by the user that runs this program") {
		t.Errorf("got %v, want the directory and what to do", err)
	}
}
