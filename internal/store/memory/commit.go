package memory

import (
	"context"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/store"
)

// Commit implements store.Store: it checks every condition before it writes
// anything. As no record is in a Commit twice, no write can affect the condition
// of another.
func (s *Store) Commit(ctx context.Context, writes ...store.Write) error {
	if err := store.Check(writes); err != nil {
		return err
	}
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	for _, w := range writes {
		if !s.holds(w) {
			return store.ErrConflict
		}
	}
	for _, w := range writes {
		s.apply(w)
	}
	return nil
}

// holds reports whether the stored record has the version that a write requires.
func (s *Store) holds(w store.Write) bool {
	switch w := w.(type) {
	case store.PutTenant:
		t := s.tenants[w.Tenant.Name]
		return w.Tenant.Version == 0 && t == nil || t != nil && t.Version == w.Tenant.Version
	case store.PutLanes:
		return s.lanes.Version == w.Lanes.Version
	case store.PutIntegration:
		return s.holdsIntegration(w.Integration)
	case store.DeleteIntegration:
		return s.holdsIntegration(w.Integration)
	case store.PutPartition:
		r := s.records[w.State.Partition]
		return w.State.Version == 0 && r == nil || r != nil && r.Version == w.State.Version
	case store.PutCursor:
		c := s.cursors[w.Cursor.Key]
		return w.Cursor.Version == 0 && c == nil || c != nil && c.Version == w.Cursor.Version
	case store.DeleteCursor:
		c := s.cursors[w.Cursor.Key]
		return w.Cursor.Version == 0 && c == nil || c != nil && c.Version == w.Cursor.Version
	case store.PutRejectedCount:
		life := s.life(w.History)
		return w.Count.Version == 0 && life.count == nil || life.count != nil && life.count.Version == w.Count.Version
	case store.PutRejected:
		r := s.life(w.History).rejected[w.Rejected.Event.ID]
		return w.Rejected.Version == 0 && r == nil || r != nil && r.Version == w.Rejected.Version
	case store.PutAlert:
		a := s.alerts[alertKeyOf(w.Alert)]
		return w.Alert.Version == 0 && a == nil || a != nil && a.Version == w.Alert.Version
	default:
		return true
	}
}

func (s *Store) holdsIntegration(given *integration.Integration) bool {
	in := s.integrations[integrationKey{given.Tenant, given.ID}]
	return given.Version == 0 && in == nil || in != nil && in.Version == given.Version
}

// apply makes one write, whose condition holds.
func (s *Store) apply(w store.Write) {
	switch w := w.(type) {
	case store.PutTenant:
		w.Tenant.Version = s.next()
		s.tenants[w.Tenant.Name] = cloneTenant(w.Tenant)
	case store.PutLanes:
		w.Lanes.Version = s.next()
		s.lanes = cloneLanes(w.Lanes)
	case store.PutIntegration:
		w.Integration.Version = s.next()
		s.integrations[integrationKey{w.Integration.Tenant, w.Integration.ID}] = cloneIntegration(w.Integration)
	case store.DeleteIntegration:
		delete(s.integrations, integrationKey{w.Integration.Tenant, w.Integration.ID})
	case store.PutPartition:
		w.State.Version = s.next()
		s.records[w.State.Partition] = clonePartition(w.State)
	case store.PutCursor:
		w.Cursor.Version = s.next()
		s.cursors[w.Cursor.Key] = cloneCursor(w.Cursor)
		s.index(w)
	case store.DeleteCursor:
		delete(s.cursors, w.Cursor.Key)
		delete(s.due, w.Cursor.Key)
	case store.AddEntry:
		life := s.life(w.History)
		life.entries = append(life.entries, w.Entry)
	case store.AddDeliveries:
		s.addDeliveries(w.Record)
	case store.PutRejectedCount:
		w.Count.Version = s.next()
		s.life(w.History).count = cloneCount(w.Count)
	case store.PutRejected:
		w.Rejected.Version = s.next()
		s.life(w.History).rejected[w.Rejected.Event.ID] = cloneRejected(w.Rejected)
	case store.DeleteRejected:
		delete(s.life(w.History).rejected, w.Ref.EventID)
	case store.DeleteHistory:
		delete(s.histories, w.History)
	case store.PutAlert:
		w.Alert.Version = s.next()
		s.alerts[alertKeyOf(w.Alert)] = cloneAlert(w.Alert)
	case store.DeleteAlert:
		delete(s.alerts, alertKeyOf(w.Alert))
	}
}

// index puts a cursor into the due index. It uses KeepDue as far as it may, so that
// tests see what an actor finds that comes early.
func (s *Store) index(w store.PutCursor) {
	k := w.Cursor.Key
	switch _, indexed := s.due[k]; {
	case w.Cursor.DueAt.IsZero():
		delete(s.due, k)
	case !indexed || !w.KeepDue:
		s.due[k] = w.Cursor.DueAt
	}
}

func (s *Store) next() uint64 {
	s.version++
	return s.version
}

func (s *Store) life(h store.History) *history {
	life := s.histories[h]
	if life == nil {
		life = &history{rejected: map[string]*integration.Rejected{}}
		s.histories[h] = life
	}
	return life
}
