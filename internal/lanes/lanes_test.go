package lanes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/store/memory"
)

// rig is a Service over a store whose calls fail when the test says so.
type rig struct {
	store.Store
	*Service

	mu      sync.Mutex
	now     time.Time
	reads   int
	failing func(call string) error // nil: none
	during  func()                  // called by a read of the lanes
	grown   []string                // what Raise had done at each call of Grow
}

func newRig() *rig {
	r := &rig{Store: memory.New(), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	s := settings.Default()
	s.Lanes = 2
	r.Service = &Service{
		Store: r, Settings: s, Logger: slog.New(slog.DiscardHandler),
		Now: func() time.Time {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.now
		},
		Grow: func(ctx context.Context, tenant string) error {
			t, _ := r.Store.Tenant(ctx, tenant)
			l, _ := r.Store.Lanes(ctx)
			r.grown = append(r.grown, fmt.Sprintf("%d wide, %d open", t.Lanes, l.Open[tenant]))
			return r.fails("grow")
		},
	}
	return r
}

func (r *rig) fails(call string) error {
	if r.failing == nil {
		return nil
	}
	return r.failing(call)
}

func (r *rig) Lanes(ctx context.Context) (*store.Lanes, error) {
	r.mu.Lock()
	r.reads++
	r.mu.Unlock()
	if r.during != nil {
		r.during()
	}
	if err := r.fails("lanes"); err != nil {
		return nil, err
	}
	return r.Store.Lanes(ctx)
}

func (r *rig) Commit(ctx context.Context, writes ...store.Write) error {
	if err := r.fails(fmt.Sprintf("%T", writes[0])); err != nil {
		return err
	}
	return r.Store.Commit(ctx, writes...)
}

func (r *rig) pass(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(d)
}

func (r *rig) wantOf(t *testing.T, tenant string, want int) {
	t.Helper()
	if got := r.Current(t.Context()).Of(tenant); got != want {
		t.Errorf("a publisher spreads %s over %d lanes, want %d", tenant, got, want)
	}
}

// Integrations have cursors in a lane before it is opened.
func TestALaneIsOpenedAfterItsCursorsAreThere(t *testing.T) {
	r := newRig()
	r.wantOf(t, "acme", 2)
	for _, n := range []int{4, 4, 7} {
		if err := r.Raise(t.Context(), "acme", n); err != nil {
			t.Fatal(err)
		}
		r.wantOf(t, "acme", n)
		if got, err := r.Of(t.Context(), "acme"); got != n || err != nil {
			t.Errorf("Of is %d, %v; want %d", got, err, n)
		}
	}
	r.wantOf(t, "globex", 2)
	if got, want := fmt.Sprint(r.grown), "[4 wide, 0 open 4 wide, 4 open 7 wide, 4 open]"; got != want {
		t.Errorf("Grow was called at %s, want %s", got, want)
	}
}

// Whatever fails, no lane is open that may lack a cursor, and a repeat goes on, also with a smaller
// number than that of the first attempt.
func TestARaiseThatFailsOpensNothing(t *testing.T) {
	for _, call := range []string{"lanes", "store.PutTenant", "grow", "store.PutLanes"} {
		for _, again := range []int{8, 4} {
			r := newRig()
			broken := problem.New(problem.Unavailable, "out of order")
			r.failing = func(c string) error {
				if c == call {
					return broken
				}
				return nil
			}
			if err := r.Raise(t.Context(), "acme", 8); !errors.Is(err, broken) {
				t.Errorf("%s fails: %v", call, err)
			}
			r.failing = nil
			r.pass(Age)
			r.wantOf(t, "acme", 2)
			if err := r.Raise(t.Context(), "acme", again); err != nil {
				t.Errorf("after %s had failed: %v", call, err)
			}
			r.wantOf(t, "acme", again)
		}
	}
}

func TestRaiseRefuses(t *testing.T) {
	r := newRig()
	if err := r.Raise(t.Context(), "acme", 5); err != nil {
		t.Fatal(err)
	}
	for n, want := range map[int]string{
		0: "lanes is 0; it must be from 1 to 32.", 33: "lanes is 33; it must be from 1 to 32.",
		4: "lanes is 4, and the tenant has 5 already; the number is never lowered, as its events are in all of them. Send 5 or more.",
	} {
		if err := r.Raise(t.Context(), "acme", n); problem.CodeOf(err) != problem.InvalidRequest && n != 4 || problem.MessageOf(err) != want {
			t.Errorf("%d: %v, want %s", n, err, want)
		}
	}
	if err := r.Raise(t.Context(), "globex", 1); problem.CodeOf(err) != problem.Conflict {
		t.Errorf("fewer than all tenants have: %v", err)
	}
}

// Publishers read the record of all tenants: it must stay an item of DynamoDB, of 400 KB at most.
func TestTheRecordOfAllTenantsIsBounded(t *testing.T) {
	r := newRig()
	l := &store.Lanes{Open: map[string]int{}}
	for i := range MaxTenants {
		l.Open[fmt.Sprintf("%0128d", i)] = 32
	}
	if err := r.Store.Commit(t.Context(), store.PutLanes{Lanes: l}); err != nil {
		t.Fatal(err)
	}
	if err := r.Raise(t.Context(), "acme", 4); problem.CodeOf(err) != problem.LimitReached {
		t.Errorf("one tenant too many: %v", err)
	}
	if record, _ := r.Store.Tenant(t.Context(), "acme"); record.Version != 0 || len(r.grown) > 0 {
		t.Errorf("refused, and changed %+v", record)
	}
	if err := r.Raise(t.Context(), fmt.Sprintf("%0128d", 7), 32); err != nil {
		t.Errorf("one that is in it: %v", err)
	}
}

// No publish waits for the read of another one, and there is one read in Age, whether or not
// it succeeds.
func TestPublishersReadTheLanesNowAndThen(t *testing.T) {
	r := newRig()
	other := newRig() // another process with the same store
	other.Service.Store, other.Service.Grow = r.Store, func(context.Context, string) error { return nil }
	for range 100 {
		r.wantOf(t, "acme", 2)
	}
	if err := other.Raise(t.Context(), "acme", 6); err != nil {
		t.Fatal(err)
	}
	r.pass(Age - 1)
	r.wantOf(t, "acme", 2)
	if r.reads != 1 {
		t.Errorf("%d reads, want 1", r.reads)
	}
	r.pass(1)
	r.during = func() { // others come while it is read
		r.during = nil
		r.wantOf(t, "acme", 2)
	}
	r.wantOf(t, "acme", 6)
	if r.reads != 2 {
		t.Errorf("%d reads, want 2", r.reads)
	}
	r.failing = func(string) error { return problem.New(problem.Unavailable, "out of order") }
	for range 3 {
		r.pass(Age)
		for range 10 {
			r.wantOf(t, "acme", 6)
		}
	}
	if r.reads != 5 {
		t.Errorf("%d reads, want 5", r.reads)
	}
}

// A store that hangs holds a publish up for a second in Age.
func TestAPublisherDoesNotWaitForAStoreThatHangs(t *testing.T) {
	r := newRig()
	var left time.Duration
	r.failing = func(string) error { return context.DeadlineExceeded }
	hanging := &hangs{Store: r, left: &left}
	r.Service.Store = hanging
	r.wantOf(t, "acme", 2)
	if left <= 0 || left > readTime {
		t.Errorf("the read had %v, want at most %v", left, readTime)
	}
}

type hangs struct {
	store.Store
	left *time.Duration
}

func (h *hangs) Lanes(ctx context.Context) (*store.Lanes, error) {
	at, _ := ctx.Deadline()
	*h.left = time.Until(at)
	return nil, context.DeadlineExceeded
}
