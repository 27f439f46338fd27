package delivery_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/sink"
)

// append adds one segment of events to a lane and tells its live loop. The ids begin
// with the lane.
func (r *rig) append(lane, events int) []string {
	r.t.Helper()
	p := event.Partition{Tenant: tenant, Lane: lane}
	var segment []event.Event
	var ids []string
	for range events {
		id := fmt.Sprintf("%d-%06d", lane, r.next)
		r.next++
		ids = append(ids, id)
		segment = append(segment, event.Draft{ID: id, Name: "order.created", Payload: []byte(`{}`)}.Stamp(tenant, time.Now()))
	}
	end, err := r.w.log.Append(context.Background(), p, "", eventlog.Unnamed(segment...))
	if err != nil {
		r.t.Fatal(err)
	}
	r.grow(p, end)
	return ids
}

// gauge is a receiver that takes a while and counts its calls in flight.
type gauge struct {
	takes time.Duration

	mu    sync.Mutex
	under map[string]int // by integration
	most  map[string]int
}

func newGauge(takes time.Duration) *gauge {
	return &gauge{takes: takes, under: map[string]int{}, most: map[string]int{}}
}

func (g *gauge) send(ctx context.Context, in *integration.Integration, e *event.Event, attempt int) sink.Verdict {
	g.mu.Lock()
	g.under[in.ID]++
	g.most[in.ID] = max(g.most[in.ID], g.under[in.ID])
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.under[in.ID]--
	}()
	return takes(g.takes, delivered)(ctx, in, e, attempt)
}

func (g *gauge) highest(id string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.most[id]
}

// The limit of calls at a time applies to an integration over all its lanes, and its
// slots are shared fairly: equally busy lanes progress equally fast, and a lane with
// one event does not wait until a busy one is done. This also holds if the lanes of a
// new integration open its sink at the same time.
func TestSlotsOverLanes(t *testing.T) {
	const lanes, inFlight = 3, 4
	for name, late := range map[string]bool{"live": false, "catching up": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, false, func(s *settings.Settings) { s.Lanes, s.InFlight = lanes, inFlight })
				r.open = func(*integration.Integration) error {
					time.Sleep(50 * time.Millisecond)
					return nil
				}
				g := newGauge(100 * time.Millisecond)
				r.answer(g.send)
				begins := func() {
					for _, id := range []string{"orders", "other"} {
						spec := hookSpec(id)
						spec.StartsAt = time.Now().Add(-time.Minute).UTC().Truncate(time.Millisecond)
						r.register(spec)
					}
				}
				time.Sleep(time.Second)
				if !late {
					begins()
				}
				time.Sleep(time.Second)
				var ids []string
				for range 16 { // 4.8 s of work
					for lane := range lanes {
						ids = append(ids, r.append(lane, 4)...)
					}
				}
				if late {
					begins()
				}
				time.Sleep(2400 * time.Millisecond)
				for lane, n := range r.byLane("orders", lanes) {
					if n < 20 || n > 40 {
						t.Errorf("halfway %d of 64 events of lane %d were sent", n, lane)
					}
				}
				time.Sleep(time.Minute)
				r.wantOnce("orders", ids)
				r.wantOnce("other", ids)
				if m := g.highest("orders"); m != inFlight {
					t.Errorf("up to %d calls at a time, want %d", m, inFlight)
				}

				for range 25 {
					ids = append(ids, r.append(0, 4)...) // 2.5 s
				}
				time.Sleep(500 * time.Millisecond)
				began := time.Now()
				one := append(r.append(1, 1), r.append(2, 1)...)
				time.Sleep(time.Minute)
				for _, c := range r.got() {
					if at := c.at.Sub(began); strings.Contains(strings.Join(one, " "), c.id) && at > time.Second {
						t.Errorf("%s waited %v for a slot at %s", c.id, at, c.to)
					}
				}
				r.wantOnce("orders", append(ids, one...))
				if m := g.highest("orders"); m != inFlight {
					t.Errorf("up to %d calls at a time, want %d", m, inFlight)
				}
			})
		})
	}
}

// byLane counts the calls by lane.
func (r *rig) byLane(to string, lanes int) []int {
	n := make([]int, lanes)
	for _, c := range r.got() {
		if c.to == to {
			n[c.id[0]-'0']++
		}
	}
	return n
}
