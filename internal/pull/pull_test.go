package pull

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/eventlog/memory"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/settings"
)

// world is a service over a log in memory, with a clock of its own.
type world struct {
	*Service
	log          *countingLog
	now          time.Time
	mu           sync.Mutex
	integrations map[string]*integration.Integration // by tenant/id
}

// change changes the integrations while calls read them.
func (w *world) change(edit func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	edit()
}

// countingLog counts what is asked of the log.
type countingLog struct {
	*memory.Log
	reads, ends int
	afterRead   func() // is called once, after the next read
}

func (l *countingLog) Read(ctx context.Context, p event.Partition, after uint64, maxBytes int) ([]eventlog.Segment, error) {
	l.reads++
	segments, err := l.Log.Read(ctx, p, after, maxBytes)
	if call := l.afterRead; call != nil {
		l.afterRead = nil
		call()
	}
	return segments, err
}

func (l *countingLog) End(ctx context.Context, p event.Partition) (uint64, error) {
	l.ends++
	return l.Log.End(ctx, p)
}

func (w *world) Get(_ context.Context, tenant, id string) (*integration.Integration, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if in := w.integrations[tenant+"/"+id]; in != nil {
		return new(*in), nil
	}
	return nil, problem.New(problem.NotFound, "There is no integration %q.", id)
}

func newWorld() *world {
	w := &world{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), integrations: map[string]*integration.Integration{}}
	now := func() time.Time { return w.now }
	w.log = &countingLog{Log: memory.New(now)}
	w.Service = &Service{Integrations: w, Log: w.log, Settings: settings.Default(), Now: now, Waiters: new(Waiters)}
	for i, key := range []string{"acme/shop", "acme/other", "evil/shop"} {
		tenant, id, _ := strings.Cut(key, "/")
		w.integrations[key] = &integration.Integration{Tenant: tenant, ID: id, CreatedAt: w.now, Lanes: 1, Incarnation: uint64(i + 1)}
	}
	w.log.OnAppend(func(p event.Partition, _ uint64) { w.Waiters.Wake(p.Tenant) })
	return w
}

func (w *world) pass(d time.Duration) { w.now = w.now.Add(d) }

// publish publishes events of a tenant, one segment for each call, and returns their ids.
func (w *world) publish(t fataler, tenant string, names ...string) []string {
	t.Helper()
	var drafts []event.Draft
	var ids []string
	for _, name := range names {
		id := uuid.NewString()
		ids = append(ids, id)
		drafts = append(drafts, event.Draft{ID: id, Name: name, Payload: []byte("{}")})
	}
	if err := w.log.Publish(context.Background(), tenant, event.Lanes{Each: w.Settings.Lanes}, drafts); err != nil {
		t.Fatalf("%v", err)
	}
	return ids
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func roomy(int64) bool { return true }

// pull pulls events of acme's shop.
func (w *world) pull(t fataler, position string, limit int) *Page {
	t.Helper()
	p, err := w.Pull(context.Background(), "acme", "shop", Query{Position: position, Limit: limit, Grow: roomy})
	if err != nil {
		t.Fatalf("pull from %s: %v", position, err)
	}
	return p
}

// refused pulls, and wants an error with the given code.
func (w *world) refused(t *testing.T, code problem.Code, tenant, id, position string) {
	t.Helper()
	p, err := w.Pull(t.Context(), tenant, id, Query{Position: position, Limit: 10, Grow: roomy})
	if problem.CodeOf(err) != code {
		t.Errorf("pull of %s/%s from %q: %v, %v; want %s", tenant, id, position, p, err, code)
	}
}

func ids(p *Page) []string {
	var found []string
	for line := range strings.Lines(string(p.Lines)) {
		found = append(found, line[len(`{"id":"`):len(`{"id":"`)+36])
	}
	return found
}

func wantIDs(t fataler, p *Page, want ...string) {
	t.Helper()
	if got := ids(p); !slices.Equal(got, want) || p.Events != len(want) {
		t.Fatalf("%d events %v, want %v", p.Events, got, want)
	}
}

func TestPositionsStartWhereTheySay(t *testing.T) {
	w := newWorld()
	before := w.publish(t, "acme", "order.created")
	w.publish(t, "evil", "order.created")
	w.pass(time.Hour)
	w.integrations["acme/shop"].CreatedAt = w.now
	first := w.publish(t, "acme", "order.created", "order.paid")
	w.pass(time.Minute)
	second := w.publish(t, "acme", "order.shipped")

	wantIDs(t, w.pull(t, "", 10), slices.Concat(first, second)...)
	wantIDs(t, w.pull(t, Earliest, 10), slices.Concat(first, second)...)
	wantIDs(t, w.pull(t, Latest, 10))
	wantIDs(t, w.pull(t, event.FormatTime(w.now), 10), second...)
	wantIDs(t, w.pull(t, event.FormatTime(w.now.Add(-2*time.Hour)), 10), slices.Concat(before, first, second)...)

	p := w.pull(t, Earliest, 1)
	wantIDs(t, p, first[0])
	if p.AtEnd {
		t.Error("at the end, with two more events")
	}
	p = w.pull(t, p.Next, 2)
	wantIDs(t, p, first[1], second[0])
	if !p.AtEnd {
		t.Error("not at the end, with nothing more")
	}
	end := w.pull(t, p.Next, 10)
	wantIDs(t, end)
	third := w.publish(t, "acme", "order.returned")
	for _, next := range []string{p.Next, end.Next} {
		wantIDs(t, w.pull(t, next, 10), third...)
	}
	w.integrations["acme/shop"].StartsAt = w.now
	wantIDs(t, w.pull(t, event.FormatTime(w.now.Add(-time.Hour)), 10), slices.Concat(second, third)...)
}

func TestPositionsAreRefused(t *testing.T) {
	w := newWorld()
	w.publish(t, "acme", "order.created", "order.paid")
	w.publish(t, "evil", "order.created")
	next := w.pull(t, "", 1).Next
	w.pull(t, next, 1)
	w.refused(t, problem.InvalidPosition, "evil", "shop", next)
	w.refused(t, problem.InvalidPosition, "acme", "other", next)
	w.refused(t, problem.NotFound, "evil", "other", next)
	for _, bad := range []string{next + "A", next[:len(next)-2], "p1.", "p1.!!", "p1.AAAA", strings.Replace(next, "p1.", "p2.", 1), strings.ToUpper(next), "first", "0", "-1", "2026-03-01", event.FormatTime(w.now.Add(time.Millisecond)), strings.Repeat("x", 9000)} {
		w.refused(t, problem.InvalidPosition, "acme", "shop", bad)
	}
	wantIDs(t, w.pull(t, event.FormatTime(w.now), 1), ids(w.pull(t, "", 1))...) // now is not the future
	// An update, a stop and a start leave a token its place.
	w.integrations["acme/shop"].Generation++
	w.pull(t, next, 1)
	w.integrations["acme/shop"].Incarnation++
	w.refused(t, problem.InvalidPosition, "acme", "shop", next)
}

// A client can make a token for itself: it is then read in its own log, or refused.
func TestForgedTokensStayInTheTenant(t *testing.T) {
	w := newWorld()
	w.publish(t, "acme", "order.created")
	evil := w.publish(t, "evil", "order.created")
	rapid.Check(t, func(t *rapid.T) {
		at := &place{}
		for range rapid.IntRange(0, 40).Draw(t, "lanes") {
			at.lanes = append(at.lanes, offset(rapid.Uint64Range(0, 3).Draw(t, "segment"), rapid.IntRange(0, 3).Draw(t, "index")))
		}
		in, _ := w.Get(context.Background(), "evil", "shop")
		p, err := w.Pull(context.Background(), "evil", "shop", Query{Position: at.token(in), Limit: 10, Grow: roomy})
		if err == nil && p.Events > 0 {
			wantIDs(t, p, evil...)
		} else if code := problem.CodeOf(err); err != nil && code != problem.InvalidPosition {
			t.Fatalf("%v", err)
		}
	})
}

// A token of 30 days ago, or whose events are gone, must not be taken for one that has
// missed nothing.
func TestExpiredPositionsSayThatEventsAreGone(t *testing.T) {
	w := newWorld()
	first := w.publish(t, "acme", "order.created", "order.paid")
	w.pass(time.Hour)
	w.publish(t, "acme", "order.shipped")
	p := w.pull(t, "", 1)
	idle := w.pull(t, Latest, 1)
	w.pass(w.Settings.Retention - time.Hour + time.Millisecond)
	wantIDs(t, w.pull(t, p.Next, 1), first[1]) // within the grace
	if n := w.pull(t, Earliest, 10).Events; n != 1 {
		t.Errorf("earliest has %d events, want the one within the retention", n)
	}
	w.refused(t, problem.PositionExpired, "acme", "shop", event.FormatTime(w.now.Add(-w.Settings.Retention-time.Millisecond)))
	w.pull(t, event.FormatTime(w.now.Add(-w.Settings.Retention)), 1)

	w.pass(edgeGrace)
	w.refused(t, problem.PositionExpired, "acme", "shop", p.Next)
	w.pass(2 * time.Hour)
	w.log.Trim(w.now.Add(-w.Settings.Retention))
	w.refused(t, problem.PositionExpired, "acme", "shop", p.Next) // all of the log is trimmed
	wantIDs(t, w.pull(t, idle.Next, 1))                           // it had all of it
	last := w.publish(t, "acme", "order.created")
	w.refused(t, problem.PositionExpired, "acme", "shop", p.Next)
	wantIDs(t, w.pull(t, idle.Next, 1), last...)
}

// After a restore from a backup the log ends before what some clients have read. They
// must learn that: from there they would miss what is published next.
func TestPositionBeyondTheLogIsRefused(t *testing.T) {
	w := newWorld()
	w.publish(t, "acme", "order.created")
	w.publish(t, "acme", "order.paid", "order.paid")
	within, end := w.pull(t, "", 2).Next, w.pull(t, "", 3).Next
	restored := newWorld()
	restored.integrations = w.integrations
	restored.publish(t, "acme", "order.created")
	restored.refused(t, problem.InvalidPosition, "acme", "shop", within)
	restored.refused(t, problem.InvalidPosition, "acme", "shop", end)
}

func TestEventsPublishedBesideTheReadAreInThePage(t *testing.T) {
	w := newWorld()
	w.publish(t, "acme", "before")
	position := w.pull(t, Earliest, 10).Next
	var ids []string
	w.log.afterRead = func() { ids = w.publish(t, "acme", "beside") }
	wantIDs(t, w.pull(t, position, 10), ids...)
}

func TestDamagedSegmentsAreCounted(t *testing.T) {
	w := newWorld()
	first := w.publish(t, "acme", "order.created")
	w.publish(t, "acme", "order.paid", "order.paid", "order.paid")
	last := w.publish(t, "acme", "order.shipped")
	within := w.pull(t, "", 2).Next
	w.log.Damage(event.Partition{Tenant: "acme"}, 2)
	p := w.pull(t, "", 10)
	wantIDs(t, p, first[0], last[0])
	if p.Lost != 3 || !p.AtEnd {
		t.Errorf("%d lost, at the end: %v; want 3", p.Lost, p.AtEnd)
	}
	if p := w.pull(t, within, 10); p.Lost != 2 {
		t.Errorf("%d lost after the first of three, want 2", p.Lost)
	}
	p = w.pull(t, "", 1)
	if q := w.pull(t, p.Next, 1); p.Lost+q.Lost != 3 {
		t.Errorf("%d and %d lost, want 3 in all", p.Lost, q.Lost)
	}
}

func TestPagesAreBounded(t *testing.T) {
	w := newWorld()
	w.Settings.MaxPublishBytes = 3000
	big := func(n int) { // events of about 1,100 bytes
		for range n {
			_ = w.log.Publish(t.Context(), "acme", event.Lanes{Each: 1}, []event.Draft{{ID: uuid.NewString(), Name: "order.created", Payload: []byte(`{"x":"` + strings.Repeat("x", 900) + `"}`)}})
		}
	}
	big(5)
	p := w.pull(t, "", 10)
	if p.Events != 2 || p.AtEnd || len(p.Lines) > 3000 {
		t.Errorf("%d events of %d bytes, want 2", p.Events, len(p.Lines))
	}
	w.Settings.MaxPublishBytes = 10
	if p := w.pull(t, "", 10); p.Events != 1 {
		t.Errorf("%d events, want one at least", p.Events)
	}
	w.Settings.MaxPublishBytes = 1 << 30
	big(40)
	var asked int64
	for room, want := range map[int64]int{16 << 10: 15, 1 << 30: 45} {
		p, err := w.Pull(t.Context(), "acme", "shop", Query{Limit: 100, Grow: func(n int64) bool { asked = n; return n <= room }})
		if err != nil || p.Events < want-2 || p.Events > want || asked < int64(len(p.Lines)) {
			t.Errorf("with %d bytes of memory: %v, %v, want %d events", room, p, err, want)
		}
	}
	_, err := w.Pull(t.Context(), "acme", "shop", Query{Limit: 100, Grow: func(int64) bool { return false }})
	if problem.CodeOf(err) != problem.Unavailable {
		t.Errorf("without memory: %v", err)
	}
}

// A filter that drops nearly everything makes no call read the whole log.
func TestCallReadsItsShareOfTheLog(t *testing.T) {
	w := newWorld()
	w.integrations["acme/shop"].Filter = event.Filter{Names: []string{"order.rare"}}
	payload := []byte(`{"x":"` + strings.Repeat("x", 200<<10) + `"}`)
	for range 3 * maxScanned / len(payload) {
		_ = w.log.Publish(t.Context(), "acme", event.Lanes{Each: 1}, []event.Draft{{ID: uuid.NewString(), Name: "order.created", Payload: payload}})
	}
	rare := w.publish(t, "acme", "order.rare")
	p, calls := w.pull(t, "", 10), 1
	for ; p.Events == 0 && !p.AtEnd; calls++ {
		before := w.log.reads
		p = w.pull(t, p.Next, 10)
		if got := w.log.reads - before; got > maxScanned/(200<<10) {
			t.Fatalf("a call read the log %d times", got)
		}
	}
	wantIDs(t, p, rare...)
	if calls < 3 || calls > 4 {
		t.Errorf("%d calls, want 3 or 4", calls)
	}
}

// Whatever the lanes, filters and limits, and whatever is published between the calls:
// the pages have each event that passes once.
func TestPagesHaveEachEventOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		w.Settings.Lanes = rapid.IntRange(1, 4).Draw(t, "lanes")
		w.integrations["acme/shop"].Lanes = rapid.IntRange(1, w.Settings.Lanes).Draw(t, "lanes at registration")
		if rapid.Bool().Draw(t, "filtered") {
			w.integrations["acme/shop"].Filter = event.Filter{Names: []string{"order.a", "order.b"}}
		}
		var want, got []string
		in := w.integrations["acme/shop"]
		position, ended := Earliest, false
		for rounds := 0; rounds < 12 || !ended; rounds++ {
			if rounds < 12 {
				names := rapid.SliceOfN(rapid.SampledFrom([]string{"order.a", "order.b", "order.c"}), 0, 9).Draw(t, "names")
				for i, id := range w.publish(t, "acme", names...) {
					f := in.EventFilter()
					if f.Pass(&event.Event{Name: names[i], PublishedAt: w.now}) {
						want = append(want, id)
					}
				}
				w.pass(time.Duration(rapid.IntRange(0, 2).Draw(t, "ms")) * time.Millisecond)
			}
			if rapid.Bool().Draw(t, "another lane") && w.Settings.Lanes < 6 {
				w.Settings.Lanes++
			}
			p := w.pull(t, position, rapid.IntRange(1, 7).Draw(t, "limit"))
			got = append(got, ids(p)...)
			position, ended = p.Next, p.AtEnd
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(want, got) {
			t.Fatalf("got %d events, want %d:\n%v\n%v", len(got), len(want), got, want)
		}
	})
}

// The events of several lanes come in the order of their publication.
func TestLanesAreMergedByTime(t *testing.T) {
	w := newWorld()
	w.Settings.Lanes = 4
	var want []string
	for i := range 40 {
		want = append(want, w.publish(t, "acme", fmt.Sprintf("order.n%d", i))...)
		w.pass(time.Millisecond)
	}
	wantIDs(t, w.pull(t, "", 100), want...)
}

// A start from another place moves deliveries. A client keeps its own: what they leave out,
// as from latest on, is what it pulls.
func TestAMoveOfDeliveriesMovesNoClient(t *testing.T) {
	w := newWorld()
	first := w.publish(t, "acme", "order.created")
	next := w.pull(t, "", 10).Next
	w.pass(time.Hour)
	second := w.publish(t, "acme", "order.paid")
	shop := w.integrations["acme/shop"]
	for name, to := range map[string]time.Time{"not moved": {}, "moved on": w.now.Add(time.Minute), "moved back": w.now.Add(-2 * time.Hour)} {
		for _, startsAt := range []time.Time{{}, shop.CreatedAt} {
			shop.MovedTo, shop.StartsAt = to, startsAt
			t.Log(name, startsAt)
			wantIDs(t, w.pull(t, next, 10), second...)
			wantIDs(t, w.pull(t, Earliest, 10), append(first[:1:1], second...)...)
		}
	}
	// Deliveries that were moved to before starts_at are of the integration too.
	shop.StartsAt, shop.MovedTo = w.now, w.now.Add(-2*time.Hour)
	wantIDs(t, w.pull(t, event.FormatTime(shop.MovedTo), 10), append(first[:1:1], second...)...)
}
