package node

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/publish"
	"github.com/sluicehq/sluice/internal/sink"
)

// scrape returns the status, and the lines of Sluice's own metrics without the
// help and the buckets.
func scrape(t *testing.T, m *metrics) (int, []string) {
	t.Helper()
	rec := httptest.NewRecorder()
	m.handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	var lines []string
	for line := range strings.Lines(rec.Body.String()) {
		line = strings.TrimSuffix(line, "\n")
		if strings.Contains(line, "sluice_") && !strings.HasPrefix(line, "# HELP") && !strings.Contains(line, "_bucket{") {
			lines = append(lines, line)
		}
	}
	return rec.Code, lines
}

// Dashboards and alarms are made with these names and labels.
func TestNamesOfMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hook, bucket := &integration.Integration{}, &integration.Integration{S3: &integration.S3{}}
		m := newMetrics(func(context.Context) ([]lag, error) {
			return []lag{
				{tenant: "acme", integration: "behind", events: 3, oldest: time.Now().Add(-90 * time.Second)},
				{tenant: "acme", integration: "even"},
			}, nil
		})
		m.published.Add(5)
		m.publishSeconds.Observe(0.25)
		for range 6 {
			m.AttemptStarted()
		}
		for _, outcome := range []sink.Outcome{sink.Delivered, sink.Rejected, sink.Retry, sink.Interrupted} {
			m.AttemptEnded(hook, sink.Verdict{Outcome: outcome}, 1, time.Second)
		}
		m.AttemptEnded(bucket, sink.Verdict{Outcome: sink.Delivered}, 700, 2*time.Second)
		status, got := scrape(t, m)
		want := []string{
			`# TYPE sluice_attempt_seconds histogram`,
			`sluice_attempt_seconds_sum{sink="s3"} 2`,
			`sluice_attempt_seconds_count{sink="s3"} 1`,
			`sluice_attempt_seconds_sum{sink="webhook"} 4`,
			`sluice_attempt_seconds_count{sink="webhook"} 4`,
			`# TYPE sluice_events_attempted_total counter`,
			`sluice_events_attempted_total{outcome="delivered",sink="s3"} 700`,
			`sluice_events_attempted_total{outcome="delivered",sink="webhook"} 1`,
			`sluice_events_attempted_total{outcome="interrupted",sink="webhook"} 1`,
			`sluice_events_attempted_total{outcome="rejected",sink="webhook"} 1`,
			`sluice_events_attempted_total{outcome="retry",sink="webhook"} 1`,
			`# TYPE sluice_events_published_total counter`,
			`sluice_events_published_total 5`,
			`# TYPE sluice_in_flight gauge`,
			`sluice_in_flight 1`,
			`# TYPE sluice_lag_events gauge`,
			`sluice_lag_events{integration="behind",tenant="acme"} 3`,
			`sluice_lag_events{integration="even",tenant="acme"} 0`,
			`# TYPE sluice_lag_seconds gauge`,
			`sluice_lag_seconds{integration="behind",tenant="acme"} 90`,
			`sluice_lag_seconds{integration="even",tenant="acme"} 0`,
			`# TYPE sluice_publish_seconds histogram`,
			`sluice_publish_seconds_sum 0.25`,
			`sluice_publish_seconds_count 1`,
		}
		if diff := cmp.Diff(want, got); diff != "" || status != http.StatusOK {
			t.Errorf("status %d (-want +got):\n%s", status, diff)
		}
	})
}

// If the database cannot be read, only the lags are missing.
func TestMetricsWithoutLags(t *testing.T) {
	m := newMetrics(func(context.Context) ([]lag, error) { return nil, errors.New("the disk is gone") })
	m.published.Add(5)
	status, got := scrape(t, m)
	want := []string{
		`# TYPE sluice_events_published_total counter`, `sluice_events_published_total 5`,
		`# TYPE sluice_in_flight gauge`, `sluice_in_flight 0`,
		`# TYPE sluice_publish_seconds histogram`, `sluice_publish_seconds_sum 0`, `sluice_publish_seconds_count 0`,
	}
	if diff := cmp.Diff(want, got); diff != "" || status != http.StatusOK {
		t.Errorf("status %d (-want +got):\n%s", status, diff)
	}
}

func TestPublishedEventsAreCounted(t *testing.T) {
	n := openNode(t, t.TempDir())
	defer closeNode(t, n)
	m := newMetrics(func(context.Context) ([]lag, error) { return nil, nil })
	p := publisher{publish.New(n.log, n.config.Settings), m}
	if _, err := p.Publish(t.Context(), "acme", publish.NDJSON, []byte(strings.Repeat(`{"name":"order.created","payload":{}}`+"\n", 3))); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Publish(t.Context(), "acme", publish.JSON, []byte("{}")); err == nil {
		t.Fatal("an event without a name was accepted")
	}
	_, lines := scrape(t, m)
	for _, want := range []string{"sluice_events_published_total 3", "sluice_publish_seconds_count 1"} {
		if !slices.Contains(lines, want) {
			t.Errorf("no line %s in %q", want, lines)
		}
	}
}
