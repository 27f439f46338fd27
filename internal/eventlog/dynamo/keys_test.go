package dynamo

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/dynamotable"
	"github.com/sluicehq/sluice/internal/event"
)

// Every later release must find what is stored under these keys.
func TestKeysAreStable(t *testing.T) {
	t.Parallel()
	acme := event.Partition{Tenant: "acme", Lane: 3}
	odd := event.Partition{Tenant: "a/../b", Lane: 0}
	for _, c := range []struct{ got, want string }{
		{segmentKey(acme, 1).PK, "S#3#acme"},
		{segmentKey(event.Partition{Tenant: "a#b", Lane: 12}, 1).PK, "S#12#a#b"},
		{skWatermark, "BARRIER"},
		{skLate, "BELATED"},
		{skMarker, "HEAD"},
		{digits(0), "00000000000000000000"},
		{digits(1), "00000000000000000001"},
		{digits(18446744073709551615), "18446744073709551615"},
		{objectKey(acme, 42, 0xabc), "log/b9/3%23acme/00000000000000000042-0000000000000abc.zst"},
		{objectKey(acme, 18446744073709551615, 18446744073709551615), "log/b9/3%23acme/18446744073709551615-ffffffffffffffff.zst"},
		{objectKey(event.Partition{Tenant: "acme"}, 1, 1), "log/1a/0%23acme/00000000000000000001-0000000000000001.zst"},
		{objectKey(odd, 1, 1), "log/b1/0%23a%2F..%2Fb/00000000000000000001-0000000000000001.zst"},
		{objectKey(event.Partition{Tenant: "ü#%", Lane: 12}, 1, 1), "log/08/12%23%C3%BC%23%25/00000000000000000001-0000000000000001.zst"},
		{dynamotable.DueIndex, "timetable"},
		{oldMarkerShard, "heads"},
		{markerShardOf(event.Partition{Tenant: "acme"}), "heads#10"},
		{markerShardOf(event.Partition{Tenant: "acme", Lane: 1}), "heads#7"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

// A range of numbers includes no other item of the partition.
func TestNamesLieAfterAllNumbers(t *testing.T) {
	t.Parallel()
	for _, name := range []string{skWatermark, skLate, skMarker} {
		if name <= digits(maxNumber) {
			t.Errorf("%s lies before the last number", name)
		}
	}
	if digits(9) >= digits(10) || digits(maxNumber-1) >= digits(maxNumber) {
		t.Error("keys of numbers do not sort as the numbers do")
	}
}

func TestPartitionsAreReadFromTheirKeys(t *testing.T) {
	t.Parallel()
	for _, p := range []event.Partition{{Tenant: "acme", Lane: 3}, {Tenant: "a#b"}, {Tenant: "S#1#x", Lane: 31}} {
		if got, ok := partitionOf(segmentKey(p, 7)); !ok || got != p {
			t.Errorf("the key of %+v is read as %+v, %v", p, got, ok)
		}
	}
	for _, pk := range []string{"", "S#", "3#acme", "P#3#acme", "S#acme", "S#03#acme", "S#3#", "s#3#acme"} {
		if got, ok := partitionOf(key{PK: pk}); ok {
			t.Errorf("%q is read as %+v", pk, got)
		}
	}
}

// An item counts as gone from the second in which it expires: DynamoDB may remove it
// from then on.
func TestTheMomentAtWhichASegmentExpires(t *testing.T) {
	t.Parallel()
	it := item{Expires: base.Unix()}
	if !it.expired(base) || it.expired(base.Add(-1)) {
		t.Errorf("expired at its time: %v, a nanosecond before: %v", it.expired(base), it.expired(base.Add(-1)))
	}
}

// Searches by time rely on describe.
func TestAnItemSaysWhatItsEventsAre(t *testing.T) {
	t.Parallel()
	events := []event.Event{eventAt(1, 5, base.Add(2)), eventAt(2, 7, base.Add(-3e6)), eventAt(3, 0, base.Add(4e6)), eventAt(4, 0, base)}
	var it item
	it.describe(events)
	size := 0
	for i := range events {
		if !json.Valid(events[i].Body) {
			t.Fatalf("body %s", events[i].Body)
		}
		size += len(events[i].Body)
	}
	want := item{Count: 4, Bytes: size, First: base.UnixMilli() - 3, Last: base.UnixMilli() + 4}
	if diff := cmp.Diff(want, it, cmp.AllowUnexported(item{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var one item
	one.describe(events[:1])
	if one.Count != 1 || one.First != base.UnixMilli() || one.Last != one.First {
		t.Errorf("of one event: %+v", one)
	}
}
