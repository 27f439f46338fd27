package bench

import "testing"

// What docs/adr/0027-each-batch-commits.md says about its table is true.
func TestCommitClaims(t *testing.T) {
	m := recorded(t)
	for _, s := range Sizes {
		b := m.Month(s)
		c := b.commits()
		if share := (c.saves + c.records) / (b.Total() - b.Of(lineTransfer)); share > 0.04 {
			t.Errorf("%s: fewer commits would save %.1f %% of the bill; the page says less than 4", s.Name, 100*share)
		}
	}
	small, large := m.Month(Sizes[0]).commits(), m.Month(Sizes[2]).commits()
	if small.stale > 0.1 || large.stale < 0.9 {
		t.Errorf("%.2f and %.2f of the batches are at another process; the page says few and nearly all", small.stale, large.stale)
	}
}

// With one process each batch but the sixteenth has a read instead of a put.
func TestCommitCostsEqualThoseByHand(t *testing.T) {
	c := (&Bill{Segments: 16e6}).commits()
	wantUSD(t, "the puts", c.puts, 10)
	wantUSD(t, "what is saved", c.saves, 7.5)
	wantUSD(t, "the delivery records", c.records, 9.375)
	if c := (&Bill{Segments: 16e6, Stale: 1}).commits(); c.saves != 0 || c.records != 0 {
		t.Errorf("batches that always change the process save %+v", c)
	}
}
