package story

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/fairshare"
	"github.com/sluicehq/sluice/internal/problem"
)

// bounded counts what is read of a log, and lets its searches begin early, as those of a log
// whose writers have different clocks do.
type bounded struct {
	eventlog.Log
	margin time.Duration
	bytes  int
}

func (b *bounded) Read(ctx context.Context, p event.Partition, after uint64, maxBytes int) ([]eventlog.Segment, error) {
	segs, err := b.Log.Read(ctx, p, after, maxBytes)
	for i := range segs {
		b.bytes += segs[i].Bytes()
	}
	return segs, err
}

func (b *bounded) Seek(ctx context.Context, p event.Partition, t time.Time) (uint64, error) {
	return b.Log.Seek(ctx, p, t.Add(-b.margin))
}

// busy fills a log with 256 KiB a minute from base on, and returns it with its margin.
func busy(r *rig, minutes int, margin time.Duration) *bounded {
	r.t.Helper()
	payload := []byte(`{"x":"` + strings.Repeat("x", 128<<10-200) + `"}`)
	for m := range minutes {
		var events []event.Event
		for i := range 2 {
			events = append(events, event.Draft{ID: idOf(m, i), Name: "order.created", Payload: payload}.Stamp("acme", minute(m)))
		}
		r.put(0, events...)
	}
	b := &bounded{Log: r.log, margin: margin}
	r.Service.Log, r.Margin = b, margin
	return b
}

// What a story reads of a busy log does not depend on how much the log has around the event,
// as long as the time is right. What it does not read it says.
func TestSearchIsBounded(t *testing.T) {
	for _, margin := range []time.Duration{0, 15 * time.Minute} {
		r := newRig(t)
		b := busy(r, 400, margin)
		r.tell(idOf(200, 1), about(200))
		if b.bytes > 1<<20 {
			t.Errorf("margin %v: it read %d bytes for an event that is where it was said", margin, b.bytes)
		}
		b.bytes = 0
		r.put(0, named(v7(minute(200)), minute(200)))
		r.fails(idOf(999, 0), Query{From: minute(10), To: minute(300)}, problem.WindowTooLarge,
			event.FormatTime(minute(10)), event.FormatTime(minute(300)), "go on with from=")
		if b.bytes > maxScanned+largeRead+256<<10 {
			t.Errorf("margin %v: it read %d bytes", margin, b.bytes)
		}
	}
}

// A window that is too large is searched in parts: each answer says where to go on.
func TestTooLargeAWindowIsSearchedInParts(t *testing.T) {
	for _, margin := range []time.Duration{0, 15 * time.Minute, 10 * time.Hour} {
		r := newRig(t)
		busy(r, 400, margin)
		q := Query{From: minute(0), To: minute(400)}
		for parts := 1; ; parts++ {
			told, err := r.Tell(t.Context(), "acme", idOf(390, 0), q)
			if err == nil {
				if parts < 3 || !told.Event.PublishedAt.Equal(minute(390)) {
					t.Errorf("found at %v in %d parts", told.Event.PublishedAt, parts)
				}
				break
			}
			_, rest, ok := strings.Cut(problem.MessageOf(err), "go on with from=")
			next, parseErr := event.ParseTime(rest[:min(24, len(rest))])
			if problem.CodeOf(err) != problem.WindowTooLarge || !ok || parseErr != nil || !next.After(q.From) {
				t.Fatalf("part %d, from %v: %v", parts, q.From, err)
			}
			q.From = next
		}
	}
}

// Where a search goes on, it finds what came later than what it has read.
func TestPartsOverlapByTheMargin(t *testing.T) {
	r := newRig(t)
	busy(r, 140, 15*time.Minute)
	r.put(0, named(idOf(999, 0), minute(127)))
	q := Query{From: minute(0), To: minute(400)}
	_, err := r.Tell(t.Context(), "acme", idOf(999, 0), q)
	_, rest, _ := strings.Cut(problem.MessageOf(err), "go on with from=")
	if q.From, err = event.ParseTime(rest[:min(24, len(rest))]); err != nil {
		t.Fatal(err)
	}
	r.tell(idOf(999, 0), q)
}

// placed checks that each read of a log has a place.
type placed struct {
	eventlog.Log
	t      *testing.T
	places *fairshare.Limiter
	reads  int
}

func (p *placed) Read(ctx context.Context, part event.Partition, after uint64, maxBytes int) ([]eventlog.Segment, error) {
	p.reads++
	if p.places.Held() != 1 {
		p.t.Errorf("read %d has %d places", p.reads, p.places.Held())
	}
	return p.Log.Read(ctx, part, after, maxBytes)
}

// A story takes a place for each of its reads, and gives it back.
func TestReadsTakeAPlace(t *testing.T) {
	r := newRig(t)
	for m := range 5 {
		r.publish(m+1, 3)
	}
	r.stands(hook(), failing(at(1, 0, 1, 1, 1, 1, 1)), 0)
	r.Reads = fairshare.New(2)
	p := &placed{Log: r.log, t: t, places: r.Reads}
	r.Service.Log = p
	r.wants(3, 1, Retrying)
	if p.reads < 2 || r.Reads.Held() != 0 {
		t.Errorf("after %d reads %d places are held", p.reads, r.Reads.Held())
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for r.Reads.Take("other", nil) {
	}
	if _, err := r.Tell(ended, "acme", idOf(3, 1), about(3)); err == nil {
		t.Error("a call that has ended waits for no place")
	}
}
