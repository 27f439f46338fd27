package lifecycle_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

// TestRandomLives makes random changes to two tenants' integrations, with an
// engine that joins and leaves in between and a store that conflicts or fails at
// random. It checks the invariants after each step.
func TestRandomLives(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := setup(rapidTB{t, rt})
		b.Settings.MaxIntegrations = 3
		b.Quiesce = nil
		last := map[string]uint64{}
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			who := rapid.SampledFrom([]string{tenant, "other"}).Draw(rt, "tenant")
			id := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(rt, "id")
			faults := rapid.SliceOfN(rapid.SampledFrom([]error{nil, nil, store.ErrConflict, problem.New(problem.Unavailable, "down")}), 0, 3).Draw(rt, "faults")
			b.store.commits = 0
			b.store.before = func(n int) error {
				if n <= len(faults) {
					return faults[n-1]
				}
				return nil
			}
			generation := b.generations(who)
			err := b.step(rt, who, id)
			switch problem.CodeOf(err) {
			case "", problem.NotFound, problem.AlreadyExists, problem.LimitReached, problem.NotStopped, problem.InvalidRequest, problem.ReplayFinished, problem.Unavailable:
			default:
				rt.Fatalf("error %v", err)
			}
			b.sound(tenant)
			b.sound("other")
			for id, g := range b.generations(who) {
				if g < generation[id] || g != generation[id] && g <= last[who] {
					rt.Fatalf("%s of %s went from generation %d to %d; %d was given out before", id, who, generation[id], g, last[who])
				}
			}
			for _, g := range b.generations(who) {
				last[who] = max(last[who], g)
			}
		}
	})
}

// rapidTB lets a bundle fail a property, so that rapid shrinks it.
type rapidTB struct {
	*testing.T
	rt *rapid.T
}

func (r rapidTB) Helper()                      {}
func (r rapidTB) Fatal(args ...any)            { r.rt.Fatal(args...) }
func (r rapidTB) Fatalf(f string, args ...any) { r.rt.Fatalf(f, args...) }

// generations are those of a tenant's integrations, by incarnation.
func (b *bundle) generations(tenant string) map[string]uint64 {
	all, err := b.List(b.t.Context(), tenant)
	b.ok(err)
	g := map[string]uint64{}
	for _, in := range all {
		g[fmt.Sprint(in.ID, " ", in.Incarnation)] = in.Generation
	}
	return g
}

func (b *bundle) step(rt *rapid.T, who, id string) error {
	ctx := b.t.Context()
	lane := rapid.IntRange(0, 3).Draw(rt, "lane")
	var err error
	switch step := rapid.SampledFrom([]string{
		"register", "register", "replay", "start", "start", "stop", "stop failing", "update", "delete",
		"join", "join", "leave", "finish", "grow", "publish", "pass", "expire", "lanes",
	}).Draw(rt, "step"); step {
	case "register":
		_, err = b.Register(ctx, who, webhook(id))
	case "replay":
		_, err = b.Register(ctx, who, b.replay(id))
	case "start":
		_, err = b.Start(ctx, who, id)
	case "stop":
		_, err = b.Stop(ctx, who, id)
	case "stop failing":
		err = b.StopFailing(ctx, who, id, rapid.Uint64Range(1, 20).Draw(rt, "generation"), "It failed.")
	case "update":
		url := fmt.Sprintf("https://example.com/%d", rapid.IntRange(1, 9).Draw(rt, "url"))
		_, err = b.Update(ctx, who, id, edit(func(s *integration.Spec) { s.Webhook.URL = url }))
	case "delete":
		err = b.Delete(ctx, who, id)
	case "join", "leave", "finish":
		b.move(step, handoff.Key{Tenant: who, Integration: id, Lane: lane})
	case "grow":
		err = b.GrowLanes(ctx, who)
	case "publish":
		if who == tenant {
			b.publish(lane)
		}
	case "pass":
		b.pass(rapid.SampledFrom([]time.Duration{time.Second, time.Minute, 48 * time.Hour, 31 * 24 * time.Hour}).Draw(rt, "pass"))
	case "expire":
		err = b.DeleteExpiredReplays(ctx)
	case "lanes":
		b.Settings.Lanes = lane + 1
	}
	return err
}

// move does what the engine does with a cursor, if its state allows it.
func (b *bundle) move(step string, k handoff.Key) {
	ctx := b.t.Context()
	in, err := b.Get(ctx, k.Tenant, k.Integration)
	if err != nil || !in.Running || k.Lane >= in.Lanes {
		return
	}
	c, err := b.Store.Cursor(ctx, k)
	b.ok(err)
	r, err := b.Store.Partition(ctx, k.Partition())
	b.ok(err)
	switch {
	case step == "join" && c.State == handoff.Scheduled:
		c.Offset.Segment = max(c.Offset.Segment, r.LowWatermark)
		if !handoff.Join(r, c, handoff.Deliver, 0, time.Time{}, b.now()) {
			return
		}
	case step == "leave" && handoff.Leave(r, c, c.AckState, b.now()):
	case step == "finish" && c.State == handoff.Scheduled && in.Type == integration.Temporary:
		c.State, c.DueAt = handoff.Finished, time.Time{}
		in.OpenLanes--
		if in.OpenLanes == 0 {
			in.Running, in.CompletedAt, in.QuietAt = false, b.now(), b.now()
		}
		b.ok(b.store.Store.Commit(ctx, store.PutIntegration{Integration: in}, store.PutCursor{Cursor: c}))
		return
	default:
		return
	}
	b.ok(b.store.Store.Commit(ctx, store.PutPartition{State: r}, store.PutCursor{Cursor: c}))
}
