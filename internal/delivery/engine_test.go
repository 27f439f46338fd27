package delivery_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/secret"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/sink"
)

// logged returns the lines of the engine's log with a message.
func (r *rig) logged(message string) []map[string]any {
	r.t.Helper()
	var found []map[string]any
	for line := range strings.Lines(r.lines.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			r.t.Fatalf("%s: %v", line, err)
		}
		if fields["msg"] == message {
			found = append(found, fields)
		}
	}
	return found
}

// Each attempt is logged in one line with the same keys, whatever its outcome.
func TestOneLineForEachAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, nil)
		r.register(hookSpec("hook"))
		r.register(bucketSpec("bucket"))
		time.Sleep(time.Second)
		r.answer(func(_ context.Context, _ *integration.Integration, _ *event.Event, attempt int) sink.Verdict {
			time.Sleep(7 * time.Millisecond)
			if attempt == 1 {
				return busy
			}
			return refused
		})
		r.publish(1)
		time.Sleep(10 * time.Minute)
		lines := r.logged("delivery attempted")
		want := []map[string]any{
			{"level": "INFO", "attempt": 1.0, "outcome": "retry", "status": 503.0, "reason": busy.Reason},
			{"level": "INFO", "attempt": 2.0, "outcome": "rejected", "status": 400.0, "reason": refused.Reason},
		}
		if len(lines) != len(want) {
			t.Fatalf("%d lines, want %d", len(lines), len(want))
		}
		for i, w := range want {
			for k, v := range map[string]any{
				"msg": "delivery attempted", "tenant": "acme", "integration": "hook",
				"lane": 0.0, "event_id": "e000000", "event_name": "order.created", "took_ms": 7.0,
			} {
				w[k] = v
			}
			delete(lines[i], "time")
			if age, ok := lines[i]["age_ms"].(float64); !ok || age < 0 || age > 2000 {
				t.Errorf("age_ms is %v", lines[i]["age_ms"])
			}
			delete(lines[i], "age_ms")
			if diff := cmp.Diff(w, lines[i]); diff != "" {
				t.Error(diff)
			}
		}
		exports := r.logged("export attempted")
		if len(exports) != 1 {
			t.Fatalf("%d lines for a file", len(exports))
		}
		delete(exports[0], "time")
		if diff := cmp.Diff(map[string]any{
			"level": "INFO", "msg": "export attempted", "tenant": "acme", "integration": "bucket", "lane": 0.0,
			"events": 1.0, "bytes": exports[0]["bytes"], "attempt": 1.0, "outcome": "delivered", "status": 200.0, "reason": "", "took_ms": 0.0,
		}, exports[0]); diff != "" {
			t.Error(diff)
		}
	})
}

// What a tenant must not learn of our network is in the operator's log alone.
func TestDetailIsForTheOperatorAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const inner = "the address 10.1.2.3 is a private address"
		r := newRig(t, false, nil)
		r.register(hookSpec("hook"))
		r.register(bucketSpec("bucket"))
		time.Sleep(time.Second)
		blocked := sink.Verdict{Outcome: sink.Retry, Reason: "Failed. Reason: no address.", Cause: "no address", Detail: inner}
		r.answer(func(context.Context, *integration.Integration, *event.Event, int) sink.Verdict { return blocked })
		r.writes(func(context.Context, int, written, confirmFunc) sink.Verdict { return blocked })
		r.publish(1)
		time.Sleep(10 * time.Minute)
		for id, message := range map[string]string{"hook": "delivery attempted", "bucket": "export attempted"} {
			lines := r.logged(message)
			if len(lines) == 0 || lines[0]["detail"] != inner {
				t.Errorf("%s: logged %v, want the detail", message, lines)
			}
			entries := r.entries(id, integration.ActionRetryTriggered)
			if len(entries) == 0 {
				t.Errorf("%s: no entry of a retry", id)
			}
			for _, e := range entries {
				if strings.Contains(e.Reason, inner) {
					t.Errorf("%s: the tenant is told %q", id, e.Reason)
				}
			}
		}
	})
}

// A sink that cannot be opened fails only its own integration, and no log shows the
// secret that the error contains.
func TestASecretThatDoesNotOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const clear = "sk-very-secret-0123456789"
		r := newRig(t, true, nil)
		var broken atomic.Bool
		broken.Store(true)
		r.open = func(in *integration.Integration) error {
			if in.ID == "broken" && broken.Load() {
				return problem.Wrap(errors.New("cannot open "+clear), problem.Internal, "The secret %s does not open.", clear)
			}
			return nil
		}
		for _, id := range []string{"broken", "fine"} {
			spec := hookSpec(id)
			spec.Webhook.APIKey = secret.NewString(clear)
			r.register(spec)
		}
		time.Sleep(time.Second)
		ids := r.publish(3)
		time.Sleep(time.Hour)
		r.wantOnce("fine", ids)
		entries := r.entries("broken", integration.ActionRetryTriggered)
		if len(entries) == 0 || !strings.Contains(entries[0].Reason, "stored integration cannot be used") {
			t.Errorf("log: %+v", entries)
		}
		for _, e := range entries {
			if strings.Contains(e.Reason, clear) {
				t.Errorf("the integration's log has the secret: %s", e.Reason)
			}
		}
		if strings.Contains(r.lines.String(), clear) {
			t.Errorf("the log has the secret: %s", r.lines)
		}
		broken.Store(false)
		time.Sleep(6 * time.Minute)
		r.wantOnce("broken", ids)
	})
}

// A sink is opened once per generation.
func TestSinksAreOpenedOnceAGeneration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, nil)
		var opened []uint64
		r.open = func(in *integration.Integration) error {
			opened = append(opened, in.Generation)
			return nil
		}
		in := r.register(hookSpec("orders"))
		for range 20 {
			time.Sleep(time.Second)
			r.publish(2)
		}
		time.Sleep(time.Second)
		if _, err := r.life.Stop(t.Context(), tenant, in.ID); err != nil {
			t.Fatal(err)
		}
		started, err := r.life.Start(t.Context(), tenant, in.ID)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		r.publish(2)
		time.Sleep(time.Second)
		if want := []uint64{in.Generation, started.Generation}; !slices.Equal(opened, want) {
			t.Errorf("opened for generations %v, want %v", opened, want)
		}
	})
}

// On a single node a stop is complete when Stop returns: calls in flight are
// cancelled, nothing begins again, and a start delivers everything.
func TestStopIsQuietAtOnce(t *testing.T) {
	for name, late := range map[string]bool{"live": false, "catching up": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, false, func(s *settings.Settings) { s.InFlight = 2 })
				var under atomic.Int32
				r.answer(func(ctx context.Context, in *integration.Integration, e *event.Event, n int) sink.Verdict {
					under.Add(1)
					defer under.Add(-1)
					return takes(3*time.Second, delivered)(ctx, in, e, n)
				})
				spec := hookSpec("orders")
				if spec.StartsAt = time.Now().UTC().Truncate(time.Millisecond); late {
					spec.StartsAt = spec.StartsAt.Add(-time.Minute)
				}
				if !late {
					r.register(spec)
				}
				time.Sleep(time.Second)
				ids := r.publish(10)
				if late {
					r.register(spec)
				}
				time.Sleep(4 * time.Second)
				if under.Load() == 0 {
					t.Fatal("no call is in flight")
				}
				began := time.Now()
				in, err := r.life.Stop(t.Context(), tenant, "orders")
				if err != nil {
					t.Fatal(err)
				}
				if s := in.StatusAt(time.Now()); s != integration.Stopped || under.Load() != 0 || time.Since(began) > 3*time.Second {
					t.Errorf("%s after %v, %d calls in flight", s, time.Since(began), under.Load())
				}
				before := len(r.got())
				time.Sleep(time.Hour)
				if n := len(r.got()) - before; n != 0 {
					t.Errorf("%d calls while it was stopped", n)
				}
				if _, err := r.life.Start(t.Context(), tenant, "orders"); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				n := times(r.got())
				for _, id := range ids {
					if n[id] == 0 {
						t.Errorf("%s is lost", id)
					}
				}
			})
		})
	}
}

// Quiesce waits only for generations below the given one, and no longer than its
// context.
func TestQuiesceIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, nil)
		in := r.register(hookSpec("orders"))
		time.Sleep(time.Second)
		r.answer(func(context.Context, *integration.Integration, *event.Event, int) sink.Verdict {
			time.Sleep(5 * time.Second) // ignores its context
			return delivered
		})
		r.publish(1)
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if !r.registry.Quiesce(ctx, tenant, in.ID, in.Generation) {
			t.Error("waited for the current generation")
		}
		if !r.registry.Quiesce(ctx, tenant, "other", in.Generation+1) {
			t.Error("waited for another integration")
		}
		if r.registry.Quiesce(ctx, tenant, in.ID, in.Generation+1) {
			t.Error("returned true while a call is in flight")
		}
		if !r.registry.Quiesce(t.Context(), tenant, in.ID, in.Generation+1) {
			t.Error("did not wait")
		}
	})
}
