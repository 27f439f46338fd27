package delivery_test

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	logmemory "github.com/sluicehq/sluice/internal/eventlog/memory"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/store/memory"
)

const tenant = "acme"

// tenants are those of a case, of which it has one or both. Their integrations and their
// events have the same ids.
var tenants = []string{tenant, "beta"}

// records is a store.Store for as many processes as a case has.
type records = store.Store

// eventLog is the log of a case.
type eventLog interface {
	eventlog.Log
	Publish(ctx context.Context, tenant string, lanes event.Lanes, drafts []event.Draft) error
}

// world is what outlives the processes of a case: the log, the records, and what the
// receivers got. It also checks the invariants, at every commit and every emission.
type world struct {
	scenario
	settings   settings.Settings
	quietAfter time.Duration
	records    records
	log        eventLog
	trim       func(before time.Time) // the log

	disk   *disk        // nil in memory
	writes sync.RWMutex // with SQLite, held by calls of ports; a check has it alone

	skew atomic.Int64 // of the wall clock, ns

	mu        sync.Mutex // also makes a commit, or an emission, atomic with its check
	rolls     map[string]int
	calls     int
	maxCalls  int // more than any case needs: there is a hot loop
	luck      int // faults that may still be injected
	lull      bool
	incidents int            // injected faults that may repeat what was buffered
	stops     map[string]int // the same per life: stops, and rechecks of replays
	slots     []*process
	objects   map[string][]arrival           // events of the files in buckets, by name
	got       map[string]map[string]*receipt // by life and event id
	lives     map[lifeKey]*life              // that are not deleted
	deleted   map[string]time.Time           // by life
	evicted   int                            // leaves of slow subscribers
	faults    []string                       // violations
	skewed    bool                           // it was set at some time
	trimmed   map[event.Partition][]eventlog.Segment
	trims     int              // that removed something
	kept      map[arrival]bool // events whose publisher was told that they are kept
	asked     map[skipped]bool // events that somebody asked to skip
}

// life is an integration from its registration to its deletion.
type life struct {
	in       *integration.Integration
	ends     []uint64        // of the lanes when it was registered
	gone     []int           // segments that were trimmed by then
	updates  []update        // of its filter
	skipped  map[string]bool // events it may lack, if its log says so
	moved    bool            // a start has moved its position
	leapt    bool            // it has passed events that nobody delivered, and its log says so
	skips    int             // a step that loses its cursor by one does not save its success
	began    time.Time       // when it was last started
	answered []time.Time     // of the latest success in each lane since then
}

// update is a change of a life's filter.
type update struct {
	from event.Filter
	acks []handoff.AckState // of the lanes: what the old filter has decided
}

// lifeKey names the present life of an integration.
type lifeKey struct{ tenant, id string }

func keyOf(in *integration.Integration) lifeKey { return lifeKey{in.Tenant, in.ID} }

// arrival is an event that reached a receiver.
type arrival struct{ tenant, id string }

// receipt is what a receiver got of one event in one life of an integration.
type receipt struct {
	emitted  int                         // times it arrived
	kept     bool                        // it was rejected, and the log of the integration says so
	skipped  bool                        // it was skipped, and the log of the integration says so
	ends     map[deliveries.Outcome]bool // its receiver rejected it once, or it was skipped; also before the position was moved back
	byHand   int                         // deliveries by a retry by hand
	before   int                         // of acked, those before the position was moved back to it
	acked    int                         // times the engine got the verdict delivered
	retries  int                         // times the engine got the verdict retry
	repeated int                         // arrivals after the verdict delivered
}

func lifeName(in *integration.Integration) string { return historyName(store.HistoryOf(in)) }

func historyName(h store.History) string {
	return fmt.Sprintf("%s/%s@%d", h.Tenant, h.Integration, h.Incarnation)
}

func newWorld(sc scenario) *world {
	s := settings.Default()
	s.Lanes, s.InFlight, s.MaxCalls, s.MaxRejected = sc.Lanes, sc.InFlight, sc.Bound, 5
	s.RetryMin, s.RetryMax = 100*time.Millisecond, 4*time.Second
	s.S3FileInterval, s.S3FileBytes = 10*time.Second, int64(5*eventSize)
	if sc.Retention > 0 {
		s.Retention = sc.Retention
	}
	if sc.FailureStopAfter > 0 {
		s.FailureStopAfter = sc.FailureStopAfter
	}
	if sc.tells() {
		s.OperatorTenant, s.AlertFailingAfter, s.AlertLag = operator, time.Second, 2*time.Second
	}
	w := &world{
		scenario: sc, settings: s,
		rolls: map[string]int{}, maxCalls: 60_000, luck: sc.Luck, stops: map[string]int{},
		objects: map[string][]arrival{}, got: map[string]map[string]*receipt{}, lives: map[lifeKey]*life{}, deleted: map[string]time.Time{},
		slots: make([]*process, sc.Slots), quietAfter: delivery.QuietAfter(s), trimmed: map[event.Partition][]eventlog.Segment{}, kept: map[arrival]bool{}, asked: map[skipped]bool{},
	}
	log := logmemory.New(w.now)
	w.records, w.log, w.trim = memory.New(), log, log.Trim
	return w
}

// now is the wall clock, which people set.
func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.skew.Load())) }

// mostLanes returns how many lanes a tenant has at last.
func (w *world) mostLanes() int { return max(w.Lanes, w.Grown) }

// partitions returns the partitions of the case.
func (w *world) partitions() []event.Partition {
	var all []event.Partition
	for _, name := range tenants[:max(w.Tenants, 1)] {
		for lane := range w.mostLanes() {
			all = append(all, event.Partition{Tenant: name, Lane: lane})
		}
	}
	return all
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

// commit makes a Commit and checks its result. Without SQLite w.mu is held.
func (w *world) commit(ctx context.Context, writes []store.Write) error {
	before := map[handoff.Key]*handoff.Cursor{}
	for _, x := range writes {
		if put, ok := x.(store.PutCursor); ok {
			before[put.Cursor.Key], _ = w.records.Cursor(context.Background(), put.Cursor.Key)
		}
	}
	if err := w.records.Commit(context.WithoutCancel(ctx), writes...); err != nil { // else its outcome may be unknown
		return err
	}
	if w.SQLite {
		w.mu.Lock()
		defer w.mu.Unlock()
	}
	for _, x := range writes {
		switch x := x.(type) {
		case store.PutIntegration:
			w.lived(x.Integration, writes)
		case store.DeleteIntegration:
			w.ended(x.Integration)
		case store.PutCursor:
			w.moved(before[x.Cursor.Key], x.Cursor)
		case store.AddEntry:
			w.said(x)
		}
	}
	if !w.SQLite {
		w.checkOwners()
	}
	return nil
}

// ended notes a deletion.
func (w *world) ended(in *integration.Integration) {
	w.deleted[lifeName(in)] = time.Now()
	delete(w.lives, keyOf(in))
}

// learn notes what became of the integrations with commits that have failed, and that
// SQLite found complete in its log when it was opened again: only their sync had failed.
func (w *world) learn(ctx context.Context) error {
	stored := map[lifeKey]*integration.Integration{}
	for _, name := range tenants {
		all, err := w.records.Integrations(ctx, name)
		if err != nil {
			return err
		}
		for _, in := range all {
			stored[keyOf(in)] = in
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for key, l := range w.lives {
		if stored[key] == nil {
			w.ended(l.in)
		}
	}
	for key, in := range stored {
		if l := w.lives[key]; l == nil || l.in.Version != in.Version {
			w.lived(in, nil)
		}
	}
	return nil
}

// lived notes what became of an integration with a commit.
func (w *world) lived(in *integration.Integration, writes []store.Write) {
	stored, err := w.records.Integration(context.Background(), in.Tenant, in.ID)
	if err != nil {
		return // deleted by another commit
	}
	l := w.lives[keyOf(in)]
	if l == nil || l.in.Incarnation != stored.Incarnation {
		l = &life{in: stored, skipped: map[string]bool{}, began: time.Now(), answered: make([]time.Time, w.mostLanes())}
		for lane := range w.mostLanes() {
			part := event.Partition{Tenant: in.Tenant, Lane: lane}
			end, _ := w.log.End(context.Background(), part)
			l.ends, l.gone = append(l.ends, end), append(l.gone, len(w.trimmed[part]))
		}
		w.lives[keyOf(in)] = l
		return
	}
	old := l.in
	l.in = stored
	switch {
	case old.Running && !in.Running:
		w.stops[lifeName(in)]++
	case !old.Running && in.Running:
		w.started(l, old, writes)
	}
	if !slices.Equal(old.Filter.Names, in.Filter.Names) || !slices.Equal(old.Filter.Entities, in.Filter.Entities) {
		l.updates = append(l.updates, update{old.EventFilter(), w.acks(in)})
	}
}

// started notes a start, which skips what was published meanwhile if the integration was
// stopped for longer than the retention.
func (w *world) started(l *life, old *integration.Integration, writes []store.Write) {
	l.began, l.answered = time.Now(), make([]time.Time, w.mostLanes())
	if wasMoved(writes) {
		w.moves(l, writes)
	}
	skips := slices.ContainsFunc(writes, func(x store.Write) bool {
		e, ok := x.(store.AddEntry)
		return ok && e.Entry.Action == integration.ActionEventsSkipped
	})
	if !skips {
		return
	}
	if stopped := w.now().Sub(old.StoppedAt); stopped < w.settings.Retention {
		w.fail("lost: %s was stopped for %v, and its start skips events", lifeName(l.in), stopped)
	}
	w.maySkip(l, w.owed(l))
}

// maySkip lets an integration lack those of the events that it has not got, if its log
// says so.
func (w *world) maySkip(l *life, events []event.Event) {
	for i := range events {
		if r := w.receipt(l.in, events[i].ID); !r.again() && !r.through() {
			l.skipped[events[i].ID] = true
		}
	}
}

func (w *world) acks(in *integration.Integration) []handoff.AckState {
	var acks []handoff.AckState
	for lane := range in.Lanes {
		c, err := w.records.Cursor(context.Background(), handoff.Key{Tenant: in.Tenant, Integration: in.ID, Lane: lane})
		if err != nil {
			return nil
		}
		acks = append(acks, c.AckState)
	}
	return append(acks, make([]handoff.AckState, max(0, w.mostLanes()-len(acks)))...) // of lanes that it may get
}

// said notes what an entry of an integration's log promises.
func (w *world) said(x store.AddEntry) {
	name := historyName(x.History)
	switch id, _, _ := strings.Cut(strings.TrimPrefix(x.Entry.Reason, "Event "), " "); {
	case x.Entry.Action == integration.ActionEventSkipped:
		w.wasSkipped(x.History, id)
	case x.Entry.Action == integration.ActionEventRejected:
		if r := w.got[name][id]; r != nil {
			r.kept = true
		}
	case x.Entry.Action == integration.ActionEventsSkipped:
		if l := w.lives[lifeKey{x.History.Tenant, x.History.Integration}]; l != nil {
			l.leapt = true
		}
	case x.Entry.Action == integration.ActionStopped && strings.HasPrefix(x.Entry.Reason, "Stopped: every attempt has failed"):
		w.gaveUp(w.lives[lifeKey{x.History.Tenant, x.History.Integration}])
	}
}

// gaveUp checks that an integration that was stopped for its failures had no success for
// as long as it should. Calls that were in flight at the first failure may have succeeded.
func (w *world) gaveUp(l *life) {
	if l == nil || l.skips > 0 || w.skewed || w.Grown > 0 || l.in.S3 != nil || w.incidents+w.DiskFails > 0 {
		return // or a success was not saved, or it is not known of which lane it was
	}
	least := w.settings.FailureStopAfter - w.settings.WebhookTimeout
	for _, at := range l.answered {
		if at.Before(l.began) {
			at = l.began
		}
		if time.Since(at) >= least {
			return
		}
	}
	w.fail("stopped: %s was stopped for its failures, and had a success in each lane within %v", lifeName(l.in), least)
}

func (w *world) moved(old, c *handoff.Cursor) {
	if old == nil {
		return
	}
	if old.Slowness < c.Slowness {
		w.evicted++
	}
	if l := w.lives[lifeKey{c.Key.Tenant, c.Key.Integration}]; l != nil && old.State == handoff.Live && c.State == handoff.Scheduled && !old.DueAt.IsZero() {
		w.stops[lifeName(l.in)]++ // perhaps a recheck
	}
}

// checkOwners asserts that each lane of each integration has exactly one owner: the
// live set or the cursor.
func (w *world) checkOwners() {
	ctx := context.Background()
	for _, p := range w.partitions() {
		r, _ := w.records.Partition(ctx, p)
		for _, l := range w.lives {
			if l.in.Tenant != p.Tenant || p.Lane >= l.in.Lanes {
				continue
			}
			k := handoff.Key{Tenant: p.Tenant, Integration: l.in.ID, Lane: p.Lane}
			c, err := w.records.Cursor(ctx, k)
			if err != nil {
				w.fail("owner: %v has no cursor", k)
				continue
			}
			sub := r.Find(l.in.ID)
			isLive := sub != nil && sub.Generation == c.Generation
			if isLive != (c.State == handoff.Live) {
				w.fail("owner: cursor of %s, lane %d, is %s, in the live set: %t", lifeName(l.in), p.Lane, c.State, isLive)
			}
			if c.State == handoff.Scheduled && c.DueAt.IsZero() || c.Generation != l.in.Generation {
				w.fail("owner: cursor of %s, lane %d, is %s, due at %v, of generation %d, want %d", lifeName(l.in), p.Lane, c.State, c.DueAt, c.Generation, l.in.Generation)
			}
		}
		for _, sub := range r.Live {
			if w.lives[lifeKey{p.Tenant, sub.ID}] == nil {
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
func (w *world) emit(in *integration.Integration, a arrival) {
	w.mu.Lock()
	defer w.mu.Unlock()
	name := lifeName(in)
	if a.tenant != in.Tenant {
		w.fail("tenant: %s got %s of %s", name, a.id, a.tenant)
	}
	l := w.lives[keyOf(in)]
	switch at, gone := w.deleted[name]; {
	case gone && time.Since(at) > w.quietAfter:
		w.fail("quiet: %s got %s %v after its deletion", name, a.id, time.Since(at))
	case !gone && l != nil && !w.skewed && l.in.StatusAt(time.Now()) == integration.Stopped:
		w.fail("quiet: %s got %s although it was stopped", name, a.id)
	}
	r := w.receipt(in, a.id)
	if r.again() {
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
		if l := w.lives[keyOf(in)]; l != nil && l.in.Incarnation == in.Incarnation {
			l.answered[event.LaneOf(id, w.Lanes)] = time.Now()
		}
	} else {
		r.retries++
	}
}

// window is how many events of one lane one incident may repeat: what is buffered,
// about three reads, and what does not count as read.
func (w *world) window() int { return 3*w.ReadEvents + 2*maxBatch + w.InFlight }

// checkRepeats asserts that no more was repeated than was buffered, and nothing
// without an incident.
func (w *world) checkRepeats() {
	if w.Zombies || w.SQLite {
		return // a second live loop, or a failed write, repeats events
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
		if limit := incidents * w.window() * w.mostLanes(); repeated > limit {
			w.fail("repeats: %s got %d events again after they were delivered; %d incidents allow %d:%s", name, repeated, incidents, limit, which)
		}
	}
}
