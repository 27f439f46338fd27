package dynamo

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
)

// maxSegmentBytes is the size limit of an uncompressed segment. Appends are split into
// segments far below it, but a single record is not.
const maxSegmentBytes = 64 << 20

// A function has at most one processor and little memory, so callers share one encoder
// and one decoder.
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

// pooledBuffer is the largest buffer that is reused for the next segment.
const pooledBuffer = 8 << 20

// pack returns the events in their stored form: encoded and compressed.
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
		return nil, fmt.Errorf("the segment has %d bytes; the limit is %d", size, maxSegmentBytes)
	}
	return packed, nil
}

// unpack reverses pack.
func unpack(tenant string, packed []byte) ([]event.Event, error) {
	dec, err := decoder()
	if err != nil {
		return nil, fmt.Errorf("start decompressing: %w", err)
	}
	data, err := dec.DecodeAll(packed, nil)
	if err != nil {
		return nil, fmt.Errorf("decompress a segment of %d bytes: %w: %w", len(packed), eventlog.ErrDamaged, err)
	}
	return eventlog.DecodeSegment(tenant, data)
}
