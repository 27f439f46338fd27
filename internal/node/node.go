// Package node runs Sluice as one process: the API, the delivery engine, and the
// log and the store in one SQLite file in the data directory.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/sluicehq/sluice/internal/auth"
	"github.com/sluicehq/sluice/internal/delivery"
	eventlog "github.com/sluicehq/sluice/internal/eventlog/sqlite"
	"github.com/sluicehq/sluice/internal/health"
	"github.com/sluicehq/sluice/internal/httpapi"
	"github.com/sluicehq/sluice/internal/lanes"
	"github.com/sluicehq/sluice/internal/lifecycle"
	"github.com/sluicehq/sluice/internal/node/operator"
	"github.com/sluicehq/sluice/internal/pull"
	"github.com/sluicehq/sluice/internal/runner"
	"github.com/sluicehq/sluice/internal/sqlitedb"
	port "github.com/sluicehq/sluice/internal/store"
	store "github.com/sluicehq/sluice/internal/store/sqlite"
	"github.com/sluicehq/sluice/internal/trial"
	"github.com/sluicehq/sluice/internal/version"
	"github.com/sluicehq/sluice/internal/worker"
)

// A shutdown takes at most shutdownTimeout: shutdownGrace for calls in flight, the
// rest for aborting uploads and saving state.
const (
	shutdownTimeout = 10 * time.Second
	shutdownGrace   = 5 * time.Second
)

// Node is a running node.
type Node struct {
	config   Config
	logger   *slog.Logger
	now      func() time.Time
	db       *sqlitedb.DB
	log      *eventlog.Log
	store    *store.Store
	records  port.Store // store; with alerts, alert.Store over it
	alerts   *alerts    // nil without SLUICE_OPERATOR_TENANT
	reserve  *reserve
	life     *lifecycle.Service
	lanes    *lanes.Service
	engine   *delivery.Engine
	health   *health.Service
	schedule *runner.Scheduler
	places   places
	waiters  pull.Waiters   // calls that wait for events
	runner   *runner.Runner // nil until delivery has resumed
	trials   *trial.Service
	rates    *rates
	verifier auth.Verifier
	registry *worker.Registry
	server   *http.Server
	listener *connections

	metricsServer   *http.Server // nil if the API serves the metrics
	metricsListener *connections

	operator *operator.Server // nil if its socket cannot be opened

	background     sync.WaitGroup
	stopBackground context.CancelFunc
	failed         chan error // why the node cannot go on
}

// Open opens the data directory, listens and starts to resume delivery; it does not
// serve yet. Its errors are written for the operator. If it succeeds, call Run or Close.
func Open(ctx context.Context, config Config, logger *slog.Logger) (*Node, error) {
	logger = slog.New(httpapi.WithRequestID(logger.Handler()))
	n := &Node{config: config, logger: logger, stopBackground: func() {}, failed: make(chan error, 1)}
	n.startClock()
	if err := n.open(ctx); err != nil {
		return nil, errors.Join(err, n.close())
	}
	return n, nil
}

// start starts what runs in the background. Delivery begins with reads that grow with
// the tenants and the integrations: the API does not wait for them.
func (n *Node) start(ctx context.Context) {
	n.serveOperator()
	ctx, n.stopBackground = context.WithCancel(context.WithoutCancel(ctx))
	newest := n.log.Newest() // before anything is published
	n.background.Go(func() { n.checkEnvironment(ctx, newest) })
	n.background.Go(func() { n.checkData(ctx) })
	if n.alerts != nil {
		n.background.Go(func() { n.publishAlerts(ctx) })
		n.background.Go(func() { n.ensureHook(ctx) })
	}
	n.background.Go(func() {
		if n.resumeDelivery(ctx) {
			n.maintain(ctx)
		}
	})
}

// serveOperator opens the operator's socket. Without it, which is logged, a node runs as
// well: sluice tenant then needs it to be stopped.
func (n *Node) serveOperator() {
	var err error
	n.operator, err = operator.Serve(n.config.Data, &operator.Tenants{DB: n.db, Store: n.store, Log: n.log, Life: n.life}, n.logger)
	if err != nil {
		n.logger.Warn("sluice tenant cannot reach this node", "error", err)
	}
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

// Run serves until ctx ends, serving fails or the database is found to be damaged, then
// closes the node, within 10 s.
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
	case err := <-n.failed:
		return errors.Join(err, n.close())
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
	n.waiters.Close()
	n.stopBackground()
	n.background.Wait() // until here it may start the runner
	if n.operator != nil {
		errs = append(errs, n.operator.Close())
	}
	delivered := make(chan struct{})
	go func() { // delivery stops while the API drains
		defer close(delivered)
		if n.runner != nil {
			n.runner.Stop()
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
	if n.trials != nil {
		n.trials.Close()
	}
	if n.registry != nil {
		n.registry.Close()
	}
	if n.db != nil {
		errs = append(errs, n.db.Close())
	}
	return errors.Join(errs...)
}
