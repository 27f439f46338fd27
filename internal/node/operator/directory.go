package operator

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"syscall"
	"time"

	eventlog "github.com/sluicehq/sluice/internal/eventlog/sqlite"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/lifecycle"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/sqlitedb"
	store "github.com/sluicehq/sluice/internal/store/sqlite"
)

// UsageOf is Tenants.Usage for a data directory: of the node that runs there, or, if
// none does, of the database itself.
func UsageOf(ctx context.Context, dir, only string) (usage []Usage, err error) {
	err = newClient(dir).call(ctx, http.MethodGet, "/usage", only, &usage)
	if noNode(err) {
		err = offline(ctx, dir, func(t *Tenants) (err error) { usage, err = t.Usage(ctx, only); return err })
	}
	return usage, err
}

// PurgeIn is Tenants.Purge for a data directory, as UsageOf.
func PurgeIn(ctx context.Context, dir, tenant string) (purged Purged, err error) {
	err = newClient(dir).call(ctx, http.MethodPost, "/purge", tenant, &purged)
	if noNode(err) {
		err = offline(ctx, dir, func(t *Tenants) (err error) { purged, err = t.Purge(ctx, tenant); return err })
	}
	return purged, err
}

// noNode reports whether an error says that nobody serves the socket.
func noNode(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EINVAL)
}

// offline opens the database in a directory and closes it when f returns. It fails if a
// process has the directory.
func offline(ctx context.Context, dir string, f func(*Tenants) error) (err error) {
	if err := sqlitedb.Find(dir); err != nil {
		return err
	}
	db, err := sqlitedb.Open(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	t := &Tenants{DB: db, Store: store.New(db)}
	if t.Log, err = eventlog.Open(ctx, db, time.Now); err != nil {
		return err
	}
	t.Life = &lifecycle.Service{
		Store: t.Store, Log: t.Log, Settings: settings.Default(), Now: time.Now, Schedule: func(...handoff.Key) {},
	}
	return f(t)
}
