package deliveries_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
)

var (
	now  = time.Date(2026, 6, 1, 12, 0, 0, int(123*time.Millisecond), time.UTC)
	part = event.Partition{Tenant: "acme", Lane: 2}
)

func pack(parts ...deliveries.Part) []deliveries.Record {
	return deliveries.Pack(part, "", now, time.Hour, parts)
}

func delivered(segment uint64, index int, last, took int64) deliveries.Result {
	return deliveries.Result{Place: deliveries.Place{Segment: segment, Index: index}, Outcome: deliveries.Delivered, Attempts: 1, First: last, Last: last, Took: took, Status: 200}
}

// What is packed is unpacked, for each integration apart.
func TestPackedPartsAreUnpacked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := now.UnixMilli()
		at := rapid.Int64Range(base-1e9, base)
		var parts []deliveries.Part
		for i := range rapid.IntRange(1, 4).Draw(t, "integrations") {
			p := deliveries.Part{Integration: fmt.Sprint("hook-", i), Incarnation: rapid.Uint64().Draw(t, "incarnation")}
			if rapid.Bool().Draw(t, "file") {
				p.File = &deliveries.File{
					Key: rapid.String().Draw(t, "key"), Attempts: 3, Status: 200, First: at.Draw(t, "first"), Last: at.Draw(t, "last"), Took: 7,
					From:   handoff.Offset{Segment: rapid.Uint64Range(0, 1<<40).Draw(t, "from"), Index: rapid.IntRange(0, 9).Draw(t, "index")},
					To:     handoff.Offset{Segment: rapid.Uint64Range(0, 1<<40).Draw(t, "to")},
					Filter: event.Filter{Names: []string{"a.b"}, Until: now},
				}
			}
			place := deliveries.Place{Segment: rapid.Uint64Range(1, 1<<40).Draw(t, "segment")}
			for range rapid.IntRange(0, 60).Draw(t, "results") {
				r := delivered(place.Segment, place.Index, at.Draw(t, "at"), rapid.Int64Range(0, 20000).Draw(t, "took"))
				switch rapid.IntRange(0, 5).Draw(t, "kind") {
				case 0:
					r.Outcome, r.Status, r.Cause = deliveries.Rejected, 400, rapid.String().Draw(t, "cause")
				case 1:
					r.Outcome, r.Attempts, r.Status, r.First = deliveries.Skipped, 2, 0, 0
				case 2:
					r.Attempts, r.First = 12, r.Last-rapid.Int64Range(0, 1e9).Draw(t, "since")
				case 3, 4:
					r.First, r.Last, r.Took = base, base, 1 // as the one before, often
				}
				if p.File == nil {
					p.Results = append(p.Results, r)
				}
				if rapid.IntRange(0, 3).Draw(t, "step") > 0 {
					place.Index += rapid.IntRange(1, 3).Draw(t, "skip")
				} else {
					place = deliveries.Place{Segment: place.Segment + rapid.Uint64Range(1, 1000).Draw(t, "segments"), Index: rapid.IntRange(0, 2).Draw(t, "index")}
				}
			}
			parts = append(parts, p)
		}
		records := pack(parts...)
		for _, p := range parts {
			var want, got []deliveries.Part
			if p.File != nil || len(p.Results) > 0 {
				want = append(want, p)
			}
			for i := range records {
				some, err := records[i].Unpack(p.Integration, p.Incarnation)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, some...)
				for _, r := range p.Results {
					if len(some) > 0 && (r.Segment < records[i].First || r.Segment > records[i].Last) {
						t.Fatalf("the record is of segments %d to %d, and has one of %d", records[i].First, records[i].Last, r.Segment)
					}
				}
				if other, err := records[i].Unpack(p.Integration, p.Incarnation+1); err != nil || other != nil {
					t.Fatalf("another incarnation has %+v, %v", other, err)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}

// Results in the order of their responses are packed in the order of the log.
func TestPackSorts(t *testing.T) {
	ms := now.UnixMilli()
	records := pack(deliveries.Part{Integration: "hook", Results: []deliveries.Result{delivered(7, 1, ms, 3), delivered(6, 0, ms, 3), delivered(7, 0, ms, 3)}})
	parts, err := records[0].Unpack("hook", 0)
	if err != nil || len(parts) != 1 {
		t.Fatalf("%+v, %v", parts, err)
	}
	for i, want := range []deliveries.Place{{Segment: 6}, {Segment: 7}, {Segment: 7, Index: 1}} {
		if parts[0].Results[i].Place != want {
			t.Errorf("result %d is of %+v, want %+v", i, parts[0].Results[i].Place, want)
		}
	}
	if r := records[0]; r.First != 6 || r.Last != 7 || r.Partition != part || !r.At.Equal(now) || !r.Expires.Equal(now.Add(time.Hour)) {
		t.Errorf("the record is %+v", r)
	}
}

// A batch to receivers that respond alike takes a few bytes, however many events it has; one
// to receivers that take different times takes a few bytes an event.
func TestEqualResultsArePackedInRuns(t *testing.T) {
	ms := now.UnixMilli()
	var equal, single, different []deliveries.Result
	for i := range 1000 {
		equal = append(equal, delivered(5, i, ms, 1))
		single = append(single, delivered(uint64(5+i), 0, ms, 1))
		different = append(different, delivered(uint64(5+i), 0, ms+int64(i%2000), int64(50+i*7%300)))
	}
	for name, c := range map[string]struct {
		results []deliveries.Result
		most    int
	}{"of one segment": {equal, 48}, "of a thousand segments": {single, 48}, "of different times": {different, 5 * 1000}} {
		var parts []deliveries.Part
		for i := range 10 {
			parts = append(parts, deliveries.Part{Integration: fmt.Sprint("hook-", i), Results: c.results})
		}
		records := pack(parts...)
		if len(records) != 1 || len(records[0].Data) > 10*c.most {
			t.Errorf("%s: %d records, the first with %d bytes, want at most %d an integration", name, len(records), len(records[0].Data), c.most)
		}
	}
	if records := pack(deliveries.Part{Integration: "hook"}); records != nil {
		t.Errorf("nothing is packed as %+v", records)
	}
}

// A record that would be too large for an item of DynamoDB goes on in another one.
func TestLargeRecordsAreContinued(t *testing.T) {
	var parts []deliveries.Part
	for i := range 100 {
		p := deliveries.Part{Integration: fmt.Sprint("hook-", i)}
		for j := range 2000 {
			p.Results = append(p.Results, delivered(uint64(1+j), 0, now.UnixMilli()+int64(j*j%5000), int64(j*7%300)))
		}
		parts = append(parts, p)
	}
	records := pack(parts...)
	found := 0
	for i := range records {
		if n := len(records[i].Data); n > 256<<10 {
			t.Errorf("record %d has %d bytes", i, n)
		}
		for _, p := range parts {
			some, err := records[i].Unpack(p.Integration, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, got := range some {
				if found++; len(got.Results) != 2000 {
					t.Errorf("%s has %d results", p.Integration, len(got.Results))
				}
			}
		}
	}
	if len(records) < 2 || found != 100 {
		t.Errorf("%d records have %d parts", len(records), found)
	}
}

// The form is pinned: every later release must be able to read it.
func TestRecordsArePackedAs(t *testing.T) {
	ms := now.UnixMilli()
	rejected := deliveries.Result{Place: deliveries.Place{Segment: 302, Index: 4}, Outcome: deliveries.Rejected, Attempts: 2, First: ms - 900, Last: ms - 5, Took: 4, Status: 400, Cause: "no"}
	records := pack(
		deliveries.Part{Integration: "hook", Incarnation: 7, Results: []deliveries.Result{delivered(300, 0, ms-9, 2), delivered(300, 1, ms-9, 2), delivered(300, 2, ms-9, 2), rejected}},
		deliveries.Part{Integration: "files", Incarnation: 8, File: &deliveries.File{
			Key: "k", From: handoff.Offset{Segment: 299, Index: 1}, To: handoff.Offset{Segment: 302}, Attempts: 1, First: ms, Last: ms, Took: 3, Status: 200,
			Filter: event.Filter{Names: []string{"a.b"}, Entities: []string{"c"}, From: now},
		}},
	)
	const want = "01" + "f6e9f0b0d067" + "ac02" + // the form, the time, the segment
		"04686f6f6b" + "07" + "00" + // hook: results
		"03" + "00" + "01" + "c801" + "00" + // a run of three: delivered, one attempt, 200, no cause
		"02" + "11" + "02" + // the first event of the next segment, 9 ms before, took 2 ms
		"01" + "00" + "02" + "01" + // the next one, at the same time, as long; and one more like it
		"01" + "01" + "02" + "9003" + "026e6f" + // a run of one: rejected, two attempts, 400, no
		"06" + "02" + "04" + "08" + "04" + "800e" + // two segments further, 4 ms later, took 4 ms, 895 ms after the first attempt
		"00" + // the end of the runs
		"0566696c6573" + "08" + "01" + "016b" + // files: the file k
		"ab02" + "01" + "ae02" + "00" + // from and to
		"01" + "c801" + "00" + "00" + "03" + // one attempt, 200, the times, took 3 ms
		"0103612e62" + "010163" + "0100" + "00" // the filter: names, entities, from, no until
	if got := fmt.Sprintf("%x", records[0].Data); got != want {
		t.Errorf("it is packed as\n%s, want\n%s", got, want)
	}
}

// Data that is damaged is an error, never a panic or much memory.
func FuzzUnpack(f *testing.F) {
	for _, r := range pack(deliveries.Part{Integration: "hook", Results: []deliveries.Result{delivered(3, 1, now.UnixMilli(), 3), delivered(9, 0, 0, 0)}},
		deliveries.Part{Integration: "files", File: &deliveries.File{Key: "k", Filter: event.Filter{Names: []string{"a.b"}}}}) {
		f.Add(r.Data)
		for i := range r.Data {
			f.Add(r.Data[:i])
			f.Add(append(bytes.Clone(r.Data[:i]), 0xff, 0xff, 0xff, 0xff, 0x0f))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := deliveries.Record{Partition: part, Data: data}
		parts, err := r.Unpack("hook", 0)
		if err != nil && parts != nil {
			t.Errorf("%+v with %v", parts, err)
		}
	})
}
