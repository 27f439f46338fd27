package awsenv

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/descriptors"
	"github.com/sluicehq/sluice/internal/egress"
	"github.com/sluicehq/sluice/internal/emf"
	eventlog "github.com/sluicehq/sluice/internal/eventlog/dynamo"
	"github.com/sluicehq/sluice/internal/httpapi"
	keys "github.com/sluicehq/sluice/internal/idempotency/dynamo"
	"github.com/sluicehq/sluice/internal/lanes"
	"github.com/sluicehq/sluice/internal/lifecycle"
	"github.com/sluicehq/sluice/internal/netguard"
	stream "github.com/sluicehq/sluice/internal/publish/kinesis"
	"github.com/sluicehq/sluice/internal/rejected"
	sealer "github.com/sluicehq/sluice/internal/secret/kms"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/sink/catalog"
	"github.com/sluicehq/sluice/internal/statemachine"
	port "github.com/sluicehq/sluice/internal/store"
	store "github.com/sluicehq/sluice/internal/store/dynamo"
	"github.com/sluicehq/sluice/internal/trial"
	"github.com/sluicehq/sluice/internal/version"
	"github.com/sluicehq/sluice/internal/worker"
)

// env holds the components of the functions. None of them makes a call before it is
// used.
type env struct {
	config    Config
	logger    *slog.Logger
	metrics   *metrics
	s3        *s3.Client
	store     *store.Store
	records   port.Store // store; with alerts, alert.Store over it
	alerts    *alerts    // nil without SLUICE_OPERATOR_TENANT
	log       *eventlog.Log
	stream    *stream.Stream
	scheduler *statemachine.Scheduler
	queue     *statemachine.Queue
	engine    *delivery.Engine
	life      *lifecycle.Service
	lanes     *lanes.Service
	rejected  *rejected.Service
	trials    *trial.Service
}

// open builds the components from the environment. The error lists everything that
// is wrong there.
func open() (*env, error) {
	config, err := load(os.LookupEnv)
	if err != nil {
		return nil, err
	}
	level, err := config.level()
	if err != nil {
		return nil, err
	}
	logger := slog.New(httpapi.WithRequestID(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level})))
	for _, name := range settings.UnknownEnv(config.Rows(), os.Environ()) {
		logger.Warn("unknown setting in the environment; check its spelling", "name", name)
	}
	guard, err := newGuard(&config)
	if err != nil {
		return nil, err
	}
	route, err := egress.Open(guard, &config.Settings)
	if err != nil {
		return nil, err
	}
	clients := awsConfig()
	e := &env{
		config: config, logger: logger,
		metrics: &metrics{out: emf.Writer{Out: os.Stdout, Stage: config.Stage, Now: now}},
		s3:      s3.NewFromConfig(clients, func(o *s3.Options) { o.UsePathStyle = o.BaseEndpoint != nil }),
	}
	table := dynamodb.NewFromConfig(clients)
	e.store = store.New(table, config.Table, now)
	e.store.DeliveriesLost = func(err error) {
		logger.Warn("delivery record not saved; the deliveries it tells of cannot be looked up", "error", err)
	}
	e.stream = stream.New(kinesis.NewFromConfig(clients), keys.New(table, config.Table, now), config.Stream, now)
	e.log = eventlog.New(eventlog.Options{
		DynamoDB: table, Segments: config.Segments, Table: config.Table, S3: e.s3, Bucket: config.Bucket,
		Keep: config.Kept(), Margin: config.SeekMargin, Now: now, PutMarker: e.stream.PutMarker,
	})
	e.queue = &statemachine.Queue{SQS: sqs.NewFromConfig(clients), URL: config.Queue}
	e.scheduler = &statemachine.Scheduler{
		SFN: sfn.NewFromConfig(clients), ARN: config.StateMachine, Cursors: e.store,
		Replay: e.isReplay, Send: e.queue.Send, Logger: logger, Now: now,
	}
	secrets := sealer.New(kms.NewFromConfig(clients), config.Key, e.store, now)
	quietAfter := delivery.QuietAfter(config.Settings)
	calls := config.MaxCalls
	if calls == 0 { // a quarter as many connections are kept, and nothing else needs many
		calls = descriptors.Calls(descriptors.Limit() * 3 / 4)
	}
	sinks := catalog.New(catalog.Options{Route: route, Sealer: secrets, Settings: config.Settings, Version: version.Version, Kept: calls / 4})
	bound := worker.NewCalls(calls)
	registry := worker.NewRegistry(worker.Options{
		Sinks: sinks, InFlight: config.InFlight, Calls: bound, QuietAfter: quietAfter, Observer: e.metrics, Logger: logger, Now: now,
	})
	e.openAlerts()
	e.life = &lifecycle.Service{
		Store: e.records, Log: e.log, Sealer: secrets, Settings: config.Settings, Now: now,
		CheckTarget: guard.CheckURL, Schedule: e.scheduler.Schedule, QuietAfter: quietAfter,
	}
	e.lanes = &lanes.Service{Store: e.records, Grow: e.life.GrowLanes, Settings: config.Settings, Logger: logger, Now: now}
	e.rejected = rejected.New(rejected.Options{
		Store: e.records, Integrations: e.life, Targets: registry, Settings: config.Settings, Logger: logger, Now: now,
	})
	e.trials = trial.New(trial.Options{
		Store: e.records, Integrations: e.life, Sinks: sinks, Counter: e.store, Calls: bound,
		Settings: config.Settings, Logger: logger, Now: now,
	})
	e.life.Probe = e.trials.Probe
	e.engine = &delivery.Engine{
		Store: e.records, Log: e.log, Registry: registry, Rejected: e.rejected, Lifecycle: e.life, Settings: config.Settings,
		Observer: e.metrics, Logger: logger, Now: now, Schedule: e.scheduler.Schedule,
		RecheckInterval: min(time.Minute, config.SeekMargin),
	}
	return e, nil
}

// now returns the time without a monotonic clock reading: the monotonic clock may
// stop while Lambda freezes the process.
func now() time.Time { return time.Now().Round(0) }

// newGuard returns a guard that allows calls to receivers but not to Lambda's Runtime
// API, through which an integration could respond on the function's behalf.
func newGuard(c *Config) (*netguard.Guard, error) {
	policy := netguard.Public
	if c.AllowPrivateTargets {
		policy = netguard.Private
	}
	guard := netguard.New(policy, nil)
	if address := os.Getenv("AWS_LAMBDA_RUNTIME_API"); address != "" {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return nil, fmt.Errorf("AWS_LAMBDA_RUNTIME_API is %q, which is not an address and port: %w", address, err)
		}
		guard.ForbidLocalPort(at.Port())
	}
	return guard, nil
}
