package node

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// lagCollector computes the lags when metrics are gathered.
type lagCollector struct {
	lags func(context.Context) ([]lag, error)
	most int // integrations with metrics of their own
	now  func() time.Time
}

// laggingAfter is the age of the first missing event from which on an integration counts as
// lagging: more than live delivery ever takes.
const laggingAfter = time.Minute

var (
	lagLabels  = []string{"tenant", "integration"}
	lagEvents  = prometheus.NewDesc("sluice_lag_events", "Events in the log that the running integration has not acknowledged; of those that are furthest behind.", lagLabels, nil)
	lagSeconds = prometheus.NewDesc("sluice_lag_seconds", "Age of the first event that the running integration has not acknowledged, 0 if there is none; of those that are furthest behind.", lagLabels, nil)
	lagRunning = prometheus.NewDesc("sluice_integrations_running", "Running integrations.", nil, nil)
	lagLagging = prometheus.NewDesc("sluice_integrations_lagging", "Running integrations that have not acknowledged an event older than a minute.", nil, nil)
	lagTotal   = prometheus.NewDesc("sluice_lag_events_sum", "Events in the log that running integrations have not acknowledged, summed over all.", nil, nil)
	lagMax     = prometheus.NewDesc("sluice_lag_seconds_max", "Age of the first event that some running integration has not acknowledged, 0 if there is none.", nil, nil)
)

// lagTimeout bounds how long a scrape reads the database.
const lagTimeout = 5 * time.Second

// Describe implements prometheus.Collector.
func (c *lagCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{lagEvents, lagSeconds, lagRunning, lagLagging, lagTotal, lagMax} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *lagCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), lagTimeout)
	defer cancel()
	lags, err := c.lags(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(lagEvents, err)
		return
	}
	now := c.now()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	events, lagging, longest := 0, 0, time.Duration(0)
	for _, l := range lags {
		age := l.age(now)
		events, longest = events+l.events, max(longest, age)
		if age > laggingAfter {
			lagging++
		}
	}
	gauge(lagRunning, float64(len(lags)))
	gauge(lagLagging, float64(lagging))
	gauge(lagTotal, float64(events))
	gauge(lagMax, longest.Seconds())
	for _, l := range furthestBehind(lags, c.most, now) {
		gauge(lagEvents, float64(l.events), l.tenant, l.integration)
		gauge(lagSeconds, l.age(now).Seconds(), l.tenant, l.integration)
	}
}

// age returns how old the first missing event is, 0 if there is none.
func (l *lag) age(now time.Time) time.Duration {
	if l.oldest.IsZero() {
		return 0
	}
	return max(0, now.Sub(l.oldest))
}

// furthestBehind returns at most n of the lags, the longest first. It sorts lags.
func furthestBehind(lags []lag, n int, now time.Time) []lag {
	slices.SortFunc(lags, func(a, b lag) int {
		return cmp.Or(cmp.Compare(b.age(now), a.age(now)), cmp.Compare(b.events, a.events),
			cmp.Compare(a.tenant, b.tenant), cmp.Compare(a.integration, b.integration))
	})
	return lags[:min(n, len(lags))]
}
