// Package sqlite implements the store in a node's database. A record is a row: the
// fields it is looked up by are columns, the rest is JSON. The version is only in
// its column.
package sqlite

import (
	"context"
	"encoding/json"
	"math"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/sqlitedb"
	"github.com/sluicehq/sluice/internal/store"
)

// Store implements store.Store over the database of a node.
type Store struct {
	db     *sqlitedb.DB
	served served
}

// New returns a store in the given database. The caller closes the database.
func New(db *sqlitedb.DB) *Store { return &Store{db: db} }

var _ store.Store = (*Store)(nil)

// Tenant implements store.Store.
func (s *Store) Tenant(ctx context.Context, tenant string) (*store.Tenant, error) {
	t := &store.Tenant{}
	_, err := s.one(ctx, t, &t.Version, "SELECT version, data FROM tenants WHERE tenant = ?", tenant)
	if err != nil {
		return nil, err
	}
	t.Name = tenant
	return t, nil
}

// allTenants is the key, in the table of tenants, of the record that is of all of them. No
// tenant has such a name.
const allTenants = ""

// Lanes implements store.Store.
func (s *Store) Lanes(ctx context.Context) (*store.Lanes, error) {
	l := &store.Lanes{}
	_, err := s.one(ctx, l, &l.Version, "SELECT version, data FROM tenants WHERE tenant = ?", allTenants)
	if err != nil {
		return nil, err
	}
	return l, nil
}

// Integration implements store.Store.
func (s *Store) Integration(ctx context.Context, tenant, id string) (*integration.Integration, error) {
	in := &integration.Integration{}
	found, err := s.one(ctx, in, &in.Version, "SELECT version, data FROM integrations WHERE tenant = ? AND id = ?", tenant, id)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, problem.New(problem.NotFound, "There is no integration %q.", id)
	}
	in.Tenant, in.ID = tenant, id
	return in, nil
}

// Integrations implements store.Store.
func (s *Store) Integrations(ctx context.Context, tenant string) ([]*integration.Integration, error) {
	return s.integrations(ctx, "SELECT tenant, id, version, data FROM integrations WHERE tenant = ? ORDER BY id", tenant)
}

// ExpiredReplays implements store.Store.
func (s *Store) ExpiredReplays(ctx context.Context, before time.Time, limit int) ([]*integration.Integration, error) {
	return s.integrations(ctx, "SELECT tenant, id, version, data FROM integrations WHERE completed_at <= ? ORDER BY completed_at, tenant, id LIMIT ?",
		nanos(before), max(limit, 0))
}

func (s *Store) integrations(ctx context.Context, query string, args ...any) ([]*integration.Integration, error) {
	var found []*integration.Integration
	err := s.each(ctx, query, args, func(scan func(...any) error) error {
		in := &integration.Integration{}
		var tenant, id string
		var data []byte
		if err := scan(&tenant, &id, &in.Version, &data); err != nil {
			return err
		}
		if err := decode(data, in); err != nil {
			return err
		}
		in.Tenant, in.ID = tenant, id
		found = append(found, in)
		return nil
	})
	return found, err
}

// Partition implements store.Store.
func (s *Store) Partition(ctx context.Context, p event.Partition) (*handoff.PartitionState, error) {
	r := &handoff.PartitionState{}
	_, err := s.one(ctx, r, &r.Version, "SELECT version, data FROM records WHERE tenant = ? AND lane = ?", p.Tenant, p.Lane)
	if err != nil {
		return nil, err
	}
	r.Partition = p
	return r, nil
}

// Cursor implements store.Store.
func (s *Store) Cursor(ctx context.Context, k handoff.Key) (*handoff.Cursor, error) {
	c := &handoff.Cursor{}
	found, err := s.one(ctx, c, &c.Version, "SELECT version, data FROM cursors WHERE tenant = ? AND integration = ? AND lane = ?",
		k.Tenant, k.Integration, k.Lane)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, problem.New(problem.NotFound, "Integration %q has no cursor in lane %d.", k.Integration, k.Lane)
	}
	c.Key = k
	return c, nil
}

// Due implements store.Store.
func (s *Store) Due(ctx context.Context, before time.Time, limit int) ([]handoff.Key, error) {
	var due []handoff.Key
	query := "SELECT tenant, integration, lane FROM cursors WHERE due_at <= ? ORDER BY due_at, tenant, integration, lane LIMIT ?"
	err := s.each(ctx, query, []any{nanos(before), max(limit, 0)}, func(scan func(...any) error) error {
		var k handoff.Key
		if err := scan(&k.Tenant, &k.Integration, &k.Lane); err != nil {
			return err
		}
		due = append(due, k)
		return nil
	})
	return due, err
}

// notDeleted excludes the rows x of deleted histories.
const notDeleted = " AND NOT EXISTS (SELECT 1 FROM deleted_histories d WHERE d.tenant = x.tenant AND d.integration = x.integration AND d.incarnation = x.incarnation)"

// one reads a row of version and data into a record and reports whether there is
// one.
func (s *Store) one(ctx context.Context, record any, version *uint64, query string, key ...any) (bool, error) {
	var data []byte
	found, err := s.db.QueryRow(ctx, query, key, version, &data)
	if err != nil || !found {
		return false, err
	}
	return true, decode(data, record)
}

// each calls use for each row of a query.
func (s *Store) each(ctx context.Context, query string, args []any, use func(scan func(...any) error) error) error {
	rows, err := s.db.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := use(rows.Scan); err != nil {
			return s.db.Problem(err)
		}
	}
	return s.db.Problem(rows.Err())
}

func decode(data []byte, record any) error {
	if err := json.Unmarshal(data, record); err != nil {
		return problem.Wrap(err, problem.Internal, "cannot decode the stored %T", record)
	}
	return nil
}

// nanos returns a time in ns since 1970, as the database has it. Times outside
// the years 1678 to 2262 are clamped.
func nanos(t time.Time) int64 {
	switch {
	case t.Before(time.Unix(0, math.MinInt64)):
		return math.MinInt64
	case t.After(time.Unix(0, math.MaxInt64)):
		return math.MaxInt64
	default:
		return t.UnixNano()
	}
}

// orNull is nanos, but NULL for the zero time.
func orNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return nanos(t)
}
