package main

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestBucketsAreInOrderAndNarrow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, math.MaxInt64).Draw(t, "d"))
		bucket := bucketOf(d)
		if start := startOf(bucket); start > d || float64(d-start) > float64(d)/perOctave {
			t.Errorf("%d is in bucket %d, which starts at %d", d, bucket, start)
		}
		if bucket+1 < buckets && startOf(bucket+1) <= d {
			t.Errorf("%d is in bucket %d, and the next starts at %d", d, bucket, startOf(bucket+1))
		}
	})
	if got := bucketOf(-time.Second); got != 0 {
		t.Errorf("a negative duration is in bucket %d", got)
	}
	if got := bucketOf(math.MaxInt64); got >= buckets {
		t.Errorf("the longest duration is in bucket %d of %d", got, buckets)
	}
}

func TestPercentile(t *testing.T) {
	var h histogram
	if got := h.percentile(0.99); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
	times := make([]time.Duration, 1000)
	for i := range times {
		times[i] = time.Duration(rand.ExpFloat64() * float64(10*time.Millisecond))
		h.add(times[i])
	}
	slices.Sort(times)
	for _, part := range []float64{0, 0.5, 0.9, 0.99, 1} {
		want := times[max(int(math.Ceil(part*1000))-1, 0)]
		if got := h.percentile(part); got > want || float64(want-got) > float64(want)/perOctave {
			t.Errorf("percentile %v is %v, want %v to 3 %%", part, got, want)
		}
	}
}

func TestHistogramsMergeAndTravel(t *testing.T) {
	var a, b, sum histogram
	a.add(time.Millisecond)
	b.add(time.Second)
	b.add(time.Second)
	sum.merge(&a)
	sum.merge(&b)
	text, err := json.Marshal(&sum)
	if err != nil {
		t.Fatal(err)
	}
	var got histogram
	got.add(time.Hour) // is replaced
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if n := got.total(); n != 3 {
		t.Errorf("total is %d, want 3", n)
	}
	if p := got.percentile(0.3); bucketOf(p) != bucketOf(time.Millisecond) {
		t.Errorf("the lowest is %v", p)
	}
	if p := got.percentile(1); bucketOf(p) != bucketOf(time.Second) {
		t.Errorf("the highest is %v", p)
	}
	if err := json.Unmarshal([]byte(`{"99999":1}`), &got); err == nil {
		t.Error("a bucket that does not exist was accepted")
	}
}

func TestPictureHasEveryDuration(t *testing.T) {
	var h histogram
	for _, d := range []time.Duration{150 * time.Microsecond, 3 * time.Millisecond, 3 * time.Millisecond, 30 * time.Second} {
		h.add(d)
	}
	lines := strings.Split(strings.TrimSpace(h.picture()), "\n")
	shown := map[string]string{}
	for _, line := range lines {
		f := strings.Fields(line)
		shown[f[0]+"-"+f[2]] = f[3]
	}
	for step, want := range map[string]string{"100µs-200µs": "25.0", "2ms-5ms": "50.0", "5ms-10ms": "0.0", "20s-50s": "25.0"} {
		if shown[step] != want {
			t.Errorf("%s has %q, want %s, in:\n%s", step, shown[step], want, h.picture())
		}
	}
}

func TestSpread(t *testing.T) {
	for name, tt := range map[string]struct {
		values []float64
		want   spread
	}{
		"none": {nil, spread{}},
		"one":  {[]float64{2}, spread{2, 2, 2}},
		"even": {[]float64{4, 1, 2, 3}, spread{1, 2.5, 4}},
		"odd":  {[]float64{9, 1, 2}, spread{1, 2, 9}},
	} {
		if diff := cmp.Diff(tt.want, spreadOf(tt.values), cmp.AllowUnexported(spread{})); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
	}
}

func TestPairwiseDividesWithinARound(t *testing.T) {
	// The machine is half as fast in the second round; the ratio is unchanged.
	got := pairwise([]float64{3, 6, 4, 1}, []float64{2, 4, 2, 0})
	if diff := cmp.Diff(spread{1.5, 1.5, 2}, got, cmp.AllowUnexported(spread{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got.times() != "1.50 × (1.50–2.00)" || got.share() != "150 % (150–200)" {
		t.Errorf("shown as %s and %s", got.times(), got.share())
	}
}

func TestParseStat(t *testing.T) {
	got, err := parseStat([]byte("42 (a ) b) S 1 42 42 0 -1 4194304 100 0 0 0 150 75 0 0 20 0 8 0 1000 0 0\n"))
	if want := 2250 * time.Millisecond; err != nil || got != want {
		t.Errorf("parseStat = %v, %v, want %v", got, err, want)
	}
	for _, stat := range []string{"", "42", "42 (x) S 1 2", "42 (x) S 1 2 3 4 5 6 7 8 9 10 many 1 0"} {
		if got, err := parseStat([]byte(stat)); err == nil {
			t.Errorf("parseStat(%q) = %v", stat, got)
		}
	}
}

func TestParseStatus(t *testing.T) {
	status := []byte("Name:\tsluice\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n")
	if got, err := parseStatus(status, "VmRSS"); err != nil || got != 1<<20 {
		t.Errorf("VmRSS = %d, %v", got, err)
	}
	if got, err := parseStatus(status, "VmSwap"); err == nil {
		t.Errorf("VmSwap = %d", got)
	}
}

func TestTimedIDHoldsItsTime(t *testing.T) {
	at := time.Unix(1_800_000_000, 123_456_789)
	id := timedID(at, 7)
	if want := "18fae276-9b0f-cd15-0000-000000000007"; id != want {
		t.Errorf("timedID = %s, want %s", id, want)
	}
	got, ok := sentAt(id)
	if !ok || !got.Equal(at) {
		t.Errorf("sentAt = %v, %v, want %v", got, ok, at)
	}
	for _, other := range []string{"", "x", fmt.Sprintf("%036d", 0)[:35], strings.Replace(id, "1", "z", 1)} {
		if got, ok := sentAt(other); ok {
			t.Errorf("sentAt(%q) = %v", other, got)
		}
	}
}

func TestPaddedStaysValid(t *testing.T) {
	s := sample{Payload: json.RawMessage(`{"a":1}`)}
	padded := s.padded(100)
	if len(padded.Payload) < 100 || !json.Valid(padded.Payload) {
		t.Errorf("padded to %s", padded.Payload)
	}
	if string(s.Payload) != `{"a":1}` || string(s.padded(3).Payload) != `{"a":1}` {
		t.Error("the sample itself was changed")
	}
}
