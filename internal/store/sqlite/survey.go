package sqlite

import (
	"context"
	"errors"

	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
)

// Tenants returns the names of all tenants that have or had integrations, sorted.
func (s *Store) Tenants(ctx context.Context) ([]string, error) {
	var tenants []string
	err := s.each(ctx, `SELECT tenant FROM tenants WHERE tenant <> ? ORDER BY tenant`, []any{allTenants}, func(scan func(...any) error) error {
		var name string
		if err := scan(&name); err != nil {
			return err
		}
		tenants = append(tenants, name)
		return nil
	})
	return tenants, err
}

// Cursors returns every cursor that is scheduled or live, sorted by tenant.
func (s *Store) Cursors(ctx context.Context) ([]*handoff.Cursor, error) {
	var found []*handoff.Cursor
	err := s.each(ctx, `SELECT tenant, integration, lane, version, data FROM cursors ORDER BY tenant, integration, lane`, nil,
		func(scan func(...any) error) error {
			c := &handoff.Cursor{}
			var k handoff.Key
			var data []byte
			if err := scan(&k.Tenant, &k.Integration, &k.Lane, &c.Version, &data); err != nil {
				return err
			}
			if err := decode(data, c); err != nil {
				return err
			}
			c.Key = k
			if c.State == handoff.Scheduled || c.State == handoff.Live {
				found = append(found, c)
			}
			return nil
		})
	return found, err
}

// HasSecrets reports whether any integration has, or may have, a stored secret: one that
// cannot be decoded may have one.
func (s *Store) HasSecrets(ctx context.Context) (bool, error) {
	found := errors.New("found")
	err := s.each(ctx, "SELECT data FROM integrations", nil, func(scan func(...any) error) error {
		var in integration.Integration
		var data []byte
		if err := scan(&data); err != nil {
			return err
		}
		if decode(data, &in) != nil {
			return found
		}
		s3, w := in.S3, in.Webhook
		if s3 != nil && !s3.SecretAccessKey.IsZero() || w != nil && !(w.APIKey.IsZero() && w.SigningSecret.IsZero() && w.PreviousSecret.IsZero()) {
			return found
		}
		return nil
	})
	if errors.Is(err, found) {
		return true, nil
	}
	return false, err
}
