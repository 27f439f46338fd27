package main

import (
	"encoding/json"
	"fmt"
	"math/bits"
	"strings"
	"sync/atomic"
	"time"
)

// Each power of two is divided into perOctave buckets, so that a percentile is
// exact to 3 %.
const (
	octaveBits = 5
	perOctave  = 1 << octaveBits
	buckets    = (64 - octaveBits) * perOctave
)

// histogram counts durations. It is safe for concurrent use.
type histogram struct{ counts [buckets]atomic.Int64 }

// bucketOf returns the bucket of a duration; a negative one counts as 0.
func bucketOf(d time.Duration) int {
	v := uint64(max(d, 0))
	octave := max(bits.Len64(v)-octaveBits-1, 0)
	return octave<<octaveBits + int(v>>octave)
}

// startOf returns the shortest duration in a bucket.
func startOf(bucket int) time.Duration {
	if bucket < 2*perOctave {
		return time.Duration(bucket)
	}
	octave := bucket>>octaveBits - 1
	return time.Duration(bucket-octave<<octaveBits) << octave
}

func (h *histogram) add(d time.Duration) { h.counts[bucketOf(d)].Add(1) }

// merge adds the counts of the other histogram.
func (h *histogram) merge(other *histogram) {
	for i := range other.counts {
		h.counts[i].Add(other.counts[i].Load())
	}
}

func (h *histogram) reset() {
	for i := range h.counts {
		h.counts[i].Store(0)
	}
}

func (h *histogram) total() int64 {
	n := int64(0)
	for i := range h.counts {
		n += h.counts[i].Load()
	}
	return n
}

// percentile returns the given percentile, part in [0, 1], to the width of a
// bucket; 0 if the histogram is empty.
func (h *histogram) percentile(part float64) time.Duration {
	total := h.total()
	if total == 0 {
		return 0
	}
	seen := int64(0)
	for i := range h.counts {
		if seen += h.counts[i].Load(); seen > 0 && float64(seen) >= part*float64(total) {
			return startOf(i)
		}
	}
	return startOf(buckets - 1)
}

// between returns the count in [from, to), to the width of a bucket.
func (h *histogram) between(from, to time.Duration) int64 {
	n := int64(0)
	for i := bucketOf(from); i < bucketOf(to); i++ {
		n += h.counts[i].Load()
	}
	return n
}

// MarshalJSON encodes the buckets that are not empty.
func (h *histogram) MarshalJSON() ([]byte, error) {
	filled := make(map[int]int64)
	for i := range h.counts {
		if n := h.counts[i].Load(); n > 0 {
			filled[i] = n
		}
	}
	return json.Marshal(filled)
}

// UnmarshalJSON decodes the output of MarshalJSON.
func (h *histogram) UnmarshalJSON(data []byte) error {
	var filled map[int]int64
	if err := json.Unmarshal(data, &filled); err != nil {
		return err
	}
	h.reset()
	for i, n := range filled {
		if i < 0 || i >= buckets {
			return fmt.Errorf("a histogram has no bucket %d", i)
		}
		h.counts[i].Store(n)
	}
	return nil
}

// picture draws the histogram in steps of 1, 2, 5.
func (h *histogram) picture() string {
	const width = 50
	total := h.total()
	var out strings.Builder
	seen := int64(0)
	from, to := time.Duration(0), 100*time.Microsecond
	for step := 0; seen < total; step++ {
		n := h.between(from, to)
		seen += n
		if n > 0 || seen > 0 {
			line := fmt.Sprintf("%8s to %-8s %5.1f %%  %s", from, to, 100*float64(n)/float64(total), strings.Repeat("#", int(n*width/total)))
			out.WriteString(strings.TrimRight(line, " ") + "\n")
		}
		from = to
		if step%3 == 1 {
			to = to * 5 / 2
		} else {
			to *= 2
		}
	}
	return out.String()
}
