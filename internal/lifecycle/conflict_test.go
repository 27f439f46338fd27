package lifecycle_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/secret"
	"github.com/sluicehq/sluice/internal/store"
)

// change is one call of the Service on an integration that set prepares.
type change struct {
	name      string
	set       func(*bundle)
	call      func(*bundle) error
	records   bool // it conflicts with concurrent live delivery
	schedules bool // it must tell the scheduler about the cursors
}

func changes() []change {
	live := func(b *bundle) {
		b.register(webhook("x"))
		b.goLive("x", 0)
		b.publish(0)
	}
	stopped := func(b *bundle) { b.stopped(webhook("x")) }
	return []change{
		{"register", func(*bundle) {}, func(b *bundle) error { _, err := b.Register(b.t.Context(), tenant, webhook("x")); return err }, false, true},
		{"stop", live, func(b *bundle) error { _, err := b.Stop(b.t.Context(), tenant, "x"); return err }, true, true},
		{"stop failing", live, func(b *bundle) error { return b.StopFailing(b.t.Context(), tenant, "x", 1, "It failed.") }, true, true},
		{"delete", live, func(b *bundle) error { return b.Delete(b.t.Context(), tenant, "x") }, true, true},
		{"start", stopped, func(b *bundle) error { _, err := b.Start(b.t.Context(), tenant, "x"); return err }, false, true},
		{"start with more lanes", func(b *bundle) { stopped(b); b.Settings.Lanes = 4 }, func(b *bundle) error { _, err := b.Start(b.t.Context(), tenant, "x"); return err }, false, true},
		{"grow lanes", func(b *bundle) { live(b); b.Settings.Lanes = 4 }, func(b *bundle) error { return b.GrowLanes(b.t.Context(), tenant) }, false, false},
		{"update", stopped, func(b *bundle) error {
			_, err := b.Update(b.t.Context(), tenant, "x", edit(func(s *integration.Spec) { s.Webhook.SigningSecret = secret.NewString(clears[2]) }))
			return err
		}, false, false},
		{"delete rejected", func(b *bundle) { b.reject(b.register(webhook("x")), "e1") }, func(b *bundle) error { return b.rejects().Delete(b.t.Context(), tenant, "x", "e1") }, false, false},
	}
}

// Each change is one transaction. If it fails, nothing changes and the error says
// why.
func TestOneCommit(t *testing.T) {
	down := problem.New(problem.Unavailable, "the store is down")
	for _, c := range changes() {
		for name, fail := range map[string]struct {
			err     error
			want    problem.Code
			commits int
		}{
			"unavailable":      {down, problem.Unavailable, 1},
			"always conflicts": {store.ErrConflict, problem.Conflict, 50},
			"succeeds":         {nil, "", 1},
		} {
			t.Run(c.name+" "+name, func(t *testing.T) {
				b := setup(t)
				c.set(b)
				b.scheduled = nil
				before := b.state(tenant)
				b.store.before = func(int) error { return fail.err }
				err := c.call(b)
				b.is(err, fail.want)
				if b.store.commits != fail.commits {
					t.Errorf("%d Commits, want %d", b.store.commits, fail.commits)
				}
				diff := cmp.Diff(before, b.state(tenant))
				if fail.err != nil && diff != "" {
					t.Errorf("changed: %s", diff)
				}
				// A Commit that failed without a conflict may have happened.
				schedules := fail.err == nil && c.name == "grow lanes" || fail.want != problem.Conflict && c.schedules
				if schedules != (b.scheduled != nil) {
					t.Errorf("scheduled %v, want any: %v", b.scheduled, schedules)
				}
				for _, k := range b.scheduled {
					if k.Tenant != tenant || k.Integration != "x" {
						t.Errorf("scheduled %+v, which is another's", k)
					}
				}
				if fail.err == nil && diff == "" {
					t.Error("nothing has changed")
				}
				for _, clear := range clears {
					if strings.Contains(fmt.Sprint(err, b.state(tenant)), clear) {
						t.Errorf("%s shows up", clear)
					}
				}
			})
		}
	}
}

// A caller that disconnects during its Commit does not abort it.
func TestTheCallerGoesAway(t *testing.T) {
	for _, c := range changes() {
		t.Run(c.name, func(t *testing.T) {
			b := setup(t)
			c.set(b)
			before := b.state(tenant)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			b.t = ended{t, ctx}
			b.store.before = func(int) error { cancel(); return nil }
			b.ok(c.call(b))
			b.t = t
			if diff := cmp.Diff(before, b.state(tenant)); diff == "" {
				t.Error("nothing has changed")
			}
		})
	}
}

// ended is a testing.TB with a different context.
type ended struct {
	testing.TB
	ctx context.Context
}

func (e ended) Context() context.Context { return e.ctx }

// interferences are commits by others between a change's reads and its Commit.
var interferences = map[string]func(*bundle) []store.Write{
	"tenant": func(b *bundle) []store.Write {
		tn, err := b.Store.Tenant(b.t.Context(), tenant)
		b.ok(err)
		tn.Generation += 5
		return []store.Write{store.PutTenant{Tenant: tn}}
	},
	"lease": func(b *bundle) []store.Write {
		c := b.cursor("x", 0)
		if c.State == handoff.Scheduled {
			c.DueAt = b.now().Add(time.Minute)
		}
		return []store.Write{store.PutCursor{Cursor: c}}
	},
	"batch": func(b *bundle) []store.Write {
		r := b.partition(0)
		r.LowWatermark++
		return []store.Write{store.PutPartition{State: r}}
	},
	"leave": func(b *bundle) []store.Write {
		r, c := b.partition(0), b.cursor("x", 0)
		if !handoff.Leave(r, c, handoff.AckState{Offset: handoff.Offset{Index: 1}}, b.now()) {
			return nil
		}
		return []store.Write{store.PutPartition{State: r}, store.PutCursor{Cursor: c}}
	},
}

func TestConflictsAreDecidedAgain(t *testing.T) {
	for _, c := range changes() {
		for name, interfere := range interferences {
			if (name == "batch" || name == "leave") && !c.records || name == "lease" && c.name == "register" {
				continue
			}
			t.Run(c.name+" against "+name, func(t *testing.T) {
				b := setup(t)
				c.set(b)
				generation := uint64(0)
				b.store.before = func(n int) error {
					if n <= 3 {
						if writes := interfere(b); writes != nil {
							b.ok(b.store.Store.Commit(t.Context(), writes...))
						}
					}
					tn, _ := b.Store.Tenant(t.Context(), tenant)
					generation = tn.Generation
					return nil
				}
				b.ok(c.call(b))
				conflicts := b.store.commits - 1
				if want := map[string]int{"tenant": 3, "lease": 3, "batch": 3, "leave": 1}[name]; conflicts != want && c.name != "grow lanes" && c.name != "delete rejected" {
					t.Errorf("%d conflicts, want %d", conflicts, want)
				}
				s := b.state(tenant)
				for _, in := range s.Integrations {
					if in.Generation > s.Tenant.Generation || c.name == "stop" && in.Generation <= generation {
						t.Errorf("generation %d, the tenant's is %d and was %d", in.Generation, s.Tenant.Generation, generation)
					}
				}
				b.sound(tenant)
				if c.name != "stop" {
					return
				}
				want := map[string]handoff.Offset{"batch": {Segment: 3}, "leave": {Index: 1}}[name]
				if got := b.cursor("x", 0).Offset; got != want {
					t.Errorf("stopped at %v, want %v", got, want)
				}
			})
		}
	}
}

// If an integration is deleted between the reads of it and of its cursors, the
// error is NotFound and does not report a damaged store.
func TestDeletedWhileItIsRead(t *testing.T) {
	for _, c := range changes() {
		if c.name == "register" || c.name == "grow lanes" || c.name == "delete rejected" {
			continue // they read no cursor
		}
		t.Run(c.name, func(t *testing.T) {
			b := setup(t)
			c.set(b)
			var deleted atomic.Bool
			b.store.reading = func(int) {
				if deleted.CompareAndSwap(false, true) {
					b.ok(b.Delete(t.Context(), tenant, "x"))
				}
			}
			want := problem.NotFound
			if c.name == "stop failing" {
				want = ""
			}
			b.is(c.call(b), want)
			b.sound(tenant)
		})
	}
}

// If an integration is replaced by one with fewer lanes before its cursors are
// read, the call stops the new one.
func TestReplacedWhileItIsRead(t *testing.T) {
	b := setup(t)
	b.Settings.Lanes = 2
	b.register(webhook("x"))
	b.Settings.Lanes = 1
	var replaced atomic.Bool
	b.store.reading = func(lane int) {
		if lane == 1 && replaced.CompareAndSwap(false, true) {
			b.ok(b.Delete(t.Context(), tenant, "x"))
			b.register(webhook("x"))
		}
	}
	if in := b.stop("x"); in.Running || in.Lanes != 1 {
		t.Errorf("got %+v", in)
	}
	b.sound(tenant)
}

func TestMissingCursorIsDamage(t *testing.T) {
	b := setup(t)
	b.register(webhook("x"))
	b.ok(b.store.Store.Commit(t.Context(), store.DeleteCursor{Cursor: b.cursor("x", 0)}))
	_, err := b.Stop(t.Context(), tenant, "x")
	b.is(err, problem.Internal)
}

// sound checks the invariants of a tenant.
func (b *bundle) sound(tenant string) {
	b.t.Helper()
	s := b.state(tenant)
	if s.Tenant.Integrations != len(s.Integrations) {
		b.t.Fatalf("the tenant counts %d integrations and has %d", s.Tenant.Integrations, len(s.Integrations))
	}
	generations := map[uint64]string{}
	byID := map[string]*integration.Integration{}
	for _, in := range s.Integrations {
		byID[in.ID] = in
		if other, taken := generations[in.Generation]; taken || in.Generation > s.Tenant.Generation || in.Generation < in.Incarnation {
			b.t.Fatalf("generation %d of %s: also of %q, the tenant's is %d, its first %d", in.Generation, in.ID, other, s.Tenant.Generation, in.Incarnation)
		}
		generations[in.Generation] = in.ID
		n := 0
		for _, c := range s.Cursors {
			if c.Key.Integration == in.ID {
				n++
				b.owned(in, c, s.Records[c.Key.Lane])
			}
		}
		if n != in.Lanes {
			b.t.Fatalf("%s has %d cursors in %d lanes", in.ID, n, in.Lanes)
		}
	}
	for _, r := range s.Records {
		seen := map[string]bool{}
		for _, f := range r.Live {
			in := byID[f.ID]
			if in == nil || !in.Running || in.Generation != f.Generation || r.Partition.Lane >= in.Lanes || seen[f.ID] {
				b.t.Fatalf("stale subscriber in lane %d: %+v of %+v", r.Partition.Lane, f, in)
			}
			seen[f.ID] = true
		}
	}
}

// owned checks that the integration is in the live set if and only if its cursor
// is live, and that the cursor's state is allowed.
func (b *bundle) owned(in *integration.Integration, c *handoff.Cursor, r *handoff.PartitionState) {
	b.t.Helper()
	subscribed := r.Find(in.ID) != nil
	allowed := map[bool][]handoff.State{
		true:  {handoff.Scheduled, handoff.Live, handoff.Finished},
		false: {handoff.Paused, handoff.Finished},
	}[in.Running]
	ok := false
	for _, state := range allowed {
		ok = ok || c.State == state
	}
	switch {
	case !ok, c.Generation != in.Generation, subscribed != (c.State == handoff.Live), (c.State == handoff.Scheduled) != !c.DueAt.IsZero():
		b.t.Fatalf("running %v, generation %d, in the live set %v: cursor %+v", in.Running, in.Generation, subscribed, c)
	}
}
