package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/sqlitedb"
)

var base = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)

func fixed(at time.Time) func() time.Time { return func() time.Time { return at } }

func idOf(i int) string { return fmt.Sprintf("6f1c4f0e-0000-4000-8000-%012d", i) }

func drafts(from, n, payload int) []event.Draft {
	var list []event.Draft
	for i := range n {
		list = append(list, event.Draft{ID: idOf(from + i), Name: "order.created", Payload: fmt.Appendf(nil, `{"a":%q}`, strings.Repeat("x", payload))})
	}
	return list
}

func publish(t testing.TB, l *Log, tenant string, list []event.Draft) {
	t.Helper()
	if err := l.Publish(t.Context(), tenant, event.Lanes{Each: 1}, list); err != nil {
		t.Fatal(err)
	}
}

// content reads a whole lane.
func content(t testing.TB, l *Log, p event.Partition) []eventlog.Segment {
	t.Helper()
	var all []eventlog.Segment
	after := uint64(0)
	for {
		segments, err := l.Read(t.Context(), p, after, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if len(segments) == 0 {
			return all
		}
		all = append(all, segments...)
		after = segments[len(segments)-1].Number
	}
}

func ids(t testing.TB, l *Log, tenant string) map[string]int {
	t.Helper()
	seen := map[string]int{}
	for _, s := range content(t, l, event.Partition{Tenant: tenant}) {
		for _, e := range s.Events {
			seen[e.ID]++
		}
	}
	return seen
}

// hold keeps the writer busy until the function returned is called.
func hold(t *testing.T, db *sqlitedb.DB) (release func()) {
	t.Helper()
	held, free, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	op := &sqlitedb.Op{Run: func(*sqlitedb.Tx) error { close(held); <-free; return nil }, Done: func(error) { close(done) }}
	if err := db.Submit(t.Context(), op); err != nil {
		t.Fatal(err)
	}
	<-held
	return func() { close(free); <-done }
}

// waiting blocks until n publishes wait for the writer.
func waiting(l *Log, n int) {
	for {
		l.publishing.Lock()
		calls := 0
		for _, b := range l.batches {
			calls += len(b.calls)
		}
		ready := calls == n
		l.publishing.Unlock()
		if ready {
			return
		}
		runtime.Gosched()
	}
}

// queued blocks until n operations wait for the writer.
func queued(db *sqlitedb.DB, n int) {
	for db.Queued() < n {
		runtime.Gosched()
	}
}

func TestPublishesThatWaitShareACommitAndASegment(t *testing.T) {
	dir := t.TempDir()
	l, db := open(t, dir, fixed(base))
	release := hold(t, db)
	before := db.Commits()
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			if err := l.Publish(t.Context(), fmt.Sprint("tenant-", i%2), event.Lanes{Each: 1}, drafts(10*i, 3, 10)); err != nil {
				t.Error(err)
			}
		})
	}
	waiting(l, 60)
	release()
	wg.Wait()
	if n := db.Commits() - before; n != 2 { // including the one that held the writer
		t.Errorf("60 publishes took %d commits, want 1", n-1)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	l, _ = open(t, dir, fixed(base))
	for _, tenant := range []string{"tenant-0", "tenant-1"} {
		if got := content(t, l, event.Partition{Tenant: tenant}); len(got) != 1 || len(got[0].Events) != 90 {
			t.Errorf("%s: %d segments after reopening, want 1 of 90 events", tenant, len(got))
		}
	}
}

// A platform's calls that wait share a commit, whatever tenants their events are of: one
// commit a tenant would be hundreds for a call.
func TestEventsOfManyTenantsShareACommit(t *testing.T) {
	dir := t.TempDir()
	l, db := open(t, dir, fixed(base))
	release := hold(t, db)
	before := db.Commits()
	var wg sync.WaitGroup
	for i := range 3 {
		list := drafts(100*i, 100, 10)
		for j := range list {
			list[j].Tenant = fmt.Sprint("tenant-", j)
		}
		wg.Go(func() { publish(t, l, "", list) })
	}
	waiting(l, 3)
	release()
	wg.Wait()
	if n := db.Commits() - before; n != 2 { // including the one that held the writer
		t.Errorf("three calls of 100 tenants took %d commits, want 1", n-1)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	l, _ = open(t, dir, fixed(base))
	for j := range 100 {
		if got := content(t, l, event.Partition{Tenant: fmt.Sprint("tenant-", j)}); len(got) != 1 || len(got[0].Events) != 3 {
			t.Fatalf("tenant %d: %d segments after reopening, want 1 of 3 events", j, len(got))
		}
	}
	if n := len(l.Ends()); n != 100 {
		t.Errorf("there are %d partitions, want 100", n)
	}
}

// While a platform publishes in bulk, a tenant's own call takes its turn between its parts.
func TestASmallPublishDoesNotWaitForAPlatformsLargeOnes(t *testing.T) {
	l, db := open(t, t.TempDir(), fixed(base))
	var platform, before int
	l.OnAppend(func(p event.Partition, _ uint64) {
		if p.Tenant == "quiet" {
			before = platform
		} else {
			platform++
		}
	})
	release := hold(t, db)
	var wg sync.WaitGroup
	list := drafts(0, 1000, 1000)
	for i := range list {
		list[i].Tenant = fmt.Sprint("tenant-", i)
	}
	wg.Go(func() { publish(t, l, "", list) })
	queued(db, 18)
	wg.Go(func() { publish(t, l, "quiet", drafts(5000, 1, 300)) })
	queued(db, 19)
	release()
	wg.Wait()
	if before > 100 || platform != 1000 {
		t.Errorf("%d of the platform's %d segments were committed before it", before, platform)
	}
}

func TestLargePublishesAreCutIntoBatches(t *testing.T) {
	l, _ := open(t, t.TempDir(), fixed(base))
	publish(t, l, "many", drafts(0, 2500, 1))
	publish(t, l, "large", drafts(0, 40, 256<<10))
	for tenant, want := range map[string]int{"many": 7, "large": 40} {
		got := content(t, l, event.Partition{Tenant: tenant})
		if len(got) != want {
			t.Errorf("%s: %d segments, want %d", tenant, len(got), want)
		}
		next := 0
		for _, s := range got {
			if len(s.Events) > 1 && s.Bytes() > batchBytes {
				t.Errorf("%s: segment %d has %d events of %d bytes", tenant, s.Number, len(s.Events), s.Bytes())
			}
			for _, e := range s.Events {
				if e.ID != idOf(next) {
					t.Fatalf("%s: got event %s, want %s", tenant, e.ID, idOf(next))
				}
				next++
			}
		}
	}
}

func TestCancelledPublishIsLeftOut(t *testing.T) {
	l, db := open(t, t.TempDir(), fixed(base))
	release := hold(t, db)
	ctx, cancel := context.WithCancel(t.Context())
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { first <- l.Publish(ctx, "a", event.Lanes{Each: 1}, drafts(0, 1, 1)) }() // it creates the batch
	waiting(l, 1)
	go func() { second <- l.Publish(t.Context(), "a", event.Lanes{Each: 1}, drafts(1, 1, 1)) }()
	waiting(l, 2)
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) || problem.CodeOf(err) != problem.Unavailable {
		t.Errorf("got %v, want an unavailable that is context.Canceled", err)
	}
	release()
	if err := <-second; err != nil {
		t.Errorf("the other publisher: %v", err)
	}
	if got := ids(t, l, "a"); len(got) != 1 || got[idOf(1)] != 1 {
		t.Errorf("in the log: %v, want the second event alone", got)
	}
}

var errLost = errors.New("lost")

// loseGroup makes the writer roll back the group of a call's operation.
func loseGroup(t *testing.T, db *sqlitedb.DB, call func() error) error {
	t.Helper()
	release := hold(t, db)
	outcome := make(chan error, 1)
	go func() { outcome <- call() }()
	for db.Queued() == 0 { // the call comes first
		runtime.Gosched()
	}
	spoil := &sqlitedb.Op{
		Run:  func(tx *sqlitedb.Tx) error { _, _ = tx.Exec("ROLLBACK"); return errLost },
		Done: func(error) {},
	}
	if err := db.Submit(t.Context(), spoil); err != nil {
		t.Fatal(err)
	}
	release()
	return <-outcome
}

// A publish whose group is rolled back must not use up its number.
func TestALostGroupLeavesNoNumbers(t *testing.T) {
	l, db := open(t, t.TempDir(), fixed(base))
	publish(t, l, "a", drafts(0, 1, 1))
	if err := loseGroup(t, db, func() error { return l.Publish(t.Context(), "a", event.Lanes{Each: 1}, drafts(1, 1, 1)) }); !errors.Is(err, errLost) {
		t.Fatalf("got %v, want that the group was lost", err)
	}
	publish(t, l, "a", drafts(2, 1, 1))
	if got := content(t, l, event.Partition{Tenant: "a"}); len(got) != 2 || got[1].Number != 2 || got[1].Events[0].ID != idOf(2) {
		t.Errorf("got %v, want the first and the third event as segments 1 and 2", got)
	}
}

func TestPublishAfterClose(t *testing.T) {
	l, db := open(t, t.TempDir(), fixed(base))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // a batch that could not be queued must not block the next one
		if err := l.Publish(t.Context(), "a", event.Lanes{Each: 1}, drafts(0, 1, 1)); problem.CodeOf(err) != problem.Unavailable {
			t.Errorf("got %v, want unavailable", err)
		}
	}
}

func TestTimesGrowAfterARestartWithTheClockSetBack(t *testing.T) {
	dir := t.TempDir()
	l, db := open(t, dir, fixed(base))
	publish(t, l, "a", drafts(0, 1, 1))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	l, db = open(t, dir, fixed(base.Add(-time.Hour)))
	publish(t, l, "b", drafts(1, 1, 1))
	if got := content(t, l, event.Partition{Tenant: "b"})[0].Events[0].PublishedAt; got.Before(base) {
		t.Errorf("published at %v, before the last event at %v", got, base)
	}

	// A final offset is still final after a restart, even without a later event.
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	final := base.Add(time.Hour)
	l, db = open(t, dir, fixed(final.Add(time.Minute)))
	if _, ok, err := l.OffsetForTime(t.Context(), event.Partition{Tenant: "a"}, final); err != nil || !ok {
		t.Fatalf("OffsetForTime: final %v, %v", ok, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	l, _ = open(t, dir, fixed(base))
	publish(t, l, "a", drafts(2, 1, 1))
	all := content(t, l, event.Partition{Tenant: "a"})
	if got := all[len(all)-1].Events[0].PublishedAt; !got.After(final) {
		t.Errorf("published at %v; everything up to %v was final", got, final)
	}
}

// If the floor could not be stored, a second call must not report final without storing
// it.
func TestNothingIsFinalThatIsNotOnDisk(t *testing.T) {
	dir := t.TempDir()
	final := base.Add(time.Hour)
	l, db := open(t, dir, fixed(final.Add(time.Minute)))
	p := event.Partition{Tenant: "a"}
	for what, call := range map[string]func() error{
		"OffsetForTime": func() error { _, _, err := l.OffsetForTime(t.Context(), p, final); return err },
		// Nor does a stamp that was given but not stored count.
		"Publish": func() error { return l.Publish(t.Context(), "a", event.Lanes{Each: 1}, drafts(0, 1, 1)) },
	} {
		if err := loseGroup(t, db, call); err == nil {
			t.Errorf("%s: no error, and its group was lost", what)
		}
	}
	if _, ok, err := l.OffsetForTime(t.Context(), p, final); err != nil || !ok {
		t.Fatalf("OffsetForTime: final %v, %v", ok, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	l, _ = open(t, dir, fixed(base))
	publish(t, l, "a", drafts(1, 1, 1))
	if got := content(t, l, p)[0].Events[0].PublishedAt; !got.After(final) {
		t.Errorf("published at %v; everything up to %v was final", got, final)
	}
}

func TestOnAheadIsCalledForStampsFarAhead(t *testing.T) {
	now := base
	l, _ := open(t, t.TempDir(), func() time.Time { return now })
	var called []time.Duration
	l.OnAhead(func(by time.Duration) { called = append(called, by) })
	for i, at := range []time.Duration{
		2 * time.Hour, 119 * time.Minute, 118 * time.Minute, 117 * time.Minute, // two hours wrong, then set back
		59 * time.Minute, 57 * time.Minute, 118 * time.Minute, // and an hour away from that
		3 * time.Hour,
	} {
		now = base.Add(at)
		publish(t, l, "a", drafts(i, 1, 1))
	}
	want := []time.Duration{2 * time.Minute, 63 * time.Minute, 2 * time.Minute}
	if !slices.Equal(called, want) {
		t.Errorf("called with %v, want %v", called, want)
	}
}

func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	l, db := open(t, dir, fixed(base))
	acknowledged, tries := map[string]int{}, 0
	try := func() error {
		list := drafts(tries*10, 10, 4<<10)
		tries++
		err := l.Publish(t.Context(), "a", event.Lanes{Each: 1}, list)
		for i := range list {
			if err == nil {
				acknowledged[list[i].ID] = 1
			}
		}
		return err
	}
	limit(t, db, 100)
	var err error
	for tries < 100 && err == nil {
		err = try()
	}
	for range 3 { // again and again the same
		if problem.CodeOf(err) != problem.Unavailable || !strings.Contains(problem.MessageOf(err), "The disk is full") {
			t.Fatalf("got %v, want unavailable: The disk is full", err)
		}
		err = try()
	}
	limit(t, db, 1<<30) // there is room again
	for range 3 {
		if err := try(); err != nil {
			t.Fatalf("with room again: %v", err)
		}
	}
	same := func(what string, l *Log) {
		got := ids(t, l, "a")
		for id := range acknowledged {
			if got[id] != 1 {
				t.Errorf("%s: %s was acknowledged and is there %d times", what, id, got[id])
			}
		}
		if len(got) != len(acknowledged) {
			t.Errorf("%s: %d events, %d were acknowledged", what, len(got), len(acknowledged))
		}
		for i, s := range content(t, l, event.Partition{Tenant: "a"}) {
			if s.Number != uint64(i+1) {
				t.Fatalf("%s: segment %d is at place %d", what, s.Number, i+1)
			}
		}
	}
	same("in the process", l)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	l, _ = open(t, dir, fixed(base))
	same("after a restart", l)
}

func pragma(t *testing.T, db *sqlitedb.DB, setting string) {
	t.Helper()
	err := db.Write(t.Context(), sqlitedb.Turn{Bytes: 1}, func(tx *sqlitedb.Tx) error {
		var got int
		_, err := tx.QueryRow("PRAGMA "+setting, nil, &got)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// limit is the size of the disk, in pages.
func limit(t *testing.T, db *sqlitedb.DB, pages int) {
	t.Helper()
	pragma(t, db, fmt.Sprint("max_page_count = ", pages))
}

// The files are copied while publishers are at work, between two statements of
// a transaction, as a power cut would leave them.
func TestAbruptStop(t *testing.T) {
	dir := t.TempDir()
	l, db := open(t, dir, time.Now)
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	acknowledged := map[string]bool{}
	var wg sync.WaitGroup
	for p := range 4 {
		wg.Go(func() {
			for i := p * 1_000_000; ctx.Err() == nil; i += 5 {
				list := drafts(i, 5, 200)
				if err := l.Publish(ctx, "a", event.Lanes{Each: 1}, list); err != nil {
					return
				}
				mu.Lock()
				for _, d := range list {
					acknowledged[d.ID] = true
				}
				mu.Unlock()
			}
		})
	}
	for range 6 {
		left := t.TempDir()
		var want []string
		_ = db.Write(t.Context(), sqlitedb.Turn{}, func(*sqlitedb.Tx) error {
			mu.Lock()
			for id := range acknowledged {
				want = append(want, id)
			}
			mu.Unlock()
			copyFiles(t, dir, left)
			return errors.New("power cut")
		})
		after, _ := open(t, left, time.Now)
		got := ids(t, after, "a")
		for _, id := range want {
			if got[id] != 1 {
				t.Fatalf("%s was acknowledged and is there %d times", id, got[id])
			}
		}
		t.Logf("%d events were acknowledged, %d are there", len(want), len(got))
		publish(t, after, "a", drafts(9_000_000, 1, 1)) // and publishing continues
	}
	cancel()
	wg.Wait()
}

func copyFiles(t *testing.T, from, to string) {
	t.Helper()
	for _, name := range []string{"sluice.db", "sluice.db-wal"} {
		copyFile(t, filepath.Join(from, name), filepath.Join(to, name))
	}
}

// The writer leaves out a call whose context has ended. Its batch is done all the same, and
// the caller may see that first: it must not take the call for durable. A client may have
// closed its side of the connection alone, and read the response.
func TestACallThatTheWriterLeftOutIsNoSuccess(t *testing.T) {
	l, _ := open(t, t.TempDir(), fixed(base))
	for range 50 {
		ctx, end := context.WithCancel(t.Context())
		end()
		b, err := l.share("a", publication{ctx: ctx, lanes: event.Lanes{Each: 1}, drafts: drafts(0, 1, 10)}, 10)
		if err != nil {
			t.Fatal(err)
		}
		<-b.done
		if err := l.wait(ctx, b); problem.CodeOf(err) != problem.Unavailable {
			t.Fatalf("%d events are in the log, and the call ended with %v", len(ids(t, l, "a")), err)
		}
	}
}
