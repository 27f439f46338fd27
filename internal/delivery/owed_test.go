package delivery_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/store"
)

// owed lists the events that a life must have got, with those that were trimmed since it
// was registered. w.mu is held.
func (w *world) owed(l *life) []event.Event {
	var owed []event.Event
	for lane := range w.mostLanes() {
		part := event.Partition{Tenant: l.in.Tenant, Lane: lane}
		inLog, _ := w.log.Read(context.Background(), part, 0, 1<<30)
		segs := slices.Concat(w.trimmed[part], inLog)
		for i, seg := range segs {
			if i < l.gone[lane] || (l.in.StartsAt.IsZero() || l.moved) && seg.Number <= l.ends[lane] {
				continue
			}
			for j := range seg.Events {
				if w.owes(l, lane, segs, i, j) {
					owed = append(owed, seg.Events[j])
				}
			}
		}
	}
	return owed
}

// owes reports whether a life must get an event of a lane: the filter of the time at which
// it was decided passes it, and a replay reaches back to it.
func (w *world) owes(l *life, lane int, segs []eventlog.Segment, i, j int) bool {
	e := &segs[i].Events[j]
	if l.in.Type == integration.Temporary && e.PublishedAt.Before(l.in.CreatedAt.Add(-w.settings.Retention)) {
		return false
	}
	filter := l.in.EventFilter()
	for _, u := range slices.Backward(l.updates) {
		if u.acks != nil && isAcked(&u.acks[lane], segs, i, j) {
			filter = u.from
		}
	}
	return filter.Pass(e)
}

// isAcked reports whether an ack state has the j-th event of segs[i].
func isAcked(acks *handoff.AckState, segs []eventlog.Segment, i, j int) bool {
	at, number := acks.Offset, segs[i].Number
	if number <= at.Segment || number == at.Segment+1 && j < at.Index {
		return true
	}
	after := j
	for _, seg := range segs[:i] {
		if seg.Number > at.Segment {
			after += len(seg.Events)
		}
	}
	after -= at.Index
	return after < len(acks.Ahead) && acks.Ahead[after] == handoff.Acked
}

// trimNow trims what is older than the retention. Who has not got it may lack it.
func (w *world) trimNow() {
	w.writes.Lock()
	defer w.writes.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.now().Add(-w.settings.Retention)
	for _, part := range w.partitions() {
		segs, _ := w.log.Read(context.Background(), part, 0, 1<<30)
		n := 0
		for n < len(segs) && !slices.ContainsFunc(segs[n].Events, func(e event.Event) bool { return !e.PublishedAt.Before(before) }) {
			n++
		}
		for _, l := range w.lives {
			if l.in.Tenant == part.Tenant {
				w.maySkip(l, eventsOf(segs[:n]))
			}
		}
		if n > 0 {
			w.trims++
			w.incidents++ // what is known of the events after a trimmed one, which nobody has acknowledged, is lost
		}
		w.trimmed[part] = slices.Concat(w.trimmed[part], segs[:n])
	}
	w.trim(before)
}

func eventsOf(segs []eventlog.Segment) []event.Event {
	var events []event.Event
	for _, seg := range segs {
		events = append(events, seg.Events...)
	}
	return events
}

// pending says what must still happen, or "".
func (w *world) pending() string {
	w.writes.RLock()
	defer w.writes.RUnlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	lives := make([]*life, 0, len(w.lives))
	for _, l := range w.lives {
		lives = append(lives, l)
	}
	slices.SortFunc(lives, func(a, b *life) int { return cmp.Compare(lifeName(a.in), lifeName(b.in)) })
	if missing := w.unpublished(); missing != "" {
		return missing
	}
	for _, l := range lives {
		if missing := w.missing(l); missing != "" {
			return missing
		}
	}
	return ""
}

// published notes what a publisher was told is kept.
func (w *world) published(tenant string, drafts []event.Draft) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range drafts {
		w.kept[arrival{tenant, d.ID}] = true
	}
}

// unpublished names an event that a publisher was told is kept, and that is not in the
// log.
func (w *world) unpublished() string {
	inLog := map[arrival]bool{}
	for _, part := range w.partitions() {
		segs, _ := w.log.Read(context.Background(), part, 0, 1<<30)
		for _, e := range slices.Concat(eventsOf(w.trimmed[part]), eventsOf(segs)) {
			inLog[arrival{part.Tenant, e.ID}] = true
		}
	}
	for e := range w.kept {
		if !inLog[e] {
			return fmt.Sprintf("lost: %s of %s was published and is not in the log", e.id, e.tenant)
		}
	}
	return ""
}

// missing says what a life must still get or become.
func (w *world) missing(l *life) string {
	temporary := l.in.Type == integration.Temporary
	if temporary && l.in.CompletedAt.IsZero() {
		return fmt.Sprintf("scheduled: replay %s is not complete: %s", lifeName(l.in), w.where(l))
	}
	if !temporary && !l.in.Running {
		return fmt.Sprintf("scheduled: %s does not run", lifeName(l.in))
	}
	for _, e := range w.owed(l) {
		r := w.receipt(l.in, e.ID)
		switch {
		case r.again() || r.through():
		case !l.skipped[e.ID]:
			return fmt.Sprintf("lost: %s has %s of %v neither acknowledged nor kept as rejected; it arrived %d times: %s",
				lifeName(l.in), e.ID, event.FormatTime(e.PublishedAt), r.emitted, w.where(l))
		case !w.saysSkipped(l):
			return fmt.Sprintf("lost: the log of %s does not say that events were skipped; it lacks %s", lifeName(l.in), e.ID)
		}
	}
	for lane := range l.in.Lanes {
		c, err := w.records.Cursor(context.Background(), handoff.Key{Tenant: l.in.Tenant, Integration: l.in.ID, Lane: lane})
		if !temporary && (err != nil || c.State != handoff.Live) {
			return fmt.Sprintf("scheduled: %s never becomes live: %s", lifeName(l.in), w.where(l))
		}
	}
	return ""
}

func (w *world) saysSkipped(l *life) bool {
	entries, _ := w.records.Entries(context.Background(), store.HistoryOf(l.in), 1000)
	return slices.ContainsFunc(entries, func(e integration.LogEntry) bool { return e.Action == integration.ActionEventsSkipped })
}

// where describes the owners of an integration's lanes.
func (w *world) where(l *life) string {
	var s strings.Builder
	for lane := range w.mostLanes() {
		k := handoff.Key{Tenant: l.in.Tenant, Integration: l.in.ID, Lane: lane}
		c, err := w.records.Cursor(context.Background(), k)
		if err != nil {
			fmt.Fprintf(&s, "\n\tlane %d: %v", lane, err)
			continue
		}
		r, _ := w.records.Partition(context.Background(), k.Partition())
		end, _ := w.log.End(context.Background(), k.Partition())
		fmt.Fprintf(&s, "\n\tlane %d: end %d, low watermark %d, subscriber %+v, cursor %s at %+v, due in %v",
			lane, end, r.LowWatermark, r.Find(l.in.ID), c.State, c.AckState, c.DueAt.Sub(w.now()).Round(time.Millisecond))
	}
	return s.String()
}
