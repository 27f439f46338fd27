package worker

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/sink"
)

// watched are sinks that know how often each was opened and closed.
type watched struct {
	mu    sync.Mutex
	opens map[string]int
	all   []*watchedSender
}

func (w *watched) Webhook(_ context.Context, in *integration.Integration) (sink.Sender, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.opens == nil {
		w.opens = map[string]int{}
	}
	w.opens[in.ID]++
	s := &watchedSender{}
	w.all = append(w.all, s)
	return s, nil
}

func (*watched) S3(context.Context, *integration.Integration) (sink.Exporter, error) { return nil, nil }

type watchedSender struct{ closed atomic.Int32 }

func (*watchedSender) Send(context.Context, *event.Event, int) sink.Verdict { return sink.Verdict{} }

func (s *watchedSender) Close() { s.closed.Add(1) }

func (t *Target) timesClosed() int { return int(t.Sender.(*watchedSender).closed.Load()) }

// roomFor returns a registry whose idle sinks have room for so many.
func roomFor(sinks int) (*Registry, *watched) {
	w := &watched{}
	room := sinks * (&Target{Integration: hookNumber(99999)}).memory()
	return NewRegistry(Options{Sinks: w, InFlight: 4, Idle: room, QuietAfter: time.Minute, Logger: slog.New(slog.DiscardHandler), Now: time.Now}), w
}

func hookNumber(i int) *integration.Integration {
	return &integration.Integration{Tenant: "acme", ID: fmt.Sprintf("hook-%05d", i), Generation: 1}
}

func (r *Registry) target(t testing.TB, i int) *Target {
	t.Helper()
	target, err := r.Target(t.Context(), hookNumber(i))
	if err != nil {
		t.Fatal(err)
	}
	return target
}

// touch uses the sink of an integration for a moment.
func (r *Registry) touch(t testing.TB, i int) {
	t.Helper()
	r.target(t, i).Release()
}

// A process that works over a set of integrations that fits, while each of 20,000 has an
// event now and then, opens those of the set once: every sink that it opens again costs a
// read of the integration, and a TLS handshake.
func TestAHotSetStaysOpenAmongTwentyThousandIntegrations(t *testing.T) {
	const all, hot, room = 20_000, 2_000, 5_000
	r, w := roomFor(room)
	for cold := range all {
		if cold%room == 0 { // the set is used once in as many others as there is room for
			for i := range hot {
				r.touch(t, i)
			}
		}
		if cold%room < room-hot { // and these come between
			r.touch(t, cold+hot)
		}
	}
	for i := range hot {
		if n := w.opens[hookNumber(i).ID]; n != 1 {
			t.Fatalf("hook %d was opened %d times", i, n)
		}
	}
	if got := r.targets.idle.Bytes(); got > r.options.Idle || len(r.targets.used) > 0 {
		t.Errorf("%d bytes of idle sinks and %d in use; want at most %d and none", got, len(r.targets.used), r.options.Idle)
	}
}

// What is in use stays, with its slots: another Target of the same integration would
// double the calls to its receiver.
func TestASinkInUseIsNeitherClosedNorOpenedAgain(t *testing.T) {
	r, w := roomFor(3)
	held := r.target(t, 0)
	for i := range 100 {
		r.touch(t, 1+i)
	}
	if again := r.target(t, 0); again != held || w.opens[held.Integration.ID] != 1 {
		t.Fatal("a sink in use was opened again")
	}
	held.Release()
	for i := range 100 {
		r.touch(t, 1+i)
	}
	if held.timesClosed() > 0 || r.Integration("acme", held.Integration.ID, 1) == nil {
		t.Fatal("it was closed, or forgotten, under its second user")
	}
	held.Release()
	for i := range 100 {
		r.touch(t, 1+i)
	}
	if n := held.timesClosed(); n != 1 || r.Cached("acme", held.Integration.ID, 1) != nil {
		t.Errorf("once nobody used it, it was closed %d times", n)
	}
}

// A stop closes a sink once its last call has ended.
func TestAStoppedSinkIsClosedByItsLastUser(t *testing.T) {
	r, _ := roomFor(3)
	held, idle := r.target(t, 0), r.target(t, 1)
	idle.Release()
	r.Retire("acme", held.Integration.ID, 2)
	r.Retire("acme", idle.Integration.ID, 2)
	if held.timesClosed() != 0 || idle.timesClosed() != 1 {
		t.Errorf("closed %d times in use and %d times idle; want 0 and 1", held.timesClosed(), idle.timesClosed())
	}
	if r.Cached("acme", held.Integration.ID, 1) != nil {
		t.Error("a stopped sink is used again")
	}
	held.Release()
	if n := held.timesClosed(); n != 1 {
		t.Errorf("closed %d times by its last user", n)
	}
}

// Many use, stop and release at the same time: no sink is closed under its user,
// and each that was opened is closed once or still there.
func TestUsersOfSinksAtTheSameTime(t *testing.T) {
	r, w := roomFor(4)
	var users sync.WaitGroup
	for range 8 {
		users.Go(func() {
			for range 2000 {
				in := hookNumber(rand.IntN(10))
				in.Generation = 1 + rand.Uint64N(3)
				target, err := r.Target(context.Background(), in)
				if err != nil {
					t.Error(err)
					return
				}
				if rand.IntN(20) == 0 {
					r.Retire(in.Tenant, in.ID, in.Generation+1)
				}
				if other := r.Cached(in.Tenant, in.ID, in.Generation); other != nil {
					other.Release()
				}
				if target.timesClosed() > 0 {
					t.Error("a sink was closed under its user")
				}
				target.Release()
			}
		})
	}
	users.Wait()
	open := 0
	for _, s := range w.all {
		switch s.closed.Load() {
		case 0:
			open++
		case 1:
		default:
			t.Error("a sink was closed twice")
		}
	}
	if idle := len(r.targets.all()); len(r.targets.used) > 0 || open != idle || r.targets.idle.Bytes() > r.options.Idle {
		t.Errorf("%d sinks are left in use, %d are idle, and %d are open", len(r.targets.used), idle, open)
	}
}

// BenchmarkCachedSink is the look-up of each batch and each step.
func BenchmarkCachedSink(b *testing.B) {
	r, _ := roomFor(20_000)
	for i := range 20_000 {
		r.touch(b, i)
	}
	keys := make([]string, 20_000)
	for i := range keys {
		keys[i] = hookNumber(i).ID
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		t := r.Cached("acme", keys[i%len(keys)], 1)
		if t == nil {
			b.Fatal("it is not open")
		}
		t.Release()
	}
}
