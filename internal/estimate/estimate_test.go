package estimate

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/eventlog/memory"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/settings"
)

type world struct {
	*Service
	log *memory.Log
	now time.Time
}

func newWorld() *world {
	w := &world{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	now := func() time.Time { return w.now }
	w.log = memory.New(now)
	w.Service = &Service{Log: w.log, Settings: settings.Default(), Now: now}
	return w
}

func (w *world) publish(t *testing.T, names ...string) {
	t.Helper()
	var drafts []event.Draft
	for _, name := range names {
		drafts = append(drafts, event.Draft{ID: uuid.NewString(), Name: name, Payload: []byte("{}")})
	}
	if err := w.log.Publish(t.Context(), "acme", event.Lanes{Each: w.Settings.Lanes}, drafts); err != nil {
		t.Fatal(err)
	}
}

func since(at time.Time) integration.Spec {
	return integration.Spec{ID: "shop", Type: integration.Permanent, StartsAt: at, Webhook: &integration.WebhookSpec{URL: "https://example.com/"}}
}

func replay(from, to time.Time) integration.Spec {
	s := since(from)
	s.Type, s.EndsAt = integration.Temporary, to
	return s
}

func (w *world) estimate(t *testing.T, spec integration.Spec) *Estimate {
	t.Helper()
	e, err := w.Estimate(t.Context(), "acme", spec)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestSmallLogIsCountedExactly(t *testing.T) {
	for _, lanes := range []int{1, 4} {
		w := newWorld()
		w.Settings.Lanes = lanes
		t0 := w.now
		if e := w.estimate(t, since(t0.Add(-time.Hour))); *e != (Estimate{Exact: true}) {
			t.Errorf("an empty log: %+v", e)
		}
		for range 10 {
			w.publish(t, "order.created", "order.paid", "return.created")
			w.now = w.now.Add(24 * time.Hour)
		}
		day := func(n int) time.Time { return t0.Add(time.Duration(n) * 24 * time.Hour) }
		orders := replay(day(2), day(4))
		orders.Filter.Names, orders.Filter.Entities = []string{"order.paid"}, []string{"return"}
		for name, c := range map[string]struct {
			spec        integration.Spec
			events      int64
			first, last time.Time
		}{
			"all":            {since(t0.Add(-time.Hour)), 30, t0, day(9)},
			"from a day on":  {since(day(7)), 9, day(7), day(9)},
			"between":        {replay(day(2), day(4).Add(-1)), 6, day(2), day(3)},
			"filtered":       {orders, 6, day(2), day(4)},
			"in the future":  {replay(day(9), day(20)), 3, day(9), day(9)},
			"nothing passes": {replay(day(2).Add(time.Hour), day(3).Add(-time.Hour)), 0, time.Time{}, time.Time{}},
			"from now on":    {since(time.Time{}), 0, time.Time{}, time.Time{}},
		} {
			e := w.estimate(t, c.spec)
			if e.Events != c.events || !e.Exact || !e.First.Equal(c.first) || !e.Last.Equal(c.last) || !e.OldestAvailable.Equal(t0) ||
				e.Bytes < c.events*100 || e.Bytes > c.events*200 {
				t.Errorf("%s: %+v, want %d from %v to %v", name, e, c.events, c.first, c.last)
			}
		}
		// What is older than the retention is not replayed, though the log may have it.
		w.now = day(30).Add(time.Hour)
		if e := w.estimate(t, since(t0)); e.Events != 27 || !e.First.Equal(day(1)) || !e.OldestAvailable.Equal(day(1)) {
			t.Errorf("beyond the retention: %+v", e)
		}
	}
}

func TestRegistrationIsValidated(t *testing.T) {
	w := newWorld()
	bad := since(w.now.Add(time.Hour))
	if _, err := w.Estimate(t.Context(), "acme", bad); problem.CodeOf(err) != problem.InvalidRequest || !strings.Contains(problem.MessageOf(err), "starts_at") {
		t.Error(err)
	}
	w.publish(t, "order.created")
	if e, err := w.Estimate(t.Context(), "evil", since(w.now)); err != nil || e.Events != 0 || !e.OldestAvailable.IsZero() {
		t.Errorf("another tenant: %+v, %v", e, err)
	}
}

// long is a log of so many segments of ten events, of which every third has twice as
// many. It counts what is read.
type long struct {
	eventlog.Log
	segments    uint64
	began       time.Time
	reads, read int
	seeks       int
}

const apart = time.Second // between two segments

func (l *long) End(_ context.Context, p event.Partition) (uint64, error) {
	if p.Lane > 0 {
		return 0, nil
	}
	return l.segments, nil
}

func (l *long) Seek(_ context.Context, _ event.Partition, t time.Time) (uint64, error) {
	l.seeks++
	return min(l.segments, uint64(max(0, t.Sub(l.began)+apart-1)/apart)), nil
}

func (l *long) events(number uint64) int {
	if number%3 == 0 {
		return 20
	}
	return 10
}

func (l *long) Read(_ context.Context, p event.Partition, after uint64, maxBytes int) ([]eventlog.Segment, error) {
	l.reads++
	var segments []eventlog.Segment
	for size := 0; after < l.segments && (size == 0 || size < maxBytes); after++ {
		s := eventlog.Segment{Number: after + 1}
		at := l.began.Add(time.Duration(after) * apart)
		for i := range l.events(s.Number) {
			name := "order.created"
			if i%10 == 0 {
				name = "order.rare"
			}
			s.Events = append(s.Events, event.Draft{ID: "01890a5d-ac96-774b-bcce-b302099a8057", Name: name, Payload: []byte(`{"x":"` + strings.Repeat("x", 180) + `"}`)}.Stamp(p.Tenant, at))
		}
		segments = append(segments, s)
		size += s.Bytes()
	}
	for i := range segments {
		l.read += segments[i].Bytes()
	}
	return segments, nil
}

// Ten million events are estimated from as few reads as a tenth of them, within a few
// percent.
func TestLongLogIsEstimatedInBoundedTime(t *testing.T) {
	reads := map[uint64]int{}
	for _, segments := range []uint64{75_000, 750_000} {
		w := newWorld()
		l := &long{segments: segments, began: w.now.Add(-time.Duration(segments) * apart)}
		w.Log = l
		events := float64(segments) * 40 / 3
		e := w.estimate(t, since(l.began))
		off := float64(e.Events)/events - 1
		if e.Exact || off < -0.1 || off > 0.1 || !e.First.Equal(l.began) || !e.Last.Equal(l.began.Add(time.Duration(segments-1)*apart)) {
			t.Errorf("%d segments: %+v, %.1f %% off", segments, e, 100*off)
		}
		if perEvent := e.Bytes / e.Events; perEvent < 300 || perEvent > 350 {
			t.Errorf("%d bytes an event", perEvent)
		}
		if l.read > maxRead+maxSampled+2*readBytes || l.seeks > 3 {
			t.Errorf("%d segments: %d bytes read, %d seeks", segments, l.read, l.seeks)
		}
		reads[segments] = l.reads

		rare := replay(l.began.Add(time.Hour), w.now.Add(-2*time.Hour))
		rare.Filter.Names = []string{"order.rare"}
		want := (events - 3*3600*40/3) / 10
		if e := w.estimate(t, rare); e.Exact || float64(e.Events) < 0.8*want || float64(e.Events) > 1.2*want {
			t.Errorf("filtered: %d, want about %.0f", e.Events, want)
		}
	}
	if reads[750_000] > reads[75_000]+1 || reads[750_000] > maxSamples+20 {
		t.Errorf("reads by segments: %v", reads)
	}
}

func TestDurationIsThatOfTheTenantsRate(t *testing.T) {
	w := newWorld()
	w.publish(t, "order.created", "order.created", "order.created")
	w.Rate = func(tenant string) float64 { return map[string]float64{"acme": 2}[tenant] }
	if e := w.estimate(t, since(w.now)); e.Duration != 1500*time.Millisecond || e.Seconds() != 2 {
		t.Errorf("%v", e.Duration)
	}
	w.Rate = func(string) float64 { return 0 }
	if e := w.estimate(t, since(w.now)); e.Duration != 0 {
		t.Errorf("%v", e.Duration)
	}
}

// However many samples are taken, they are spread evenly.
func TestSamplesAreSpreadEvenly(t *testing.T) {
	for _, samples := range []uint64{8, 50, 256} {
		tenths := [10]float64{}
		for i := range samples {
			tenths[spread(i, 10_000)/1000]++
		}
		for i, n := range tenths {
			if even := float64(samples) / 10; n < even-2 || n > even+2 {
				t.Errorf("of %d samples, %.0f are in tenth %d", samples, n, i)
			}
		}
	}
}
