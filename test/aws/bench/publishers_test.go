package bench

import (
	"strings"
	"testing"
)

// published has figures of the ways to publish that can be calculated by hand.
func published() *Measured {
	m := plain()
	m.Platform = Publish{Events: 100, BilledMS: 50, CPU: 10, Bytes: 700, LogBytes: 100}
	m.PlatformPuts = Puts{Events: 200, Requests: 2, Records: 200, Bytes: 140_000}
	m.Direct = Puts{Events: 1000, Requests: 3, Records: 1000, Bytes: 600_000}
	return m
}

// What the Go producer puts is paid as a record of the stream, and not by the gateway or the
// function behind it. Everything behind the stream costs what it costs of the API's events.
func TestDirectPaysNoGateway(t *testing.T) {
	m, s := published(), Sizes[2]
	api := m.Month(s)
	s.By = Direct
	b := m.Month(s)
	for _, l := range b.Lines {
		switch l.Name {
		case lineGateway, lineAPI:
			if l.USD != 0 {
				t.Errorf("%s costs %v", l.Name, l.USD)
			}
		case lineLogs, lineTransfer: // the function's lines, and the responses
			if l.USD >= api.Of(l.Name) {
				t.Errorf("%s costs %v, and by the API %v", l.Name, l.USD, api.Of(l.Name))
			}
		default:
			wantUSD(t, l.Name, l.USD, api.Of(l.Name))
		}
	}
}

// Two events in a record are half of the records.
func TestRecordsAreCounted(t *testing.T) {
	m, s := published(), Sizes[2]
	s.By = Direct
	shards := m.Month(s).Shards * hours * usdShardHour
	whole := m.Month(s).Of(lineStream) - shards
	m.Direct.Records /= 2
	half := m.Month(s)
	wantUSD(t, "half of the records", half.Of(lineStream)-half.Shards*hours*usdShardHour, whole/2)
}

// A call with an event each of a hundred tenants is one call, and a hundred records.
func TestPlatformsCallIsARecordForEachTenant(t *testing.T) {
	m, s := published(), Sizes[2]
	single := m.Month(s)
	s.By, s.EventsPerCall = Platform, 100
	b := m.Month(s)
	wantUSD(t, lineGateway, b.Of(lineGateway), single.Of(lineGateway)/100)
	wantUSD(t, lineAPI, b.Of(lineAPI), b.Events/100/1e6*0.20+b.Events/100*0.050*0.5*usdLambdaGBs)
	wantUSD(t, lineStream, b.Of(lineStream), single.Of(lineStream))
	wantUSD(t, lineWrites, b.Of(lineWrites), single.Of(lineWrites))
}

// The page does not show what is not measured, nor forgets what is.
func TestPublishersAreMeasured(t *testing.T) {
	for name, c := range map[string]struct {
		m    *Measured
		rows int
	}{"none": {plain(), 6}, "all": {published(), 0}} {
		if n := strings.Count(c.m.publishers(), "not measured yet"); n != c.rows {
			t.Errorf("%s: %d rows are not measured, want %d", name, n, c.rows)
		}
	}
	m := published()
	for _, s := range waysToPublish() {
		for _, l := range m.Month(s).withoutTransfer().Lines {
			if l.Name == lineTransfer {
				t.Errorf("the transfer is in it: %+v", l)
			}
		}
	}
}

// What docs/cost.md says about the aims for single events is true.
func TestAims(t *testing.T) {
	m := recorded(t)
	for _, c := range []struct {
		webhooks         float64
		provisioned, met bool
	}{{1, false, false}, {1, true, true}, {10, false, true}, {10, true, true}} {
		s := Sizes[2]
		s.Webhooks, s.By, s.Provisioned = c.webhooks, Direct, c.provisioned
		b := m.Month(s).withoutTransfer()
		each := b.Total() / millions(b.Deliveries)
		if each <= goals[c.webhooks] != c.met {
			t.Errorf("%+v: a million deliveries cost %.3f; the page says otherwise", c, each)
		}
		if b.Of(lineWrites) < 0.5*b.Total() {
			t.Errorf("%+v: it is not mostly DynamoDB", c)
		}
	}
}
