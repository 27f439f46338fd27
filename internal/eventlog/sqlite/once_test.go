package sqlite

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/idempotency"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/sqlitedb"
)

func keyOf(name string) idempotency.Key {
	return idempotency.Key{Tenant: "a", Name: name, Body: idempotency.Digest{1}}
}

// unnamed are drafts without ids: about three parts of a call.
func unnamed() []event.Draft {
	list := drafts(0, 300, 300)
	for i := range list {
		list[i].ID = ""
	}
	return list
}

func publishOnce(t *testing.T, l *Log, name string) []event.Draft {
	t.Helper()
	list := unnamed()
	if err := l.PublishOnce(t.Context(), keyOf(name), event.Lanes{Each: 1}, list); err != nil {
		t.Fatal(err)
	}
	return list
}

// onceEach checks that each of the drafts is in the log once, in order, and nothing else.
func onceEach(t *testing.T, l *Log, list []event.Draft) {
	t.Helper()
	var got []string
	for _, s := range content(t, l, event.Partition{Tenant: "a"}) {
		for _, e := range s.Events {
			got = append(got, e.ID)
		}
	}
	if len(got) != len(list) {
		t.Fatalf("%d events are in the log, want %d", len(got), len(list))
	}
	for i := range list {
		if got[i] != list[i].ID {
			t.Fatalf("event %d is %s, want %s", i, got[i], list[i].ID)
		}
	}
}

func TestACallWithAKeyIsWrittenOnce(t *testing.T) {
	dir := t.TempDir()
	l, db := open(t, dir, fixed(base))
	first := publishOnce(t, l, "k")
	for range 2 { // in this process, and in the next
		again := publishOnce(t, l, "k")
		onceEach(t, l, first)
		for i := range again {
			if again[i].ID != first[i].ID {
				t.Fatalf("event %d has the id %s, and had %s", i, again[i].ID, first[i].ID)
			}
		}
		other := keyOf("k")
		other.Body[0]++
		if err := l.PublishOnce(t.Context(), other, event.Lanes{Each: 1}, unnamed()); problem.CodeOf(err) != problem.IdempotencyMismatch {
			t.Errorf("another body: %v", err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		l, db = open(t, dir, fixed(base))
	}
	publishOnce(t, l, "another key")
	foreign := keyOf("k")
	foreign.Tenant = "b"
	foreign.Body[0]++
	if err := l.PublishOnce(t.Context(), foreign, event.Lanes{Each: 1}, drafts(5000, 1, 1)); err != nil {
		t.Errorf("the key of another tenant: %v", err)
	}
	if n := len(ids(t, l, "a")); n != 2*len(first) {
		t.Errorf("%d events, want those of two calls", n)
	}
}

// A call in parts whose process ends after any of them is written to its end by the repeat,
// and no part twice.
func TestARepeatWritesTheRestOfACall(t *testing.T) {
	parts := 0
	for rest := unnamed(); len(rest) > 0; parts++ {
		n, _ := partOf(rest)
		rest = rest[n:]
	}
	if parts < 3 {
		t.Fatalf("the call has %d parts; it proves nothing", parts)
	}
	for stop := 1; stop < parts; stop++ {
		t.Run(fmt.Sprint("after part ", stop), func(t *testing.T) {
			dir := t.TempDir()
			l, db := open(t, dir, fixed(base))
			ctx, cancel := context.WithCancel(t.Context())
			done := 0
			l.OnAppend(func(event.Partition, uint64) {
				if done++; done == stop {
					cancel() // the parts after it are left out
				}
			})
			if err := l.PublishOnce(ctx, keyOf("k"), event.Lanes{Each: 1}, unnamed()); !errors.Is(err, context.Canceled) {
				t.Fatalf("got %v", err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			l, _ = open(t, dir, fixed(base))
			if n := len(ids(t, l, "a")); n == 0 || n == len(unnamed()) {
				t.Fatalf("%d events are in the log; it proves nothing", n)
			}
			onceEach(t, l, publishOnce(t, l, "k"))
			onceEach(t, l, publishOnce(t, l, "k"))
		})
	}
}

// A group that is lost takes the note of its key with it: the repeat writes the events.
func TestALostGroupLosesTheKeyToo(t *testing.T) {
	l, db := open(t, t.TempDir(), fixed(base))
	err := loseGroup(t, db, func() error { return l.PublishOnce(t.Context(), keyOf("k"), event.Lanes{Each: 1}, drafts(0, 1, 1)) })
	if !errors.Is(err, errLost) {
		t.Fatalf("got %v, want that the group was lost", err)
	}
	list := drafts(0, 1, 1)
	if err := l.PublishOnce(t.Context(), keyOf("k"), event.Lanes{Each: 1}, list); err != nil {
		t.Fatal(err)
	}
	onceEach(t, l, list)
}

// A part after one that is lost must not be written: the repeat could not tell.
func TestNoPartIsWrittenAfterALostOne(t *testing.T) {
	_, db := open(t, t.TempDir(), fixed(base))
	call := &once{key: keyOf("k")}
	err := db.Write(t.Context(), sqlitedb.Turn{}, func(tx *sqlitedb.Tx) error {
		if ok, err := call.note(tx, 100, 200, base); ok || err != nil || !call.refused {
			t.Errorf("a part without the one before it: %v, %v", ok, err)
		}
		if ok, err := call.note(tx, 0, 100, base); !ok || err != nil {
			t.Errorf("the first part: %v, %v", ok, err)
		}
		if ok, err := call.note(tx, 0, 100, base); ok || err != nil {
			t.Errorf("the first part once more: %v, %v", ok, err)
		}
		if ok, err := call.note(tx, 200, 300, base); ok || err != nil {
			t.Errorf("the third part without the second: %v, %v", ok, err)
		}
		other := &once{key: keyOf("k"), seed: idempotency.Seed{7}}
		if ok, err := other.note(tx, 100, 200, base); ok || err != nil {
			t.Errorf("a part of another call that took the key: %v, %v", ok, err)
		}
		if ok, err := call.note(tx, 100, 200, base); !ok || err != nil {
			t.Errorf("the second part: %v, %v", ok, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAKeyOfACallInProgressIsRefused(t *testing.T) {
	l, db := open(t, t.TempDir(), fixed(base))
	release := hold(t, db)
	list := drafts(0, 1, 1)
	first := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { first <- l.PublishOnce(ctx, keyOf("k"), event.Lanes{Each: 1}, list) }()
	waiting(l, 1)
	refused := func(when string) {
		t.Helper()
		if err := l.PublishOnce(t.Context(), keyOf("k"), event.Lanes{Each: 1}, drafts(0, 1, 1)); problem.CodeOf(err) != problem.KeyInProgress || problem.RetryAfterOf(err) <= 0 {
			t.Errorf("%s: got %v", when, err)
		}
	}
	refused("while the first waits for the writer")
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("the first call: %v", err)
	}
	refused("after its caller has gone")
	release()
	for { // until the writer has left it out
		err := l.PublishOnce(t.Context(), keyOf("k"), event.Lanes{Each: 1}, list)
		if err == nil {
			break
		}
		if problem.CodeOf(err) != problem.KeyInProgress {
			t.Fatal(err)
		}
	}
	onceEach(t, l, list)
}

func TestOfCallsAtTheSameTimeOneIsWritten(t *testing.T) {
	l, _ := open(t, t.TempDir(), fixed(base))
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			err := l.PublishOnce(t.Context(), keyOf("k"), event.Lanes{Each: 1}, drafts(0, 3, 10))
			if err != nil && problem.CodeOf(err) != problem.KeyInProgress {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	onceEach(t, l, drafts(0, 3, 10))
}

// The events of many tenants' calls and those of one with a key share a batch: what becomes of
// the key is nothing to the others.
func TestACallWithAKeySharesItsBatch(t *testing.T) {
	l, db := open(t, t.TempDir(), fixed(base))
	release := hold(t, db)
	var wg sync.WaitGroup
	wg.Go(func() { publish(t, l, "a", drafts(0, 1, 1)) })
	waiting(l, 1)
	wg.Go(func() {
		if err := l.PublishOnce(t.Context(), keyOf("k"), event.Lanes{Each: 1}, drafts(1, 1, 1)); err != nil {
			t.Error(err)
		}
	})
	waiting(l, 2)
	release()
	wg.Wait()
	onceEach(t, l, drafts(0, 2, 1))
}

func TestKeysAreForgottenAfter24HoursAndTrimmed(t *testing.T) {
	now := base
	l, db := open(t, t.TempDir(), func() time.Time { return now })
	rows := func() (n int) {
		if _, err := db.QueryRow(t.Context(), "SELECT count(*) FROM idempotency_keys", nil, &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	first := publishOnce(t, l, "k")
	now = base.Add(idempotency.Life - time.Millisecond)
	if again := publishOnce(t, l, "k"); again[0].ID != first[0].ID {
		t.Error("the key was forgotten too early")
	}
	if _, err := l.Trim(t.Context(), base); err != nil || rows() != 1 {
		t.Errorf("%d rows, %v; the key is still needed", rows(), err)
	}
	now = base.Add(idempotency.Life)
	other := keyOf("k")
	other.Body[0]++
	list := unnamed()
	if err := l.PublishOnce(t.Context(), other, event.Lanes{Each: 1}, list); err != nil || list[0].ID == first[0].ID {
		t.Errorf("24 hours after: %v", err)
	}
	for i := range trimRows + 10 {
		key := keyOf(fmt.Sprint("k", i))
		if err := l.PublishOnce(t.Context(), key, event.Lanes{Each: 1}, drafts(10_000+i, 1, 1)); err != nil {
			t.Fatal(err)
		}
	}
	now = now.Add(idempotency.Life)
	if _, err := l.Trim(t.Context(), base); err != nil || rows() != 0 {
		t.Errorf("%d rows are left, %v", rows(), err)
	}
}

// After a purge the events are gone: a repeat must not be told that they are there.
func TestAPurgeForgetsTheTenantsKeys(t *testing.T) {
	l, _ := open(t, t.TempDir(), fixed(base))
	publishOnce(t, l, "k")
	other := keyOf("k")
	other.Tenant = "b"
	if err := l.PublishOnce(t.Context(), other, event.Lanes{Each: 1}, drafts(0, 1, 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Purge(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	onceEach(t, l, publishOnce(t, l, "k"))
	if err := l.PublishOnce(t.Context(), other, event.Lanes{Each: 1}, drafts(0, 1, 1)); err != nil {
		t.Fatal(err)
	}
	if n := len(ids(t, l, "b")); n != 1 {
		t.Errorf("the other tenant has %d events, want 1", n)
	}
}
