package bench

import (
	"encoding/json"
	"flag"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the tables of measured.json into docs/benchmarks.md and docs/cost.md")

func recorded(t *testing.T) *Measured {
	t.Helper()
	text, err := os.ReadFile("measured.json")
	if err != nil {
		t.Fatal(err)
	}
	m := new(Measured)
	if err := json.Unmarshal(text, m); err != nil {
		t.Fatal(err)
	}
	return m
}

// The tables of the pages are those generated from the recorded measurement.
func TestPages(t *testing.T) {
	tables := recorded(t).Tables()
	for _, page := range []string{"../../../docs/benchmarks.md", "../../../docs/cost.md", "../../../docs/adr/0026-no-shared-hot-segments.md", "../../../docs/adr/0027-each-batch-commits.md", "../../../docs/adr/0033-segments-without-a-backup.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		want := string(text)
		for name, table := range tables {
			begin, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->\n"
			before, rest, ok := strings.Cut(want, begin)
			_, after, closed := strings.Cut(rest, end)
			if !ok || !closed {
				continue
			}
			want = before + begin + table + end + after
			delete(tables, name)
		}
		if diff := cmp.Diff(want, string(text)); diff != "" && !*update {
			t.Errorf("%s is out of date; run 'go test ./test/aws/bench -update' (-want +got):\n%s", page, diff)
		}
		if !*update {
			continue
		}
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name := range tables {
		t.Errorf("no page has a place for the table %s", name)
	}
}

// What docs/cost.md says about its table "claim" is true.
func TestClaims(t *testing.T) {
	m := recorded(t)
	for _, tt := range []struct {
		size                int
		webhooks, events    float64
		busLow, busHigh     float64 // Sluice is so many times EventBridge
		topicLow, topicHigh float64 // and SNS
	}{
		{0, 2, 1, 10, 1000, 10, 1000},
		{1, 1, 1, 1, 10, 1, 10},
		{1, 2, 1, 1, 10, 1, 10},
		{1, 10, 1, 1, 10, 0.5, 2},
		{1, 1, 100, 0.4, 0.65, 0.4, 0.7},
		{1, 2, 100, 0.4, 0.6, 0.3, 0.6},
		{1, 10, 100, 0.2, 0.3, 0.1, 0.2},
		{2, 2, 1, 1, 10, 1, 10},
		{2, 10, 1, 1, 10, 0.3, 0.99},
		{2, 2, 100, 0.08, 0.12, 0.06, 0.12},
		{2, 10, 100, 0.03, 0.05, 0.01, 0.03},
	} {
		s := Sizes[tt.size]
		s.Webhooks, s.EventsPerCall = tt.webhooks, tt.events
		b := m.Month(s)
		ours := b.Total() - b.Of(lineTransfer)
		bus, topic := ours/Bus(s), ours/Topic(s)
		if bus < tt.busLow || bus > tt.busHigh || topic < tt.topicLow || topic > tt.topicHigh {
			t.Errorf("%s, %.0f webhooks, calls of %.0f: %.2f × EventBridge and %.2f × SNS; the page says otherwise", s.Name, tt.webhooks, tt.events, bus, topic)
		}
	}
	if idle := Idle(); idle.Of(lineStream) < 0.7*idle.Total() {
		t.Error("an idle deployment does not mostly cost its shard")
	}
	if base := m.Month(Sizes[1]); m.HotPath.RecordBytes[1] <= 1024 || base.Of(lineObjects) > 0 {
		t.Error("ten subscribers fit into a write unit, or single events go to S3")
	}
}

// plain returns figures that can be calculated by hand.
func plain() *Measured {
	return &Measured{
		HotPath: HotPath{
			InvocationCPU: 2, PartitionCPU: 1, DeliveryCPU: 0.1, BilledMS: 20, LogBytes: 100,
			EventBytes: 1000, SegmentBytes: 900, RecordBytes: [2]int{300, 1100},
		},
		Publish: []Publish{{Events: 1, BilledMS: 10, CPU: 1, Bytes: 600, LogBytes: 100}, {Events: 10, BilledMS: 10, CPU: 2, Bytes: 2400, LogBytes: 100}, {Events: 100, BilledMS: 20, CPU: 10, Bytes: 20_400, LogBytes: 100}},
		CatchUp: CatchUp{BilledMS: 3000, CPU: 100},
	}
}

func wantUSD(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 0.01*want {
		t.Errorf("%s costs %.4f, want %.4f", what, got, want)
	}
}

// A tenant with one call a second at random times: 1 - 1/e of the seconds have a
// segment.
func TestBillEqualsOneByHand(t *testing.T) {
	s := Size{Tenants: 1, EventsPerDay: seconds / days, EventsPerCall: 1, Webhooks: 2, ReceiverMS: 100, Peak: 1}
	b := plain().Month(s)
	wantUSD(t, lineGateway, b.Of(lineGateway), 2.628)
	wantUSD(t, lineAPI, b.Of(lineAPI), 2.628*0.20+2.628e6*0.010*0.5*usdLambdaGBs)
	wantUSD(t, lineStream, b.Of(lineStream), 730*0.015+2.628*0.014)
	segments := 2.628e6 * (1 - 1/math.E)
	if math.Abs(b.Segments-segments) > 1 || b.Invocations != b.Segments {
		t.Errorf("%f segments and %f invocations, want %f of both", b.Segments, b.Invocations, segments)
	}
	// 20 ms and 100 ms of waiting; the CPU, (2 + 1 + 0.3) / 0.29, is less.
	wantUSD(t, lineFanout, b.Of(lineFanout), segments/1e6*0.20+segments*0.120*0.5*usdLambdaGBs)
	// A segment has 1.58 events: 900 + 0.58 × 200 bytes.
	wantUSD(t, lineWrites, b.Of(lineWrites), segments/1e6*(2*0.625+0.125))
	// Kept for 33 of 30.4 days, and not in point-in-time recovery.
	wantUSD(t, lineStorage, b.Of(lineStorage), segments*33/30.4*(900+0.58*200+100)/1e9*0.25)
	wantUSD(t, lineTransfer, b.Of(lineTransfer), (2*2.628e6*1700+2.628e6*600)/1e9*0.09)
	sum := 0.0
	for _, l := range b.Lines {
		sum += l.USD
	}
	wantUSD(t, "all", b.Total(), sum)
}

func TestWhatAModelTakes(t *testing.T) {
	if got := Model(100, 10, 512); got != 100 {
		t.Errorf("mostly waiting: %v", got)
	}
	if got := Model(100, 50, 512); math.Abs(got-50*1769/512.0) > 0.01 {
		t.Errorf("mostly computing: %v", got)
	}
	if got := Share(4096); got != 1 {
		t.Errorf("a goroutine has %v processors", got)
	}
}

// Large segments move to S3 and leave a small item.
func TestLargeSegmentsAreObjects(t *testing.T) {
	s := Sizes[1]
	s.EventsPerCall = 100
	b := plain().Month(s)
	wantUSD(t, lineObjects, b.Of(lineObjects), b.Segments/1e6*5+b.Segments*33/30.4*(900+100*200)/1e9*0.023)
	if small := plain().Month(Sizes[1]); small.Of(lineObjects) != 0 {
		t.Errorf("small segments cost %v of S3", small.Of(lineObjects))
	}
}

// If many processes take turns, most do not know the log's end and pay for another
// read.
func TestManyProcessesReadTheEnd(t *testing.T) {
	b := plain().Month(Sizes[2])
	each := b.Of(lineWrites) / millions(b.Segments)
	wantUSD(t, "a million segments", each, 2*0.625+(1+b.Stale)*0.125)
	if b.Stale < 0.95 || b.Stale > 1 {
		t.Errorf("%.2f of the segments begin with a read", b.Stale)
	}
}

func TestTracesAreSampled(t *testing.T) {
	if got := traced(seconds / 2); got != seconds/2 {
		t.Errorf("below one a second %v are recorded", got)
	}
	if got, want := traced(101*seconds), 6*seconds; math.Abs(got-want) > 1 {
		t.Errorf("of 101 a second %v are recorded, want %v", got, want)
	}
}

// An alarm on an expression costs by the metrics in it.
func TestAlarmMetricsAreThoseOfTheTemplate(t *testing.T) {
	text, err := os.ReadFile("../../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	before, optional, _ := strings.Cut(string(text), "\n  ApiCanaryAlarm:\n")
	_, after, _ := strings.Cut(optional, "\n\n")
	count := func(s string) int { return strings.Count(before+after, s) }
	if got := count("MetricStat:\n") + count("AWS::CloudWatch::Alarm\n") - count("      Metrics:\n"); got != alarmMetrics {
		t.Errorf("the alarms of template.yaml have %d metrics, and %d are counted", got, alarmMetrics)
	}
}
