package deliveries_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/store"
)

// activity returns that of one integration, w.hook unless another is given.
func (w *world) activity(in ...*integration.Integration) *deliveries.Activity {
	w.t.Helper()
	if in == nil {
		in = append(in, w.hook)
	}
	found, err := w.Activity(w.t.Context(), tenant, in)
	if err != nil {
		w.t.Fatal(err)
	}
	return found[0]
}

// result is one of the last attempt so long ago.
func (w *world) result(index int, outcome deliveries.Outcome, attempts int, ago time.Duration) deliveries.Result {
	last := w.now.Add(-ago).UnixMilli()
	return deliveries.Result{Place: deliveries.Place{Segment: 7, Index: index}, Outcome: outcome, Attempts: attempts, First: last, Last: last, Took: 3, Status: 200}
}

func (w *world) wantHours(what string, a *deliveries.Activity, want map[int]deliveries.Hour) {
	w.t.Helper()
	for i, got := range a.Hours {
		if got != want[i] {
			w.t.Errorf("%s: hour %d has %+v, want %+v", what, i, got, want[i])
		}
	}
}

// Hours are those of the clock: now is 12:00:00.123, so that the last one has just begun.
func TestActivityCountsByTheHour(t *testing.T) {
	w := newWorld(t)
	at := w.now
	w.save(0, "", w.sent(
		w.result(0, deliveries.Delivered, 1, 0), w.result(1, deliveries.Delivered, 3, 0), w.result(2, deliveries.Rejected, 2, time.Second),
		w.result(3, deliveries.Skipped, 4, time.Second), w.result(4, deliveries.Delivered, 1, 59*time.Minute), w.result(5, deliveries.Delivered, 1, time.Hour)))
	w.now = at.Add(-22 * time.Hour)
	w.save(1, "hook", w.sent(w.result(0, deliveries.Delivered, 1, 0)))
	w.now = at.Add(-23*time.Hour - 200*time.Millisecond)
	w.save(1, "", w.sent(w.result(0, deliveries.Delivered, 1, 0))) // in the hour before the first
	w.now = at
	a := w.activity()
	if !a.Complete || !a.Since.Equal(time.Date(2026, 5, 31, 13, 0, 0, 0, time.UTC)) {
		t.Errorf("since %v, complete %v", a.Since, a.Complete)
	}
	w.wantHours("activity", a, map[int]deliveries.Hour{
		23: {Delivered: 2, Failed: 2}, 22: {Delivered: 2, Rejected: 1, Failed: 5}, 1: {Delivered: 1},
	})
}

// A file counts once, whatever it has, in the hour in which it was written.
func TestActivityCountsFiles(t *testing.T) {
	w := newWorld(t)
	w.hook.S3 = &integration.S3{}
	last := w.now.Add(-2 * time.Hour).UnixMilli()
	part := w.sent()
	part.File = &deliveries.File{Key: "k", From: handoff.Offset{Segment: 1}, To: handoff.Offset{Segment: 900}, Attempts: 3, First: last, Last: last, Took: 9, Status: 200}
	w.save(0, "hook", part)
	w.wantHours("a file", w.activity(), map[int]deliveries.Hour{21: {Delivered: 1, Failed: 2}})
}

// Nobody has the counts of another tenant, of another integration, or of one that was deleted
// and had the same id.
func TestActivityIsOfOneIncarnation(t *testing.T) {
	w := newWorld(t)
	w.save(0, "", w.sent(w.result(0, deliveries.Delivered, 1, 0)))
	w.save(0, "hook", w.sent(w.result(1, deliveries.Delivered, 1, 0)))
	for name, other := range map[string]func(in *integration.Integration){
		"registered again": func(in *integration.Integration) { in.Incarnation++ },
		"of another id":    func(in *integration.Integration) { in.ID = "hook-2" },
	} {
		in := *w.hook
		other(&in)
		w.wantHours(name, w.activity(&in), nil)
	}
	found, err := w.Activity(t.Context(), "evil", []*integration.Integration{w.hook})
	if err != nil {
		t.Fatal(err)
	}
	w.wantHours("of another tenant", found[0], nil)
	w.wantHours("its own", w.activity(), map[int]deliveries.Hour{23: {Delivered: 2}})
	both, err := w.Activity(t.Context(), tenant, nil)
	if err != nil || len(both) != 0 {
		t.Errorf("of none: %v, %v", both, err)
	}
}

func TestThereIsNoActivityWithoutRecords(t *testing.T) {
	w := newWorld(t)
	w.save(0, "", w.sent(w.result(0, deliveries.Delivered, 1, 0)))
	w.Keep = 0
	if a := w.activity(); a != nil {
		t.Errorf("it has %+v", a)
	}
	w.Keep = 6 * time.Hour // not all of the hours are known
	if a := w.activity(); a.Complete || !a.Since.Equal(w.now.Add(-6*time.Hour)) || a.Hours[23].Delivered != 1 {
		t.Errorf("it has %+v", a)
	}
}

// A call that has read its share says from when on it has counted everything: for what is
// live for all integrations of the tenant, for an integration's own records for that one.
func TestActivityIsBounded(t *testing.T) {
	for name, of := range map[string]string{"live": "", "own": "hook"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			const saved = 6000 // more than half of the share: there are two lanes
			w.now = w.now.Add(-saved * time.Second)
			for range saved {
				w.now = w.now.Add(time.Second)
				w.save(0, of, w.sent(w.result(0, deliveries.Delivered, 1, 0)))
			}
			counted := &countedRecords{Records: w.Records}
			w.Records = counted
			other := *w.hook
			other.ID = "other"
			found, err := w.Activity(t.Context(), tenant, []*integration.Integration{w.hook, &other})
			if err != nil {
				t.Fatal(err)
			}
			a, n := found[0], 0
			for _, h := range a.Hours {
				n += h.Delivered
			}
			if a.Complete || n != counted.read || n > 5000 || !a.Since.Equal(w.now.Add(-time.Duration(n-1)*time.Second)) {
				t.Errorf("%d of %d records are counted, complete %v, since %v before now", n, counted.read, a.Complete, w.now.Sub(a.Since))
			}
			if found[1].Complete != (of != "") {
				t.Errorf("the other one is complete: %v", found[1].Complete)
			}
		})
	}
}

// The records of many integrations are as large as a call can read, and no more is.
func TestActivityReadsFewBytes(t *testing.T) {
	w := newWorld(t)
	for range 300 {
		w.now = w.now.Add(time.Second)
		var results []deliveries.Result
		for i := range 16 << 10 {
			results = append(results, w.result(i, deliveries.Delivered, 1, time.Duration(i*i%997)*time.Millisecond))
		}
		w.save(0, "", w.sent(results...))
	}
	sized := &sizedRecords{Records: w.Records}
	w.Records = sized
	if a := w.activity(); a.Complete || sized.bytes > 8<<20 {
		t.Errorf("it reads %d bytes, complete %v", sized.bytes, a.Complete)
	}
}

// Each lane has its share of the bytes: a busy one leaves the next ones theirs.
func TestABusyLaneLeavesTheOthersTheirShare(t *testing.T) {
	w := newWorld(t)
	began := w.now
	for range 300 {
		w.now = w.now.Add(time.Second)
		var results []deliveries.Result
		for i := range 16 << 10 {
			results = append(results, w.result(i, deliveries.Delivered, 1, time.Duration(i*i%997)*time.Millisecond))
		}
		w.save(0, "", w.sent(results...))
	}
	w.save(1, "", w.sent(w.result(0, deliveries.Rejected, 1, 0)))
	a := w.activity()
	if !a.Since.Before(w.now) || !a.Since.After(began) || a.Hours[deliveries.HoursCounted-1].Rejected != 1 {
		t.Errorf("since %v, now %v, the last hour has %+v", a.Since, w.now, a.Hours[deliveries.HoursCounted-1])
	}
}

type sizedRecords struct {
	deliveries.Records
	mu    sync.Mutex
	bytes int
}

func (s *sizedRecords) Deliveries(ctx context.Context, q deliveries.Query) ([]deliveries.Record, error) {
	records, err := s.Records.Deliveries(ctx, q)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range records {
		s.bytes += len(records[i].Data)
	}
	return records, err
}

// A call that must end soon returns what it has.
func TestActivityEndsBeforeTheDeadline(t *testing.T) {
	w := newWorld(t)
	w.each(3)
	soon, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	found, err := w.Activity(soon, tenant, []*integration.Integration{w.hook})
	if err != nil || found[0].Complete || !found[0].Since.Equal(w.now) {
		t.Errorf("got %+v, %v", found, err)
	}
}

// Equal steps are counted at once, as far as the hour goes: what is of its very beginning is of
// that hour, whether the times go up or down.
func TestRunsAreDividedAtTheHour(t *testing.T) {
	for _, step := range []time.Duration{30 * time.Minute, -30 * time.Minute} {
		w := newWorld(t)
		at := time.Date(2026, 6, 1, 9, 30, 0, 0, time.UTC)
		if step < 0 {
			at = at.Add(4 * 30 * time.Minute)
		}
		var results []deliveries.Result
		for i := range 5 { // 9:30, 10:00, 10:30, 11:00 and 11:30
			results = append(results, w.result(i, deliveries.Delivered, 1, w.now.Sub(at)))
			at = at.Add(step)
		}
		w.save(0, "", w.sent(results...))
		w.wantHours(step.String(), w.activity(), map[int]deliveries.Hour{20: {Delivered: 1}, 21: {Delivered: 2}, 22: {Delivered: 2}})
	}
}

// What is counted without making the results is what the results say.
func TestCountsAreThoseOfTheResults(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		place, n := 0, rapid.IntRange(1, 80).Draw(rt, "results")
		last := w.now.UnixMilli() - rapid.Int64Range(0, 26*3600_000).Draw(rt, "ago")
		step := rapid.Int64Range(-3600_000, 3600_000)
		after := step.Draw(rt, "after")
		var results []deliveries.Result
		var want deliveries.Hours
		first := time.Date(2026, 5, 31, 13, 0, 0, 0, time.UTC).UnixMilli()
		for range n {
			if rapid.IntRange(0, 5).Draw(rt, "another") == 0 {
				after = step.Draw(rt, "after")
			}
			last += after
			r := deliveries.Result{Place: deliveries.Place{Segment: 7, Index: place}, Outcome: deliveries.Delivered, Attempts: 1, First: last, Last: last, Took: 3}
			if rapid.IntRange(0, 7).Draw(rt, "rejected") == 0 {
				r.Outcome, r.Attempts = deliveries.Rejected, 3
			}
			place++
			results = append(results, r)
			if at := (last - first) / 3600_000; last >= first && at < deliveries.HoursCounted {
				if r.Outcome == deliveries.Delivered {
					want[at].Delivered++
				} else {
					want[at].Rejected++
					want[at].Failed += 2
				}
			}
		}
		w.save(0, "", w.sent(results...))
		if a := w.activity(); a.Hours != want {
			rt.Fatalf("counted %+v, want %+v", a.Hours, want)
		}
	})
}

// BenchmarkActivity counts 5,000 records, each of a hundred events to ten integrations.
func BenchmarkActivity(b *testing.B) {
	w := newWorld(nil)
	var all []*integration.Integration
	for i := range 10 {
		all = append(all, &integration.Integration{Tenant: tenant, ID: fmt.Sprint("hook-", i), Incarnation: 3, Lanes: 1})
	}
	var records []deliveries.Record
	for i := range 5000 {
		var parts []deliveries.Part
		for _, in := range all {
			p := deliveries.Part{Integration: in.ID, Incarnation: in.Incarnation}
			for j := range 100 {
				p.Results = append(p.Results, delivered(uint64(i+1), j, w.now.UnixMilli()-int64(i)*1000+int64(j/30), int64(j*7%5)))
			}
			parts = append(parts, p)
		}
		records = append(records, deliveries.Pack(partition(0), "", w.now.Add(-time.Duration(i)*time.Second), time.Hour, parts)...)
	}
	w.Records = recordsOf(records)
	for b.Loop() {
		if _, err := w.Activity(b.Context(), tenant, all); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(records[0].Data)), "B/record")
}

// recordsOf are the records of live delivery, newest first.
type recordsOf []deliveries.Record

func (all recordsOf) Deliveries(_ context.Context, q deliveries.Query) (found []deliveries.Record, err error) {
	if q.Integration != "" {
		return nil, nil
	}
	if !q.Before.IsZero() {
		all = all[sort.Search(len(all), func(i int) bool { return all[i].At.Before(q.Before) }):]
	}
	return all[:min(q.Limit, len(all))], nil
}

// A record that is damaged, or of a later release, is left out whole: what it had before the
// damage too. The rest is counted, and the answer says from when on that is all. It is logged,
// though not with each call.
func TestADamagedRecordIsLeftOutOfActivity(t *testing.T) {
	for name, damage := range map[string]func(r *deliveries.Record){
		"cut off":            func(r *deliveries.Record) { r.Data = r.Data[:len(r.Data)-1] },
		"of a later release": func(r *deliveries.Record) { r.Data[0]++ },
	} {
		for source, own := range map[string]string{"live": "", "its own": "hook"} {
			t.Run(name+", "+source, func(t *testing.T) {
				w := newWorld(t)
				var lines bytes.Buffer
				w.Logger = slog.New(slog.NewTextHandler(&lines, nil))
				at := w.now
				for _, ago := range []time.Duration{150 * time.Minute, 90 * time.Minute, 0} {
					w.now = at.Add(-ago)
					results := []deliveries.Result{w.result(0, deliveries.Delivered, 1, 0), w.result(1, deliveries.Delivered, 3, 0), w.result(2, deliveries.Rejected, 2, 0)}
					for _, r := range deliveries.Pack(partition(1), own, w.now, time.Hour, []deliveries.Part{w.sent(results...)}) {
						if ago == 90*time.Minute {
							damage(&r)
						}
						if err := w.store.Commit(t.Context(), store.AddDeliveries{Record: r}); err != nil {
							t.Fatal(err)
						}
					}
				}
				a := w.activity()
				if a.Complete || !a.Since.Equal(at.Add(-90*time.Minute+time.Millisecond)) {
					t.Errorf("since %v, complete %v", a.Since, a.Complete)
				}
				whole := deliveries.Hour{Delivered: 2, Rejected: 1, Failed: 3}
				w.wantHours("of what is whole", a, map[int]deliveries.Hour{23: whole, 20: whole})
				other := *w.hook
				other.ID, other.Lanes = "other", 1 // not in the lane of the record
				if a := w.activity(&other); !a.Complete {
					t.Errorf("of another lane: since %v", a.Since)
				}
				if n := strings.Count(lines.String(), "left out"); n != 1 || !strings.Contains(lines.String(), "lane=1") {
					t.Errorf("logged %d times:\n%s", n, &lines)
				}
				w.activity()
				w.now = at.Add(time.Minute)
				w.activity()
				if n := strings.Count(lines.String(), "left out"); n != 2 {
					t.Errorf("after a minute it was logged %d times", n)
				}
			})
		}
	}
}
