package kinesis

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
)

var acme = event.Partition{Tenant: "acme", Lane: 3}

func sample(n int) []event.Event {
	events := make([]event.Event, n)
	for i := range events {
		d := event.Draft{ID: fmt.Sprintf("01890a5d-ac96-774b-bcce-%012d", i), Name: "order.created", Payload: []byte(`{"a":1}`)}
		events[i] = d.Stamp("acme", time.UnixMilli(1748779200123))
	}
	return events
}

// Records of this release may be in a stream while the next one is deployed. If this
// fails, the new format needs a new kind, and the old kind must still be readable.
func TestFormatIsFixed(t *testing.T) {
	marker := EncodeMarker(time.UnixMilli(1748779200123))
	if got := hex.EncodeToString(marker); got != goldenMarker {
		t.Errorf("marker %s, want %s", got, goldenMarker)
	}
	// Another version of zstd may compress otherwise, but it reads this.
	data, err := hex.DecodeString(goldenEvents)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode("3#acme", data)
	if err != nil {
		t.Fatalf("%v; events are now %x", err, Encode(sample(2)))
	}
	if diff := cmp.Diff(Record{Partition: acme, Events: sample(2)}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRoundTrip(t *testing.T) {
	for _, n := range []int{1, 2, 500} {
		got, err := Decode(acme.Key(), Encode(sample(n)))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(Record{Partition: acme, Events: sample(n)}, got); diff != "" {
			t.Errorf("%d events (-want +got):\n%s", n, diff)
		}
	}
	at := time.Date(2025, 6, 1, 12, 0, 0, 999_999_999, time.UTC)
	got, err := Decode(acme.Key(), EncodeMarker(at))
	want := Record{Partition: acme, Marker: at.Truncate(time.Millisecond)}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("marker: %v (-want +got):\n%s", err, diff)
	}
}

// compressed is a record whose zstd frames hold the given contents.
func compressed(contents ...[]byte) []byte {
	data := []byte{kindEvents}
	for _, c := range contents {
		data = encoder().EncodeAll(c, data)
	}
	return data
}

func TestDecodeRefuses(t *testing.T) {
	good := Encode(sample(3))
	segment := eventlog.AppendSegment(nil, sample(3))
	streamed := bytes.NewBuffer([]byte{kindEvents})
	w, err := zstd.NewWriter(streamed) // does not know the size beforehand
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(bytes.Repeat([]byte("x"), 8<<20)); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(segment)
	flipped[len(flipped)-1] ^= 1
	tests := []struct {
		name, key string
		data      []byte
		want      string // in the error
	}{
		{"no partition key", "", good, `partition key "" is not a lane and a tenant`},
		{"no lane", "acme", good, `partition key "acme" is not`},
		{"a lane with zeros", "03#acme", good, `partition key "03#acme" is not`},
		{"no tenant", "3#", good, "is not a lane and a tenant"},
		{"a lane too high", "32#acme", good, "lanes are 0 to 31"},
		{"a lane far too high", "99999999999999999999#acme", good, "is not a lane"},
		{"empty", "3#acme", nil, "it is empty"},
		{"unknown kind", "3#acme", append([]byte{9}, good[1:]...), "it is of kind 9; this release reads kinds 1 and 2"},
		{"JSON", "3#acme", []byte(`{"id":1}`), "it is of kind 123"},
		{"kind alone", "3#acme", []byte{kindEvents}, "are not a zstd frame"},
		{"not zstd", "3#acme", append([]byte{kindEvents}, segment...), "are not a zstd frame"},
		{"cut off", "3#acme", good[:len(good)-1], "cannot be decompressed"},
		{"bad checksum", "3#acme", compressed(flipped), "its checksum is"},
		{"no events", "3#acme", compressed(eventlog.AppendSegment(nil, nil)), "it has no events"},
		{"an empty segment", "3#acme", compressed([]byte{1}), "it ends too early"},
		{"more after the frame", "3#acme", compressed(segment, segment), "cannot be decompressed"},
		{"garbage after the frame", "3#acme", append(bytes.Clone(good), "xx"...), "cannot be decompressed"},
		{"a bomb that says so", "3#acme", compressed(make([]byte, 8<<20)), "its events take 8388608 bytes; the limit of a record is 1044480"},
		{"a bomb that does not", "3#acme", streamed.Bytes(), "with a content size"},
		{"a bomb behind a frame", "3#acme", append(bytes.Clone(good), streamed.Bytes()[1:]...), "cannot be decompressed"},
		{"marker cut off", "3#acme", EncodeMarker(time.Now())[:markerSize-1], "a watermark marker has 13 bytes, this one has 12"},
		{"marker too long", "3#acme", append(EncodeMarker(time.Now()), 0), "a watermark marker has 13 bytes, this one has 14"},
		{"marker of no time", "3#acme", EncodeMarker(time.UnixMilli(0)), "is not after 1970"},
		{"marker before 1970", "3#acme", EncodeMarker(time.Time{}), "is not after 1970"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Decode(tt.key, tt.data)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "decode a record: ") {
				t.Errorf("error %v, want %q in it", err, tt.want)
			}
			if diff := cmp.Diff(Record{}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEveryDamageIsNoticed(t *testing.T) {
	for name, data := range map[string][]byte{"events": Encode(sample(5)), "marker": EncodeMarker(time.UnixMilli(1748779200123))} {
		want, err := Decode("3#acme", data)
		if err != nil {
			t.Fatal(err)
		}
		for i := range data {
			for _, flip := range []byte{1, 0x80, 0xff} {
				bad := bytes.Clone(data)
				bad[i] ^= flip
				// A frame has bits that change nothing, as how far to look back.
				if got, err := Decode("3#acme", bad); err == nil && !cmp.Equal(want, got) {
					t.Fatalf("%s: byte %d changed by %#x: decoded as another", name, i, flip)
				}
			}
			if _, err := Decode("3#acme", data[:i]); err == nil {
				t.Fatalf("%s: cut to %d bytes: decoded without an error", name, i)
			}
		}
	}
}

// The checks before decoding bound the memory that a record takes.
func TestLargestRecordFits(t *testing.T) {
	content := make([]byte, maxSegment)
	random := rand.NewChaCha8([32]byte{})
	_, _ = random.Read(content) // it cannot be compressed
	key := "31#" + strings.Repeat("ü", 253)
	if n := len(encoder().EncodeAll(content, []byte{kindEvents})) + len(key); n > 1<<20 {
		t.Errorf("the largest record takes %d bytes", n)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("3#acme", Encode(sample(1)))
	f.Add("0#acme", Encode(sample(20)))
	f.Add("0#", EncodeMarker(time.UnixMilli(1748779200123)))
	f.Add("31#x", compressed(eventlog.AppendSegment(nil, nil)))
	f.Add("1#x", compressed(make([]byte, 2<<20)))
	f.Fuzz(func(t *testing.T, key string, data []byte) {
		r, err := Decode(key, data)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "decode a record: ") {
				t.Errorf("error %v", err)
			}
			return
		}
		if r.Partition.Key() != key || (len(r.Events) == 0) == r.Marker.IsZero() {
			t.Errorf("%q is of %+v, %d events, marker %v", key, r.Partition, len(r.Events), r.Marker)
		}
	})
}

const (
	goldenMarker = "02000001972b5cee7bc52c488b"
	goldenEvents = "0128b52ffd608b00450500c249242b90a7012629f1688cc3b30c5359ca0fe8e5254585f0fc7ffe06e2c3cabcac48b9f7ef488e241573ceee4a190884868487" +
		"204a96bd3d1fdb4bae2402b6defe50c0b7a8aeeac2d778ea1a750c54f8fd6400d9010291040d586fffbe27a6dede53e4ef27c554cfb7ebf7323a9614b482c1" +
		"c201434279b227f71597abe555a9eb1821072d1cc7354f642719d687f1d47148020600025209c298691e9803831569a38a7c889d13"
)
