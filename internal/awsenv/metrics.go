package awsenv

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/sluicehq/sluice/internal/emf"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/sink"
)

// The metric names. The alarms in template.yaml and the dashboard in infra/ use them.
const (
	metricPublished   = "EventsPublished"
	metricDelivered   = "EventsDelivered"
	metricRejected    = "EventsRejected"
	metricRetried     = "EventsRetried"
	metricMalformed   = "MalformedRecords"
	metricFailed      = "BatchesFailed"
	metricGivenUp     = "BatchesGivenUp"
	metricErrors      = "ServerErrors"
	metricOldestLag   = "OldestLagSeconds"
	metricOverdue     = "OverdueSeconds"
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
	failed   atomic.Int64 // batches of the stream
	errors   atomic.Int64 // responses
}

var outcomeMetrics = map[sink.Outcome]string{
	sink.Delivered: metricDelivered, sink.Rejected: metricRejected,
	sink.Retry: metricRetried, sink.Interrupted: metricInterrupted,
	sink.Unsent: metricUnsent,
}

// AttemptStarted implements worker.Observer.
func (m *metrics) AttemptStarted() {}

// AttemptEnded implements worker.Observer.
func (m *metrics) AttemptEnded(_ *integration.Integration, v sink.Verdict, n int, _, _ time.Time) {
	m.outcomes[v.Outcome].Add(int64(n))
}

// EventsSkipped implements delivery.Observer.
func (m *metrics) EventsSkipped(n int) { m.skipped.Add(int64(n)) }

// batch counts a batch of the stream of which something is redelivered. Lambda's own metrics
// do not tell of it: for them the function has succeeded.
func (m *metrics) batch(r events.KinesisEventResponse) {
	if len(r.BatchItemFailures) > 0 {
		m.failed.Add(1)
	}
}

// response counts a response by which the API has failed. A 502 is the receiver's failure, of
// which the contract tells the caller who retries an event.
func (m *metrics) response(status int) {
	if status >= http.StatusInternalServerError && status != http.StatusBadGateway {
		m.errors.Add(1)
	}
}

// flush writes the counts since the last flush, and the given metrics. A function
// calls it once, before it returns.
func (m *metrics) flush(more ...emf.Metric) {
	count := func(name string, counter *atomic.Int64) {
		if n := counter.Swap(0); n > 0 {
			more = append(more, emf.Metric{Name: name, Unit: emf.Count, Value: float64(n)})
		}
	}
	for outcome, name := range outcomeMetrics {
		count(name, &m.outcomes[outcome])
	}
	count(metricSkipped, &m.skipped)
	count(metricFailed, &m.failed)
	count(metricErrors, &m.errors)
	m.out.Put(more...)
}
