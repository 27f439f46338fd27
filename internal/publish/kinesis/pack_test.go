package kinesis

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/problem"
)

// draftOf returns a draft whose event, with what encoding it adds at most, takes
// so many bytes of a segment.
func draftOf(i, size int) event.Draft {
	d := event.Draft{ID: fmt.Sprintf("01890a5d-ac96-774b-bcce-%012d", i), Name: "order.created", Payload: []byte(`{"a":""}`)}
	empty := len(d.ID) + len(d.Name) + len(d.Stamp("acme", time.UnixMilli(1)).Body) + 32
	d.Payload = []byte(`{"a":"` + strings.Repeat("x", size-empty) + `"}`)
	return d
}

// A record is full at 1,044,480 bytes, of which 64 are the segment's own.
func TestRecordsAreFilledToTheirBound(t *testing.T) {
	const most = 1_044_480 - 64
	for name, c := range map[string]struct {
		sizes []int
		want  [][]int // the events of each record
	}{
		"one that is as large as can be": {[]int{most}, [][]int{{0}}},
		"two that fit":                   {[]int{most - 1000, 1000}, [][]int{{0, 1}}},
		"two that do not":                {[]int{most - 1000, 1001}, [][]int{{0}, {1}}},
		"a small one after a full one":   {[]int{most, 300, 300}, [][]int{{0}, {1, 2}}},
		"three that fit":                 {[]int{most - 2000, 1000, 1000, 300}, [][]int{{0, 1, 2}, {3}}},
	} {
		var drafts []event.Draft
		for i, size := range c.sizes {
			drafts = append(drafts, draftOf(i, size))
		}
		records, err := pack("acme", event.Lanes{Each: 1}, drafts, nil, time.UnixMilli(1748779200123))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got [][]int
		for i := range records {
			got = append(got, records[i].indices)
			r, err := Decode(*records[i].entry.PartitionKey, records[i].entry.Data)
			if err != nil || len(r.Events) != len(records[i].indices) {
				t.Errorf("%s: record %d is read as %d events, %v", name, i, len(r.Events), err)
			}
			if n := len(eventlog.AppendSegment(nil, r.Events)); n > maxSegment {
				t.Errorf("%s: record %d has a segment of %d bytes", name, i, n)
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestAnEventThatFitsNoRecord(t *testing.T) {
	_, err := pack("acme", event.Lanes{Each: 1}, []event.Draft{draftOf(0, 300), draftOf(1, 1_044_417)}, nil, time.UnixMilli(1748779200123))
	want := "Event 1 of the call, counted from 0, takes 1044417 bytes; the limit of the stream is 1044416. Send a smaller event."
	if problem.CodeOf(err) != problem.PayloadTooLarge || problem.MessageOf(err) != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// The stream counts the partition keys to what a call may have.
func TestCallsAreFilledToTheirBound(t *testing.T) {
	p := event.Partition{Tenant: strings.Repeat("t", 98)} // a key of 100 bytes
	of := func(sizes ...int) (records []record) {
		for _, size := range sizes {
			records = append(records, newRecord(p, make([]byte, size), nil))
		}
		return records
	}
	const most = 5 << 20
	for name, c := range map[string]struct {
		records []record
		want    int
	}{
		"none":                  {nil, 0},
		"one":                   {of(1), 1},
		"as much as a call has": {of(most-300, 100), 2},
		"a byte more":           {of(most-299, 100), 1},
		"keys alone too many":   {of(most-100, 1), 1},
		"one that is too large": {of(most+1, 1), 1},
		"as many as a call has": {of(make([]int, 500)...), 500},
		"one more":              {of(make([]int, 501)...), 500},
	} {
		if got := fitting(c.records); got != c.want {
			t.Errorf("%s: %d records go into a call, want %d", name, got, c.want)
		}
	}
}
