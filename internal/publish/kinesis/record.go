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

// A record of the stream has the partition's Key as its partition key. Its
// data begins with a byte for its kind and version:
//
//	kindEvents   the rest is one zstd frame, which says how long its content
//	             is: a segment, as package eventlog encodes it
//	kindBarrier  int64   the barrier's time in ms since 1970, big endian
//	             uint32  CRC-32C of what is before it, big endian
//
// A new version of either gets a byte of its own.
const (
	kindEvents = 1
	kindMarker = 2

	markerSize = 1 + 8 + 4
)

// maxSegment is the largest segment in a record, before it is compressed. What
// cannot be compressed grows by some 40 bytes, so that with its kind and its
// partition key, of at most 256 characters, a record stays within 1 MiB.
const maxSegment = 1<<20 - 4<<10

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// The encoder and the decoder have a state for one call at a time, which
// concurrent calls wait for: a function has one processor at most. The frame
// has no checksum, as the segment has one.
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

// Encode returns the data of a record of these events, which are of one
// partition and take at most about 1 MiB.
func Encode(events []event.Event) []byte {
	segment := eventlog.AppendSegment(nil, events)
	return encoder().EncodeAll(segment, append(make([]byte, 0, len(segment)/2), kindEvents))
}

// EncodeBarrier returns the data of a barrier record of the given time, cut to
// milliseconds.
func EncodeMarker(at time.Time) []byte {
	data := make([]byte, 0, markerSize)
	data = append(data, kindMarker)
	data = binary.BigEndian.AppendUint64(data, uint64(at.UnixMilli()))
	return binary.BigEndian.AppendUint32(data, crc32.Checksum(data, castagnoli))
}

// Record is what a record of the stream says: events, or a barrier.
type Record struct {
	Partition event.Partition
	Events    []event.Event // none: it is a barrier
	Marker    time.Time     // UTC, whole milliseconds
}

// Decode reads a record of the stream. A record that was not encoded by this
// package, or was damaged since, is an error that says what is wrong with it;
// trying again does not help. A record takes at most about 1 MiB of memory,
// whatever its data claim.
func Decode(partitionKey string, data []byte) (Record, error) {
	p, ok := event.PartitionOf(partitionKey)
	switch {
	case !ok:
		return Record{}, fmt.Errorf("decode a record: its partition key %q is not a lane and a tenant, like 0#acme", partitionKey)
	case p.Lane >= settings.MaxLanes:
		return Record{}, fmt.Errorf("decode a record: its partition key %q is of lane %d; there are lanes 0 to %d", partitionKey, p.Lane, settings.MaxLanes-1)
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
		err = fmt.Errorf("it is of kind %d; this release reads the kinds %d and %d", data[0], kindEvents, kindMarker)
	}
	if err != nil {
		return Record{}, fmt.Errorf("decode a record: %w", err)
	}
	return r, nil
}

func decodeEvents(tenant string, frame []byte) ([]event.Event, error) {
	var head zstd.Header
	if err := head.Decode(frame); err != nil || head.Skippable || !head.HasFCS {
		return nil, errors.New("its events are not a zstd frame that says how long its content is")
	}
	if head.FrameContentSize > maxSegment {
		return nil, fmt.Errorf("its events take %d bytes; a record has at most %d", head.FrameContentSize, maxSegment)
	}
	// The decoder writes no more than there is room for.
	segment, err := decoder().DecodeAll(frame, make([]byte, 0, head.FrameContentSize))
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
		return time.Time{}, fmt.Errorf("a barrier has %d bytes, this one %d", markerSize, len(data))
	}
	content, sum := data[:markerSize-4], binary.BigEndian.Uint32(data[markerSize-4:])
	if crc32.Checksum(content, castagnoli) != sum {
		return time.Time{}, errors.New("the barrier is damaged: its checksum does not match")
	}
	ms := int64(binary.BigEndian.Uint64(content[1:]))
	if ms <= 0 {
		return time.Time{}, errors.New("the barrier has no time after 1970")
	}
	return time.UnixMilli(ms).UTC(), nil
}
