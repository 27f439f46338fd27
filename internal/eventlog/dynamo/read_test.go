package dynamo

import (
	"io"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/johannesboyne/gofakes3"

	"github.com/sluicehq/sluice/internal/dynamotable"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/problem"
)

func (r *rig) objects() []string {
	r.t.Helper()
	list, err := r.backend.ListBucket(bucket, nil, gofakes3.ListBucketPage{})
	if err != nil {
		r.t.Fatal(err)
	}
	var keys []string
	for _, o := range list.Contents {
		keys = append(keys, o.Key)
	}
	return keys
}

func TestSmallInTheItemLargeInTheBucket(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	l := r.process()
	for i, size := range []int{10, 8 << 10, 40 << 10, 10, 300 << 10, 30 << 10} {
		r.append(l, "stream", record(i+1, size))
	}
	for _, it := range r.items(part) {
		large := it.number() == 3 || it.number() > 4
		if large != (it.Object != "") || large == (len(it.Data) > 0) || len(it.Data) > inlineBytes {
			t.Errorf("segment %d: %d bytes in the item, object %q", it.number(), len(it.Data), it.Object)
		}
		if large && (!slices.Contains(r.objects(), it.Object) || !strings.HasPrefix(it.Object, "log/")) {
			t.Errorf("segment %d: its object %q is not among %q", it.number(), it.Object, r.objects())
		}
	}
	equal(t, "ids", r.ids(), wantIDs(1, 6))
}

func TestObjectsOfAnyTenant(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, tenant := range []string{"a", "a/b", "../../x", "a b%20c", "é#?&+", ".", strings.Repeat("ü", 100)} {
		p := event.Partition{Tenant: tenant}
		l := r.process()
		if _, err := l.Append(t.Context(), p, "", eventsOf(tenant, 40<<10)); err != nil {
			t.Fatalf("%q: %v", tenant, err)
		}
		got, err := r.process().Read(t.Context(), p, 0, 1)
		if err != nil || len(got) != 1 || got[0].Events[0].Tenant != tenant {
			t.Errorf("%q: read %v, %v", tenant, got, err)
		}
	}
	if n := len(r.objects()); n != 7 {
		t.Errorf("%d objects, want 7", n)
	}
}

// The object is stored before the item: a segment without its events would be lost.
func TestObjectBeforeItem(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	l := r.process()
	r.append(l, "stream", record(1, 10))
	r.s3.fail(func(string, bool) int { return 500 })
	n, err := l.Append(t.Context(), part, "stream", eventRecords(2, 40<<10))
	if problem.CodeOf(err) != problem.Unavailable {
		t.Errorf("got %d, %v, want an error that is unavailable", n, err)
	}
	if n := len(r.items(part)); n != 1 {
		t.Errorf("%d items, want that of the first segment", n)
	}
}

// An object that is gone may be brought back, so its segment is an error. One with the
// wrong bytes is damaged, and holds nobody up.
func TestObjectMissingOrDamaged(t *testing.T) {
	t.Parallel()
	const missing = "missing"
	for name, harm := range map[string]func(r *rig, key string) error{
		missing:   func(r *rig, key string) error { _, err := r.backend.DeleteObject(bucket, key); return err },
		"damaged": func(r *rig, key string) error { return r.put(key, "no segment") },
		"another's": func(r *rig, key string) error {
			packed, _ := pack([]event.Event{eventAt(1, 1, base), eventAt(2, 1, base)})
			return r.put(key, string(packed))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			for i, size := range []int{10, 10, 40 << 10, 10} {
				r.append(r.process(), "stream", record(i+1, size))
			}
			if err := harm(r, r.objects()[0]); err != nil {
				t.Fatal(err)
			}
			l, want := r.process(), map[bool]int{true: 2, false: 4}[name == missing]
			if got := r.read(l, 0, 1<<20); len(got) != want {
				t.Errorf("got %d segments, want %d", len(got), want)
			}
			got, err := l.Read(t.Context(), part, 2, 1<<20)
			if name != missing && len(got) == 2 && got[0].Damage != nil {
				if got[0].Damage.Events != 1 || !got[0].Damage.Last.Equal(base.Add(3*time.Millisecond)) {
					t.Errorf("damage %+v", got[0].Damage)
				}
				err = got[0].Damage.Err
			}
			if problem.CodeOf(err) != problem.Internal || !strings.Contains(err.Error(), `segment 3 in lane 0 of tenant "acme"`) {
				t.Errorf("got %v, want an internal error that names the segment", err)
			}
			if got := r.read(l, 3, 1<<20); len(got) != 1 || got[0].Number != 4 {
				t.Errorf("after it: got %d segments", len(got))
			}
		})
	}
}

// What looks damaged is read again before it is skipped for good.
func TestOneBadReadIsNoDamage(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"in the item": 10, "in the bucket": 40 << 10} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.append(r.process(), "stream", record(1, size))
			it := r.items(part)[0]
			flip := func() error {
				if it.Object == "" {
					it.Data[len(it.Data)/2] ^= 1
					_, err := r.options.DynamoDB.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &r.options.Segments, Item: encoded(t, &it)})
					return err
				}
				data := r.content(it.Object)
				data[len(data)/2] ^= 1
				return r.put(it.Object, string(data))
			}
			reads := 0 // of the events
			beforeRead := func(read ...string) func(string, bool) int {
				return func(operation string, done bool) int {
					if done || !slices.Contains(read, operation) {
						return 0
					}
					if reads++; reads > 2 {
						return 0
					}
					if err := flip(); err != nil { // bad, then good again
						t.Error(err)
					}
					return 0
				}
			}
			if it.Object == "" {
				r.dynamo.fail(beforeRead("Query", "GetItem"))
			} else {
				r.s3.fail(beforeRead("GET"))
			}
			got := r.read(r.process(), 0, 1)
			if len(got) != 1 || got[0].Damage != nil || len(got[0].Events) != 1 || reads != 2 {
				t.Errorf("read %+v in %d reads, want the event in the second", got, reads)
			}
		})
	}
}

// content returns what is in an object.
func (r *rig) content(key string) []byte {
	r.t.Helper()
	o, err := r.backend.GetObject(bucket, key, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	defer o.Contents.Close()
	data, err := io.ReadAll(o.Contents)
	if err != nil {
		r.t.Fatal(err)
	}
	return data
}

func (r *rig) put(key, content string) error {
	_, err := r.backend.PutObject(bucket, key, map[string]string{}, strings.NewReader(content), int64(len(content)), nil)
	return err
}

// An expired segment is gone, whether DynamoDB has removed its item or not. It removes
// items in any order.
func TestExpired(t *testing.T) {
	t.Parallel()
	const length = 40
	for name, removed := range map[string]func(upTo uint64) []uint64{
		"none removed": func(uint64) []uint64 { return nil },
		"some removed": func(upTo uint64) []uint64 {
			var some []uint64
			for n := range upTo {
				if rand.IntN(2) == 0 {
					some = append(some, n+1)
				}
			}
			return some
		},
		"the last ones removed":     func(upTo uint64) []uint64 { return []uint64{upTo, max(upTo-1, 1), max(upTo-2, 1)} },
		"all but the first removed": func(upTo uint64) []uint64 { return upwards(2, upTo) },
		"all removed":               func(upTo uint64) []uint64 { return upwards(1, upTo) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			l := r.process()
			for i := range length {
				r.append(l, "stream", record(i+1, 10))
			}
			for _, upTo := range []uint64{1, 7, 30, length} {
				if err := l.putMarker(t.Context(), part, upTo); err != nil {
					t.Fatal(err)
				}
				r.expire(part, upTo)
				r.remove(part, removed(upTo)...)
				checkExpired(t, r, upTo, length)
			}
			if n := r.append(r.process(), "stream", record(length+1, 10)); n != length+1 {
				t.Errorf("the next segment is %d, want %d", n, length+1)
			}
			checkExpired(t, r, length, length+1)
		})
	}
}

// checkExpired checks the log's results when the segments up to a number have expired.
func checkExpired(t *testing.T, r *rig, upTo, length uint64) {
	t.Helper()
	for _, after := range []uint64{0, upTo / 2, upTo, upTo + 1} {
		want := upwards(max(upTo, after)+1, length)
		l := r.process()
		var got []uint64
		for at := after; ; {
			segments := r.read(l, at, 1500)
			if len(segments) == 0 {
				break
			}
			for i := range segments {
				if i > 0 && segments[i].Number != segments[i-1].Number+1 {
					t.Errorf("up to %d expired: a read after %d has a gap", upTo, at)
				}
				got = append(got, segments[i].Number)
			}
			at = got[len(got)-1]
		}
		equal(t, "the numbers read", got, want)
		published, found, err := l.Oldest(t.Context(), part, after)
		if err != nil || found != (len(want) > 0) || found && !published.Equal(base.Add(time.Duration(want[0])*time.Millisecond)) {
			t.Errorf("up to %d expired: Oldest after %d: %v, %v, %v", upTo, after, published, found, err)
		}
	}
	if n, err := r.process().End(t.Context(), part); err != nil || n != length {
		t.Errorf("up to %d expired: the end is %d, %v, want %d", upTo, n, err, length)
	}
	if n, err := r.process().Seek(t.Context(), part, base.Add(-time.Hour)); err != nil || n != upTo {
		t.Errorf("up to %d expired: Seek: %d, %v, want %d", upTo, n, err, upTo)
	}
}

func upwards(from, to uint64) []uint64 {
	var list []uint64
	for n := from; n <= to; n++ {
		list = append(list, n)
	}
	return list
}

// If an unexpired item is ever lost, a read ends before it: a gap would look like
// expired segments.
func TestNoReadHasAGapInIt(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	large(t, r, 40)
	r.remove(part, 10, 17, 18, 30)
	var got [][2]uint64
	for after := uint64(0); ; {
		segments := r.read(r.process(), after, 1<<20)
		if len(segments) == 0 {
			break
		}
		after = segments[len(segments)-1].Number
		got = append(got, [2]uint64{segments[0].Number, after})
	}
	equal(t, "what each read has", got, [][2]uint64{{1, 9}, {11, 16}, {19, 29}, {31, 40}})
}

// Segments expire in the order of their numbers even if the clocks of the writers
// differ.
func TestExpiryIsInTheOrderOfNumbers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	l := r.process()
	for i, ahead := range []time.Duration{0, time.Minute, -time.Minute, time.Hour, 0, time.Hour + time.Second} {
		r.set(base.Add(ahead))
		if i == 3 {
			l = r.process()
		}
		r.append(l, "stream", record(i+1, 10))
	}
	items := r.items(part)
	for i := range items {
		if i > 0 && items[i].Expires < items[i-1].Expires {
			t.Errorf("segment %d expires before the one before it", items[i].number())
		}
		if items[i].Expires < base.Add(r.options.Keep).Unix() {
			t.Errorf("segment %d expires too early", items[i].number())
		}
	}
}

// large fills the log with many segments, a second apart.
func large(t *testing.T, r *rig, n int) {
	t.Helper()
	packed, err := pack([]event.Event{eventAt(1, 10, base)})
	if err != nil {
		t.Fatal(err)
	}
	items := make([]item, n)
	for i := range items {
		at := base.Add(time.Duration(i) * time.Second).UnixMilli()
		items[i] = item{
			key: segmentKey(part, uint64(i+1)), Count: 1, Bytes: 120, First: at, Last: at,
			Expires: base.Add(time.Duration(i)*time.Second + r.options.Keep).Unix(), Data: packed,
		}
	}
	r.batchPut(items)
}

func TestRequestsOfALargeLog(t *testing.T) {
	t.Parallel()
	const length = 5000
	r := newRig(t)
	large(t, r, length)
	halvings := bits.Len(length)
	r.set(base.Add(r.options.Keep + 3210*time.Second)) // 3211 segments have expired
	for name, c := range map[string]struct {
		most int
		call func(l *Log) (uint64, error)
	}{
		"Seek": {halvings + 1, func(l *Log) (uint64, error) { return l.Seek(t.Context(), part, base.Add(4000*time.Second)) }},
		"OffsetForTime": {halvings + 1, func(l *Log) (uint64, error) {
			n, _, err := l.OffsetForTime(t.Context(), part, base.Add(3999500*time.Millisecond))
			return n, err
		}},
		"Read of what has expired": {halvings + 3, func(l *Log) (uint64, error) {
			got, err := l.Read(t.Context(), part, 0, 1)
			return got[0].Number - 1 + 789, err
		}},
		"Read of a megabyte's part": {4, func(l *Log) (uint64, error) {
			got, err := l.Read(t.Context(), part, 3211, 789*120)
			return got[len(got)-1].Number, err
		}},
		"Oldest": {halvings + 3, func(l *Log) (uint64, error) {
			at, _, err := l.Oldest(t.Context(), part, 0)
			return uint64(at.Sub(base)/time.Second) + 789, err
		}},
		"End": {1, func(l *Log) (uint64, error) {
			n, err := l.End(t.Context(), part)
			return n - 1000, err
		}},
	} {
		r.dynamo.take()
		n, err := c.call(r.process())
		if err != nil || n != 4000 {
			t.Errorf("%s: got %d, %v, want 4000", name, n, err)
		}
		if calls := r.dynamo.take(); len(calls) > c.most {
			t.Errorf("%s: %d requests, want at most %d", name, len(calls), c.most)
		}
	}
}

// A read requests little more than it may return.
func TestReadAsksForLittle(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	large(t, r, 600)
	for _, maxBytes := range []int{0, 1, 120, 1200, 60_000, 1 << 20} {
		items, err := r.process().items(t.Context(), part, 0, maxBytes)
		if want := max(1, min((maxBytes+119)/120, 600)); err != nil || len(items) != want {
			t.Errorf("%d bytes: got %d segments, %v, want %d", maxBytes, len(items), err, want)
		}
	}
	r.dynamo.take()
	r.read(r.process(), 0, 1)
	equal(t, "requests for one segment", r.dynamo.take(), []string{"Query"})
	l := r.process()
	r.read(l, 600, 1<<20)
	equal(t, "requests at the end, where the process has not looked into the main table", r.dynamo.take(), []string{"Query", "Query"})
	r.read(l, 600, 1<<20)
	equal(t, "requests at the end", r.dynamo.take(), []string{"Query"})
}

// Whatever happens to a partition, no number is reused: partition states and cursors
// refer to it.
func TestNumbersOutliveTheSegments(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	day := 24 * time.Hour
	sequence := 0
	var want uint64
	for at := time.Duration(0); at < 200*day; at += day {
		r.set(base.Add(at))
		l := r.process()
		if n, err := l.RaiseMarkers(t.Context()); err != nil || n > 1 {
			t.Fatalf("RaiseMarkers: %d, %v", n, err)
		}
		for _, it := range r.items(part) {
			if it.expired(r.Now()) && rand.IntN(2) == 0 {
				r.remove(part, it.number())
			}
		}
		if (at/day)%50 < 4 || (at/day)%50 == 13 { // then it is idle for longer than segments are kept
			sequence++
			want++
			if n := r.append(l, "stream", record(sequence, 10)); n != want {
				t.Fatalf("on day %d: got segment %d, want %d", at/day, n, want)
			}
		}
	}
	r.dynamo.take()
	if n, err := r.process().RaiseMarkers(t.Context()); err != nil || n != 0 {
		t.Errorf("RaiseMarkers with nothing due: %d, %v", n, err)
	}
	equal(t, "requests with nothing due", r.dynamo.take(), slices.Repeat([]string{"Query"}, markerShards+1))
	// A process that read the end long ago does not lower the marker.
	if err := r.process().putMarker(t.Context(), part, want-1); err != nil {
		t.Fatal(err)
	}
	var m marker
	if _, err := r.process().get(t.Context(), r.options.Table, newKey(part, skMarker), &m); err != nil || m.Number != want {
		t.Errorf("the marker is at %d, %v, want %d", m.Number, err, want)
	}
	// A marker is not a segment, and does not expire.
	out, err := r.options.DynamoDB.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: &r.options.Table, Key: newKey(part, skMarker).Attributes(), ConsistentRead: aws.Bool(true)})
	if err != nil || out.Item == nil || out.Item[dynamotable.Expires] != nil {
		t.Errorf("the marker: %v, %v", out.Item, err)
	}
}
