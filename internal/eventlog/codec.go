package eventlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"time"

	"github.com/sluicehq/sluice/internal/event"
)

// A stored segment is, in this order:
//
//	byte     codecVersion
//	uvarint  number of events
//	uvarint  length of the texts
//	bytes    the texts: each event's id and, where it differs from the name of
//	         the event before, its name
//	then for each event:
//	  uvarint  length of the id
//	  uvarint  0 if the name is that of the event before, else its length + 1
//	  varint   published_at in ms since 1970, minus that of the event before
//	  uvarint  length of the body
//	  bytes    the body
//	uint32   CRC-32C of all that, little endian
//
// Every later version must end with such a checksum, so that an older release does not
// take it for damaged.
//
// The texts are contiguous so that decoding allocates one string for all of them. The
// tenant is not stored: it is part of the key.
const codecVersion = 1

const (
	checksumSize    = 4
	segmentOverhead = 16 // of a typical segment, to estimate its size
	eventOverhead   = 12 // of a typical event, besides its texts and body
)

// minEventSize is the minimum size of an event, without its texts and body.
const minEventSize = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// AppendSegment appends the encoded events to dst and returns the result. It does not
// encode the events' tenant, and truncates their times to milliseconds.
func AppendSegment(dst []byte, events []event.Event) []byte {
	start := len(dst)
	texts, bodies := 0, 0
	for i := range events {
		texts += len(events[i].ID)
		if i == 0 || events[i].Name != events[i-1].Name {
			texts += len(events[i].Name)
		}
		bodies += len(events[i].Body)
	}
	dst = slices.Grow(dst, texts+bodies+len(events)*eventOverhead+segmentOverhead+checksumSize)
	dst = append(dst, codecVersion)
	dst = binary.AppendUvarint(dst, uint64(len(events)))
	dst = binary.AppendUvarint(dst, uint64(texts))
	for i := range events {
		dst = append(dst, events[i].ID...)
		if i == 0 || events[i].Name != events[i-1].Name {
			dst = append(dst, events[i].Name...)
		}
	}
	last := int64(0)
	for i := range events {
		e := &events[i]
		dst = binary.AppendUvarint(dst, uint64(len(e.ID)))
		name := 0
		if i == 0 || e.Name != events[i-1].Name {
			name = len(e.Name) + 1
		}
		dst = binary.AppendUvarint(dst, uint64(name))
		ms := e.PublishedAt.UnixMilli()
		dst = binary.AppendVarint(dst, ms-last)
		last = ms
		dst = binary.AppendUvarint(dst, uint64(len(e.Body)))
		dst = append(dst, e.Body...)
	}
	return appendChecksum(dst, start)
}

func appendChecksum(dst []byte, start int) []byte {
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// ErrDamaged is in the errors of DecodeSegment for data that nothing can decode.
var ErrDamaged = errors.New("the data is damaged")

var errShort = fmt.Errorf("%w: it ends too early", ErrDamaged)

// DecodeSegment returns the events that AppendSegment encoded, as events of the given
// tenant. Their bodies alias data, which must not be modified afterwards. It returns
// ErrDamaged if any byte of data was changed, and another error if a later release wrote
// it, in a version that this one does not read: that one can.
func DecodeSegment(tenant string, data []byte) ([]event.Event, error) {
	if len(data) < 1+checksumSize {
		return nil, fmt.Errorf("decode a segment of %d bytes: %w", len(data), errShort)
	}
	content := data[:len(data)-checksumSize]
	want := binary.LittleEndian.Uint32(data[len(content):])
	if got := crc32.Checksum(content, castagnoli); got != want {
		return nil, fmt.Errorf("decode a segment: %w: its checksum is %08x, want %08x", ErrDamaged, got, want)
	}
	if data[0] != codecVersion { // and the data is as it was written
		return nil, fmt.Errorf("decode a segment: its version is %d; this release reads version %d", data[0], codecVersion)
	}
	d := decoder{rest: content[1:]}
	events := d.events(tenant)
	if d.err != nil {
		return nil, fmt.Errorf("decode a segment: %w", d.err)
	}
	return events, nil
}

// decoder consumes values from the front of rest until one fails.
type decoder struct {
	rest  []byte
	texts string
	err   error
}

func (d *decoder) events(tenant string) []event.Event {
	count := d.uvarint()
	d.texts = string(d.bytes(d.uvarint()))
	if count > uint64(len(d.rest)/minEventSize) {
		d.err = errShort
		return nil
	}
	events := make([]event.Event, count)
	ms, name := int64(0), ""
	for i := range events {
		id := d.text(d.uvarint())
		if n := d.uvarint(); n > 0 {
			name = d.text(n - 1)
		}
		ms += d.varint()
		events[i] = event.Event{ID: id, Tenant: tenant, Name: name, PublishedAt: time.UnixMilli(ms).UTC(), Body: d.bytes(d.uvarint())}
		if d.err != nil {
			return nil
		}
	}
	if len(d.rest)+len(d.texts) > 0 {
		d.err = fmt.Errorf("%w: it has %d extra bytes", ErrDamaged, len(d.rest)+len(d.texts))
	}
	return events
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 {
		d.err = errShort
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.rest)
	if n <= 0 {
		d.err = errShort
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) bytes(n uint64) []byte {
	if n > uint64(len(d.rest)) {
		d.err = errShort
		return nil
	}
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) text(n uint64) string {
	if n > uint64(len(d.texts)) {
		d.err = errShort
		return ""
	}
	s := d.texts[:n]
	d.texts = d.texts[n:]
	return s
}
