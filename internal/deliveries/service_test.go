package deliveries_test

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	logmemory "github.com/sluicehq/sluice/internal/eventlog/memory"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/store/memory"
)

const tenant = "acme"

// world is the service over a store and a log in memory.
type world struct {
	*deliveries.Service

	t     *testing.T
	store *memory.Store
	log   *logmemory.Log
	now   time.Time
	hook  *integration.Integration
	ends  map[int]uint64 // the last segment of each lane
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, store: memory.New(), now: now, ends: map[int]uint64{}}
	w.log = logmemory.New(func() time.Time { return w.now })
	w.Service = &deliveries.Service{
		Integrations: w, Records: w.store, Log: w.log, Cursors: w.store, Keep: 7 * 24 * time.Hour, Now: func() time.Time { return w.now },
		Logger: slog.New(slog.DiscardHandler),
	}
	w.hook = &integration.Integration{Tenant: tenant, ID: "hook", Incarnation: 3, Generation: 4, Lanes: 2, CreatedAt: now.Add(-time.Minute), Webhook: &integration.Webhook{}}
	return w
}

// Get implements deliveries.Integrations.
func (w *world) Get(_ context.Context, of, id string) (*integration.Integration, error) {
	if of != tenant || id != w.hook.ID {
		return nil, problem.New(problem.NotFound, "There is no integration %q.", id)
	}
	return w.hook, nil
}

func partition(lane int) event.Partition { return event.Partition{Tenant: tenant, Lane: lane} }

// publish appends one segment of events with the given names.
func (w *world) publish(lane int, names ...string) uint64 {
	w.t.Helper()
	w.ends[lane]++
	r := eventlog.Record{}
	for i, name := range names {
		d := event.Draft{ID: fmt.Sprintf("%08d-0000-4000-8000-%04d%08d", lane, i, w.ends[lane]), Name: name, Payload: []byte("{}")}
		r.Events = append(r.Events, d.Stamp(tenant, w.now))
	}
	n, err := w.log.Append(w.t.Context(), partition(lane), "", []eventlog.Record{r})
	if err != nil || n != w.ends[lane] {
		w.t.Fatalf("appended %d, %v", n, err)
	}
	return n
}

// save saves the record of one commit.
func (w *world) save(lane int, integration string, parts ...deliveries.Part) {
	w.t.Helper()
	for _, r := range deliveries.Pack(partition(lane), integration, w.now, time.Hour, parts) {
		if err := w.store.Commit(w.t.Context(), store.AddDeliveries{Record: r}); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) sent(results ...deliveries.Result) deliveries.Part {
	return deliveries.Part{Integration: w.hook.ID, Incarnation: w.hook.Incarnation, Results: results}
}

// ok is the result of an event that was delivered at the first attempt, just now.
func (w *world) ok(segment uint64, index int) deliveries.Result {
	return delivered(segment, index, w.now.UnixMilli()-3, 3)
}

// all reads all pages of a request, each of which has at most its limit.
func (w *world) all(q deliveries.Request) []deliveries.Delivery {
	w.t.Helper()
	var all []deliveries.Delivery
	for range 10_000 {
		page, next, err := w.List(w.t.Context(), tenant, w.hook.ID, q)
		if err != nil || len(page) > q.Limit {
			w.t.Fatalf("%d deliveries with limit %d, %v", len(page), q.Limit, err)
		}
		if all = append(all, page...); next == "" {
			return all
		}
		q.After = next
	}
	w.t.Fatal("the list has no end")
	return nil
}

// text is a delivery in a few words.
func text(d deliveries.Delivery) string {
	name := "-"
	if d.Event != nil {
		name = d.Event.Name
	}
	return strings.TrimSpace(fmt.Sprintf("%d/%d/%d %s %s x%d %d %s%s", d.Lane, d.Segment, d.Index, name, d.Outcome, d.Attempts, d.Status, d.Cause, d.File))
}

func (w *world) want(what string, got []deliveries.Delivery, want ...string) {
	w.t.Helper()
	var texts []string
	for _, d := range got {
		texts = append(texts, text(d))
	}
	if !slices.Equal(texts, want) {
		w.t.Errorf("%s: got\n%s\nwant\n%s", what, strings.Join(texts, "\n"), strings.Join(want, "\n"))
	}
}

// fill publishes and delivers events in two lanes, live and by catching up.
func (w *world) fill() (newestFirst []string) {
	for i := range 30 {
		w.now = w.now.Add(time.Second)
		lane, by := i%2, ""
		n := w.publish(lane, "order.created", "order.paid", "order.created")
		if i%5 == 4 {
			by = w.hook.ID
		}
		rejected := w.ok(n, 2)
		rejected.Outcome, rejected.Attempts, rejected.Status, rejected.Cause = deliveries.Rejected, 2, 400, "no"
		other := w.sent(w.ok(n, 1))
		other.Integration = "other"
		w.save(lane, by, other, w.sent(w.ok(n, 0), rejected))
		newestFirst = append(newestFirst, fmt.Sprintf("%d/%d/0 order.created delivered x1 200", lane, n), fmt.Sprintf("%d/%d/2 order.created rejected x2 400 no", lane, n))
	}
	slices.Reverse(newestFirst)
	return newestFirst
}

func TestListIsNewestFirstInPages(t *testing.T) {
	w := newWorld(t)
	want := w.fill()
	for _, limit := range []int{1, 2, 7, 59, 60, 61, 200} {
		w.want(fmt.Sprint("pages of ", limit), w.all(deliveries.Request{Limit: limit}), want...)
	}
	if _, _, err := w.List(t.Context(), tenant, "unknown", deliveries.Request{Limit: 1}); problem.CodeOf(err) != problem.NotFound {
		t.Errorf("an unknown integration: %v", err)
	}
	w.hook.Incarnation++
	w.want("of another incarnation", w.all(deliveries.Request{Limit: 50}))
}

// Records of one time are all there, and once.
func TestPagesOfRecordsOfOneTime(t *testing.T) {
	w := newWorld(t)
	var want []string
	for _, lane := range []int{0, 1} {
		n := w.publish(lane, "a.b", "a.b", "a.b", "a.b")
		for i := range 4 {
			by := ""
			if i%2 == 1 {
				by = w.hook.ID
			}
			w.save(lane, by, w.sent(w.ok(n, i)))
			w.save(lane, by, w.sent(w.ok(n, i))) // again, after a crash
			want = append(want, fmt.Sprintf("%d/%d/%d a.b delivered x1 200", lane, n, i), fmt.Sprintf("%d/%d/%d a.b delivered x1 200", lane, n, i))
		}
	}
	slices.Sort(want)
	for _, limit := range []int{2, 3, 4, 16} {
		var got []string
		for _, d := range w.all(deliveries.Request{Limit: limit}) {
			got = append(got, text(d))
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("pages of %d have\n%s\nwant\n%s", limit, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

func TestListFilters(t *testing.T) {
	w := newWorld(t)
	all := w.fill()
	pick := func(part string) (picked []string) {
		for _, text := range all {
			if strings.Contains(text, part) {
				picked = append(picked, text)
			}
		}
		return picked
	}
	begun := func(i int) time.Time { return now.Add(time.Duration(i)*time.Second - 3*time.Millisecond) } // of the ith from 1
	for _, limit := range []int{1, 50} {
		for name, c := range map[string]struct {
			q    deliveries.Request
			want []string
		}{
			"an outcome":            {deliveries.Request{Outcome: deliveries.Rejected}, pick("rejected")},
			"none of an outcome":    {deliveries.Request{Outcome: deliveries.Skipped}, nil},
			"what is retried":       {deliveries.Request{Outcome: deliveries.Retrying}, nil},
			"a name":                {deliveries.Request{EventName: "order.created"}, all},
			"a name of another":     {deliveries.Request{EventName: "order.paid"}, nil},
			"an id":                 {deliveries.Request{EventID: "00000001-0000-4000-8000-000200000003"}, pick("1/3/2 ")},
			"an unknown id":         {deliveries.Request{EventID: "00000001-0000-4000-8000-000200000099"}, nil},
			"an id of its time":     {deliveries.Request{EventID: "019ea3ef-0000-7000-8000-000200000099"}, nil},
			"from":                  {deliveries.Request{From: begun(29)}, all[:4]},
			"from a moment later":   {deliveries.Request{From: begun(29).Add(time.Millisecond)}, all[:2]},
			"to":                    {deliveries.Request{To: begun(2)}, all[56:]},
			"to a moment earlier":   {deliveries.Request{To: begun(2).Add(-time.Millisecond)}, all[58:]},
			"from, to":              {deliveries.Request{From: begun(3), To: begun(4)}, all[52:56]},
			"all of them":           {deliveries.Request{From: begun(3), To: begun(4), Outcome: deliveries.Delivered, EventName: "order.created"}, []string{all[53], all[55]}},
			"before there were any": {deliveries.Request{To: now.Add(-time.Hour)}, nil},
		} {
			c.q.Limit = limit
			w.want(fmt.Sprintf("%s, limit %d", name, limit), w.all(c.q), c.want...)
		}
	}
}

// What the log has no more has neither id nor name; what is older than the retention is not
// listed, whether it was removed or not.
func TestListBeyondTheRetentions(t *testing.T) {
	w := newWorld(t)
	n := w.publish(0, "a.b")
	w.save(0, "", w.sent(w.ok(n, 0)))
	w.now = w.now.Add(time.Hour)
	m := w.publish(0, "a.b")
	w.save(0, "", w.sent(w.ok(m, 0)))
	w.log.Trim(w.now.Add(-time.Minute))
	newer, older := fmt.Sprintf("0/%d/0 a.b delivered x1 200", m), fmt.Sprintf("0/%d/0 - delivered x1 200", n)
	w.want("the log has one no more", w.all(deliveries.Request{Limit: 9}), newer, older)
	w.want("by a name", w.all(deliveries.Request{Limit: 9, EventName: "a.b"}), newer)
	w.Keep = time.Minute
	w.want("of the last minute", w.all(deliveries.Request{Limit: 9}), newer)
	w.Keep = 0
	w.want("none are kept", w.all(deliveries.Request{Limit: 9}))
}

// A file has its events without naming them.
func TestListOfFiles(t *testing.T) {
	w := newWorld(t)
	w.hook.Webhook, w.hook.S3 = nil, &integration.S3{}
	var want []string
	for range 40 {
		n := w.publish(0, "order.created", "return.created", "order.paid")
		want = append(want, fmt.Sprintf("0/%d/0 order.created delivered x2 200 f", n), fmt.Sprintf("0/%d/2 order.paid delivered x2 200 f", n))
	}
	slices.Reverse(want)
	f := &deliveries.File{
		Key: "f", From: handoff.Offset{Segment: 3, Index: 2}, To: handoff.Offset{Segment: 37, Index: 2}, Filter: event.Filter{Entities: []string{"order"}},
		Attempts: 2, Status: 200, First: w.now.UnixMilli(), Last: w.now.UnixMilli(), Took: 20,
	}
	w.save(0, w.hook.ID, deliveries.Part{Integration: w.hook.ID, Incarnation: w.hook.Incarnation, File: f})
	want = want[5 : len(want)-7]
	want = slices.Clone(want)
	for _, limit := range []int{1, 3, 50, 200} {
		w.want(fmt.Sprint("pages of ", limit), w.all(deliveries.Request{Limit: limit}), want...)
	}
	for at, found := range map[deliveries.Place]bool{
		{Segment: 4, Index: 0}: false, {Segment: 4, Index: 1}: false, {Segment: 4, Index: 2}: true, {Segment: 5, Index: 0}: true, {Segment: 5, Index: 1}: false,
		{Segment: 38, Index: 0}: true, {Segment: 38, Index: 2}: false, {Segment: 39, Index: 0}: false,
	} {
		w.wantFound(deliveries.At{Place: at}, found, "f")
	}
}

func (w *world) event(at deliveries.At) *event.Event {
	w.t.Helper()
	segs, err := w.log.Read(w.t.Context(), partition(at.Lane), at.Segment-1, 1)
	if err != nil || len(segs) == 0 || segs[0].Number != at.Segment {
		w.t.Fatalf("read %v, %v", segs, err)
	}
	return &segs[0].Events[at.Index]
}

// wantFound looks an event up.
func (w *world) wantFound(at deliveries.At, want bool, file string) *deliveries.Delivery {
	w.t.Helper()
	d, err := w.Find(w.t.Context(), w.hook, at, w.event(at))
	if err != nil || (d != nil) != want || d != nil && (d.At != at || d.File != file || d.Event == nil) {
		w.t.Errorf("%+v: found %+v, %v", at, d, err)
	}
	return d
}

func TestFind(t *testing.T) {
	w := newWorld(t)
	w.fill()
	for lane := range 2 {
		for segment := uint64(1); segment <= 15; segment++ {
			for index := range 3 {
				at := deliveries.At{Lane: lane, Place: deliveries.Place{Segment: segment, Index: index}}
				d := w.wantFound(at, index != 1, "")
				if want := []deliveries.Outcome{deliveries.Delivered, "", deliveries.Rejected}[index]; d != nil && d.Outcome != want {
					t.Errorf("%+v is %s, want %s", at, d.Outcome, want)
				}
			}
		}
	}
	// One that was sent again after a start from an earlier place.
	at := deliveries.At{Place: deliveries.Place{Segment: 2}}
	w.now = w.now.Add(time.Hour)
	again := w.ok(2, 0)
	again.Attempts = 7
	w.save(0, w.hook.ID, w.sent(again))
	if d := w.wantFound(at, true, ""); d.Attempts != 7 {
		t.Errorf("the newest is %+v", d)
	}
	w.want("both", w.all(deliveries.Request{EventID: w.event(at).ID, Limit: 9}), "0/2/0 order.created delivered x7 200", "0/2/0 order.created delivered x1 200")
}

// An event whose id has its time is found at once, however many deliveries there are since.
func TestAnIDWithItsTimeIsFoundThere(t *testing.T) {
	w := newWorld(t)
	ms := w.now.UnixMilli()
	id := fmt.Sprintf("%08x-%04x-7000-8000-000000000001", ms>>16, ms&0xffff)
	d := event.Draft{ID: id, Name: "a.b", Payload: []byte("{}")}
	n, err := w.log.Append(t.Context(), partition(1), "", []eventlog.Record{{Events: []event.Event{d.Stamp(tenant, w.now.Add(time.Second))}}})
	if err != nil {
		t.Fatal(err)
	}
	w.ends[1] = n
	w.save(1, "", w.sent(w.ok(n, 0)))
	for range 3000 {
		w.now = w.now.Add(time.Minute)
		w.save(1, "", w.sent(w.ok(w.publish(1, "a.b"), 0)))
	}
	page, next, err := w.List(t.Context(), tenant, w.hook.ID, deliveries.Request{EventID: id, Limit: 5})
	if err != nil || len(page) != 1 || next != "" || page[0].Event.ID != id {
		t.Errorf("found %+v, next %q, %v", page, next, err)
	}
	page, next, err = w.List(t.Context(), tenant, w.hook.ID, deliveries.Request{EventID: id, Limit: 5, Outcome: deliveries.Rejected})
	if err != nil || len(page) != 0 || next != "" {
		t.Errorf("rejected are %+v, next %q, %v", page, next, err)
	}
	other := "00000001-0000-4000-8000-000000000002" // it has no time: page by page
	page, next, err = w.List(t.Context(), tenant, w.hook.ID, deliveries.Request{EventID: other, Limit: 5})
	if err != nil || len(page) != 0 || next == "" {
		t.Errorf("one call has looked at everything: %d, next %q, %v", len(page), next, err)
	}
	if all := w.all(deliveries.Request{EventID: other, Limit: 5}); len(all) != 1 {
		t.Errorf("found %d", len(all))
	}
}

// What is being retried comes first, from the cursor: it has no record.
func TestRetrying(t *testing.T) {
	w := newWorld(t)
	n := w.publish(0, "a.b", "a.c")
	w.save(0, "", w.sent(w.ok(n, 0)))
	m := w.publish(0, "a.d", "a.e", "a.f")
	w.publish(0, "a.g")
	ms := w.now.UnixMilli()
	c := &handoff.Cursor{
		Key: handoff.Key{Tenant: tenant, Integration: "hook"}, Generation: 4, State: handoff.Scheduled, Failures: 3, FailingSince: w.now, Cause: "no", Status: 503,
		TriedAt: w.now.Add(time.Minute), TookMS: 70,
		AckState: handoff.AckState{Offset: handoff.Offset{Segment: n - 1, Index: 1}, Ahead: []int{3, handoff.Acked, 1, 0, 1}, FirstTries: []int64{ms, ms + 1}},
	}
	put := func() {
		t.Helper()
		if err := w.store.Commit(t.Context(), store.PutCursor{Cursor: c}); err != nil {
			t.Fatal(err)
		}
	}
	put()
	waiting := []string{"0/1/1 a.c retrying x3 503 no", "0/2/1 a.e retrying x1 0", "0/3/0 a.g retrying x1 0"}
	for _, limit := range []int{1, 2, 3, 4, 9} {
		w.want(fmt.Sprint("pages of ", limit), w.all(deliveries.Request{Limit: limit}), append(slices.Clone(waiting), "0/1/0 a.b delivered x1 200")...)
		w.want(fmt.Sprint("of the outcome, pages of ", limit), w.all(deliveries.Request{Limit: limit, Outcome: deliveries.Retrying}), waiting...)
	}
	w.want("delivered", w.all(deliveries.Request{Limit: 9, Outcome: deliveries.Delivered}), "0/1/0 a.b delivered x1 200")
	all := w.all(deliveries.Request{Limit: 9})
	if d := all[0]; !d.First.Equal(w.now.Truncate(time.Millisecond)) || !d.Last.Equal(c.TriedAt) || d.Took != 70*time.Millisecond {
		t.Errorf("the first is %+v", d)
	}
	if d := all[1]; d.First.UnixMilli() != ms+1 || !d.Last.Equal(d.First) || d.Took >= 0 {
		t.Errorf("the second is %+v", d)
	}
	if d := all[2]; !d.First.IsZero() || !d.Last.IsZero() {
		t.Errorf("the third, which an earlier release has tried, is %+v", d)
	}
	w.want("an id", w.all(deliveries.Request{Limit: 9, EventID: w.event(deliveries.At{Place: deliveries.Place{Segment: m, Index: 1}}).ID}), waiting[1])
	for place, outcome := range map[deliveries.Place]deliveries.Outcome{{Segment: n}: deliveries.Delivered, {Segment: n, Index: 1}: deliveries.Retrying, {Segment: m, Index: 2}: ""} {
		d := w.wantFound(deliveries.At{Place: place}, outcome != "", "")
		if d != nil && d.Outcome != outcome {
			t.Errorf("%+v is %s, want %s", place, d.Outcome, outcome)
		}
	}
	c.State = handoff.Paused
	put()
	w.want("while it is stopped", w.all(deliveries.Request{Limit: 9}), "0/1/0 a.b delivered x1 200")
}

// A bucket that fails holds up a file, of which the first event is known.
func TestRetryingOfFiles(t *testing.T) {
	w := newWorld(t)
	w.hook.Webhook, w.hook.S3, w.hook.Filter = nil, &integration.S3{}, event.Filter{Names: []string{"a.c"}}
	w.publish(0, "a.b")
	w.publish(0, "a.b", "a.c", "a.c")
	c := &handoff.Cursor{
		Key: handoff.Key{Tenant: tenant, Integration: "hook"}, Generation: 4, State: handoff.Scheduled, Failures: 2, FailingSince: w.now, Cause: "denied", Status: 403,
		TriedAt: w.now.Add(time.Minute), TookMS: 70, Upload: &handoff.Upload{Key: " f"},
	}
	if err := w.store.Commit(t.Context(), store.PutCursor{Cursor: c}); err != nil {
		t.Fatal(err)
	}
	w.want("the file", w.all(deliveries.Request{Limit: 9}), "0/2/1 a.c retrying x2 403 denied f")
}

// A token of anything else is refused, and none makes it read more than it should.
func TestTokens(t *testing.T) {
	w := newWorld(t)
	w.fill()
	_, next, err := w.List(t.Context(), tenant, "hook", deliveries.Request{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{"x", "-", "AAAA", next + "AA", next[:len(next)-2], cmp.Or(next)[1:]} {
		_, _, err := w.List(t.Context(), tenant, "hook", deliveries.Request{Limit: 1, After: token})
		if problem.CodeOf(err) != problem.InvalidRequest {
			t.Errorf("after %q: %v", token, err)
		}
	}
	if _, _, err := w.List(t.Context(), "other", "hook", deliveries.Request{Limit: 1, After: next}); problem.CodeOf(err) != problem.NotFound {
		t.Errorf("another tenant's: %v", err)
	}
}
