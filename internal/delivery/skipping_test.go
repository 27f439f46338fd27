package delivery_test

import (
	"context"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/store"
)

// skipped names an event that an integration is to skip.
type skipped struct{ tenant, integration, event string }

// through reports whether an event may never be delivered, as it is in the list of
// rejected ones, or was evicted from there.
func (r *receipt) through() bool { return r.kept || r.skipped }

// skip asks to skip the first event that an integration has failed to deliver, as somebody
// does who reads its log, and then one that nobody has tried.
func (w *world) skip(tenant, id string) {
	for _, eventID := range w.failed(tenant, id) {
		w.user(func(p *process) error { return p.skips.Skip(context.Background(), tenant, id, eventID) })
	}
}

// failed returns an event with failed attempts, and one without. It notes that both may be
// skipped from now on.
func (w *world) failed(tenant, id string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.lives[lifeKey{tenant, id}]
	if l == nil {
		return nil
	}
	var ids []string
	tried := map[bool]bool{}
	for _, e := range w.owed(l) {
		r := w.receipt(l.in, e.ID)
		if r.again() || r.through() || tried[r.retries > 0] {
			continue
		}
		tried[r.retries > 0] = true
		w.asked[skipped{tenant, id, e.ID}] = true
		ids = append(ids, e.ID)
	}
	return ids
}

// wasSkipped notes a skip. w.mu is held.
func (w *world) wasSkipped(h store.History, id string) {
	r := w.got[historyName(h)][id]
	switch {
	case !w.asked[skipped{h.Tenant, h.Integration, id}]:
		w.fail("skipped: %s has skipped %s, which nobody asked for", historyName(h), id)
		return
	case r == nil:
		return // the receiver of a rig keeps no account
	case r.retries == 0:
		w.fail("skipped: %s has skipped %s, which was not tried", historyName(h), id)
	case !w.isListed(h, id):
		w.fail("skipped: %s is not in the list of rejected events of %s", id, historyName(h))
	}
	r.skipped = true
	r.ended(deliveries.Skipped)
	if l := w.lives[lifeKey{h.Tenant, h.Integration}]; l != nil {
		l.skips++
	}
	w.stops[historyName(h)]++ // a step that had the cursor may send again what it had in flight
}

// isListed reports whether an event is in the list of rejected ones, or was evicted.
func (w *world) isListed(h store.History, id string) bool {
	list, err := w.records.OldestRejected(context.Background(), h, 1000)
	if err != nil || slices.ContainsFunc(list, func(r integration.RejectedRef) bool { return r.EventID == id }) {
		return true
	}
	entries, _ := w.records.Entries(context.Background(), h, store.EntriesKept)
	return slices.ContainsFunc(entries, func(e integration.LogEntry) bool {
		return e.Action == integration.ActionRejectedEvicted && strings.Contains(e.Reason, id)
	})
}
