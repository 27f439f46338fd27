package delivery_test

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/event"
	logmemory "github.com/sluicehq/sluice/internal/eventlog/memory"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/store/memory"
)

const tenant = "acme"

// world is what outlives the processes of a case: the log, the records, and what the
// receivers got. It also checks the invariants, at every commit and every emission.
type world struct {
	scenario
	settings   settings.Settings
	quietAfter time.Duration
	records    *memory.Store
	log        *logmemory.Log

	mu        sync.Mutex // also makes a commit, or an emission, atomic with its check
	rolls     map[string]int
	calls     int
	maxCalls  int // more than any case needs: there is a hot loop
	luck      int // faults that may still be injected
	lull      bool
	incidents int            // injected faults that may repeat what was buffered
	stops     map[string]int // the same per life: stops, and rechecks of replays
	slots     []*process
	objects   map[string][]string            // events of the files in buckets, by name
	got       map[string]map[string]*receipt // by life and event id
	lives     map[string]*life               // by name
	deleted   map[string]time.Time           // by life
	evicted   int                            // leaves of slow subscribers
	faults    []string                       // violations
}

// life is an integration from its registration to its deletion.
type life struct {
	in   *integration.Integration
	ends []uint64 // of the lanes when it was registered
}

// receipt is what a receiver got of one event in one life of an integration.
type receipt struct {
	emitted  int // times it arrived
	acked    int // times the engine got the verdict delivered
	retries  int // times the engine got the verdict retry
	repeated int // arrivals after the verdict delivered
}

func lifeName(in *integration.Integration) string { return fmt.Sprintf("%s@%d", in.ID, in.Incarnation) }

func newWorld(sc scenario) *world {
	s := settings.Default()
	s.Lanes, s.InFlight, s.MaxCalls, s.MaxRejected = sc.Lanes, sc.InFlight, sc.Bound, 5
	s.RetryMin, s.RetryMax = 100*time.Millisecond, 4*time.Second
	s.S3FileInterval, s.S3FileBytes = 10*time.Second, int64(5*eventSize)
	w := &world{
		scenario: sc, settings: s, records: memory.New(), log: logmemory.New(time.Now),
		rolls: map[string]int{}, maxCalls: 60_000, luck: sc.Luck, stops: map[string]int{},
		objects: map[string][]string{}, got: map[string]map[string]*receipt{}, lives: map[string]*life{}, deleted: map[string]time.Time{},
		slots: make([]*process, sc.Slots), quietAfter: delivery.QuietAfter(s),
	}
	return w
}

// fail records a violation. w.mu is held.
func (w *world) fail(format string, args ...any) {
	if len(w.faults) < 10 {
		w.faults = append(w.faults, fmt.Sprintf(format, args...))
	}
}

// dice returns the randomness of the n-th call of its kind. It depends only on the
// seed, not on other actors, so that a case can be replayed.
func (w *world) dice(kind, key string) *rand.Rand {
	w.mu.Lock()
	defer w.mu.Unlock()
	name := kind + " " + key
	w.rolls[name]++
	h := fnv.New64a()
	fmt.Fprintf(h, "%s %d", name, w.rolls[name])
	return rand.New(rand.NewPCG(w.Seed, h.Sum64()))
}

// chance injects one of the remaining faults with the given probability in 1000. A
// fault that repeats nothing is not an incident.
func (w *world) chance(d *rand.Rand, per1000 int, incident bool) bool {
	hit := d.IntN(1000) < per1000
	w.mu.Lock()
	defer w.mu.Unlock()
	if !hit || w.lull || w.luck == 0 {
		return false
	}
	w.luck--
	if incident {
		w.incidents++
	}
	return true
}

// quietTime reports whether the faults are over.
func (w *world) quietTime() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lull
}

func (w *world) count() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls++
	if w.calls == w.maxCalls {
		w.fail("hot loop: %d calls of ports", w.calls)
	}
	return w.calls < w.maxCalls
}

// commit makes a Commit and checks its result. w.mu is held.
func (w *world) commit(ctx context.Context, writes []store.Write) error {
	before := map[handoff.Key]*handoff.Cursor{}
	for _, x := range writes {
		if put, ok := x.(store.PutCursor); ok {
			before[put.Cursor.Key], _ = w.records.Cursor(context.Background(), put.Cursor.Key)
		}
	}
	if err := w.records.Commit(ctx, writes...); err != nil {
		return err
	}
	for _, x := range writes {
		switch x := x.(type) {
		case store.PutIntegration:
			w.lived(x.Integration)
		case store.DeleteIntegration:
			w.deleted[lifeName(x.Integration)] = time.Now()
			delete(w.lives, x.Integration.ID)
		case store.PutCursor:
			w.moved(before[x.Cursor.Key], x.Cursor)
		}
	}
	w.checkOwners()
	return nil
}

func (w *world) lived(in *integration.Integration) {
	old := w.lives[in.ID]
	l := &life{in: in}
	if old == nil || old.in.Incarnation != in.Incarnation {
		for lane := range in.Lanes {
			end, _ := w.log.End(context.Background(), event.Partition{Tenant: in.Tenant, Lane: lane})
			l.ends = append(l.ends, end)
		}
	} else {
		l.ends = old.ends
		if old.in.Running && !in.Running {
			w.stops[lifeName(in)]++
		}
	}
	stored, _ := w.records.Integration(context.Background(), in.Tenant, in.ID)
	l.in = stored
	w.lives[in.ID] = l
}

func (w *world) moved(old, c *handoff.Cursor) {
	if old == nil {
		return
	}
	if old.Slowness < c.Slowness {
		w.evicted++
	}
	if l := w.lives[c.Key.Integration]; l != nil && old.State == handoff.Live && c.State == handoff.Scheduled && !old.DueAt.IsZero() {
		w.stops[lifeName(l.in)]++ // perhaps a recheck
	}
}

// checkOwners asserts that each lane of each integration has exactly one owner: the
// live set or the cursor.
func (w *world) checkOwners() {
	ctx := context.Background()
	for lane := range w.Lanes {
		p := event.Partition{Tenant: tenant, Lane: lane}
		r, _ := w.records.Partition(ctx, p)
		for _, l := range w.lives {
			k := handoff.Key{Tenant: tenant, Integration: l.in.ID, Lane: lane}
			c, err := w.records.Cursor(ctx, k)
			if err != nil {
				w.fail("owner: %v has no cursor", k)
				continue
			}
			sub := r.Find(l.in.ID)
			isLive := sub != nil && sub.Generation == c.Generation
			if isLive != (c.State == handoff.Live) {
				w.fail("owner: cursor of %s, lane %d, is %s, in the live set: %t", lifeName(l.in), lane, c.State, isLive)
			}
			if c.State == handoff.Scheduled && c.DueAt.IsZero() || c.Generation != l.in.Generation {
				w.fail("owner: cursor of %s, lane %d, is %s, due at %v, of generation %d, want %d", lifeName(l.in), lane, c.State, c.DueAt, c.Generation, l.in.Generation)
			}
		}
		for _, sub := range r.Live {
			if w.lives[sub.ID] == nil {
				w.fail("owner: %s is in the live set and deleted", sub.ID)
			}
		}
	}
}

// receipt returns the account of an event. w.mu is held.
func (w *world) receipt(in *integration.Integration, eventID string) *receipt {
	name := lifeName(in)
	if w.got[name] == nil {
		w.got[name] = map[string]*receipt{}
	}
	if w.got[name][eventID] == nil {
		w.got[name][eventID] = &receipt{}
	}
	return w.got[name][eventID]
}

// emit is called when an event reaches a receiver.
func (w *world) emit(in *integration.Integration, id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	name := lifeName(in)
	l := w.lives[in.ID]
	switch at, gone := w.deleted[name]; {
	case gone && now.Sub(at) > w.quietAfter:
		w.fail("quiet: %s got %s %v after its deletion", name, id, now.Sub(at))
	case !gone && l.in.StatusAt(now) == integration.Stopped:
		w.fail("quiet: %s got %s although it was stopped", name, id)
	}
	r := w.receipt(in, id)
	if r.acked > 0 {
		r.repeated++
	}
	r.emitted++
}

// attempted is called for each call of a receiver, before it arrives.
func (w *world) attempted(in *integration.Integration, id string, attempt int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	want := w.receipt(in, id).retries + 1
	if w.Calm && w.stops[lifeName(in)] == 0 && attempt != want {
		w.fail("attempts: %s got %s as attempt %d, want %d", lifeName(in), id, attempt, want)
	}
}

// answered is called when the engine gets the verdict.
func (w *world) answered(in *integration.Integration, id string, delivered bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r := w.receipt(in, id); delivered {
		r.acked++
	} else {
		r.retries++
	}
}

// owed lists the events of the log that a life must have got.
func (w *world) owed(l *life) []event.Event {
	var owed []event.Event
	filter := l.in.EventFilter()
	for lane := range w.Lanes {
		segs, _ := w.log.Read(context.Background(), event.Partition{Tenant: tenant, Lane: lane}, 0, 1<<30)
		for _, seg := range segs {
			if l.in.StartsAt.IsZero() && seg.Number <= l.ends[lane] {
				continue
			}
			for i := range seg.Events {
				if filter.Pass(&seg.Events[i]) {
					owed = append(owed, seg.Events[i])
				}
			}
		}
	}
	return owed
}

// pending says what must still happen, or "".
func (w *world) pending() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	ids := make([]string, 0, len(w.lives))
	for id := range w.lives {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		l := w.lives[id]
		temporary := l.in.Type == integration.Temporary
		if temporary && l.in.CompletedAt.IsZero() {
			return fmt.Sprintf("scheduled: replay %s is not complete: %s", lifeName(l.in), w.where(id))
		}
		if !temporary && !l.in.Running {
			return fmt.Sprintf("scheduled: %s does not run", lifeName(l.in))
		}
		for _, e := range w.owed(l) {
			if r := w.got[lifeName(l.in)][e.ID]; r == nil || r.emitted == 0 {
				return fmt.Sprintf("lost: %s has not got %s of %v: %s", lifeName(l.in), e.ID, event.FormatTime(e.PublishedAt), w.where(id))
			}
		}
		for lane := range w.Lanes {
			c, _ := w.records.Cursor(context.Background(), handoff.Key{Tenant: tenant, Integration: id, Lane: lane})
			if !temporary && c.State != handoff.Live {
				return fmt.Sprintf("scheduled: %s never becomes live: %s", lifeName(l.in), w.where(id))
			}
		}
	}
	return ""
}

// where describes the owners of an integration's lanes.
func (w *world) where(id string) string {
	s := ""
	for lane := range w.Lanes {
		k := handoff.Key{Tenant: tenant, Integration: id, Lane: lane}
		c, _ := w.records.Cursor(context.Background(), k)
		r, _ := w.records.Partition(context.Background(), k.Partition())
		end, _ := w.log.End(context.Background(), k.Partition())
		s += fmt.Sprintf("\n\tlane %d: end %d, low watermark %d, subscriber %+v, cursor %s at %+v, due in %v", lane, end, r.LowWatermark, r.Find(id), c.State, c.AckState, time.Until(c.DueAt))
	}
	return s
}

// window is how many events of one lane one incident may repeat: what is buffered,
// about three reads, and what does not count as read.
func (w *world) window() int { return 3*w.ReadEvents + 2*maxBatch + w.InFlight }

// checkRepeats asserts that no more was repeated than was buffered, and nothing
// without an incident.
func (w *world) checkRepeats() {
	if w.Zombies {
		return // a second live loop repeats events
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, events := range w.got {
		repeated, which := 0, ""
		for id, r := range events {
			if repeated += r.repeated; r.repeated > 0 {
				which += " " + id
			}
		}
		incidents := w.incidents + w.stops[name]
		if limit := incidents * w.window() * w.Lanes; repeated > limit {
			w.fail("repeats: %s got %d events again after they were delivered; %d incidents allow %d:%s", name, repeated, incidents, limit, which)
		}
	}
}
