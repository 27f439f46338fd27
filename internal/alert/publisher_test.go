package alert_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/health"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/store"
)

// outage has so many alerts of one outage.
func (r *rig) outage(n int) {
	r.Helper()
	for i := range n {
		id := fmt.Sprintf("hook-%d", i)
		r.registered("acme", id, 1)
		a := &store.Alert{History: store.History{Tenant: "acme", Integration: id, Incarnation: 1}, Number: 1, Kind: failing, At: r.at, DueAt: r.at, Payload: []byte(`{}`)}
		r.commit(r.store, store.PutAlert{Alert: a})
	}
}

func TestAnOutageIsPublishedInGroups(t *testing.T) {
	r := newRig(t)
	r.outage(120)
	o := &outlet{store: r.store}
	if n, err := r.publisher(o.publish).Drain(t.Context()); n != 120 || err != nil {
		t.Fatalf("published %d, %v", n, err)
	}
	if !slices.Equal(o.groups, []int{50, 50, 20}) {
		t.Errorf("groups %v", o.groups)
	}
}

// A function may have more to publish than a call takes.
func TestWhatAnInvocationHasIsPublishedInGroups(t *testing.T) {
	r := newRig(t)
	r.outage(121)
	all, err := r.store.Alerts(t.Context(), r.at, 1000)
	if err != nil {
		t.Fatal(err)
	}
	all[0].Payload = []byte(`{"cause":"` + strings.Repeat("x", 60<<10) + `"}`)
	o := &outlet{store: r.store}
	if n, err := r.publisher(o.publish).Deliver(t.Context(), all); n != 121 || err != nil {
		t.Fatalf("published %d, %v", n, err)
	}
	if !slices.Equal(o.groups, []int{1, 50, 50, 20}) {
		t.Errorf("groups %v", o.groups)
	}
}

// What is published again, as its process ended before it removed the alert, has the ids it
// had: UUIDs of version 7 with the time of the change.
func TestARepeatHasTheSameIDs(t *testing.T) {
	r := newRig(t)
	r.outage(3)
	o := &outlet{store: r.store, fails: errors.New("killed")}
	if _, err := r.publisher(o.publish).Drain(t.Context()); !errors.Is(err, o.fails) {
		t.Fatal(err)
	}
	o.fails, r.at = nil, r.at.Add(time.Hour)
	if n, err := r.publisher(o.publish).Drain(t.Context()); n != 3 || err != nil {
		t.Fatalf("published %d, %v", n, err)
	}
	ids := func(drafts []event.Draft) (all []string) {
		for _, d := range drafts {
			all = append(all, d.ID)
		}
		return all
	}
	first, second := ids(o.events[:3]), ids(o.events[3:])
	if !slices.Equal(first, second) || first[0] == first[1] {
		t.Errorf("first %v, then %v", first, second)
	}
	const want = "019ca945-0a00-7" // 2026-03-01T12:00:00Z
	if !event.ValidID(first[0]) || first[0][:15] != want {
		t.Errorf("id %s, want %s…", first[0], want)
	}
}

// Of two processes that publish one takes each alert; what it leaves is the other's later.
func TestTwoProcessesPublishEachAlertOnce(t *testing.T) {
	r := newRig(t)
	r.outage(60)
	killed := &outlet{store: r.store, fails: errors.New("killed")}
	first := r.publisher(killed.publish)
	first.Lease = 5 * time.Minute
	if _, err := first.Drain(t.Context()); err == nil {
		t.Fatal("not killed")
	}
	o := &outlet{store: r.store}
	second := r.publisher(o.publish)
	second.Lease = 5 * time.Minute
	if n, err := second.Drain(t.Context()); n != 10 || err != nil {
		t.Fatalf("published %d, %v, beside the 50 that another process has", n, err)
	}
	r.at = r.at.Add(5 * time.Minute)
	if n, err := second.Drain(t.Context()); n != 50 || err != nil {
		t.Fatalf("published %d, %v, of what a process has left", n, err)
	}
}

type noHealth struct{}

func (noHealth) Of(context.Context, ...*integration.Integration) ([]*health.Health, error) {
	return nil, errors.New("the log is damaged")
}

// Damage of one integration's log keeps neither its own alert back nor those of others.
func TestAlertsArePublishedWithoutHealth(t *testing.T) {
	r := newRig(t)
	r.registered("acme", "hook", 1)
	p := r.process(r.store)
	in := r.integration()
	in.Running, in.StoppedAt = false, r.at
	r.commit(p, store.PutIntegration{Integration: in}, r.entry(stopped, integration.ActionStopped))
	r.at = r.at.Add(r.settings.Retention)
	o := &outlet{store: r.store}
	publisher := r.publisher(o.publish)
	publisher.Health = noHealth{}
	if n, err := publisher.Drain(t.Context()); n != 2 || err != nil {
		t.Errorf("published %d, %v", n, err)
	}
}
