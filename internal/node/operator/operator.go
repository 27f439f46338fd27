// Package operator is what the operator of a node may do about its tenants: see what
// each of them uses, and purge one. A running node serves it on a socket in its data
// directory; without a node the directory is opened directly.
package operator

import (
	"context"
	"slices"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	eventlog "github.com/sluicehq/sluice/internal/eventlog/sqlite"
	"github.com/sluicehq/sluice/internal/lifecycle"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/sqlitedb"
	"github.com/sluicehq/sluice/internal/store"
	storesqlite "github.com/sluicehq/sluice/internal/store/sqlite"
)

// Usage is what a tenant uses.
type Usage struct {
	Tenant       string    `json:"tenant"`
	Integrations int       `json:"integrations"`
	Events       int       `json:"events"` // in the log
	Bytes        int64     `json:"bytes"`  // of them, as stored
	Oldest       time.Time `json:"oldest,omitzero"`
}

// Purged is what a purge deleted.
type Purged struct {
	Integrations int   `json:"integrations"`
	Events       int   `json:"events"`
	Bytes        int64 `json:"bytes"`
}

// Tenants acts on the tenants of a node. It is safe for concurrent use.
type Tenants struct {
	DB    *sqlitedb.DB
	Store *storesqlite.Store
	Log   *eventlog.Log
	Life  *lifecycle.Service
}

// Usage returns what every tenant uses, sorted by name, or only the given one unless it
// is "".
func (t *Tenants) Usage(ctx context.Context, only string) ([]Usage, error) {
	names, err := t.Store.Tenants(ctx)
	if err != nil {
		return nil, err
	}
	partitions := map[string][]event.Partition{}
	for p := range t.Log.Ends() {
		partitions[p.Tenant] = append(partitions[p.Tenant], p)
		names = append(names, p.Tenant)
	}
	slices.Sort(names)
	var all []Usage
	for _, name := range slices.Compact(names) {
		if only != "" && name != only {
			continue
		}
		u, err := t.usage(ctx, name, partitions[name])
		if err != nil {
			return nil, err
		}
		all = append(all, u)
	}
	return all, nil
}

func (t *Tenants) usage(ctx context.Context, name string, partitions []event.Partition) (Usage, error) {
	tenant, err := t.Store.Tenant(ctx, name)
	if err != nil {
		return Usage{}, err
	}
	u := Usage{Tenant: name, Integrations: tenant.Integrations, Bytes: t.Log.Bytes(name)}
	for _, p := range partitions {
		all, err := t.Log.After(ctx, p, 0)
		if err != nil {
			return Usage{}, err
		}
		u.Events += all.Events
		if u.Oldest.IsZero() || !all.First.IsZero() && all.First.Before(u.Oldest) {
			u.Oldest = all.First
		}
	}
	return u, nil
}

// Purge deletes a tenant's integrations with their logs and rejected events, then all
// its events that are in the log, in small steps, and gives the space back. What the
// tenant registers or publishes meanwhile may stay. It may be repeated after an error.
// It returns problem.NotFound if there is no such tenant.
func (t *Tenants) Purge(ctx context.Context, tenant string) (Purged, error) {
	before, err := t.Usage(ctx, tenant)
	if err != nil {
		return Purged{}, err
	}
	if len(before) == 0 {
		return Purged{}, problem.New(problem.NotFound, "there is no tenant %q on this node", tenant)
	}
	done := Purged{Events: before[0].Events, Bytes: before[0].Bytes}
	integrations, err := t.Store.Integrations(ctx, tenant)
	if err != nil {
		return Purged{}, err
	}
	for _, in := range integrations {
		if err := t.Life.Delete(ctx, tenant, in.ID); err != nil && problem.CodeOf(err) != problem.NotFound {
			return Purged{}, err
		}
		done.Integrations++
	}
	if _, err := t.Log.Purge(ctx, tenant); err != nil {
		return Purged{}, err
	}
	if _, err := t.Store.TrimHistories(ctx, time.Time{}, store.EntriesKept); err != nil {
		return Purged{}, err
	}
	_, err = t.DB.Shrink(ctx)
	return done, err
}
