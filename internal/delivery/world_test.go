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

// world is what outlives the processes of a case: the log, the records, and
// what the receivers got. It also is the judge: what must hold at every moment
// is checked here at every commit and every emission.
type world struct {
	scenario
	settings   settings.Settings
	quietAfter time.Duration
	records    *memory.Store
	log        *logmemory.Log

	mu        sync.Mutex // also makes a commit, or an emission, and its check one
	rolls     map[string]int
	calls     int
	maxCalls  int // which no case needs: something goes round and round
	luck      int // faults that may still be injected
	lull      bool
	incidents int            // injected faults that may repeat what was in hand
	stops     map[string]int // the same for one life: stops, and take-backs of replays
	slots     []*process
	objects   map[string][]string            // events of the files in buckets, by name
	got       map[string]map[string]*receipt // by life and event id
	lives     map[string]*life               // by name
	deleted   map[string]time.Time           // by life
	parted    int                            // leaves of slow followers
	faults    []string                       // what broke the property
}

// life is an integration from its registration to its deletion.
type life struct {
	in    *integration.Integration
	heads []uint64 // of the lanes when it was registered
}

// receipt is what a receiver got of one event in one life of an integration.
type receipt struct {
	emitted  int // times it arrived
	acked    int // times the engine was told that it is delivered
	retries  int // times the engine was told to try again
	repeated int // arrivals after the engine had been told
}

func lifeName(in *integration.Integration) string { return fmt.Sprintf("%s@%d", in.ID, in.Incarnation) }

func newWorld(sc scenario) *world {
	s := settings.Default()
	s.Lanes, s.InFlight, s.MaxRejected = sc.Lanes, sc.InFlight, 5
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

// dice returns the randomness of the n-th call of its kind: it depends on the
// seed and on nothing that other actors do, so that a case can be replayed.
func (w *world) dice(kind, key string) *rand.Rand {
	w.mu.Lock()
	defer w.mu.Unlock()
	name := kind + " " + key
	w.rolls[name]++
	h := fnv.New64a()
	fmt.Fprintf(h, "%s %d", name, w.rolls[name])
	return rand.New(rand.NewPCG(w.Seed, h.Sum64()))
}

// chance takes one of the faults that may still be injected, with the given
// probability in 1000. What repeats nothing is not an incident.
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

// commit makes a Commit and looks at what it did. w.mu is held.
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
			head, _ := w.log.End(context.Background(), event.Partition{Tenant: in.Tenant, Lane: lane})
			l.heads = append(l.heads, head)
		}
	} else {
		l.heads = old.heads
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
		w.parted++
	}
	if l := w.lives[c.Key.Integration]; l != nil && old.State == handoff.Live && c.State == handoff.Scheduled && !old.DueAt.IsZero() {
		w.stops[lifeName(l.in)]++ // perhaps a take-back
	}
}

// checkOwners asserts that each lane of each integration has exactly one owner:
// the roster or the cursor.
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
			f := r.Find(l.in.ID)
			onRoster := f != nil && f.Generation == c.Generation
			if onRoster != (c.State == handoff.Live) {
				w.fail("owner: cursor of %s, lane %d, is %s, on the roster: %t", lifeName(l.in), lane, c.State, onRoster)
			}
			if c.State == handoff.Scheduled && c.DueAt.IsZero() || c.Generation != l.in.Generation {
				w.fail("owner: cursor of %s, lane %d, is %s, due at %v, of generation %d, want %d", lifeName(l.in), lane, c.State, c.DueAt, c.Generation, l.in.Generation)
			}
		}
		for _, f := range r.Live {
			if w.lives[f.ID] == nil {
				w.fail("owner: %s is on the roster and deleted", f.ID)
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

// emit is the moment at which an event reaches a receiver.
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

// attempted is called with each call of a receiver that has not arrived yet.
func (w *world) attempted(in *integration.Integration, id string, attempt int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	want := w.receipt(in, id).retries + 1
	if w.Calm && w.stops[lifeName(in)] == 0 && attempt != want {
		w.fail("attempts: %s got %s as attempt %d, want %d", lifeName(in), id, attempt, want)
	}
}

// answered is called when the engine is told of the outcome.
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
			if l.in.StartsAt.IsZero() && seg.Number <= l.heads[lane] {
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

// unsettled says what is missing until everything is as it must end, or "".
func (w *world) unsettled() string {
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
			return fmt.Sprintf("driven: replay %s is not complete: %s", lifeName(l.in), w.where(id))
		}
		if !temporary && !l.in.Running {
			return fmt.Sprintf("driven: %s does not run", lifeName(l.in))
		}
		for _, e := range w.owed(l) {
			if r := w.got[lifeName(l.in)][e.ID]; r == nil || r.emitted == 0 {
				return fmt.Sprintf("lost: %s has not got %s of %v: %s", lifeName(l.in), e.ID, event.FormatTime(e.PublishedAt), w.where(id))
			}
		}
		for lane := range w.Lanes {
			c, _ := w.records.Cursor(context.Background(), handoff.Key{Tenant: tenant, Integration: id, Lane: lane})
			if !temporary && c.State != handoff.Live {
				return fmt.Sprintf("driven: %s never comes to follow: %s", lifeName(l.in), w.where(id))
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
		head, _ := w.log.End(context.Background(), k.Partition())
		s += fmt.Sprintf("\n\tlane %d: head %d, delivered %d, roster %+v, cursor %s at %+v, due in %v", lane, head, r.LowWatermark, r.Find(id), c.State, c.AckState, time.Until(c.DueAt))
	}
	return s
}

// window is the most events of one lane that may be repeated by one incident:
// what is in hand, some three reads, and what does not count as read.
func (w *world) window() int { return 3*w.ReadEvents + 2*maxBatch + w.InFlight }

// checkRepeats asserts that no more was repeated than was in hand, and nothing
// at all where nothing happened.
func (w *world) checkRepeats() {
	if w.Zombies {
		return // a second follow loop repeats whatever it follows
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
			w.fail("repeats: %s got %d events again after they were delivered, by %d incidents at most %d:%s", name, repeated, incidents, limit, which)
		}
	}
}
