package bench

import "fmt"

// The sizes of docs/adr/0026-no-shared-hot-segments.md.
const (
	hotTenants = 1e6
	hotLanes   = 10
	hotPeriod  = 600 // seconds between two compactions
)

// hotBills shows a million tenants in each design.
func hotBills() string {
	var t table
	t.header("a month", "segments", "commits", "compaction", "storage", "catch-up", "sum", "with provisioned capacity")
	add := func(design string, b, cheaper *hotBill) {
		t.row(design, usd(b.segments), usd(b.commits), usd(b.compaction), usd(b.kept), usd(b.catchUp), usd(b.sum()), "**"+usd(cheaper.sum())+"**")
	}
	bills, cheaper := hotMonth(hotTenants, hotLanes, onDemand), hotMonth(hotTenants, hotLanes, provisioned)
	for i := range bills {
		add(bills[i].design, &bills[i], &cheaper[i])
	}
	bills, cheaper = hotMonth(hotTenants, 1, onDemand), hotMonth(hotTenants, 1, provisioned)
	add("the last, with one batch a shard and second instead of ten", &bills[sharedCommit], &cheaper[sharedCommit])
	return t.String()
}

// hotSizes shows from which size sharing pays.
func hotSizes() string {
	var t table
	t.header("tenants", "events/s", "as it is", "provisioned, own segments compacted", "provisioned, all shared", "sharing saves its upkeep")
	for _, n := range []float64{100, 1000, 10_000, 100_000, 350_000, 1_000_000} {
		now, then := hotMonth(n, hotLanes, onDemand), hotMonth(n, hotLanes, provisioned)
		pays := "no"
		if then[ownCompacted].sum()-then[sharedCommit].sum() > hotUpkeep {
			pays = "yes"
		}
		t.row(grouped(n), grouped(n*hotEventsPerSec), usd(now[asItIs].sum()), usd(then[ownCompacted].sum()), usd(then[sharedCommit].sum()), pays)
	}
	return t.String()
}

// hotReads shows what a look at one tenant's hot events takes.
func hotReads() string {
	var t table
	t.header("compaction every", "hot segments to look into", "with events of the tenant", "GETs", "of 20 ms, 16 at once", "bytes for one of its own")
	shards := hotShards(hotTenants)
	periods := []int{60, 600, 3600}
	l := simulateShard(int(hotTenants/shards), hotTenants*hotEventsPerSec/shards, hotLanes, usdWriteUnit, periods...)
	for _, p := range periods {
		part := 1.5 * float64(p) / hotSimulated
		gets := hotGets(l, p)
		t.row(fmt.Sprintf("%d min", p/60), grouped(l.median.segments*part), fmt.Sprintf("%.1f", l.median.own*part), grouped(gets),
			fmt.Sprintf("%.1f s", gets/hotGetsAtOnce*hotGetMS/1000), grouped(l.median.allBytes/l.median.ownBytes))
	}
	return t.String()
}
