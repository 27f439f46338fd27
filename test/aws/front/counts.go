package front

import "maps"

// Counts are the numbers of requests by service and operation, such as
// "dynamodb.PutItem", including those with a fault.
type Counts map[string]int

// Counts returns the requests since the front started.
func (f *Front) Counts() Counts {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.counts)
}

// Since returns the requests after an earlier count.
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
