package node

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/sluicehq/sluice/internal/alert"
	"github.com/sluicehq/sluice/internal/auth"
	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/egress"
	"github.com/sluicehq/sluice/internal/estimate"
	"github.com/sluicehq/sluice/internal/event"
	eventlog "github.com/sluicehq/sluice/internal/eventlog/sqlite"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/health"
	"github.com/sluicehq/sluice/internal/httpapi"
	"github.com/sluicehq/sluice/internal/lanes"
	"github.com/sluicehq/sluice/internal/lifecycle"
	"github.com/sluicehq/sluice/internal/netguard"
	"github.com/sluicehq/sluice/internal/preflight"
	"github.com/sluicehq/sluice/internal/publish"
	"github.com/sluicehq/sluice/internal/pull"
	"github.com/sluicehq/sluice/internal/quota"
	"github.com/sluicehq/sluice/internal/rejected"
	"github.com/sluicehq/sluice/internal/runner"
	"github.com/sluicehq/sluice/internal/secret"
	"github.com/sluicehq/sluice/internal/secret/local"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/sink/catalog"
	"github.com/sluicehq/sluice/internal/skip"
	"github.com/sluicehq/sluice/internal/sqlitedb"
	store "github.com/sluicehq/sluice/internal/store/sqlite"
	"github.com/sluicehq/sluice/internal/story"
	"github.com/sluicehq/sluice/internal/trial"
	"github.com/sluicehq/sluice/internal/version"
	"github.com/sluicehq/sluice/internal/worker"
)

// idleSinks bounds the memory for open sinks that nobody uses: of some 20,000 integrations.
const idleSinks = 128 << 20

// open opens the parts of the node, each with those before it. If it fails, close
// closes what is open.
func (n *Node) open(ctx context.Context) error {
	route, err := egress.Open(netguard.New(n.policy(), nil), &n.config.Settings)
	if err != nil {
		return err
	}
	if err := n.listen(ctx); err != nil {
		return err
	}
	if err := n.openData(ctx); err != nil {
		return err
	}
	sealer, err := n.openSealer(ctx)
	if err != nil {
		return err
	}
	if n.verifier, err = n.openVerifier(); err != nil {
		return err
	}
	n.places = newPlaces(&n.config)
	metrics := newMetrics(n.lags, n.config.MetricsIntegrations, n.places, n.now)
	rejects := n.buildDelivery(route, sealer, metrics)
	n.buildServers(rejects, metrics)
	n.start(ctx)
	return nil
}

// listen comes first, so that a node whose port is taken leaves the data alone.
func (n *Node) listen(ctx context.Context) (err error) {
	if n.listener, err = listen(ctx, n.config.Addr, "SLUICE_ADDR", n.config.connections()); err != nil || n.config.MetricsAddr == "" {
		return err
	}
	n.metricsListener, err = listen(ctx, n.config.MetricsAddr, "SLUICE_METRICS_ADDR", metricsConnections)
	return err
}

// openData opens the database in the data directory, and the log and the store in it.
func (n *Node) openData(ctx context.Context) (err error) {
	if err := preflight.Writable(n.config.Data); err != nil {
		return err
	}
	migrating := func(from, to int) {
		n.logger.Info("migrating the database; an older release cannot open it any more", "from_version", from, "to_version", to)
	}
	if n.db, err = sqlitedb.Open(ctx, n.config.Data, migrating); err != nil {
		return err
	}
	n.store = store.New(n.db)
	if n.log, err = eventlog.Open(ctx, n.db, n.now); err != nil {
		return err
	}
	if err := n.checkClock(); err != nil {
		return err
	}
	n.reserve = &reserve{
		bytes: n.config.DiskReserve, unwritten: n.db.Unwritten,
		space: func() (free, total int64, err error) { return spaceOf(n.config.Data) },
		// Once all is copied, the log's own space is enough for everything else.
		refused: n.db.Checkpoint,
	}
	n.log.BeforePublish(n.reserve.check)
	return nil
}

// buildDelivery builds what sends events, in a line: scheduler, registry, lifecycle,
// rejected events, engine.
func (n *Node) buildDelivery(route egress.Route, sealer secret.Sealer, metrics *metrics) *rejected.Service {
	c := &n.config
	sinks := catalog.New(catalog.Options{Route: route, Sealer: sealer, Settings: c.Settings, Version: version.Version, Kept: n.places.kept})
	quietAfter := delivery.QuietAfter(c.Settings)
	n.buildAlerts()
	n.schedule = runner.NewScheduler()
	n.log.OnAppend(func(p event.Partition, end uint64) {
		n.grown(p, end)
		n.waiters.Wake(p.Tenant)
	})
	n.log.OnAhead(func(by time.Duration) {
		n.logger.Warn("clock moved backwards; published_at holds until it catches up", "by", by.String())
	})
	n.rates = observeRates(metrics, c.InFlight, n.now)
	n.registry = worker.NewRegistry(worker.Options{
		Sinks: sinks, InFlight: c.InFlight, Calls: n.places.calls, Idle: idleSinks, QuietAfter: quietAfter, Observer: n.rates, Logger: n.logger, Now: n.now,
	})
	owner := delivery.NewSoleOwner(n.now()) // no other process has the data directory
	n.life = &lifecycle.Service{
		Store: n.records, Log: n.log, Sealer: sealer, Settings: c.Settings, Now: n.now,
		CheckTarget: route.Guard.CheckURL, Newest: owner.Newest, Schedule: n.changed,
		Quiesce: n.registry.Quiesce, Retire: n.registry.Retire, QuietAfter: quietAfter,
	}
	n.lanes = &lanes.Service{Store: n.records, Grow: n.life.GrowLanes, Settings: c.Settings, Logger: n.logger, Now: n.now}
	rejects := rejected.New(rejected.Options{
		Store: n.records, Integrations: n.life, Targets: n.registry, Settings: c.Settings, Logger: n.logger, Now: n.now,
	})
	n.engine = &delivery.Engine{
		Store: n.records, Log: n.log, Registry: n.registry, Rejected: rejects, Lifecycle: n.life, Settings: c.Settings,
		Observer: n.rates, Logger: n.logger, Now: n.now, Schedule: n.schedule.Schedule,
		SoleOwner: owner, Grace: shutdownGrace, Reads: n.places.reads,
	}
	n.health = &health.Service{Partitions: n.records, Log: n.log, Cursor: n.engine.Cursor, Settings: c.Settings, Now: n.now}
	n.trials = trial.New(trial.Options{
		Store: n.records, Integrations: n.life, Sinks: sinks, Counter: new(trial.MemoryCounter), Calls: n.places.calls,
		Settings: c.Settings, Logger: n.logger, Now: n.now,
	})
	n.life.Probe = n.trials.Probe
	return rejects
}

// grown schedules live delivery of a partition, unless its tenant has no integration: a
// platform may publish for thousands that have none. Then the low watermark stays where it
// is. That loses nothing: a tenant is served before the Commit of its first integration, whose
// cursors read the log to its end before they join.
func (n *Node) grown(p event.Partition, end uint64) {
	if n.store.Served(p.Tenant) {
		n.schedule.Grown(p, end)
	}
}

// changed schedules the cursors of an integration that was changed, and lets calls that
// wait for its events look at it.
func (n *Node) changed(keys ...handoff.Key) {
	n.schedule.Schedule(keys...)
	for _, k := range keys {
		n.waiters.Wake(k.Tenant)
	}
}

// buildServers builds the server of the API, and that of the metrics if they have an
// address of their own.
func (n *Node) buildServers(rejects *rejected.Service, metrics *metrics) {
	onAPI := metrics.handler()
	if n.metricsListener != nil {
		n.metricsServer, onAPI = n.newServer(serveMetrics(onAPI)), nil
	}
	quotas := &quota.Quota{Rate: n.config.TenantPublishRate, LogBytes: n.config.TenantLogBytes, InLog: n.log.Bytes, Now: n.now}
	events := publish.New(n.log, n.config.Settings)
	events.Admit, events.Lanes = quotas.Admit, n.lanes.Current
	sent := &deliveries.Service{
		Integrations: n.life, Records: n.store, Log: n.log, Cursors: n.engine, Keep: n.config.DeliveryRetention, Now: n.now, Logger: n.logger,
		Reads: n.places.reads,
	}
	n.server = n.newServer(httpapi.New(httpapi.Deps{
		Integrations: n.life,
		Health:       n.health,
		Troubles:     &alert.Troubles{Store: n.store, Health: n.health, Settings: n.config.Settings, Now: n.now, Logger: n.logger},
		Rejected:     rejects,
		Events: &pull.Service{
			Integrations: n.life, Log: n.log, Settings: n.config.Settings, Now: n.now,
			Waiters: &n.waiters, Waits: n.places.waits, Reads: n.places.reads,
		},
		Tests: n.trials,
		Lanes: n.lanes,
		Skips: &skip.Service{
			Store: n.records, Log: n.log, Integrations: n.life, Rejected: rejects,
			Cursors: n.engine, Schedule: n.schedule.Schedule, Now: n.now, KeepDeliveries: n.config.DeliveryRetention,
		},
		Deliveries: sent,
		Estimates: &estimate.Service{
			Log: n.log, Settings: n.config.Settings, Now: n.now, Reads: n.places.reads, Rate: n.rates.of,
		},
		Stories: &story.Service{
			Integrations: n.life, Records: n.store, Deliveries: sent, Cursor: n.engine.Cursor, Log: n.log,
			Settings: n.config.Settings, Lanes: n.lanes.Current, Now: n.now, Reads: n.places.reads,
		},
		Publisher: publisher{events, metrics},
		Verifier:  rememberTokens(n.verifier, time.Now),
		Ready:     shareReadiness(n.log.Ready, n.verifier),
		Metrics:   onAPI,
		Settings:  n.apiSettings(),
		Log:       n.logger,
		Now:       n.now,
	}))
}

// apiSettings are those that the API tells of: the tenant's claim is that of the tokens that count.
func (n *Node) apiSettings() settings.Settings {
	s := n.config.Settings
	if n.config.Issuer == "" {
		s.TenantClaim = auth.OwnTenantClaim
	}
	return s
}

func listen(ctx context.Context, addr, flag string, limit int) (*connections, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w; choose another address with %s", addr, err, flag)
	}
	return limitConnections(l, limit), nil
}

// openSealer opens the key of the secrets. It creates a new key only if the store
// contains no secret sealed with an earlier one.
func (n *Node) openSealer(ctx context.Context) (*local.Sealer, error) {
	path := filepath.Join(n.config.Data, local.Name)
	sealed, err := n.store.HasSecrets(ctx)
	if err != nil {
		return nil, err
	}
	if sealed {
		return local.Open(path)
	}
	return local.OpenOrCreate(path)
}

func (n *Node) openVerifier() (auth.Verifier, error) {
	c := &n.config
	if c.Issuer != "" {
		return auth.NewOIDC(c.Issuer, c.Audience, c.TenantClaim, n.logger)
	}
	return auth.OpenOwnKey(filepath.Join(c.Data, auth.OwnKeyName))
}

func (n *Node) policy() netguard.Policy {
	switch {
	case n.config.AllowPrivateTargets:
		return netguard.Private
	case n.config.Dev:
		return netguard.Loopback
	default:
		return netguard.Public
	}
}
