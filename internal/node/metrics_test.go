package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/delivery"
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

func defaultPlaces() places {
	config := DefaultConfig()
	return newPlaces(&config)
}

// Dashboards and alarms are made with these names and labels.
func TestNamesOfMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hook, bucket := &integration.Integration{}, &integration.Integration{S3: &integration.S3{}}
		shared := defaultPlaces()
		m := newMetrics(func(context.Context) ([]lag, error) {
			return []lag{
				{tenant: "acme", integration: "behind", events: 3, oldest: time.Now().Add(-90 * time.Second)},
				{tenant: "acme", integration: "even"},
			}, nil
		}, 20, shared, time.Now)
		shared.Steps[delivery.Export].Take("acme", nil)
		began := time.Now()
		m.published.Add(5)
		m.publishSeconds.Observe(0.25)
		for range 6 {
			m.AttemptStarted()
		}
		for _, outcome := range []sink.Outcome{sink.Delivered, sink.Rejected, sink.Retry, sink.Interrupted} {
			m.AttemptEnded(hook, sink.Verdict{Outcome: outcome}, 1, began, began.Add(time.Second))
		}
		m.AttemptEnded(bucket, sink.Verdict{Outcome: sink.Delivered}, 700, began, began.Add(2*time.Second))
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
			`sluice_events_attempted_total{outcome="interrupted",sink="s3"} 0`,
			`sluice_events_attempted_total{outcome="interrupted",sink="webhook"} 1`,
			`sluice_events_attempted_total{outcome="rejected",sink="s3"} 0`,
			`sluice_events_attempted_total{outcome="rejected",sink="webhook"} 1`,
			`sluice_events_attempted_total{outcome="retry",sink="s3"} 0`,
			`sluice_events_attempted_total{outcome="retry",sink="webhook"} 1`,
			`sluice_events_attempted_total{outcome="unsent",sink="s3"} 0`,
			`sluice_events_attempted_total{outcome="unsent",sink="webhook"} 0`,
			`# TYPE sluice_events_published_total counter`,
			`sluice_events_published_total 5`,
			`# TYPE sluice_events_skipped_total counter`, `sluice_events_skipped_total 0`,
			`# TYPE sluice_in_flight gauge`,
			`sluice_in_flight 1`,
			`# TYPE sluice_integrations_lagging gauge`,
			`sluice_integrations_lagging 1`,
			`# TYPE sluice_integrations_running gauge`,
			`sluice_integrations_running 2`,
			`# TYPE sluice_lag_events gauge`,
			`sluice_lag_events{integration="behind",tenant="acme"} 3`,
			`sluice_lag_events{integration="even",tenant="acme"} 0`,
			`# TYPE sluice_lag_events_sum gauge`,
			`sluice_lag_events_sum 3`,
			`# TYPE sluice_lag_seconds gauge`,
			`sluice_lag_seconds{integration="behind",tenant="acme"} 90`,
			`sluice_lag_seconds{integration="even",tenant="acme"} 0`,
			`# TYPE sluice_lag_seconds_max gauge`,
			`sluice_lag_seconds_max 90`,
			`# TYPE sluice_places_taken gauge`,
			`sluice_places_taken{bound="calls"} 0`,
			`sluice_places_taken{bound="catch_ups"} 0`,
			`sluice_places_taken{bound="files"} 1`,
			`sluice_places_taken{bound="probes"} 0`,
			`sluice_places_taken{bound="reads"} 0`,
			`sluice_places_taken{bound="turns"} 0`,
			`sluice_places_taken{bound="waits"} 0`,
			`# TYPE sluice_places_waiting gauge`,
			`sluice_places_waiting{bound="calls"} 0`,
			`sluice_places_waiting{bound="catch_ups"} 0`,
			`sluice_places_waiting{bound="files"} 0`,
			`sluice_places_waiting{bound="probes"} 0`,
			`sluice_places_waiting{bound="reads"} 0`,
			`sluice_places_waiting{bound="turns"} 0`,
			`sluice_places_waiting{bound="waits"} 0`,
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
	m := newMetrics(func(context.Context) ([]lag, error) { return nil, errors.New("the disk is gone") }, 20, defaultPlaces(), time.Now)
	m.published.Add(5)
	status, got := scrape(t, m)
	got = slices.DeleteFunc(got, func(line string) bool {
		return strings.Contains(line, "sluice_places_") || strings.Contains(line, "attempt")
	})
	want := []string{
		`# TYPE sluice_events_published_total counter`, `sluice_events_published_total 5`,
		`# TYPE sluice_events_skipped_total counter`, `sluice_events_skipped_total 0`,
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
	m := newMetrics(func(context.Context) ([]lag, error) { return nil, nil }, 20, defaultPlaces(), time.Now)
	p := publisher{publish.New(n.log, n.config.Settings), m}
	if _, err := p.Publish(t.Context(), publish.Call{Tenant: "acme", Format: publish.NDJSON, Body: []byte(strings.Repeat(`{"name":"order.created","payload":{}}`+"\n", 3))}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Publish(t.Context(), publish.Call{Tenant: "acme", Format: publish.JSON, Body: []byte("{}")}); err == nil {
		t.Fatal("an event without a name was accepted")
	}
	_, lines := scrape(t, m)
	for _, want := range []string{"sluice_events_published_total 3", "sluice_publish_seconds_count 1"} {
		if !slices.Contains(lines, want) {
			t.Errorf("no line %s in %q", want, lines)
		}
	}
}

// However many integrations there are, a scrape is small, and has those that are worst.
func TestMetricsHaveTheWorstIntegrationsAndTotals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all []lag
		for i := range 50_000 {
			all = append(all, lag{tenant: "acme", integration: fmt.Sprint("hook-", i), events: i, oldest: time.Now().Add(-time.Duration(i) * time.Millisecond)})
		}
		all = append(all, lag{tenant: "beta", integration: "even"}, lag{tenant: "beta", integration: "ahead", events: 1, oldest: time.Now().Add(time.Second)})
		m := newMetrics(func(context.Context) ([]lag, error) { return slices.Clone(all), nil }, 3, defaultPlaces(), time.Now)
		_, got := scrape(t, m)
		got = slices.DeleteFunc(got, func(line string) bool {
			return !strings.HasPrefix(line, "sluice_lag") && !strings.HasPrefix(line, "sluice_integ")
		})
		want := []string{
			`sluice_integrations_lagging 0`, `sluice_integrations_running 50002`,
			`sluice_lag_events{integration="hook-49997",tenant="acme"} 49997`,
			`sluice_lag_events{integration="hook-49998",tenant="acme"} 49998`,
			`sluice_lag_events{integration="hook-49999",tenant="acme"} 49999`,
			`sluice_lag_events_sum 1.249975001e+09`,
			`sluice_lag_seconds{integration="hook-49997",tenant="acme"} 49.997`,
			`sluice_lag_seconds{integration="hook-49998",tenant="acme"} 49.998`,
			`sluice_lag_seconds{integration="hook-49999",tenant="acme"} 49.999`,
			`sluice_lag_seconds_max 49.999`,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// A clock that moves back makes no lag negative.
func TestLagOfAnEventAheadOfTheClock(t *testing.T) {
	now := time.Now()
	for oldest, want := range map[time.Time]time.Duration{{}: 0, now.Add(time.Second): 0, now.Add(-time.Second): time.Second} {
		if got := (&lag{oldest: oldest}).age(now); got != want {
			t.Errorf("the age of %v at %v is %v, want %v", oldest, now, got, want)
		}
	}
}

// Anyone may scrape: those that do within a second share one reading of the database, and
// everyone is answered. A reading that takes long is shared for longer.
func TestScrapesShareOneReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		readings, takes := 0, 100*time.Millisecond
		m := newMetrics(func(context.Context) ([]lag, error) {
			readings++
			time.Sleep(takes)
			return []lag{{tenant: "acme", integration: "hook", events: readings}}, nil
		}, 20, defaultPlaces(), time.Now)
		h := m.handler()
		scrapeBy := func(want int) {
			t.Helper()
			var all sync.WaitGroup
			for range 100 {
				all.Go(func() {
					rec := httptest.NewRecorder()
					h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
					if want := fmt.Sprintf("integration=\"hook\",tenant=\"acme\"} %d\n", want); rec.Code != http.StatusOK || !strings.Contains(rec.Body.String(), want) {
						t.Errorf("status %d, without %q", rec.Code, want)
					}
				})
			}
			all.Wait()
		}
		scrapeBy(1)
		time.Sleep(sharedFor - 1)
		scrapeBy(1)
		time.Sleep(time.Nanosecond)
		takes = 2 * time.Second
		scrapeBy(2)
		time.Sleep(4*takes - 1)
		scrapeBy(2)
		time.Sleep(time.Nanosecond)
		scrapeBy(3)
	})
}

// How old an event is goes by the clock that has stamped it: where the system's is not
// followed, no integration lags by that.
func TestLagsGoByTheClockOfTheNode(t *testing.T) {
	var by atomic.Int64
	n := openNodeWith(t, t.TempDir(), func(c *Config) { c.clock = shifted(&by, func(time.Duration) {}) })
	defer closeNode(t, n)
	by.Store(-int64(48 * time.Hour))
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	register(t, n, "down", gone.URL)
	publishTo(t, n, 1)
	rec := httptest.NewRecorder()
	n.server.Handler.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if text := rec.Body.String(); !strings.Contains(text, "sluice_lag_events_sum 1\n") || !strings.Contains(text, "sluice_integrations_lagging 0\n") {
		t.Errorf("an event that was just published is late:\n%s", text)
	}
}
