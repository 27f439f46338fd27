package front

import "maps"

// Counts are requests by service and operation, as "dynamodb.PutItem", those
// that a fault befell among them.
type Counts map[string]int

// Counts returns what was asked since the front began.
func (f *Front) Counts() Counts {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.counts)
}

// Since returns what was asked after an earlier count.
func (c Counts) Since(earlier Counts) Counts {
	since := Counts{}
	for name, n := range c {
		if n -= earlier[name]; n != 0 {
			since[name] = n
		}
	}
	return since
}

func (f *Front) count(c call) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[c.service+"."+c.op]++
}
