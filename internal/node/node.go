// Package node runs Sluice as one process: the API, the delivery engine, and the
// log and the store in one SQLite file in the data directory.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/sluicehq/sluice/internal/auth"
	"github.com/sluicehq/sluice/internal/delivery"
	eventlog "github.com/sluicehq/sluice/internal/eventlog/sqlite"
	"github.com/sluicehq/sluice/internal/httpapi"
	"github.com/sluicehq/sluice/internal/lifecycle"
	"github.com/sluicehq/sluice/internal/netguard"
	"github.com/sluicehq/sluice/internal/preflight"
	"github.com/sluicehq/sluice/internal/publish"
	"github.com/sluicehq/sluice/internal/rejected"
	"github.com/sluicehq/sluice/internal/secret/local"
	"github.com/sluicehq/sluice/internal/sink/catalog"
	"github.com/sluicehq/sluice/internal/sqlitedb"
	store "github.com/sluicehq/sluice/internal/store/sqlite"
	"github.com/sluicehq/sluice/internal/version"
	"github.com/sluicehq/sluice/internal/worker"
)

// A shutdown takes at most shutdownTimeout: shutdownGrace for calls in flight, the
// rest for aborting uploads and saving state.
const (
	shutdownTimeout = 10 * time.Second
	shutdownGrace   = 5 * time.Second
)

// exportSlots limits the files written concurrently; each needs up to 5 MiB of memory.
const exportSlots = 16

// Node is a running node.
type Node struct {
	config   Config
	logger   *slog.Logger
	db       *sqlitedb.DB
	log      *eventlog.Log
	store    *store.Store
	life     *lifecycle.Service
	engine   *delivery.Engine
	schedule *scheduler
	runner   *runner // nil until resume has finished
	verifier auth.Verifier
	sinks    *catalog.Sinks
	server   *http.Server
	listener *connections

	metricsServer   *http.Server // nil if the API serves the metrics
	metricsListener *connections

	maintenance     sync.WaitGroup
	stopMaintenance context.CancelFunc
}

// Open opens the data directory, listens and starts delivery; it does not serve
// yet. Its errors are written for the operator. If it succeeds, call Run or Close.
func Open(ctx context.Context, config Config, logger *slog.Logger) (*Node, error) {
	logger = slog.New(httpapi.WithRequestID(logger.Handler()))
	n := &Node{config: config, logger: logger, stopMaintenance: func() {}}
	if err := n.open(ctx); err != nil {
		return nil, errors.Join(err, n.close())
	}
	return n, nil
}

func (n *Node) open(ctx context.Context) error {
	c := &n.config
	var err error
	if n.listener, err = listen(ctx, c.Addr, "--addr", c.connections()); err != nil {
		return err
	}
	if c.MetricsAddr != "" {
		if n.metricsListener, err = listen(ctx, c.MetricsAddr, "--metrics-addr", metricsConnections); err != nil {
			return err
		}
	}
	if err := preflight.Writable(c.Data); err != nil {
		return err
	}
	if n.db, err = sqlitedb.Open(ctx, c.Data); err != nil {
		return err
	}
	n.store = store.New(n.db)
	if n.log, err = eventlog.Open(ctx, n.db, time.Now); err != nil {
		return err
	}
	sealer, err := n.openSealer(ctx)
	if err != nil {
		return err
	}
	if n.verifier, err = n.openVerifier(); err != nil {
		return err
	}
	guard := netguard.New(n.policy(), nil)
	n.sinks = catalog.New(catalog.Options{Guard: guard, Sealer: sealer, Settings: c.Settings, Version: version.Version})

	metrics := newMetrics(n.lags, c.MetricsIntegrations)
	quietAfter := delivery.QuietAfter(c.Settings)
	n.schedule = newScheduler()
	n.log.OnAppend(n.schedule.Grown)
	n.log.OnAhead(func(by time.Duration) {
		n.logger.Warn("clock moved backwards; published_at holds until it catches up", "by", by.String())
	})
	registry := worker.NewRegistry(worker.Options{
		Sinks: n.sinks, InFlight: c.InFlight, QuietAfter: quietAfter, Observer: metrics, Logger: n.logger, Now: time.Now,
	})
	n.life = &lifecycle.Service{
		Store: n.store, Log: n.log, Sealer: sealer, Settings: c.Settings, Now: time.Now,
		CheckTarget: guard.CheckURL, Schedule: n.schedule.Schedule,
		Quiesce: registry.Quiesce, QuietAfter: quietAfter,
	}
	rejects := rejected.New(rejected.Options{
		Store: n.store, Integrations: n.life, Targets: registry, Settings: c.Settings, Logger: n.logger, Now: time.Now,
	})
	n.engine = &delivery.Engine{
		Store: n.store, Log: n.log, Registry: registry, Rejected: rejects, Lifecycle: n.life, Settings: c.Settings,
		Observer: metrics, Logger: n.logger, Now: time.Now, Schedule: n.schedule.Schedule,
		Grace: shutdownGrace, ExportSlots: make(chan struct{}, exportSlots),
	}
	onAPI := metrics.handler()
	if n.metricsListener != nil {
		n.metricsServer, onAPI = n.newServer(serveMetrics(onAPI)), nil
	}
	n.server = n.newServer(httpapi.New(httpapi.Deps{
		Integrations: n.life,
		Rejected:     rejects,
		Publisher:    publisher{publish.New(n.log, c.Settings), metrics},
		Verifier:     rememberTokens(n.verifier, time.Now),
		Ready:        shareReadiness(n.log.Ready, n.verifier),
		Metrics:      onAPI,
		Settings:     c.Settings,
		Log:          n.logger,
		Now:          time.Now,
	}))
	return n.resume(ctx)
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
		return auth.NewOIDC(c.Issuer, c.Audience, c.TenantClaim)
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

// resume continues the work of an earlier process and starts the runner.
func (n *Node) resume(ctx context.Context) error {
	tenants, err := n.store.Tenants(ctx)
	if err != nil {
		return err
	}
	for _, tenant := range tenants {
		if err := n.life.GrowLanes(ctx, tenant); err != nil {
			return err
		}
	}
	for p, end := range n.log.Ends() {
		state, err := n.store.Partition(ctx, p)
		if err != nil {
			return err
		}
		if state.LowWatermark < end {
			n.schedule.Grown(p, end)
		}
	}
	const everything = 1 << 30
	keys, err := n.store.Due(ctx, time.Now().AddDate(100, 0, 0), everything)
	if err != nil {
		return err
	}
	for _, k := range keys { // safe: no other process has the data directory
		if err := n.engine.Reclaim(ctx, k); err != nil {
			return err
		}
	}
	n.schedule.Schedule(keys...)
	n.runner = startRunner(n.engine, n.schedule, n.logger)
	maintenanceCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	n.stopMaintenance = stop
	n.maintenance.Go(func() { n.maintain(maintenanceCtx) })
	newest := n.log.Newest() // before anything is published
	n.maintenance.Go(func() { n.checkEnvironment(maintenanceCtx, newest) })
	return nil
}

// Addr returns the address that the node listens on.
func (n *Node) Addr() string { return n.listener.Addr().String() }

// MetricsAddr returns the address that serves /metrics.
func (n *Node) MetricsAddr() string {
	if n.metricsListener != nil {
		return n.metricsListener.Addr().String()
	}
	return n.Addr()
}

// Run serves until ctx ends or serving fails, then closes the node, within 10 s.
func (n *Node) Run(ctx context.Context) error {
	served := make(chan error, 2)
	go func() { served <- n.server.Serve(n.listener) }()
	if n.metricsServer != nil {
		go func() { served <- n.metricsServer.Serve(n.metricsListener) }()
	}
	n.logger.Info("listening", "addr", n.Addr(), "metrics_addr", n.MetricsAddr(), "data", n.config.Data, "version", version.Version)
	select {
	case err := <-served:
		return errors.Join(fmt.Errorf("serving on %s or %s failed: %w", n.Addr(), n.MetricsAddr(), err), n.close())
	case <-ctx.Done():
		n.logger.Info("shutting down; waiting for calls in flight", "at_most", shutdownTimeout.String())
		err := n.close()
		n.logger.Info("shut down")
		return err
	}
}

// Close closes a node on which Run was not called.
func (n *Node) Close() error { return n.close() }

// close shuts down in the reverse order of open: first what accepts work, last the
// database.
func (n *Node) close() error {
	var errs []error
	n.stopMaintenance()
	delivered := make(chan struct{})
	go func() { // delivery stops while the API drains
		defer close(delivered)
		if n.runner != nil {
			n.runner.stop()
		}
	}()
	if n.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), shutdownGrace)
		errs = append(errs, n.server.Shutdown(ctx), n.server.Close())
		cancel()
	}
	if n.metricsServer != nil {
		errs = append(errs, n.metricsServer.Close())
	}
	for _, l := range []*connections{n.listener, n.metricsListener} {
		if l != nil {
			_ = l.Close() // its server, if any, has closed it already
		}
	}
	<-delivered
	n.maintenance.Wait()
	if n.sinks != nil {
		n.sinks.Close()
	}
	if n.db != nil {
		errs = append(errs, n.db.Close())
	}
	return errors.Join(errs...)
}
