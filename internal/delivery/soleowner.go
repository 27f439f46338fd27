package delivery

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/store"
)

// SoleOwner is the memory of the only process that advances the cursors of a store. It
// writes no leases, and saves the failed attempts of an outage together, later
// (Engine.SaveEntries, Engine.SaveAttempts): one alone costs several pages of the
// database, thousands in the order of their keys share them. It is safe for
// concurrent use. A nil SoleOwner remembers nothing.
type SoleOwner struct {
	began time.Time

	mu      sync.Mutex
	held    map[handoff.Key]struct{} // being advanced, or saved
	failing map[handoff.Key]attempts // cursors that back off
	entries []store.AddEntry         // of their attempts, not saved yet
}

// attempts is a cursor with failed attempts that the stored one of the same version
// may lack.
type attempts struct {
	cursor handoff.Cursor
	saved  bool
}

// NewSoleOwner returns the memory of a process that began at the given time.
func NewSoleOwner(began time.Time) *SoleOwner {
	return &SoleOwner{began: began, held: make(map[handoff.Key]struct{}), failing: make(map[handoff.Key]attempts)}
}

// hold reports whether nobody else holds the cursor; call letGo then.
func (o *SoleOwner) hold(k handoff.Key) bool {
	if o == nil {
		return true
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, taken := o.held[k]; taken {
		return false
	}
	o.held[k] = struct{}{}
	return true
}

func (o *SoleOwner) letGo(keys ...handoff.Key) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, k := range keys {
		delete(o.held, k)
	}
}

// remember keeps a cursor after a failed attempt, and the log entries of the attempt.
func (o *SoleOwner) remember(c *handoff.Cursor, entries []store.AddEntry) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failing[c.Key] = attempts{cursor: *c}
	o.entries = append(o.entries, entries...)
}

// keep keeps log entries of a failed attempt whose cursor is saved.
func (o *SoleOwner) keep(entries []store.AddEntry) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.entries = append(o.entries, entries...)
}

// found keeps a stored cursor that backs off, for waits: an earlier process may have
// saved it without moving it in the due index.
func (o *SoleOwner) found(c *handoff.Cursor) {
	if o == nil || c.Failures == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, ok := o.failing[c.Key]; !ok {
		o.failing[c.Key] = attempts{cursor: *c, saved: true}
	}
}

// restore returns a stored cursor with the attempts that are not saved. If it was
// written meanwhile, as by a stop, they no longer count.
func (o *SoleOwner) restore(c *handoff.Cursor) *handoff.Cursor {
	if o == nil {
		return c
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	a, ok := o.failing[c.Key]
	if !ok {
		return c
	}
	if a.cursor.Version != c.Version {
		delete(o.failing, c.Key)
		return c
	}
	return &a.cursor
}

// Newest returns a stored cursor with the attempts that are not saved, for one that
// does not advance it.
func (o *SoleOwner) Newest(c *handoff.Cursor) *handoff.Cursor {
	if o == nil {
		return c
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if a, ok := o.failing[c.Key]; ok && a.cursor.Version == c.Version {
		return &a.cursor
	}
	return c
}

func (o *SoleOwner) forget(k handoff.Key) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.failing, k)
}

// waits reports whether a cursor backs off beyond a time, perhaps for longer than the
// store knows. One that is due by then may have nobody that advances it.
func (o *SoleOwner) waits(k handoff.Key, beyond time.Time) bool {
	if o == nil {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	a, ok := o.failing[k]
	return ok && a.cursor.DueAt.After(beyond)
}

// len returns how many cursors back off.
func (o *SoleOwner) len() int {
	if o == nil {
		return 0
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.failing)
}

// orphaned reports whether the cursor is leased to calls that an earlier process had
// in flight when it left the live set. A SoleOwner writes no other leases.
func (o *SoleOwner) orphaned(c *handoff.Cursor, lease time.Duration) bool {
	return o != nil && c.LeftAt.Before(o.began) && c.DueAt.Equal(c.LeftAt.Add(lease))
}

// takeEntries removes and returns the entries that are not saved, by integration.
func (o *SoleOwner) takeEntries() []store.AddEntry {
	o.mu.Lock()
	entries := o.entries
	o.entries = nil
	o.mu.Unlock()
	slices.SortStableFunc(entries, func(a, b store.AddEntry) int {
		return cmp.Or(strings.Compare(a.History.Tenant, b.History.Tenant), strings.Compare(a.History.Integration, b.History.Integration))
	})
	return entries
}

// maxEntries limits the memory for entries while the store is unavailable.
const maxEntries = 100_000

// returnEntries takes back entries that could not be saved; the oldest are dropped.
func (o *SoleOwner) returnEntries(entries []store.AddEntry) {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := slices.Concat(entries, o.entries)
	o.entries = all[max(len(all)-maxEntries, 0):]
}

// unsaved reports whether a cursor has attempts that are not saved.
func unsaved(a *attempts) bool { return !a.saved }

// keysOf returns the failing cursors that pass, in the order of their keys.
func (o *SoleOwner) keysOf(pass func(*attempts) bool) []handoff.Key {
	o.mu.Lock()
	var keys []handoff.Key
	for k, a := range o.failing {
		if pass(&a) {
			keys = append(keys, k)
		}
	}
	o.mu.Unlock()
	slices.SortFunc(keys, func(a, b handoff.Key) int {
		return cmp.Or(strings.Compare(a.Tenant, b.Tenant), strings.Compare(a.Integration, b.Integration), a.Lane-b.Lane)
	})
	return keys
}

// holdThose holds those of the cursors that pass and that nobody else holds, and returns
// them.
func (o *SoleOwner) holdThose(keys []handoff.Key, pass func(*attempts) bool) []handoff.Cursor {
	o.mu.Lock()
	defer o.mu.Unlock()
	var cursors []handoff.Cursor
	for _, k := range keys {
		_, taken := o.held[k]
		if a, ok := o.failing[k]; ok && !taken && pass(&a) {
			o.held[k] = struct{}{}
			cursors = append(cursors, a.cursor)
		}
	}
	return cursors
}

// letGoSaved lets go of cursors that were held. The first ones were saved, or have
// another version in the store, which restore notices.
func (o *SoleOwner) letGoSaved(cursors []handoff.Cursor, saved int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, c := range cursors {
		if delete(o.held, c.Key); i < saved {
			o.failing[c.Key] = attempts{cursor: c, saved: true}
		}
	}
}
