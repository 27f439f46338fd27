package eventlog

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/sluicehq/sluice/internal/event"
)

func TestSegmentRoundTrip(t *testing.T) {
	texts := rapid.SampledFrom([]string{"", "a", "order.created", "order.items_cancelled", "6f1c4f0e-0000-4000-8000-000000000001", "ü\x00\xff"})
	one := rapid.Custom(func(t *rapid.T) event.Event {
		return event.Event{
			ID: texts.Draw(t, "id"), Tenant: "tenant", Name: texts.Draw(t, "name"),
			PublishedAt: time.UnixMilli(rapid.Int64Range(-1<<45, 1<<45).Draw(t, "ms")).UTC(),
			Body:        rapid.SliceOf(rapid.Byte()).Draw(t, "body"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(one, 0, 20).Draw(t, "events")
		prefix := rapid.SliceOf(rapid.Byte()).Draw(t, "dst")
		data := AppendSegment(bytes.Clone(prefix), want)
		if !bytes.HasPrefix(data, prefix) {
			t.Fatal("what was in dst is gone")
		}
		got, err := DecodeSegment("tenant", data[len(prefix):])
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

// Every later release must read the segments of this one. If this fails, the new format
// needs a new version, and the old version must still be readable.
func TestSegmentFormatIsFixed(t *testing.T) {
	events := []event.Event{
		{ID: "id-1", Tenant: "t", Name: "order.created", PublishedAt: time.UnixMilli(1748779200123).UTC(), Body: []byte(`{"a":1}`)},
		{ID: "id-2", Tenant: "t", Name: "order.created", PublishedAt: time.UnixMilli(1748779200120).UTC(), Body: []byte(`{}`)},
		{ID: "id-3", Tenant: "t", Name: "return.sent", PublishedAt: time.UnixMilli(1748779200120).UTC(), Body: []byte(`{"b":2}`)},
	}
	got := fmt.Sprintf("%q", AppendSegment(nil, events))
	if got != goldenSegment {
		t.Errorf("got  %s\nwant %s", got, goldenSegment)
	}
}

// Segments of earlier releases are readable, whatever this one writes.
func TestStoredSegmentsAreRead(t *testing.T) {
	at := func(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
	long := strings.Repeat("x", 300) // its length takes two bytes
	for name, c := range map[string]struct {
		hex  string
		want []event.Event
	}{
		"no events": {"010000" + "043125c5", nil},
		"times back and forth, names that return": {
			"01" + "04" + "0f" + "61" + "612e62" + "62" + "632e64" + "63" + "612e62" + "6464" + "65" + // count, texts
				"01" + "04" + "03" + "00" + // a a.b, 2 ms before 1970
				"01" + "04" + "04" + "01" + "31" + // b c.d, at 0
				"01" + "04" + "01" + "00" + // c a.b, 1 ms before 1970
				"03" + "00" + "808080808040" + "ac02" + strings.Repeat("78", 300) + // dde, of the name before
				"f25696b6",
			[]event.Event{
				{ID: "a", Tenant: "t", Name: "a.b", PublishedAt: at(-2)},
				{ID: "b", Tenant: "t", Name: "c.d", PublishedAt: at(0), Body: []byte("1")},
				{ID: "c", Tenant: "t", Name: "a.b", PublishedAt: at(-1)},
				{ID: "dde", Tenant: "t", Name: "a.b", PublishedAt: at(1<<40 - 1), Body: []byte(long)},
			},
		},
	} {
		data, err := hex.DecodeString(c.hex)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeSegment("t", data)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if again := AppendSegment(nil, c.want); !bytes.Equal(again, data) {
			t.Errorf("%s: is written as %x", name, again)
		}
	}
}

// An unknown version is an error.
func TestUnknownVersionIsRejected(t *testing.T) {
	for _, version := range []byte{0, 2, 0xff} {
		data := AppendSegment(nil, sample(1, 1))
		data[0] = version
		data = appendChecksum(data[:len(data)-checksumSize], 0)
		if events, err := DecodeSegment("t", data); err == nil || events != nil || errors.Is(err, ErrDamaged) {
			t.Errorf("version %d is read as %v, %v; the release that wrote it can read it", version, events, err)
		}
	}
}

func TestAnyCorruptionIsDetected(t *testing.T) {
	data := AppendSegment(nil, sample(5, 40))
	for i := range data {
		for _, flip := range []byte{1, 0x80, 0xff} {
			bad := bytes.Clone(data)
			bad[i] ^= flip
			if _, err := DecodeSegment("t", bad); !errors.Is(err, ErrDamaged) {
				t.Fatalf("byte %d changed by %#x: %v", i, flip, err)
			}
		}
		if _, err := DecodeSegment("t", data[:i]); !errors.Is(err, ErrDamaged) {
			t.Fatalf("cut to %d bytes: %v", i, err)
		}
	}
	if _, err := DecodeSegment("t", append(bytes.Clone(data), 0)); err == nil {
		t.Fatal("a byte too many: decoded without an error")
	}
}

// Catch-up decodes every segment. Decoding makes one allocation for the events and one
// for their texts, whatever their number.
func TestDecodeAllocatesTwice(t *testing.T) {
	data := AppendSegment(nil, sample(500, 300))
	if n := testing.AllocsPerRun(10, func() { _, _ = DecodeSegment("t", data) }); n > 2 {
		t.Errorf("decoding took %v allocations, want 2", n)
	}
}

// A valid checksum shows that the data is intact, not that this package wrote it.
func TestContentThatIsNotASegmentIsRejected(t *testing.T) {
	data := AppendSegment(nil, sample(3, 5))
	content := data[:len(data)-checksumSize]
	for n := 1; n < len(content); n++ {
		if _, err := DecodeSegment("t", appendChecksum(bytes.Clone(content[:n]), 0)); err == nil {
			t.Errorf("cut to %d of %d bytes: decoded without an error", n, len(content))
		}
	}
	_, err := DecodeSegment("t", appendChecksum(append(bytes.Clone(content), 0, 0), 0))
	if err == nil || err.Error() != "decode a segment: the data is damaged: it has 2 extra bytes" {
		t.Errorf("two bytes too many: %v", err)
	}
	if _, err := DecodeSegment("t", appendChecksum([]byte{codecVersion, 1, 0, 1, 0, 0, 0}, 0)); err == nil {
		t.Error("an id that is longer than the texts: decoded without an error")
	}
	// The texts have one byte more than the events use.
	_, err = DecodeSegment("t", appendChecksum([]byte{codecVersion, 1, 2, 'a', 'b', 1, 1, 0, 0}, 0))
	if err == nil || err.Error() != "decode a segment: the data is damaged: it has 1 extra bytes" {
		t.Errorf("a text too many: %v", err)
	}
}

func TestBytesCountsTheBodies(t *testing.T) {
	s := Segment{Number: 1, Events: sample(3, 40)}
	if got := s.Bytes(); got != 120 {
		t.Errorf("got %d, want 120", got)
	}
}

// Decoding allocates no more events than the remaining bytes can hold: a bogus count of
// a few bytes must not exhaust the memory of the process.
func TestABogusCountAllocatesNothing(t *testing.T) {
	const most = 1 << 14 // events, of four bytes each
	decode := func(count uint64) (taken uint64, err error) {
		data := append(binary.AppendUvarint([]byte{codecVersion}, count), 0) // no texts
		data = appendChecksum(append(data, make([]byte, 4*most)...), 0)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err = DecodeSegment("t", data)
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc, err
	}
	if taken, err := decode(most); err != nil || taken < most {
		t.Errorf("as many events as fit: %v, and %d bytes of memory", err, taken)
	}
	for _, count := range []uint64{most + 1, 1<<64 - 1} {
		if taken, err := decode(count); err == nil || taken > most {
			t.Errorf("%d events in the room of %d: %v, and %d bytes of memory", count, most, err, taken)
		}
	}
}

func TestDecodedBodiesCannotGrowIntoOthers(t *testing.T) {
	data := AppendSegment(nil, sample(2, 10))
	events, err := DecodeSegment("t", data)
	if err != nil {
		t.Fatal(err)
	}
	_ = append(events[0].Body, "overwritten"...)
	if _, err := DecodeSegment("t", data); err != nil {
		t.Errorf("appending to a body wrote to its neighbour: %v", err)
	}
}

// FuzzDecodeSegment appends a valid checksum to its input, to get past the checksum
// check.
func FuzzDecodeSegment(f *testing.F) {
	for _, events := range [][]event.Event{nil, sample(1, 0), sample(3, 20)} {
		data := AppendSegment(nil, events)
		f.Add(data[:len(data)-checksumSize])
	}
	f.Add([]byte{codecVersion, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0})
	f.Fuzz(func(t *testing.T, content []byte) {
		_, _ = DecodeSegment("t", content)
		events, err := DecodeSegment("t", appendChecksum(bytes.Clone(content), 0))
		if err != nil {
			return
		}
		again, err := DecodeSegment("t", AppendSegment(nil, events))
		if err != nil {
			t.Fatalf("what was decoded does not decode once encoded: %v", err)
		}
		if diff := cmp.Diff(events, again, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("(-decoded +encoded and decoded):\n%s", diff)
		}
	})
}

func BenchmarkAppendSegment(b *testing.B) {
	events := sample(200, 600)
	dst := AppendSegment(nil, events)
	b.SetBytes(int64(len(dst)))
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendSegment(dst[:0], events)
	}
}

func BenchmarkDecodeSegment(b *testing.B) {
	data := AppendSegment(nil, sample(200, 600))
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeSegment("t", data); err != nil {
			b.Fatal(err)
		}
	}
}

func sample(n, bodySize int) []event.Event {
	var events []event.Event
	for i := range n {
		events = append(events, event.Event{
			ID: fmt.Sprintf("6f1c4f0e-0000-4000-8000-%012d", i), Tenant: "t", Name: fmt.Sprint("order.kind_", i/3%2),
			PublishedAt: time.UnixMilli(1748779200000 + int64(i/4)).UTC(), Body: bytes.Repeat([]byte{'x'}, bodySize),
		})
	}
	return events
}

const goldenSegment = `"\x01\x03$id-1order.createdid-2id-3return.sent\x04\x0e\xf6\xb9\xe7\xb5\xe5e\a{\"a\":1}\x04\x00\x05\x02{}\x04\f\x00\a{\"b\":2}h\xd8\xdbN"`
