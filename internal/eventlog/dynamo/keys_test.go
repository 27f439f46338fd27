package dynamo

import (
	"encoding/json"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
)

// What is stored under these keys must be found by every later release.
func TestKeysAreStable(t *testing.T) {
	t.Parallel()
	acme := event.Partition{Tenant: "acme", Lane: 3}
	odd := event.Partition{Tenant: "a/../b", Lane: 0}
	for _, c := range []struct{ got, want string }{
		{partitionKey(acme), "S#3#acme"},
		{partitionKey(event.Partition{Tenant: "a#b", Lane: 12}), "S#12#a#b"},
		{barrierKey, "BARRIER"},
		{belatedKey, "BELATED"},
		{markerKey, "HEAD"},
		{numberKey(0), "00000000000000000000"},
		{numberKey(1), "00000000000000000001"},
		{numberKey(18446744073709551615), "18446744073709551615"},
		{objectKey(acme, 42, 0xabc), "log/b9/3%23acme/00000000000000000042-0000000000000abc.zst"},
		{objectKey(acme, 18446744073709551615, 18446744073709551615), "log/b9/3%23acme/18446744073709551615-ffffffffffffffff.zst"},
		{objectKey(event.Partition{Tenant: "acme"}, 1, 1), "log/1a/0%23acme/00000000000000000001-0000000000000001.zst"},
		{objectKey(odd, 1, 1), "log/b1/0%23a%2F..%2Fb/00000000000000000001-0000000000000001.zst"},
		{objectKey(event.Partition{Tenant: "ü#%", Lane: 12}, 1, 1), "log/08/12%23%C3%BC%23%25/00000000000000000001-0000000000000001.zst"},
		{timetableIndex, "timetable"},
		{headsTimetable, "heads"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

// A range of numbers has no other item of the partition in it.
func TestNamesLieAfterAllNumbers(t *testing.T) {
	t.Parallel()
	for _, name := range []string{barrierKey, belatedKey, markerKey} {
		if name <= numberKey(maxNumber) {
			t.Errorf("%s lies before the last number", name)
		}
	}
	if numberKey(9) >= numberKey(10) || numberKey(maxNumber-1) >= numberKey(maxNumber) {
		t.Error("keys of numbers do not sort as the numbers do")
	}
}

func TestPartitionsAreReadFromTheirKeys(t *testing.T) {
	t.Parallel()
	for _, p := range []event.Partition{{Tenant: "acme", Lane: 3}, {Tenant: "a#b"}, {Tenant: "S#1#x", Lane: 31}} {
		if got, ok := partitionOf(partitionKey(p)); !ok || got != p {
			t.Errorf("the key of %+v is read as %+v, %v", p, got, ok)
		}
	}
	for _, key := range []string{"", "S#", "3#acme", "P#3#acme", "S#acme", "S#03#acme", "S#3#", "s#3#acme"} {
		if got, ok := partitionOf(key); ok {
			t.Errorf("%q is read as %+v", key, got)
		}
	}
}

// typed is an item in the form in which DynamoDB takes it: the type of each
// attribute, and its value.
func typed(attrs map[string]types.AttributeValue) map[string]string {
	all := map[string]string{}
	for name, v := range attrs {
		switch v := v.(type) {
		case *types.AttributeValueMemberS:
			all[name] = "S " + v.Value
		case *types.AttributeValueMemberN:
			all[name] = "N " + v.Value
		case *types.AttributeValueMemberB:
			all[name] = "B " + string(v.Value)
		}
	}
	return all
}

func TestSegmentIsStoredAs(t *testing.T) {
	t.Parallel()
	p := event.Partition{Tenant: "acme", Lane: 3}
	for name, c := range map[string]struct {
		stored item
		want   map[string]string
	}{
		"with its events": {
			item{
				number: 42, count: 2, bytes: 300, first: -1, last: 1748779200123, mark: eventlog.Mark{Source: "arn:stream", Sequence: "49590338271490256608559692538361571095921575989136588898"},
				nonce: 18446744073709551615, expires: 1751371200, data: []byte("events"),
			},
			map[string]string{
				"pk": "S S#3#acme", "sk": "S 00000000000000000042", "count": "N 2", "bytes": "N 300", "first": "N -1", "last": "N 1748779200123",
				"source": "S arn:stream", "sequence": "S 49590338271490256608559692538361571095921575989136588898",
				"nonce": "N 18446744073709551615", "expires": "N 1751371200", "data": "B events",
			},
		},
		"in an object, of no source": {
			item{number: 1, count: 1, bytes: 2, first: 3, last: 4, nonce: 5, expires: 6, object: "log/b9/x"},
			map[string]string{
				"pk": "S S#3#acme", "sk": "S 00000000000000000001", "count": "N 1", "bytes": "N 2", "first": "N 3", "last": "N 4",
				"nonce": "N 5", "expires": "N 6", "object": "S log/b9/x",
			},
		},
	} {
		attrs := c.stored.attributes(p)
		if diff := cmp.Diff(c.want, typed(attrs)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(c.stored, itemOf(attrs), cmp.AllowUnexported(item{})); diff != "" {
			t.Errorf("%s: read from what is stored as (-want +got):\n%s", name, diff)
		}
	}
}

// The attributes that only some items have, as the other tests write them too by
// their constants.
func TestAttributesAreStable(t *testing.T) {
	t.Parallel()
	got := []string{attrAt, attrNumber, attrTimetable, attrDue, attrExpires, attrFirst, attrLast}
	want := []string{"at", "number", "timetable", "due", "expires", "first", "last"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// At the second in which it expires, an item is taken for gone: DynamoDB may
// remove it from then on.
func TestTheMomentAtWhichASegmentExpires(t *testing.T) {
	t.Parallel()
	it := item{expires: base.Unix()}
	if !it.expired(base) || it.expired(base.Add(-1)) {
		t.Errorf("expired at its time: %v, a nanosecond before: %v", it.expired(base), it.expired(base.Add(-1)))
	}
}

// describe is what searches by time go by.
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
	want := item{count: 4, bytes: size, first: base.UnixMilli() - 3, last: base.UnixMilli() + 4}
	if diff := cmp.Diff(want, it, cmp.AllowUnexported(item{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var one item
	one.describe(events[:1])
	if one.count != 1 || one.first != base.UnixMilli() || one.last != one.first {
		t.Errorf("of one event: %+v", one)
	}
}
