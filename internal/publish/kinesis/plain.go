package kinesis

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/publish"
	"github.com/sluicehq/sluice/internal/usertext"
)

// A plain record is what anyone in the account may put on the stream, without this
// package: JSON with one event, as publish.ParseRecord reads it. Its partition key means
// nothing. Its data begins with what JSON text can begin with, which the kinds of this
// package never reach.
const firstOfText = '\t'

// IsPlain reports whether a record is a plain one, valid or not.
func IsPlain(data []byte) bool { return len(data) > 0 && data[0] >= firstOfText }

// plainBytes is the size limit of a plain record, so that its event fits into a segment with
// what stamping it adds.
const plainBytes = maxSegment - 4<<10

// aggregated begins the records of the Kinesis Producer Library that have several in one.
var aggregated = []byte{0xf3, 0x89, 0x9a, 0xc2}

// DecodePlain decodes a plain record of at most maxBytes. Its errors are for the one who put
// it; do not retry. The draft aliases data, which is compacted in place unless it fails.
func DecodePlain(data []byte, maxBytes int64) (event.Draft, error) {
	if bytes.HasPrefix(data, aggregated) {
		return event.Draft{}, errors.New("decode a plain record: it is an aggregated record of the Kinesis Producer Library; set AggregationEnabled to false there")
	}
	if err := usertext.CheckEncoding(data); err != nil {
		return event.Draft{}, fmt.Errorf("decode a plain record: it %w", err)
	}
	draft, err := publish.ParseRecord(data, min(maxBytes, plainBytes))
	if err != nil {
		return event.Draft{}, fmt.Errorf("decode a plain record: %w", err)
	}
	return draft, nil
}

// StampPlain returns the event of a plain record. place is where the stream has the record:
// its shard, a colon and its sequence number. arrived is when the stream took it, which is
// when the event was published. An event without an id gets a UUIDv7 of the two, so that a
// record that is read again has the same one.
func StampPlain(d event.Draft, place string, arrived time.Time) event.Event {
	arrived = arrived.Round(time.Millisecond) // Lambda passes on a float
	if d.ID == "" {
		d.ID = idOf(place, arrived)
	}
	return d.Stamp("", arrived)
}

func idOf(place string, arrived time.Time) string {
	sum := sha256.Sum256([]byte(place))
	id := uuid.UUID(sum[:16])
	binary.BigEndian.PutUint64(id[:8], uint64(arrived.UnixMilli())<<16|7<<12|uint64(binary.BigEndian.Uint16(sum[16:])&0xfff))
	id[8] = id[8]&0x3f | 0x80 // the variant of RFC 9562
	return id.String()
}
