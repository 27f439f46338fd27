package bench

import (
	"fmt"
	"math"
	"slices"
)

// Publisher is who publishes, and so what a million events are on their way to the stream.
type Publisher int

const (
	// Tenants publish by the API, each in calls of its own.
	Tenants Publisher = iota
	// Platform publishes by the API, with a platform token: a call has an event each of
	// EventsPerCall tenants, which is the dearest way to fill one.
	Platform
	// Direct publishes single events with the Go producer, without the API.
	Direct
)

// Puts are what publishing made on the stream, counted on its way there.
type Puts struct {
	Events   int
	Requests int // PutRecords
	Records  int
	Bytes    int // of all records' data
}

// perEvent returns the records for each event.
func (p Puts) perEvent() float64 { return float64(p.Records) / float64(p.Events) }

// perRecord returns a record's bytes, rounded up.
func (p Puts) perRecord() int { return int(math.Ceil(float64(p.Bytes) / float64(p.Records))) }

// measured reports whether the figures that a publisher's bill takes are there.
func (m *Measured) measured(p Publisher) bool {
	switch p {
	case Platform:
		return m.Platform.CPU > 0
	case Direct:
		return m.Direct.Records > 0
	default:
		return true
	}
}

// calls returns how often a size calls the API in a month of so many events, what is measured
// of a call, and how many records that puts on the stream. Direct has no calls.
func (m *Measured) calls(s Size, events float64) (call Publish, calls, records float64) {
	switch s.By {
	case Platform:
		return m.Platform, events / s.EventsPerCall, events * m.PlatformPuts.perEvent()
	case Direct:
		return Publish{Bytes: m.Direct.perRecord()}, 0, events * m.Direct.perEvent()
	default:
		calls = events / s.EventsPerCall
		return m.publish(int(s.EventsPerCall)), calls, calls
	}
}

// goals are the aims for single events by the Go producer, in USD for a million deliveries,
// all but transfer, by the number of webhooks.
var goals = map[float64]float64{1: 1.50, 10: 0.25}

// waysToPublish are the ways to publish at the third size.
func waysToPublish() []Size {
	var list []Size
	for _, webhooks := range []float64{1, 10} {
		for _, by := range []struct {
			Publisher
			events      float64
			provisioned bool
		}{{Tenants, 1, false}, {Platform, 100, false}, {Direct, 1, false}, {Direct, 1, true}} {
			s := Sizes[2]
			s.Webhooks, s.EventsPerCall, s.By, s.Provisioned = webhooks, by.events, by.Publisher, by.provisioned
			list = append(list, s)
		}
	}
	return list
}

// publishers shows what it costs by who publishes.
func (m *Measured) publishers() string {
	names := map[Publisher]string{
		Tenants: "the API, one event a call", Platform: "the API, a platform's calls of 100 events of 100 tenants",
		Direct: "the Go producer, single events",
	}
	var t table
	t.header("webhooks a tenant", "published by", "a million deliveries, all but transfer", "aim", "EventBridge", "is", "most is")
	for _, s := range waysToPublish() {
		name := names[s.By]
		if s.Provisioned {
			name += fmt.Sprintf(", and provisioned capacity of DynamoDB used to %.0f %%", 100*provisionedUse)
		}
		if !m.measured(s.By) {
			t.row(fmt.Sprintf("%.0f", s.Webhooks), name, "not measured yet", "", "", "", "")
			continue
		}
		b := m.Month(s).withoutTransfer()
		d := millions(b.Deliveries)
		ours, bus, aim := b.Total()/d, Bus(s)/d, ""
		if s.By == Direct {
			aim = "≤ " + usd(goals[s.Webhooks]) + ": " + met(ours <= goals[s.Webhooks])
		}
		t.row(fmt.Sprintf("%.0f", s.Webhooks), name, usd(ours), aim, usd(bus), times(ours/bus), b.most())
	}
	return t.String()
}

// withoutTransfer returns the bill without the data transfer, which other services charge too
// or leave to their user.
func (b *Bill) withoutTransfer() *Bill {
	rest := *b
	rest.Lines = slices.DeleteFunc(slices.Clone(b.Lines), func(l Line) bool { return l.Name == lineTransfer })
	return &rest
}

// putFigures adds what was counted on the way to the stream.
func (m *Measured) putFigures(t *table) {
	for _, p := range []struct {
		what string
		Puts
	}{{"platform calls of 100 events of 100 tenants", m.PlatformPuts}, {"single events by the Go producer", m.Direct}} {
		if p.Records > 0 {
			t.row(fmt.Sprintf("%s: records; requests; bytes a record", p.what),
				fmt.Sprintf("%.2f an event; %d for %d events; %d", p.perEvent(), p.Requests, p.Events, p.perRecord()))
		}
	}
	if p := m.Platform; m.measured(Platform) {
		t.row("platform call of 100 events of 100 tenants: CPU; billed; log", fmt.Sprintf("%.2f ms; %.0f ms; %.0f bytes", p.CPU, p.BilledMS, p.LogBytes))
	}
}
