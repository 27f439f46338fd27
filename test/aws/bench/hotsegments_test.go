package bench

import (
	"math"
	"testing"
)

// One tenant with many events in every second makes the same segments either way.
func TestSharingSavesNothingForOneTenant(t *testing.T) {
	l := simulateShard(1, 50, 10, usdWriteUnit, 60, hotSimulated)
	if l.segments != hotSimulated || l.batches != hotSimulated {
		t.Errorf("%.0f segments and %.0f hot segments, want one of each a second", l.segments, l.batches)
	}
	if got := l.events / hotSimulated; math.Abs(got-50) > 1 {
		t.Errorf("%.1f events a second, want 50", got)
	}
	if c := l.compact[60]; c.segments != 60 {
		t.Errorf("%.0f compacted segments in an hour, want one a minute", c.segments)
	}
}

// Where every event is of another tenant, today's segments are as many as the events, and
// an hour's bill can be calculated by hand.
func TestHotBillEqualsOneByHand(t *testing.T) {
	l := simulateShard(1_000_000, 10, 1, usdWriteUnit, hotSimulated)
	if rare := l.events - l.segments; rare < 0 || rare > 0.1*l.events {
		t.Errorf("%.0f events make %.0f segments; most should make their own", l.events, l.segments)
	}
	if two := l.units - l.segments; two < 0 || two > 0.01*l.segments { // of the few with several events
		t.Errorf("%.0f write units for %.0f segments of %d bytes", l.units, l.segments, hotItemBytes)
	}
	bytes := 10.0 * (hotFrameBytes + hotFolderBytes)
	wantUSD(t, "a hot segment of ten events", l.stored(bytes), 6*usdWriteUnit/1e6)
	wantUSD(t, "a hot segment of a thousand events", l.stored(100*bytes), (usdObjectPut+usdWriteUnit)/1e6)
	b := hotMonth(10_000, 10, onDemand)
	wantUSD(t, "a commit as it is, against a shared one's two reads",
		b[asItIs].commits/(usdWriteUnit+usdReadUnit), (b[sharedCommit].commits-sharedPuts(10_000))/(2*usdReadUnit))
}

// sharedPuts is what the puts of shared commits cost in a month.
func sharedPuts(tenants float64) float64 {
	shards := hotShards(tenants)
	l := simulateShard(int(tenants/shards), tenants*hotEventsPerSec/shards, 10, usdWriteUnit)
	return shards * seconds / hotSimulated * millions(l.batches*usdWriteUnit)
}

// What docs/adr/0026-no-shared-hot-segments.md says about its tables is true.
func TestHotClaims(t *testing.T) {
	now, then := hotMonth(hotTenants, hotLanes, onDemand), hotMonth(hotTenants, hotLanes, provisioned)
	if share := 1 - then[ownCompacted].sum()/now[asItIs].sum(); share < 0.6 || share > 0.7 {
		t.Errorf("provisioned capacity and a tenant's own compaction save %.0f %%; the page says two thirds", 100*share)
	}
	if ratio := then[ownCompacted].sum() / now[sharedCommit].sum(); ratio < 0.9 || ratio > 1.1 {
		t.Errorf("they cost %.2f of all that is shared on demand; the page says about as much", ratio)
	}
	if commits := now[sharedCommit].commits / now[asItIs].commits; commits < 0.3 || commits > 0.45 {
		t.Errorf("a shared commit costs %.2f of one for each tenant; the page says over a third", commits)
	}
	saves := func(n float64) float64 {
		b := hotMonth(n, hotLanes, provisioned)
		return b[ownCompacted].sum() - b[sharedCommit].sum()
	}
	if saves(250_000) > hotUpkeep || saves(350_000) < hotUpkeep {
		t.Errorf("sharing saves $%.0f at 250,000 tenants and $%.0f at 350,000; the page says it pays from about 300,000 on", saves(250_000), saves(350_000))
	}
}
