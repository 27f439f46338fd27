package sqlite

import (
	"context"
	"sync"
)

// served has the tenants that have or had integrations, in memory.
type served struct {
	mu     sync.RWMutex
	loaded bool
	names  map[string]struct{}
}

func (s *served) add(names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.names == nil {
		s.names = map[string]struct{}{}
	}
	for _, name := range names {
		s.names[name] = struct{}{}
	}
}

// LoadServed prepares Served.
func (s *Store) LoadServed(ctx context.Context) error {
	var names []string
	err := s.each(ctx, "SELECT tenant FROM tenants UNION SELECT tenant FROM integrations UNION SELECT tenant FROM cursors", nil,
		func(scan func(...any) error) error {
			var name string
			if err := scan(&name); err != nil {
				return err
			}
			names = append(names, name)
			return nil
		})
	if err != nil {
		return err
	}
	s.served.add(names...)
	s.served.mu.Lock()
	defer s.served.mu.Unlock()
	s.served.loaded = true
	return nil
}

// Served reports whether a tenant may have an integration: if it has or had one, or a Commit
// for it has begun in this process. It is true of every tenant before LoadServed.
func (s *Store) Served(tenant string) bool {
	s.served.mu.RLock()
	defer s.served.mu.RUnlock()
	_, ok := s.served.names[tenant]
	return ok || !s.served.loaded
}
