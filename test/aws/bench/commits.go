package bench

import "fmt"

// commitEvery is how many batches of a tenant would share a commit: no more may repeat
// after a crash.
const commitEvery = 16

// commitCosts are the prices of what a month's batches commit, and of what fewer commits
// would save. TestHotPath counts the requests: each batch of a tenant reads the partition
// state, puts the segment, puts the state, and puts a delivery record if those are kept.
type commitCosts struct {
	puts    float64 // of partition states
	stale   float64 // share of the batches whose process did not deliver the tenant's last one
	saves   float64 // by the others
	records float64 // more, with delivery records
}

// commits returns them for a bill. A process that did not deliver the last batch knows
// nothing of what is not committed, so a tenant's batches must be committed where the next
// one goes to another process; which one gets it is random. A batch that is not committed
// reads the version again instead.
func (b *Bill) commits() commitCosts {
	warm := millions(b.Segments) * (1 - b.Stale) * (1 - 1.0/commitEvery)
	return commitCosts{
		puts: millions(b.Segments) * usdWriteUnit, stale: b.Stale,
		saves: warm * (usdWriteUnit - usdReadUnit), records: warm * usdWriteUnit,
	}
}

// commits shows what a commit every commitEvery batches would save.
func (m *Measured) commits() string {
	var t table
	t.header("a month", "all but transfer", "puts of partition states", "batches at another process", "would save", "of the bill", "besides, with delivery records")
	for _, s := range Sizes {
		b := m.Month(s)
		c := b.commits()
		bill := b.Total() - b.Of(lineTransfer)
		t.row(s.Name, usd(bill), usd(c.puts), fmt.Sprintf("%.0f %%", 100*c.stale), usd(c.saves), fmt.Sprintf("%.1f %%", 100*c.saves/bill), usd(c.records))
	}
	return t.String()
}
