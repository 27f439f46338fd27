package sqlite

import (
	"context"
	"encoding/json"

	"github.com/sluicehq/sluice/internal/handoff"
)

// Tenants returns the names of all tenants that have, or had, integrations.
func (s *Store) Tenants(ctx context.Context) ([]string, error) {
	var tenants []string
	err := s.each(ctx, `SELECT tenant FROM tenants ORDER BY tenant`, nil, func(scan func(...any) error) error {
		var name string
		if err := scan(&name); err != nil {
			return err
		}
		tenants = append(tenants, name)
		return nil
	})
	return tenants, err
}

// Cursors calls use with every cursor that is driven or follows, tenant by
// tenant.
func (s *Store) Cursors(ctx context.Context, use func(*handoff.Cursor) error) error {
	return s.each(ctx, `SELECT tenant, integration, lane, data FROM cursors ORDER BY tenant, integration, lane`, nil,
		func(scan func(...any) error) error {
			var c handoff.Cursor
			var data []byte
			if err := scan(&c.Key.Tenant, &c.Key.Integration, &c.Key.Lane, &data); err != nil {
				return err
			}
			if err := json.Unmarshal(data, &c); err != nil {
				return err
			}
			if c.State != handoff.Driven && c.State != handoff.Following {
				return nil
			}
			return use(&c)
		})
}
