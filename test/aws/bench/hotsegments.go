package bench

import (
	"math"
	"math/rand/v2"
	"sort"
)

// The simulation of docs/adr/0026-no-shared-hot-segments.md: what the log of a deployment
// costs, and what it would cost if fanout wrote one hot segment for all tenants of a batch,
// and a later compaction wrote each tenant's segments. Its inputs are below and in
// prices.go; the sizes of records are those that docs/cost.md had when it was written. It
// is no measurement of code: nothing of this is built.
const (
	hotEventsPerSec = 0.1    // of a tenant on average: 8,640 a day
	hotSkew         = 1.0    // Zipf's exponent: within a shard, tenant i has 1/i of the first one's events
	hotShardRate    = 1000.0 // events a second that a shard takes, one a record
	hotPeak         = 3.0    // shards are for so many times the average
	hotSimulated    = 3600   // seconds of a shard
	hotWebhooks     = 2.0    // of a tenant, each with one outage a month
	hotItemBytes    = 697    // the item of a segment with one event
	hotMoreBytes    = 178    // more for each further event
	hotFrameBytes   = 499    // of a tenant's first event in a hot segment: compressed and encrypted apart
	hotFolderBytes  = 40     // more for each tenant in it: who it is and where its frame lies
	hotIndexBytes   = 300    // an item that names an object
	hotEventCPU     = 0.028  // ms to decode and encode an event once, on a whole processor
	hotCompactMB    = 1769.0 // memory of the compaction: a whole processor
	hotColdDays     = 2.0    // how long items are kept if they are compacted without sharing
	provisionedUse  = 0.7    // share of provisioned capacity of DynamoDB that is used
	hotGetMS        = 20.0   // a GET of S3
	hotGetsAtOnce   = 16.0
	hotUpkeep       = 15_000 // USD a month: assumed, what a second form of the log costs to keep
)

// hotLoad is what one shard does in an hour.
type hotLoad struct {
	unit     float64 // USD a million write units
	events   float64
	segments float64 // as they are written today: one for each tenant in a batch
	units    float64 // write units of these
	bytes    float64 // of these
	batches  float64 // hot segments
	hotPuts  float64 // USD of these
	median   hotReader
	compact  map[int]hotCompaction // by seconds between two compactions
}

// hotCompaction is what a compaction writes in an hour, a segment for each tenant that had
// events.
type hotCompaction struct{ segments, bytes, usd float64 }

// hotReader is what the tenant in the middle finds in an hour of its lane's hot segments.
type hotReader struct{ segments, own, ownBytes, allBytes float64 }

// simulateShard simulates a shard, with write units at the given price. The result depends on
// the arguments alone.
func simulateShard(tenants int, rate float64, lanes int, unit float64, periods ...int) *hotLoad {
	l := &hotLoad{unit: unit, compact: map[int]hotCompaction{}}
	random := rand.New(rand.NewPCG(1, 2))
	pick := zipf(tenants)
	middle := tenants / 2
	since := map[int]map[int]int{} // by period: events of a tenant since its last compaction
	for _, p := range periods {
		since[p] = map[int]int{}
	}
	for second := 1; second <= hotSimulated; second++ {
		batches := make([]map[int]int, lanes)
		for range poisson(random, rate) {
			t := pick(random.Float64())
			if batches[t%lanes] == nil {
				batches[t%lanes] = map[int]int{}
			}
			batches[t%lanes][t]++
			for _, p := range periods {
				since[p][t]++
			}
		}
		for lane, batch := range batches {
			l.write(batch, lane == middle%lanes, middle)
		}
		for _, p := range periods {
			if second%p == 0 {
				l.compacted(p, since[p])
				clear(since[p])
			}
		}
	}
	return l
}

// write adds a batch, by today's segments and as one hot segment.
func (l *hotLoad) write(batch map[int]int, watched bool, middle int) {
	if len(batch) == 0 {
		return
	}
	hot, own := 0.0, 0.0
	for t, events := range batch {
		more := float64(events-1) * hotMoreBytes
		l.events += float64(events)
		l.segments++
		l.units += math.Ceil((hotItemBytes + more) / 1024)
		l.bytes += hotItemBytes + more
		hot += hotFrameBytes + hotFolderBytes + more
		if t == middle {
			own = hotFrameBytes + more
		}
	}
	l.batches++
	l.hotPuts += l.stored(hot)
	if watched {
		l.median.segments++
		l.median.allBytes += hot
		l.median.ownBytes += own
		if own > 0 {
			l.median.own++
		}
	}
}

// compacted adds one compaction.
func (l *hotLoad) compacted(period int, events map[int]int) {
	c := l.compact[period]
	for _, n := range events {
		bytes := hotFrameBytes + float64(n-1)*hotMoreBytes
		c.segments++
		c.bytes += bytes
		c.usd += l.stored(bytes)
	}
	l.compact[period] = c
}

// stored returns the price of writing a segment, as an item or as an object and an item that
// names it, whichever costs less.
func (l *hotLoad) stored(bytes float64) float64 {
	item := math.Ceil(bytes/1024) * l.unit
	return min(item, usdObjectPut+l.unit) / 1e6
}

// zipf returns a function from [0,1) to tenants.
func zipf(tenants int) func(float64) int {
	sums := make([]float64, tenants)
	sum := 0.0
	for i := range sums {
		sum += 1 / math.Pow(float64(i+1), hotSkew)
		sums[i] = sum
	}
	return func(x float64) int { return min(sort.SearchFloat64s(sums, x*sum), tenants-1) }
}

// poisson returns a random number with the given mean, as the sum of parts that do not
// underflow.
func poisson(random *rand.Rand, mean float64) int {
	n := 0
	for ; mean > 0; mean -= 100 {
		limit := math.Exp(-min(mean, 100))
		for p := random.Float64(); p > limit; p *= random.Float64() {
			n++
		}
	}
	return n
}

// hotShards returns how many shards so many tenants need.
func hotShards(tenants float64) float64 {
	return math.Ceil(tenants * hotEventsPerSec * hotPeak / hotShardRate)
}

// hotBill is what a month of the log costs in one of the designs.
type hotBill struct {
	design                                       string
	segments, commits, compaction, kept, catchUp float64
}

func (b *hotBill) sum() float64 {
	return b.segments + b.commits + b.compaction + b.kept + b.catchUp
}

// The designs, by their places in a list of bills.
const (
	asItIs = iota
	ownCompacted
	sharedSegments
	sharedCommit
)

// capacity are the prices of a write unit and of a read unit, a million.
type capacity struct{ write, read float64 }

var (
	onDemand    = capacity{usdWriteUnit, usdReadUnit}
	provisioned = capacity{usdWriteHour / 3600 * 1e6 / provisionedUse, usdReadHour / 3600 * 1e6 / provisionedUse}
)

// hotMonth returns a month of so many tenants in each design.
func hotMonth(tenants float64, lanes int, of capacity) []hotBill {
	shards := hotShards(tenants)
	l := simulateShard(int(tenants/shards), tenants*hotEventsPerSec/shards, lanes, of.write, hotPeriod, hotSimulated)
	month := shards * seconds / hotSimulated
	c, hourly := l.compact[hotPeriod], l.compact[hotSimulated]
	cpu := l.events * hotEventCPU / 1000 * hotCompactMB / 1024 * usdLambdaGBs
	const kept, tableGB = keptDays / days, usdTableGB
	inTable := (l.bytes + l.segments*itemOverhead) / 1e9

	today := hotBill{
		design:   "as it is",
		segments: month * millions(l.units*of.write+l.segments*of.read),
		commits:  month * millions(l.segments*(of.write+of.read)),
		kept:     month * inTable * kept * tableGB,
	}
	own := today
	own.design = "each tenant's segments compacted into an object a day"
	own.compaction = millions(tenants*days*(usdObjectPut+of.write)) + month*(millions(l.bytes/4096*of.read/2)+cpu)
	own.kept = month*inTable*hotColdDays/days*tableGB + month*hourly.bytes/1e9*kept*usdObjectGB

	shared := hotBill{
		design:     "shared hot segments, a commit for each tenant",
		segments:   month * (l.hotPuts + millions(l.batches*of.read)),
		commits:    today.commits,
		compaction: month * (c.usd + millions(l.batches*usdObjectGet) + cpu),
		kept:       month * kept * (c.bytes*usdObjectGB + c.segments*(hotIndexBytes+itemOverhead)*tableGB) / 1e9,
		catchUp:    tenants * hotWebhooks * millions(hotGets(l, hotPeriod)*usdObjectGet),
	}
	both := shared
	both.design = "shared hot segments and commit; each tenant's version is read twice"
	both.commits = month * millions(l.batches*of.write+2*l.segments*of.read)
	return []hotBill{asItIs: today, ownCompacted: own, sharedSegments: shared, sharedCommit: both}
}

// hotGets returns the GETs of one look into what is not compacted yet, one and a half
// periods on average: the folder of each hot segment, and the frame of those that have one.
func hotGets(l *hotLoad, period int) float64 {
	return (l.median.segments + l.median.own) * 1.5 * float64(period) / hotSimulated
}
