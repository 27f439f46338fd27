package awsenv

import (
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/internal/emf"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/sink"
)

// The metric names. The dashboard and the alarms in infra/ use them.
const (
	metricPublished   = "EventsPublished"
	metricDelivered   = "EventsDelivered"
	metricRejected    = "EventsRejected"
	metricRetried     = "EventsRetried"
	metricMalformed   = "MalformedRecords"
	metricOldestLag   = "OldestLagSeconds"
	metricOverdue     = "OverdueCursors"
	metricInterrupted = "EventsInterrupted"
	metricUnsent      = "EventsUnsent"
	metricSkipped     = "EventsSkipped"
)

// metrics counts the outcomes of an invocation. It implements worker.Observer and
// is safe for concurrent use.
type metrics struct {
	out emf.Writer

	outcomes [sink.Unsent + 1]atomic.Int64 // events
	skipped  atomic.Int64
}

var outcomeMetrics = map[sink.Outcome]string{
	sink.Delivered: metricDelivered, sink.Rejected: metricRejected,
	sink.Retry: metricRetried, sink.Interrupted: metricInterrupted,
	sink.Unsent: metricUnsent,
}

// AttemptStarted implements worker.Observer.
func (m *metrics) AttemptStarted() {}

// AttemptEnded implements worker.Observer.
func (m *metrics) AttemptEnded(_ *integration.Integration, v sink.Verdict, events int, _, _ time.Time) {
	m.outcomes[v.Outcome].Add(int64(events))
}

// EventsSkipped implements delivery.Observer.
func (m *metrics) EventsSkipped(events int) { m.skipped.Add(int64(events)) }

// flush writes the counts since the last flush, and the given metrics. A function
// calls it once, before it returns.
func (m *metrics) flush(more ...emf.Metric) {
	for outcome, name := range outcomeMetrics {
		if n := m.outcomes[outcome].Swap(0); n > 0 {
			more = append(more, emf.Metric{Name: name, Unit: emf.Count, Value: float64(n)})
		}
	}
	if n := m.skipped.Swap(0); n > 0 {
		more = append(more, emf.Metric{Name: metricSkipped, Unit: emf.Count, Value: float64(n)})
	}
	m.out.Put(more...)
}
