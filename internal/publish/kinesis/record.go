package kinesis

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/settings"
)

// The partition key of a stream record is the partition's Key. Its data begins with a
// byte for its kind and version:
//
//	kindEvents  one zstd frame, with its content size: a segment, as package
//	            eventlog encodes it
//	kindMarker  int64   the marker's time in ms since 1970, big endian
//	            uint32  CRC-32C of everything before it, big endian
//
// A new version of either gets a new byte, below those that text begins with: see IsPlain.
const (
	kindEvents = 1
	kindMarker = 2

	markerSize = 1 + 8 + 4
)

// maxSegment is the size limit of a segment in a record, before compression.
// Incompressible data grows by some 40 bytes, so with its kind and a partition key of
// at most 256 characters, a record has no more than 1 MiB.
const maxSegment = 1<<20 - 4<<10

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// The encoder and the decoder serve one call at a time; concurrent calls wait. A
// function has at most one processor. The frame needs no checksum because the segment
// has one.
var (
	encoder = sync.OnceValue(func() *zstd.Encoder {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
			zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false), zstd.WithSingleSegment(true))
		if err != nil {
			panic(err) // the options contradict each other
		}
		return e
	})
	decoder = sync.OnceValue(func() *zstd.Decoder {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxMemory(maxSegment), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			panic(err)
		}
		return d
	})
)

// Encode returns the data of a record with these events, which must belong to one
// partition and take at most about 1 MiB.
func Encode(events []event.Event) []byte {
	segment := eventlog.AppendSegment(nil, events)
	return encoder().EncodeAll(segment, append(make([]byte, 0, len(segment)/2), kindEvents))
}

// EncodeMarker returns the data of a watermark marker with the given time, truncated
// to milliseconds.
func EncodeMarker(at time.Time) []byte {
	data := make([]byte, 0, markerSize)
	data = append(data, kindMarker)
	data = binary.BigEndian.AppendUint64(data, uint64(at.UnixMilli()))
	return binary.BigEndian.AppendUint32(data, crc32.Checksum(data, castagnoli))
}

// Record is a decoded stream record: events, or a watermark marker.
type Record struct {
	Partition event.Partition
	Events    []event.Event // empty for a watermark marker
	Marker    time.Time     // UTC, whole milliseconds
}

// Decode decodes a stream record. If this package did not encode the record, or if it
// was damaged since, the error says what is wrong; do not retry. Decoding uses at most
// about 1 MiB of memory, whatever sizes the data claims.
func Decode(partitionKey string, data []byte) (Record, error) {
	p, ok := event.PartitionOf(partitionKey)
	switch {
	case !ok:
		return Record{}, fmt.Errorf("decode a record: its partition key %q is not a lane and a tenant, like 0#acme", partitionKey)
	case p.Lane >= settings.MaxLanes:
		return Record{}, fmt.Errorf("decode a record: its partition key %q has lane %d; lanes are 0 to %d", partitionKey, p.Lane, settings.MaxLanes-1)
	case len(data) == 0:
		return Record{}, errors.New("decode a record: it is empty")
	}
	r := Record{Partition: p}
	var err error
	switch data[0] {
	case kindEvents:
		r.Events, err = decodeEvents(p.Tenant, data[1:])
	case kindMarker:
		r.Marker, err = decodeMarker(data)
	default:
		err = fmt.Errorf("it is of kind %d; this release reads kinds %d and %d", data[0], kindEvents, kindMarker)
	}
	if err != nil {
		return Record{}, fmt.Errorf("decode a record: %w", err)
	}
	return r, nil
}

func decodeEvents(tenant string, frame []byte) ([]event.Event, error) {
	var header zstd.Header
	if err := header.Decode(frame); err != nil || header.Skippable || !header.HasFCS {
		return nil, errors.New("its events are not a zstd frame with a content size")
	}
	if header.FrameContentSize > maxSegment {
		return nil, fmt.Errorf("its events take %d bytes; the limit of a record is %d", header.FrameContentSize, maxSegment)
	}
	// The decoder writes no more than the capacity.
	segment, err := decoder().DecodeAll(frame, make([]byte, 0, header.FrameContentSize))
	if err != nil {
		return nil, fmt.Errorf("its events cannot be decompressed: %w", err)
	}
	events, err := eventlog.DecodeSegment(tenant, segment)
	if err != nil {
		return nil, err
	}
	if len(events) == 0 {
		return nil, errors.New("it has no events")
	}
	return events, nil
}

func decodeMarker(data []byte) (time.Time, error) {
	if len(data) != markerSize {
		return time.Time{}, fmt.Errorf("a watermark marker has %d bytes, this one has %d", markerSize, len(data))
	}
	content, sum := data[:markerSize-4], binary.BigEndian.Uint32(data[markerSize-4:])
	if crc32.Checksum(content, castagnoli) != sum {
		return time.Time{}, errors.New("the watermark marker is damaged: its checksum does not match")
	}
	ms := int64(binary.BigEndian.Uint64(content[1:]))
	if ms <= 0 {
		return time.Time{}, errors.New("the time of the watermark marker is not after 1970")
	}
	return time.UnixMilli(ms).UTC(), nil
}
