package node

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/publish"
	"github.com/sluicehq/sluice/internal/sink"
)

// metrics collects metrics and serves them to Prometheus. It implements
// worker.Observer.
type metrics struct {
	registry *prometheus.Registry

	published      prometheus.Counter
	publishSeconds prometheus.Histogram
	inFlight       prometheus.Gauge
	webhook, s3    attempts
	skipped        prometheus.Counter
}

// attempts are the metrics of one kind of sink, looked up once and not for each attempt.
type attempts struct {
	events  [sink.Unsent + 1]prometheus.Counter // by outcome
	seconds prometheus.Observer
}

var attemptBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// newMetrics returns metrics with the lags of the given number of integrations, those that
// are furthest behind, and totals of all.
func newMetrics(lags func(context.Context) ([]lag, error), integrations int, p places, now func() time.Time) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		published: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_events_published_total", Help: "Events made durable in the log.",
		}),
		publishSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "sluice_publish_seconds", Help: "Time from reading the body of a publish call until its events are durable.", Buckets: attemptBuckets,
		}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sluice_in_flight", Help: "Calls to receivers in flight.",
		}),
		skipped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_events_skipped_total", Help: "Events that integrations passed undelivered, because the stored bytes can never be read.",
		}),
	}
	events := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sluice_events_attempted_total", Help: "Events in attempts, by sink and outcome: delivered, rejected, retry (failed, will be retried), interrupted, unsent (no descriptor or port for a connection).",
	}, []string{"sink", "outcome"})
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "sluice_attempt_seconds", Help: "Duration of an attempt, a call or a file, by sink.", Buckets: attemptBuckets,
	}, []string{"sink"})
	m.webhook, m.s3 = attemptsOf("webhook", events, seconds), attemptsOf("s3", events, seconds)
	m.registry.MustRegister(m.published, m.publishSeconds, m.inFlight, events, seconds, m.skipped,
		&lagCollector{lags: lags, most: integrations, now: now}, p, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func attemptsOf(kind string, events *prometheus.CounterVec, seconds *prometheus.HistogramVec) attempts {
	a := attempts{seconds: seconds.WithLabelValues(kind)}
	for outcome := sink.Delivered; int(outcome) < len(a.events); outcome++ {
		a.events[outcome] = events.WithLabelValues(kind, outcome.String())
	}
	return a
}

// handler serves what was gathered within the last second: a scrape reads the offsets of
// all integrations.
func (m *metrics) handler() http.Handler {
	families := share(withContext(m.registry.Gather)) // ends within lagTimeout
	return promhttp.HandlerFor(prometheus.GathererFunc(families.Await), promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

// withContext returns ask as a function that ignores a context.
func withContext[T any](ask func() (T, error)) func(context.Context) (T, error) {
	return func(context.Context) (T, error) { return ask() }
}

// AttemptStarted implements worker.Observer.
func (m *metrics) AttemptStarted() { m.inFlight.Inc() }

// AttemptEnded implements worker.Observer.
func (m *metrics) AttemptEnded(in *integration.Integration, v sink.Verdict, events int, began, ended time.Time) {
	of := &m.webhook
	if in.S3 != nil {
		of = &m.s3
	}
	m.inFlight.Dec()
	of.events[v.Outcome].Add(float64(events))
	of.seconds.Observe(ended.Sub(began).Seconds())
}

// EventsSkipped implements delivery.Observer.
func (m *metrics) EventsSkipped(events int) { m.skipped.Add(float64(events)) }

// publisher is a publish.Service that records metrics.
type publisher struct {
	*publish.Service
	metrics *metrics
}

// Publish implements httpapi.Publisher.
func (p publisher) Publish(ctx context.Context, call publish.Call) ([]string, error) {
	started := time.Now()
	ids, err := p.Service.Publish(ctx, call)
	if err == nil {
		p.metrics.published.Add(float64(len(ids)))
		p.metrics.publishSeconds.Observe(time.Since(started).Seconds())
	}
	return ids, err
}
