package dynamo

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
)

// maxSegmentBytes is the most that a segment takes when it is not compressed. A
// call's events are cut long before it; one record is not.
const maxSegmentBytes = 64 << 20

// A function has one processor or less, and little memory: one coder each, which
// the callers take in turn.
var (
	encoder = sync.OnceValues(func() (*zstd.Encoder, error) {
		return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1),
			zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(1<<20), zstd.WithEncoderCRC(false)) // segments have a checksum
	})
	decoder = sync.OnceValues(func() (*zstd.Decoder, error) {
		return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxSegmentBytes))
	})
	buffers = sync.Pool{New: func() any { return new([]byte) }}
)

// pooledBuffer is the largest buffer that is kept for the next segment.
const pooledBuffer = 8 << 20

// pack returns the events as they are stored.
func pack(events []event.Event) ([]byte, error) {
	enc, err := encoder()
	if err != nil {
		return nil, fmt.Errorf("start compressing: %w", err)
	}
	buf := buffers.Get().(*[]byte)
	*buf = eventlog.AppendSegment((*buf)[:0], events)
	size := len(*buf)
	packed := enc.EncodeAll(*buf, nil)
	if cap(*buf) <= pooledBuffer {
		buffers.Put(buf)
	}
	if size > maxSegmentBytes {
		return nil, fmt.Errorf("a segment of %d bytes; at most %d can be read again", size, maxSegmentBytes)
	}
	return packed, nil
}

// unpack returns the events of what pack returned.
func unpack(tenant string, packed []byte) ([]event.Event, error) {
	dec, err := decoder()
	if err != nil {
		return nil, fmt.Errorf("start decompressing: %w", err)
	}
	data, err := dec.DecodeAll(packed, nil)
	if err != nil {
		return nil, fmt.Errorf("decompress a segment of %d bytes: %w", len(packed), err)
	}
	return eventlog.DecodeSegment(tenant, data)
}
