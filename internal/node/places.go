package node

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/descriptors"
	"github.com/sluicehq/sluice/internal/fairshare"
	"github.com/sluicehq/sluice/internal/runner"
	"github.com/sluicehq/sluice/internal/worker"
)

// places are what the tenants share.
type places struct {
	calls *worker.Calls
	kept  int // connections that are kept between calls
	runner.Places
	reads *fairshare.Limiter
	waits *fairshare.Limiter // calls that wait for events, each with its connection
}

// boundCalls returns how many calls may be in flight, with so many descriptors: a third
// of them by default, and half at most. Half as many are for connections that are kept;
// the rest is for clients, files and the database.
func boundCalls(setting, limit int) int {
	if setting == 0 {
		return descriptors.Calls(limit / 3)
	}
	return min(setting, max(2, limit/2))
}

func newPlaces(c *Config) places {
	calls := boundCalls(c.MaxCalls, descriptors.Limit())
	return places{
		calls: worker.NewCalls(calls),
		kept:  calls / 2,
		Places: runner.Places{
			Steps: [delivery.Kinds]*fairshare.Limiter{
				delivery.CatchUp: fairshare.New(c.MaxCatchUps),
				delivery.Probe:   fairshare.New(calls), // each has one call in flight
				delivery.Export:  fairshare.New(c.MaxFiles),
			},
			Turns: fairshare.New(2 * runtime.GOMAXPROCS(0)),
		},
		// One processor at least is left to publishing and to live delivery, unless
		// there is only one. Alone, a tenant has half of the reads.
		reads: fairshare.New(max(2, runtime.GOMAXPROCS(0)-1)),
		waits: fairshare.New(max(1, c.connections()/4)),
	}
}

var (
	placesTaken   = prometheus.NewDesc("sluice_places_taken", "Places that are taken, of a bound that tenants share.", []string{"bound"}, nil)
	placesWaiting = prometheus.NewDesc("sluice_places_waiting", "How many wait for a place of a bound that tenants share.", []string{"bound"}, nil)
)

// Describe implements prometheus.Collector.
func (p places) Describe(ch chan<- *prometheus.Desc) {
	ch <- placesTaken
	ch <- placesWaiting
}

// Collect implements prometheus.Collector.
func (p places) Collect(ch chan<- prometheus.Metric) {
	for bound, of := range map[string]interface {
		Held() int
		Waiting() int
	}{
		"calls": p.calls, "catch_ups": p.Steps[delivery.CatchUp], "probes": p.Steps[delivery.Probe],
		"files": p.Steps[delivery.Export], "turns": p.Turns, "reads": p.reads,
		"waits": p.waits,
	} {
		ch <- prometheus.MustNewConstMetric(placesTaken, prometheus.GaugeValue, float64(of.Held()), bound)
		ch <- prometheus.MustNewConstMetric(placesWaiting, prometheus.GaugeValue, float64(of.Waiting()), bound)
	}
}
