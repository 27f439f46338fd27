package trial

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
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

// world is a service whose target ends with verdict.
type world struct {
	*Service
	store   *memory.Store
	verdict sink.Verdict
	events  []event.Event // that were sent
	closed  int
	probing func() // called by a probe
}

func newWorld(t *testing.T) *world {
	w := &world{store: memory.New(), verdict: sink.Verdict{Outcome: sink.Delivered, Status: 204}, probing: func() {}}
	w.Service = New(Options{
		Store: w.store, Integrations: w, Sinks: w, Counter: new(MemoryCounter), Calls: worker.NewCalls(2),
		Settings: settings.Default(), Logger: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	w.put(t, &integration.Integration{Tenant: "acme", ID: "files", S3: &integration.S3{}, Generation: 3, Incarnation: 1})
	w.put(t, &integration.Integration{Tenant: "acme", ID: "shop", Webhook: &integration.Webhook{}, Generation: 4, Incarnation: 2})
	t.Cleanup(w.Close)
	return w
}

func (w *world) put(t *testing.T, in *integration.Integration) {
	t.Helper()
	if err := w.store.Commit(context.Background(), store.PutIntegration{Integration: in}); err != nil {
		t.Fatal(err)
	}
}

func (w *world) Get(ctx context.Context, tenant, id string) (*integration.Integration, error) {
	return w.store.Integration(ctx, tenant, id)
}

func (w *world) Tester(context.Context, *integration.Integration) (sink.Tester, error) { return w, nil }

func (w *world) Prober(context.Context, *integration.Integration) (sink.Prober, error) { return w, nil }

func (w *world) Close() { w.closed++ }

func (w *world) Test(_ context.Context, e *event.Event) sink.Verdict {
	w.events = append(w.events, *e)
	time.Sleep(70 * time.Millisecond)
	return w.verdict
}

func (w *world) Probe(context.Context) sink.Verdict {
	w.probing()
	return w.verdict
}

func (w *world) stored(t *testing.T, id string) (*integration.Integration, []string) {
	t.Helper()
	in, err := w.store.Integration(t.Context(), "acme", id)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := w.store.Entries(t.Context(), store.HistoryOf(in), 100)
	if err != nil {
		t.Fatal(err)
	}
	var log []string
	for _, e := range entries {
		log = append(log, string(e.Action)+": "+e.Reason)
	}
	return in, log
}

func TestTheResultIsTheVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for _, v := range []sink.Verdict{
			{Outcome: sink.Delivered, Status: 204},
			{Outcome: sink.Rejected, Status: 400, Cause: "bad request (HTTP status code 400)", Reason: "Request to URL failed."},
			{Outcome: sink.Retry, Cause: "no response within 10s"},
		} {
			w.verdict = v
			r, err := w.Service.Test(t.Context(), "acme", "shop", "order.created")
			if want := (Result{v.Outcome, v.Status, v.Cause, 70 * time.Millisecond}); err != nil || r != want {
				t.Errorf("%+v, %v, want %+v", r, err, want)
			}
		}
		for _, v := range []sink.Outcome{sink.Interrupted, sink.Unsent} {
			w.verdict = sink.Verdict{Outcome: v}
			if _, err := w.Service.Test(t.Context(), "acme", "shop", ""); problem.CodeOf(err) != problem.Unavailable {
				t.Errorf("%v: %v", v, err)
			}
		}
		if w.closed != 5 {
			t.Errorf("%d of 5 sinks were closed", w.closed)
		}
		if _, log := w.stored(t, "shop"); len(log) > 0 {
			t.Errorf("tests are in the log: %v", log)
		}
	})
}

func TestTheEventSaysThatItIsATest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for _, name := range []string{"", "order.created"} {
			if _, err := w.Service.Test(t.Context(), "acme", "shop", name); err != nil {
				t.Fatal(err)
			}
		}
		for i, want := range []string{"sluice.test", "order.created"} {
			e := w.events[i]
			var body map[string]any
			if err := json.Unmarshal(e.Body, &body); err != nil || body["name"] != want || body["tenant"] != "acme" || body["id"] != e.ID ||
				!event.ValidID(e.ID) || !strings.HasSuffix(string(e.Body), `"payload":{"test":true}}`) {
				t.Errorf("%s, %v", e.Body, err)
			}
		}
		if w.events[0].ID == w.events[1].ID {
			t.Error("two tests have one id")
		}
		for _, name := range []string{"order", "Order.created", "a.b ", strings.Repeat("a", 127) + ".b", "a..b", "sluice.test\n"} {
			if _, err := w.Service.Test(t.Context(), "acme", "shop", name); problem.CodeOf(err) != problem.InvalidRequest || !strings.Contains(problem.MessageOf(err), "event_name") {
				t.Errorf("%q: %v", name, err)
			}
		}
		if _, err := w.Service.Test(t.Context(), "evil", "shop", ""); problem.CodeOf(err) != problem.NotFound {
			t.Errorf("another tenant: %v", err)
		}
		if len(w.events) != 2 {
			t.Errorf("%d events were sent", len(w.events))
		}
	})
}

func TestTenTestsAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		time.Sleep(20 * time.Second)
		for range MaxPerMinute {
			if _, err := w.Service.Test(t.Context(), "acme", "shop", ""); err != nil {
				t.Fatal(err)
			}
		}
		_, err := w.Service.Test(t.Context(), "acme", "shop", "")
		wait := problem.RetryAfterOf(err)
		if problem.CodeOf(err) != problem.TooManyRequests || wait != 40*time.Second-10*70*time.Millisecond || len(w.events) != MaxPerMinute {
			t.Errorf("%v, wait for %v, %d events", err, wait, len(w.events))
		}
		if _, err := w.Service.Test(t.Context(), "acme", "files", ""); err != nil {
			t.Errorf("another integration: %v", err)
		}
		time.Sleep(wait)
		if _, err := w.Service.Test(t.Context(), "acme", "shop", ""); err != nil {
			t.Errorf("in the next minute: %v", err)
		}
	})
}

func TestFailedProbeIsSaidUntilOneSucceeds(t *testing.T) {
	w := newWorld(t)
	in, _ := w.stored(t, "files")
	w.verdict = sink.Verdict{Outcome: sink.Retry, Status: 404, Cause: "NoSuchBucket", Reason: "Writing a file failed. Reason: NoSuchBucket."}
	w.Service.Probe(in)
	w.Wait()
	in, log := w.stored(t, "files")
	if in.Unreachable == nil || in.Unreachable.Cause != "NoSuchBucket" || len(log) != 1 ||
		log[0] != "target_unreachable: Probed the target, without writing a file. Writing a file failed. Reason: NoSuchBucket." {
		t.Errorf("%+v, %q", in.Unreachable, log)
	}
	for _, v := range []sink.Outcome{sink.Unsent, sink.Interrupted} { // these say nothing of the target
		w.verdict = sink.Verdict{Outcome: v}
		w.Service.Probe(in)
		w.Wait()
	}
	if in, log := w.stored(t, "files"); in.Unreachable == nil || len(log) != 1 {
		t.Errorf("%+v, %q", in.Unreachable, log)
	}
	w.verdict = sink.Verdict{Outcome: sink.Delivered}
	w.Service.Probe(in)
	w.Wait()
	in, log = w.stored(t, "files")
	if in.Unreachable != nil || len(log) != 1 {
		t.Errorf("%+v, %q", in.Unreachable, log)
	}
	version := in.Version
	w.Service.Probe(in)
	w.Wait()
	if in, _ := w.stored(t, "files"); in.Version != version || w.closed != 5 {
		t.Errorf("a probe that found nothing new wrote version %d after %d; %d of 5 sinks were closed", in.Version, version, w.closed)
	}
}

// A probe that ends after its integration was changed, deleted or registered again speaks
// of another target.
func TestProbeOfAnEarlierTargetIsForgotten(t *testing.T) {
	for name, change := range map[string]func(*integration.Integration) []store.Write{
		"changed": func(in *integration.Integration) []store.Write {
			in.Generation++
			return []store.Write{store.PutIntegration{Integration: in}}
		},
		"deleted": func(in *integration.Integration) []store.Write {
			return []store.Write{store.DeleteIntegration{Integration: in}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			in, _ := w.stored(t, "files")
			w.verdict = sink.Verdict{Outcome: sink.Retry, Cause: "NoSuchBucket"}
			w.probing = func() {
				now, _ := w.stored(t, "files")
				if err := w.store.Commit(context.Background(), change(now)...); err != nil {
					t.Error(err)
				}
			}
			w.Service.Probe(in)
			w.Wait()
			if now, err := w.store.Integration(t.Context(), "acme", "files"); err == nil && now.Unreachable != nil {
				t.Errorf("%+v", now.Unreachable)
			}
			if entries, _ := w.store.Entries(t.Context(), store.HistoryOf(in), 10); len(entries) > 0 {
				t.Errorf("%+v", entries)
			}
		})
	}
}
