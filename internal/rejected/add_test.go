package rejected

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/store/memory"
	"github.com/sluicehq/sluice/internal/worker"
)

// gated is a store whose commits take a second and can fail.
type gated struct {
	store.Store
	commits atomic.Int32
	mu      sync.Mutex
	writes  []store.Write
	fail    func(ctx context.Context) error
}

func (g *gated) Commit(ctx context.Context, writes ...store.Write) error {
	time.Sleep(time.Second)
	if g.fail != nil {
		if err := g.fail(ctx); err != nil {
			return err
		}
	}
	g.commits.Add(1)
	g.mu.Lock()
	g.writes = append(g.writes, writes...)
	g.mu.Unlock()
	return g.Store.Commit(ctx, writes...)
}

func setup(most int) (*Service, *gated, *worker.Target) {
	g := &gated{Store: memory.New()}
	s := settings.Default()
	s.MaxRejected = most
	return New(Options{Store: g, Settings: s, Logger: slog.New(slog.DiscardHandler), Now: time.Now}), g,
		&worker.Target{Integration: &integration.Integration{Tenant: "a", ID: "hook", Incarnation: 1}}
}

func rejectedEvent(i, size int) *event.Event {
	d := event.Draft{ID: fmt.Sprintf("6f1c4f0e-0000-4000-8000-%012d", i), Name: "a.b", Payload: fmt.Appendf(nil, `{"a":%q}`, make([]byte, size/4))}
	ev := d.Stamp("a", time.Now())
	return &ev
}

// add adds events from the first number on, all at once, and returns their outcomes.
func add(ctx context.Context, s *Service, target *worker.Target, first, n, size int) []chan error {
	var outcomes []chan error
	for i := range n {
		done := make(chan error, 1)
		outcomes = append(outcomes, done)
		go func() {
			done <- s.Add(ctx, target, rejectedEvent(first+i, size), 1, sink.Verdict{Outcome: sink.Rejected})
		}()
		synctest.Wait()
	}
	return outcomes
}

func ok(t *testing.T, outcomes []chan error) {
	t.Helper()
	for i, done := range outcomes {
		if err := <-done; err != nil {
			t.Errorf("rejection %d: %v", i, err)
		}
	}
}

// What comes while a commit is in progress shares the next one. An event that leaves the
// list with the commit that would add it is not stored at all, and the log names all.
func TestRejectionsAtOnceShareACommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g, target := setup(5)
		ok(t, add(t.Context(), s, target, 0, 1+16, 10))
		if n := g.commits.Load(); n != 2 {
			t.Errorf("17 rejections took %d commits, want the first and one for the rest", n)
		}
		puts, evictions := 0, 0
		for _, w := range g.writes {
			switch w := w.(type) {
			case store.PutRejected:
				puts++
			case store.AddEntry:
				if w.Entry.Action == integration.ActionRejectedEvicted {
					evictions++
					if want := "Rejected events " + rejectedEvent(0, 0).ID + ", "; !strings.HasPrefix(w.Entry.Reason, want) {
						t.Errorf("the log says %q, want %q and the others", w.Entry.Reason, want)
					}
				}
			}
		}
		if puts != 1+5 || evictions != 1 {
			t.Errorf("%d events were stored and %d evictions logged, want 6 and 1", puts, evictions)
		}
		list, err := g.OldestRejected(t.Context(), store.HistoryOf(target.Integration), 100)
		if err != nil || len(list) != 5 || list[0].EventID != rejectedEvent(12, 0).ID {
			t.Errorf("the list is %v, %v, want the newest five", list, err)
		}
		for _, ref := range list {
			if _, err := g.Rejected(t.Context(), store.HistoryOf(target.Integration), ref.EventID); err != nil {
				t.Error(err)
			}
		}
		if _, err := g.Rejected(t.Context(), store.HistoryOf(target.Integration), rejectedEvent(0, 0).ID); problem.CodeOf(err) != problem.NotFound {
			t.Errorf("the oldest, which was stored before, was evicted from the list alone: %v", err)
		}
		if n := target.Rejections.Load(); n != 17 {
			t.Errorf("%d rejections are counted, want 17", n)
		}
	})
}

// One that is evicted alone is named alone.
func TestEvictionOfOneIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g, target := setup(1)
		ok(t, add(t.Context(), s, target, 0, 1, 10))
		ok(t, add(t.Context(), s, target, 1, 1, 10))
		entries, err := g.Entries(t.Context(), store.HistoryOf(target.Integration), 1)
		want := "Rejected event " + rejectedEvent(0, 0).ID + " was evicted: only the newest 1 are kept. Use a replay to get it again."
		if err != nil || len(entries) != 1 || entries[0].Reason != want {
			t.Errorf("the log says %+v, %v; want %q", entries, err, want)
		}
	})
}

// A caller that is ended while it waits for its turn has kept nothing, and must not take
// its event for kept: it would be acknowledged and gone.
func TestRejectionThatIsEndedWhileItWaitsIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g, target := setup(30)
		first := add(t.Context(), s, target, 0, 1, 10)
		gone := errors.New("gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		waits := add(ctx, s, target, 1, 1, 10)
		time.Sleep(time.Second / 2)
		cancel(gone)
		if err := <-waits[0]; !errors.Is(err, gone) {
			t.Errorf("got %v, want the cause of its end", err)
		}
		ok(t, first)
		list, err := g.OldestRejected(t.Context(), store.HistoryOf(target.Integration), 100)
		if err != nil || len(list) != 1 || len(s.turns.held) != 0 {
			t.Errorf("the list is %v, %v, with %d turns; want the first and no turn", list, err, len(s.turns.held))
		}
	})
}

// A commit is bounded in writes and in bytes, whatever waits.
func TestRejectionsAtOnceTakeBoundedCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g, target := setup(30)
		ok(t, add(t.Context(), s, target, 0, 1+40, 10))
		if n := g.commits.Load(); n != 1+3 {
			t.Errorf("41 rejections took %d commits, want 4", n)
		}
		g.commits.Store(0)
		ok(t, add(t.Context(), s, target, 100, 1+8, 500<<10)) // two in each
		if n := g.commits.Load(); n != 1+4 {
			t.Errorf("9 large rejections took %d commits, want 5", n)
		}
	})
}

// A failed commit is the outcome of all that were in it; but a caller that was ended
// takes nobody with it.
func TestAFailedCommitOfRejections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g, target := setup(30)
		full := errors.New("the disk is full")
		g.fail = func(context.Context) error { return full }
		for _, done := range add(t.Context(), s, target, 0, 5, 10) {
			if err := <-done; !errors.Is(err, full) {
				t.Errorf("got %v, want %v", err, full)
			}
		}
		g.fail = context.Context.Err
		first := add(t.Context(), s, target, 10, 1, 10)
		ctx, cancel := context.WithCancel(t.Context())
		ended := add(ctx, s, target, 20, 1, 10) // it has the turn next
		others := add(t.Context(), s, target, 30, 5, 10)
		time.Sleep(time.Second + time.Millisecond)
		cancel()
		ok(t, append(first, others...))
		if err := <-ended[0]; !errors.Is(err, context.Canceled) {
			t.Errorf("the caller that was ended got %v", err)
		}
		list, err := g.OldestRejected(t.Context(), store.HistoryOf(target.Integration), 100)
		if err != nil || !slices.ContainsFunc(list, func(r integration.RejectedRef) bool { return r.EventID == rejectedEvent(34, 0).ID }) {
			t.Errorf("the list is %v, %v", list, err)
		}
	})
}
